"""Simulation, test driver, pytest plugin and Kafka fixtures.

Names are loaded on first use: pytest loads the plugin for everybody who has plexstream installed.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from plexstream.sdk.host.host import TurnApi
    from plexstream.sdk.running.current import current
    from plexstream.testing.kafka.broker import LocalBroker
    from plexstream.testing.kafka.cluster import Cut, LocalCluster
    from plexstream.testing.kafka.process.ports import free_port

__all__ = ["Cut", "LocalBroker", "LocalCluster", "TurnApi", "current", "free_port"]

_LAZY = {
    "Cut": "plexstream.testing.kafka.cluster",
    "LocalBroker": "plexstream.testing.kafka.broker",
    "LocalCluster": "plexstream.testing.kafka.cluster",
    "TurnApi": "plexstream.sdk.host.host",
    "current": "plexstream.sdk.running.current",
    "free_port": "plexstream.testing.kafka.process.ports",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = found = getattr(importlib.import_module(_LAZY[name]), name)
    return found
