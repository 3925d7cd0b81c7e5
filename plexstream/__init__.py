"""plexstream: durable actors on Kafka.

What actor code needs is loaded at once and has no dependencies; the rest is loaded on first use,
so that a WASM guest, or a script that only calls actors, pays for nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from plexstream.sdk.collections import StateList, StateMap
from plexstream.sdk.declare import (
    actor,
    handler,
    init_handler,
    on_activate,
    on_deactivate,
    state,
    state_list,
    state_map,
    subscribe,
)
from plexstream.sdk.errors import Reject
from plexstream.sdk.host import host
from plexstream.sdk.spec import Retry, Snapshots

if TYPE_CHECKING:
    from plexstream.client import AsyncClient, Client

__version__ = "0.1.0"

_LAZY = {"Client": "plexstream.client", "AsyncClient": "plexstream.client"}

__all__ = [
    "AsyncClient",
    "Client",
    "Reject",
    "Retry",
    "Snapshots",
    "StateList",
    "StateMap",
    "actor",
    "handler",
    "host",
    "init_handler",
    "on_activate",
    "on_deactivate",
    "state",
    "state_list",
    "state_map",
    "subscribe",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'plexstream' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
