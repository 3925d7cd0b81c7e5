"""plexstream: durable actors on Kafka.

Names are loaded on first use: a WASM guest, a script that only calls actors, and the command line pay for
nothing else. What actor code needs has no dependencies.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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

__version__ = "0.1.0"

_FROM = {
    "plexstream.client": "AsyncClient Client",
    "plexstream.model.errors": (
        "AlreadyDone AlreadyStarted CallError Cancelled Deadlock Failed Ignored Killed Rejected StepFailed "
        "Stopped TimedOut"
    ),
    "plexstream.sdk.actions": "fsm",
    "plexstream.sdk.collections": "StateList StateMap",
    "plexstream.sdk.declare": (
        "actor handler init_handler migrate on_activate "
        "on_crash on_deactivate subscribe"
    ),
    "plexstream.sdk.errors": (
        "DeclarationError DeclarationWarning FoldError Ignore Reject "
        "SagaFailed TerminalError TransitionError"
    ),
    "plexstream.sdk.fields": "state state_list state_map",
    "plexstream.sdk.fsm": "event_timeout fsm_actor state_enter state_timeout",
    "plexstream.sdk.host": "host",
    "plexstream.sdk.managers": "event_actor",
    "plexstream.sdk.servers": "gen_server_actor",
    "plexstream.sdk.sourcing": "event EventSourced",
    "plexstream.sdk.spec": "EventLog Retry Snapshots",
    "plexstream.sdk.supervision": "Child Supervisor",
    "plexstream.sdk.time": "cron Reminder",
    "plexstream.sdk.workflows": "query_handler run_handler service signal_handler workflow workflow_actor",
}
_LAZY = {name: module for module, names in _FROM.items() for name in names.split()}

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
        globals()[name] = found = getattr(importlib.import_module(_LAZY[name]), name)
        return found
    raise AttributeError(f"module 'plexstream' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY])
