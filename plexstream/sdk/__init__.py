"""What actor code imports. Pure Python without dependencies: it runs natively and inside a WASM guest."""

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

__all__ = [
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
