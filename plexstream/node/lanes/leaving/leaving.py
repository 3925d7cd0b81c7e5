"""Turns on their way out, with what they weigh."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from plexstream.node.lanes.leaving.gathered import Turns, payloads

_TURN_BYTES = 500
"""What a turn takes besides its payloads, about."""


class Saved(NamedTuple):
    """A commit is acknowledged: what it held, by name. -1: nothing of that kind."""

    emitted: int = -1  # all outputs of turns up to this offset have left
    put_aside: int = -1  # all dead letters of turns up to this offset have
    batch: int = -1  # the newest batch of snapshots that it held, by the number that `Lane.save` gave


class TurnQueue:
    """Turns in the order of their offsets. One thread adds, another takes: each counts for itself.

    What is added goes over in whole lists: nothing that one of them goes through is changed by the other.
    """

    def __init__(self) -> None:
        self._come: deque[Turns] = deque()
        self._held: Turns = []  # the taker's alone
        self._added = self._taken = 0
        self._added_bytes = self._taken_bytes = 0

    def add(self, turns: Turns) -> None:
        """Queue turns. The list belongs to the queue afterwards."""
        self._added_bytes += _weight(turns)
        self._come.append(turns)
        self._added += len(turns)

    def first(self, count: int, size: int) -> Turns:
        """The first `count` turns, fewer where they have `size` bytes before. They stay here until `drop`."""
        while len(self._held) < count and self._come:
            self._held += self._come.popleft()
        found = self._held[:count]
        if _weight(found) > size:
            for index, turn in enumerate(found):
                size -= _weight([turn])
                if size <= 0:
                    return found[: index + 1]
        return found

    def drop(self, count: int) -> None:
        """The first `count` turns have left."""
        self._taken_bytes += _weight(self._held[:count])
        del self._held[:count]
        self._taken += count

    def __bool__(self) -> bool:
        return self._added > self._taken

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
