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
    from plexstream.sdk.declaring.declare import (
        actor,
        handler,
        init_handler,
        migrate,
        on_activate,
        on_crash,
        on_deactivate,
        subscribe,
    )
    from plexstream.sdk.declaring.fields import state, state_list, state_map
    from plexstream.sdk.declaring.sourcing import EventSourced, event
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
    from plexstream.sdk.host.coordination.kept import match
    from plexstream.sdk.host.coordination.kept.tuples.predicates import predicate
    from plexstream.sdk.host.host import host
    from plexstream.sdk.host.supervision import Child, Supervisor
    from plexstream.sdk.host.time import Reminder, cron
    from plexstream.sdk.kinds.managers import event_actor
    from plexstream.sdk.kinds.servers import gen_server_actor
    from plexstream.sdk.kinds.workflows import (
        query_handler,
        run_handler,
        service,
        signal_handler,
        workflow,
        workflow_actor,
    )
    from plexstream.sdk.machines.actions import fsm
    from plexstream.sdk.machines.fsm import event_timeout, fsm_actor, state_enter, state_timeout
    from plexstream.sdk.running.collections.lists import StateList
    from plexstream.sdk.running.collections.maps import StateMap
    from plexstream.sdk.spec import EventLog, Retry, Snapshots

__version__ = "0.1.0"

_FROM = {
    "plexstream.client": "AsyncClient Client",
    "plexstream.model.errors": (
        "AlreadyDone AlreadyStarted CallError Cancelled Deadlock Failed Ignored Killed Rejected StepFailed "
        "Stopped TimedOut"
    ),
    "plexstream.sdk.machines.actions": "fsm",
    "plexstream.sdk.running.collections.lists": "StateList",
    "plexstream.sdk.running.collections.maps": "StateMap",
    "plexstream.sdk.declaring.declare": (
        "actor handler init_handler migrate on_activate "
        "on_crash on_deactivate subscribe"
    ),
    "plexstream.sdk.errors": (
        "DeclarationError DeclarationWarning FoldError Ignore Reject "
        "SagaFailed TerminalError TransitionError"
    ),
    "plexstream.sdk.declaring.fields": "state state_list state_map",
    "plexstream.sdk.machines.fsm": "event_timeout fsm_actor state_enter state_timeout",
    "plexstream.sdk.host.coordination.kept.tuples.predicates": "predicate",
    "plexstream.sdk.host.host": "host",
    "plexstream.sdk.kinds.managers": "event_actor",
    "plexstream.sdk.kinds.servers": "gen_server_actor",
    "plexstream.sdk.declaring.sourcing": "event EventSourced",
    "plexstream.sdk.spec": "EventLog Retry Snapshots",
    "plexstream.sdk.host.supervision": "Child Supervisor",
    "plexstream.sdk.host.time": "cron Reminder",
    "plexstream.sdk.kinds.workflows": (
        "query_handler run_handler service signal_handler workflow workflow_actor"
    ),
}
_MODULES = {"match": "plexstream.sdk.host.coordination.kept.match"}
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
    "match",
    "migrate",
    "on_activate",
    "on_crash",
    "on_deactivate",
    "predicate",
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
    if name in _MODULES:
        globals()[name] = module = importlib.import_module(_MODULES[name])
        return module
    raise AttributeError(f"module 'plexstream' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, *_MODULES])
