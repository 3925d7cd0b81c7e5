"""Members of a pool: which are idle, the least recently used first, busy, or set aside."""

from __future__ import annotations

from itertools import islice
from typing import Any, Final, Protocol

from plexstream.sdk.running.collections.maps import StateMap

IDLE: Final = "idle"
BUSY: Final = "busy"
UNHEALTHY: Final = "unhealthy"
LEAVING: Final = "leaving"
"""Busy, and no member any more once it is back."""

Member = list[Any]  # how it is, its place among the idle ones: when it was used, and when it came


class Manned(Protocol):
    """An actor with members.

    Attributes:
        members: ``state_map()`` by name.
        idle: ``state_map()`` of those who are, by their place.
        counts: ``state(default_factory=dict)``: how many are idle, busy, unhealthy.
        ticks: ``state(default=0)``, what orders uses and arrivals.
    """

    members: StateMap[str, Member]
    idle: StateMap[tuple[int, int], str]
    counts: dict[str, int]
    ticks: int


class Members:
    """The members of an actor. One that leaves counts as busy until it is back."""

    def __init__(self, owner: Manned) -> None:
        self._owner = owner

    def count(self, how: str) -> int:
        """How many are so."""
        return self._owner.counts.get(how, 0)

    def add(self, name: str) -> bool:
        """Have a member, healthy. Whether it was none, or set aside."""
        row = self._owner.members.get(name)
        if row is None:
            self._put(name, IDLE, 0, self._tick())
            return True
        if row[0] == LEAVING:
            self._owner.members[name] = [BUSY, *row[1:]]
            return True
        return self.mend(name)

    def mend(self, name: str) -> bool:
        """Let one that was set aside be idle. Whether it was."""
        row = self._owner.members.get(name)
        if row is None or row[0] != UNHEALTHY:
            return False
        self._change(UNHEALTHY, -1)
        self._put(name, IDLE, *row[1:])
        return True

    def remove(self, name: str) -> bool:
        """Have it no more, now or when it is back. Whether it was a member."""
        row = self._owner.members.get(name)
        if row is None or row[0] == LEAVING:
            return False
        if row[0] == BUSY:
            self._owner.members[name] = [LEAVING, *row[1:]]
            return True
        self._change(row[0], -1)
        if row[0] == IDLE:
            del self._owner.idle[(row[1], row[2])]
        del self._owner.members[name]
        return True

    def first(self) -> str | None:
        """Of those who are idle who was used least recently; who came first, of those who never were."""
        found = self._owner.idle.first()
        return None if found is None else found[1]

    def use(self, name: str) -> None:
        """Let one that is idle be busy."""
        _, *place = self._owner.members[name]
        del self._owner.idle[(place[0], place[1])]
        self._change(IDLE, -1)
        self._put(name, BUSY, *place)

    def back(self, name: str, healthy: bool) -> None:
        """One that was busy is so no more."""
        how, _, came = self._owner.members[name]
        self._change(BUSY, -1)
        if how == LEAVING:
            del self._owner.members[name]
        else:
            self._put(name, IDLE if healthy else UNHEALTHY, self._tick(), came)

    def page(self, after: str, limit: int) -> list[list[str]]:
        """Names behind `after`, in order, `limit` at most, and how each is."""
        rows = islice(self._owner.members.range(after or None), limit + 1)
        return [[name, row[0]] for name, row in rows if name != after][:limit]

    def _put(self, name: str, how: str, used: int, came: int) -> None:
        self._owner.members[name] = [how, used, came]
        if how == IDLE:
            self._owner.idle[(used, came)] = name
        self._change(how, 1)

    def _change(self, how: str, by: int) -> None:
        self._owner.counts[how] = self.count(how) + by

    def _tick(self) -> int:
        self._owner.ticks += 1
        return self._owner.ticks
