"""After crashes in a row: messages one by one, each announced before it is tried, until one is found guilty.

A message that kills its process (a segfault, out of memory) leaves no other trace than the announcement
before it. Found there often enough in a row, it is put aside instead of being tried again.
"""

from __future__ import annotations

from collections import deque

from plexstream.model.snapshot import Snapshot
from plexstream.processor.actors import Waiting
from plexstream.processor.fold import Fold
from plexstream.processor.ports import Settings

_CRASHES = 2  # in a row; one may be a power cut


class Care:
    """Which messages are still to be tried one by one.

    Attributes:
        left: how many are, from now on; 0: no care is taken.
        held: messages that wait for their trial.
        timer: the one that is announced and tried next, if any.
        told: whether that one is announced.
        until: when the next one may be tried, in ms since the epoch, if that is later.
        poison: mailbox offset of the message that is put aside untried, or -1.
    """

    __slots__ = ("_announced", "held", "left", "poison", "timer", "told", "until")

    def __init__(self, fold: Fold, settings: Settings) -> None:
        self.left = settings.careful_turns if fold.crashes >= _CRASHES else 0
        self.held: deque[Waiting] = deque()
        self.poison = fold.attempt if fold.attempts >= settings.poison_claims else -1
        self.timer: Snapshot | None = None
        self.told = False
        self.until = 0
        self._announced = -1

    def announce(self) -> int:
        """The offset to announce before the next message is tried; -1 where that is done."""
        offset = self.held[0].offset
        if self.left and offset != self._announced:
            self._announced = offset
            return offset
        return -1

    def take(self) -> list[Waiting]:
        """The message to try now; all that are held once no more care is needed."""
        self.left = max(0, self.left - 1)
        if self.left:
            return [self.held.popleft()]
        rest = list(self.held)
        self.held.clear()
        return rest
