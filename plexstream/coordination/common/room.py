"""What one turn of a system actor may still do by itself: so none is too large to be noted, or too long."""

from __future__ import annotations

from plexstream.coordination.common.agenda import AT_ONCE
from plexstream.sdk.running.current import current

MAX_TURN = 500_000
"""Bytes that one turn moves on its own account; the rest moves with the next one."""


class Room:
    """Kept by all that one turn does by itself, whichever parts of the actor do it.

    What is larger than a whole room is moved all the same, if it is the first: else it would never be. Where
    the caller itself moves more than `MAX_TURN`, nothing else is moved.

    Parameters:
        asked: bytes that the caller wants moved.
    """

    __slots__ = ("_bytes", "_first", "units")

    def __init__(self, asked: int = 0) -> None:
        self.units = AT_ONCE
        self._bytes = MAX_TURN - asked
        self._first = asked <= MAX_TURN

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.units > 0 and (self._bytes > 0 or self._first)

    def takes(self, size: int, units: int = 1) -> bool:
        """Whether so many bytes, in so many entries, go into it; if so, they are counted."""
        if not self._first and (size > self._bytes or units > self.units):
            return False
        self._first = False
        self._bytes -= size
        self.units -= units
        return True


def largest() -> int:
    """Bytes that a message may have, an answer too, as the node is configured."""
    most: int = current.turn.max_message
    return most
