"""Time limits, so that a run of the benchmarks ends whatever happens in it."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

TASK_S = 240.0
"""The longest that one repetition may take; on a quiet machine none takes more than 100 s."""


class TooLong(Exception):
    """A repetition has not ended in its time."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TooLong in the body after so many seconds. Only in the main thread; not nested."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooLong(f"not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, ring)
    # Again every 30 s: cleaning up must not hang either.
    signal.setitimer(signal.ITIMER_REAL, seconds, 30.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)


class Budget:
    """Shares what is left of the time equally among the rows that are left.

    Parameters:
        minutes: for all rows together.
        rows: how many there are.
    """

    def __init__(self, minutes: float, rows: int) -> None:
        self._end = time.monotonic() + minutes * 60
        self._rows = rows
        self._row_end = 0.0

    def next_row(self) -> None:
        """A row begins."""
        now = time.monotonic()
        self._row_end = now + (self._end - now) / self._rows
        self._rows -= 1

    def allows(self, round: int, took: float) -> bool:
        """Whether a repetition may begin that took so many seconds the last time, `round` counting from 0.

        The first of each task may while there is any time at all, the others only within their row's share.
        """
        end = self._row_end if round else self._end
        return time.monotonic() + took < end
