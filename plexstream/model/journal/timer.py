"""What is due later: one timer as a piece of state holds it."""

from __future__ import annotations

from typing import NamedTuple

from plexstream.model.journal.journal import Out
from plexstream.model.journal.snapshot import Piece, Snapshot

ALARM = "$alarm"
REMINDER = "$remind/"
CRON = "$cron/"
"""Ids, or what they begin with. A `send_after` has the numbers of its turn and its place in it as its id."""


class Timer(NamedTuple):
    """The message of a timer. No part but the payload may hold a NUL."""

    target: str
    handler: str
    schedule: str  # when it is due again, as text of a `Schedule`; "": never
    payload: bytes


def encode_timer(timer: Timer) -> bytes:
    """The data of a timer's piece."""
    target, handler, schedule, payload = timer
    return b"\0".join((target.encode(), handler.encode(), schedule.encode(), payload))


def decode_timer(data: bytes) -> Timer:
    """The inverse of `encode_timer`."""
    target, handler, schedule, payload = data.split(b"\0", 3)
    return Timer(target.decode(), handler.decode(), schedule.decode(), payload)


def timer_piece(actor: str, out: Out, offset: int, seq: int) -> Snapshot:
    """The piece of state that an outgoing item of kind TIMER makes."""
    data = encode_timer(Timer(out.target, out.handler, out.note, out.payload))
    return Snapshot(Piece.TIMER.value, actor, out.id, None, offset, seq, out.due, data)
