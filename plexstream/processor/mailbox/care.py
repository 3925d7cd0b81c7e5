"""After crashes in a row: messages one by one, each announced before it is tried, until one is found guilty.

A message that kills its process (a segfault, out of memory) leaves no other trace than the announcement
before it. Announced by enough processes that were not heard of again, it is put aside instead of being tried
again. Announced is what runs at once: a message that would wait is not, until it runs.
"""

from __future__ import annotations

from collections import deque

from plexstream.model.journal.snapshot import Snapshot
from plexstream.processor.actors.actor import Actor, Waiting
from plexstream.processor.journal.sums.fold import Fold
from plexstream.processor.state.ports import Settings

_CRASHES = 2  # in a row; one may be a power cut


class Care:
    """Which messages are still to be tried one by one.

    Attributes:
        left: how many are, from now on; 0: no care is taken.
        held: messages that wait for their trial.
        actors: those whose queues go on, the heads of which wait for their trial.
        timer: the one that is announced and tried next, if any.
        told: whether that one is announced.
        until: when the next one may be tried, in ms since the epoch, if that is later.
        poison: mailbox offset of the message that is put aside untried, or -1.
    """

    __slots__ = ("_announced", "actors", "held", "left", "poison", "timer", "told", "until")

    def __init__(self, fold: Fold, settings: Settings) -> None:
        self.left = settings.careful_turns if fold.crashes >= _CRASHES else 0
        self.held: deque[Waiting] = deque()
        self.actors: deque[Actor] = deque()
        self.poison = fold.attempt if fold.attempts >= settings.poison_claims else -1
        self.timer: Snapshot | None = None
        self.told = False
        self.until = 0
        self._announced = -1

    @property
    def any(self) -> bool:
        """Whether any message is to be handled with care."""
        return bool(self.left or self.held) or self.poison >= 0

    def announced(self, offset: int) -> bool:
        """Whether the message at `offset` may be tried, once its announcement is on the log."""
        return not self.left or offset < 0 or offset == self._announced

    def announce(self, offset: int) -> None:
        """It is about to be tried."""
        self._announced = offset

    def tried(self) -> None:
        """It was: another attempt at it is announced anew."""
        self.left = max(0, self.left - 1)
        self._announced = -1
