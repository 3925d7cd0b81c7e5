"""The timers of one partition as its journal has them: which are pending, and what comes of a series."""

from __future__ import annotations

from typing import NamedTuple

from plexstream.model.journal.journal import Out, OutKind, Step, Turn
from plexstream.testing.simulation.cast.actors import EVERY
from plexstream.testing.simulation.cast.waiting import is_waiting
from plexstream.testing.simulation.checks.model.cells import Cells
from plexstream.testing.simulation.errors import Violation

Key = tuple[str, str]
"""Of a timer: actor and id."""


class Timer(NamedTuple):
    """A timer that is pending."""

    due: int
    target: str
    handler: str
    payload: bytes
    schedule: str  # as text; "": it comes once


class Timers:
    """Those that are pending, by actor and id."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self.pending: dict[Key, Timer] = {}

    def set(self, actor: str, out: Out) -> None:
        """A turn has set one."""
        self.pending[actor, out.id] = Timer(out.due, out.target, out.handler, out.payload, out.note)
        if not is_waiting(actor):
            self._cells.actor(actor).pending.add(out.id)

    def series(self, t: Turn | Step, timer: Timer) -> Turn | Step:
        """The turn without what sets the next of its series, which must be there and be right.

        Raises Violation.
        """
        next = t.outs[-1] if t.outs else None
        if next is not None and next.kind == OutKind.CANCEL and next.id == t.message_id:
            return t  # the handler has ended it
        due = timer.due + EVERY
        if "all" not in timer.schedule:
            while due <= t.time:
                due += EVERY
        _, _, handler, payload, schedule = timer
        right = Out(OutKind.TIMER, t.message_id, t.actor, handler, payload, "", schedule, due)
        _claim_that(next == right, f"the next of the series is {next}, expected {right}")
        return t._replace(outs=t.outs[:-1])

    def drop(self, actor: str, id: str) -> None:
        """It has fired, or was cancelled."""
        self.pending.pop((actor, id), None)
        if not is_waiting(actor):
            self._cells.actor(actor).pending.discard(id)


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
