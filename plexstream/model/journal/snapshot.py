"""Pieces of state: what the stores hold, and what the snapshot topic keeps of them."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Piece(IntEnum):
    """What a piece of state is."""

    ACTOR = 0  # the plain fields of an actor
    ENTRY = 1  # one entry of a state_map or state_list
    REPLY = 2  # a reply kept for its idempotency key
    TIMER = 3  # a message that is due later
    PARTITION = 4  # how far the partition is: a Mark
    STEP = 5  # one step of a handler that waits: a Step


class Snapshot(NamedTuple):
    """A piece of state as of journal `offset`."""

    kind: int
    address: str
    name: str
    key: str | None
    offset: int
    seq: int
    time: int  # of the turn; when a reply expires; when a timer is due
    data: bytes
