"""Turns on their way out, with what they weigh."""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import NamedTuple

from plexstream.model.journal import Step, Turn
from plexstream.node.lanes.gathered import Turns, payloads

_TURN_BYTES = 500
"""What a turn takes besides its payloads, about."""


class Saved(NamedTuple):
    """A commit is acknowledged: what it held, by name. -1: nothing of that kind."""

    emitted: int = -1  # all outputs of turns up to this offset have left
    put_aside: int = -1  # all dead letters of turns up to this offset have
    batch: int = -1  # the newest batch of snapshots that it held, by the number that `Lane.save` gave


class TurnQueue:
    """Turns in the order of their offsets. One thread adds, another takes: each counts for itself.

    Neither looks at the queue in a loop of Python's: the other may change it in each round.
    """

    def __init__(self) -> None:
        self._turns: deque[tuple[int, Turn | Step]] = deque()
        self._added = self._taken = 0
        self._added_bytes = self._taken_bytes = 0

    def add(self, turns: Turns) -> None:
        """Queue turns."""
        self._added_bytes += _weight(turns)
        self._turns.extend(turns)
        self._added += len(turns)

    def first(self, count: int, size: int) -> Turns:
        """The first `count` turns, fewer where they have `size` bytes before. They stay here until `drop`."""
        found = list(islice(self._turns, min(count, len(self._turns))))
        if _weight(found) > size:
            for index, turn in enumerate(found):
                size -= _weight([turn])
                if size <= 0:
                    return found[: index + 1]
        return found

    def drop(self, count: int) -> None:
        """The first `count` turns have left."""
        left = self._turns
        self._taken_bytes += _weight([left.popleft() for _ in range(count)])
        self._taken += count

    def __bool__(self) -> bool:
        return bool(self._turns)

    @property
    def count(self) -> int:
        """How many turns have not left."""
        return self._added - self._taken

    @property
    def bytes(self) -> int:
        """About how much memory they take."""
        return self._added_bytes - self._taken_bytes


def _weight(turns: Turns) -> int:
    return _TURN_BYTES * len(turns) + payloads(turns)
