"""Whether a worker's thread goes on, and which handler it is that holds it up."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

_log = logging.getLogger("plexstream.node")

SHOW_S = 1.0
"""A handler that runs longer is shown."""


class Running(NamedTuple):
    """A handler that runs now. `seconds`: for how long, as seen from outside: a little less than in truth."""

    address: str
    handler: str
    seconds: float


class Pulse:
    """Looks at a worker's thread from another one, which costs the worker nothing.

    Parameters:
        rounds: how often the worker has gone round.
        turn: the turn that it executes now, None between two.
        long_s: seconds after which a handler that runs is told; again when it has run twice as long.
        stuck_s: seconds after which its worker counts as stuck.
    """

    def __init__(
        self,
        rounds: Callable[[], int],
        turn: Callable[[], Any],
        long_s: float,
        stuck_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rounds = rounds
        self._turn = turn
        self._long_s = long_s
        self._stuck_s = stuck_s
        self._clock = clock
        self._seen: object = None
        self._since = clock()
        self._tell_s = long_s
        self.running: Running | None = None

    def look(self) -> str:
        """To be called a few times a second; returns why the worker counts as stuck, or nothing."""
        turn = self._turn()
        what = None
        if turn is not None and turn.bound is not None:
            what = turn.address, turn.bound.name, turn.seq
        seen = self._rounds(), what
        now = self._clock()
        if seen != self._seen:
            self._seen, self._since, self._tell_s = seen, now, self._long_s
        seconds = now - self._since
        self.running = None if what is None or seconds < SHOW_S else Running(what[0], what[1], seconds)
        if what is None:
            if seconds < self._stuck_s:
                return ""
            return f"the worker's thread has not gone on for {seconds:.0f} s, and runs no handler"
        name = f"{what[0]}: its handler {what[1]} has been running for {seconds:.0f} s"
        if seconds >= self._tell_s:
            self._tell_s = max(2 * self._tell_s, seconds)
            _log.warning(
                "%s; all partitions of its worker wait meanwhile: give what it calls a timeout, or do it in "
                "host.run, which has threads of its own", name,
            )  # fmt: skip
        return name if seconds >= self._stuck_s else ""
