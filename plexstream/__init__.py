"""plexstream: durable actors on Kafka.

What actor code needs is loaded at once and has no dependencies; the rest is loaded on first use,
so that a WASM guest, or a script that only calls actors, pays for nothing else.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from plexstream.sdk.actions import fsm
from plexstream.sdk.collections import StateList, StateMap
from plexstream.sdk.declare import (
    actor,
    handler,
    init_handler,
    migrate,
    on_activate,
    on_crash,
    on_deactivate,
    subscribe,
)
from plexstream.sdk.errors import (
    DeclarationError,
    DeclarationWarning,
    FoldError,
    Ignore,
    Reject,
    SagaFailed,
    TerminalError,
    TransitionError,
)
from plexstream.sdk.fields import state, state_list, state_map
from plexstream.sdk.fsm import event_timeout, fsm_actor, state_enter, state_timeout
from plexstream.sdk.host import host
from plexstream.sdk.managers import event_actor
from plexstream.sdk.servers import gen_server_actor
from plexstream.sdk.sourcing import EventSourced, event
from plexstream.sdk.spec import EventLog, Retry, Snapshots
from plexstream.sdk.supervision import Child, Supervisor
from plexstream.sdk.time import Reminder, cron
from plexstream.sdk.workflows import (
    query_handler,
    run_handler,
    service,
    signal_handler,
    workflow,
    workflow_actor,
)

if TYPE_CHECKING:
    from plexstream.client import AsyncClient, Client
    from plexstream.model.errors import (
        AlreadyDone,
        AlreadyStarted,
        CallError,
        Cancelled,
        Deadlock,
        Failed,
        Ignored,
        Killed,
        Rejected,
        StepFailed,
        Stopped,
        TimedOut,
    )

__version__ = "0.1.0"

_ERRORS = (
    "AlreadyDone", "AlreadyStarted", "CallError", "Cancelled", "Deadlock", "Failed", "Ignored", "Killed",
    "Rejected", "StepFailed", "Stopped", "TimedOut",
)  # fmt: skip
_LAZY = {
    "AsyncClient": "plexstream.client",
    "Client": "plexstream.client",
    **dict.fromkeys(_ERRORS, "plexstream.model.errors"),
}

__all__ = [
    "AlreadyDone",
    "AlreadyStarted",
    "AsyncClient",
    "CallError",
    "Cancelled",
    "Child",
    "Client",
    "Deadlock",
    "DeclarationError",
    "DeclarationWarning",
    "EventLog",
    "EventSourced",
    "Failed",
    "FoldError",
    "Ignore",
    "Ignored",
    "Killed",
    "Reject",
    "Rejected",
    "Reminder",
    "Retry",
    "SagaFailed",
    "Snapshots",
    "StateList",
    "StateMap",
    "StepFailed",
    "Stopped",
    "Supervisor",
    "TerminalError",
    "TimedOut",
    "TransitionError",
    "actor",
    "cron",
    "event",
    "event_actor",
    "event_timeout",
    "fsm",
    "fsm_actor",
    "gen_server_actor",
    "handler",
    "host",
    "init_handler",
    "migrate",
    "on_activate",
    "on_crash",
    "on_deactivate",
    "query_handler",
    "run_handler",
    "service",
    "signal_handler",
    "state",
    "state_enter",
    "state_list",
    "state_map",
    "state_timeout",
    "subscribe",
    "workflow",
    "workflow_actor",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(importlib.import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'plexstream' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
