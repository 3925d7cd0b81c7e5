"""Looking for tuples that match: by the index where it narrows, else by age; so much in one turn, no more.

Where the values of some fields are known, their entries in the index are lists of ids in order, and what all
have in common is found by leaps: each list is asked for its first id from the greatest one on that another
has (leapfrog join: Veldhuizen, "Leapfrog Triejoin", ICDT 2014).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Protocol

from plexstream.coordination.space.content import Content, Entry, Kept, slot
from plexstream.coordination.space.patterns import Pattern
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

UNITS: Final = 1_000
"""What one turn may look at: a tuple, or a leap, and for each kilobyte one more."""
_KILOBYTE = 1_000
_NEAR = 6
"""So many ids are passed one by one before it leaps."""
_AHEAD = 32
_BEHIND_ALL = 1 << 62

Cursor = list[Any]
"""Where a search goes on: ``["age", id]`` behind that id, or ``["value", key, id, latest]`` behind that entry
of the index, in a search that began when `latest` was the newest id."""
Index = StateMap[tuple[int, str, int], int]


class Budget:
    """How much a turn may still look at, and send."""

    def __init__(self, units: int = UNITS) -> None:
        self.left = units

    def spend(self, bytes: int = 0) -> None:
        """Something was looked at, or sent."""
        self.left -= 1 + bytes // _KILOBYTE


class Search:
    """The tuples that match a pattern: the oldest first, or, where only a range or a prefix narrows, those
    of the least value first.

    Parameters:
        after: where one before has stopped; None: it begins.
        late: whether those are looked for, in the end, that were written since it began in another turn. By
            age they are at its end anyway. So one that finds nothing has seen all that were there then.

    Attributes:
        after: where it goes on once it was gone through; None: it has seen all there is.
    """

    def __init__(
        self, owner: Kept, pattern: Pattern, budget: Budget, after: Cursor | None = None, *, late: bool = True
    ) -> None:
        self._owner = owner
        self._content = Content(owner)
        self._pattern = pattern
        self._budget = budget
        self._late = late
        fields = [position for position in owner.fields if position < pattern.size]
        self._exact = [position for position in fields if position in pattern.exact]
        self._span = next((p for p in fields if p in pattern.spans), None) if not self._exact else None
        by_value = ["value", "", 0, owner.latest]
        if after is not None and after[0] == "value" and self._span is None:
            raise _no_cursor(after)
        self.after: Cursor | None = after or (["age", 0] if self._span is None else by_value)

    def __iter__(self) -> Iterator[Entry]:
        """Those that match, as long as there is a budget."""
        if self.after is not None and self.after[0] == "value" and self._span is not None:
            yield from self._by_value(self._span, *self.after[1:])
        if self.after is not None and self.after[0] == "age" and self._budget.left > 0:
            yield from self._by_age(self.after[1])

    def known(self) -> Iterator[int] | None:
        """The ids of those that match, by the index alone; None: it does not tell."""
        needed = self._pattern.decided_by
        if not needed or not needed.issubset(self._exact):
            return None
        return self._living(self.after[1] if self.after is not None else 0)

    def _living(self, behind: int) -> Iterator[int]:
        now = host.now()
        for id, due in self._leaps(behind):
            self._budget.spend()
            if not due or due > now:
                yield id
        if self._budget.left > 0:
            self.after = None

    def _by_age(self, behind: int) -> Iterator[Entry]:
        budget, matches = self._budget, self._pattern.matches
        for entry in self._kept(behind) if self._exact else self._rows(behind):
            self.after = ["age", entry.id]
            budget.spend(entry.bytes)
            if (not entry.due or entry.due > host.now()) and matches(entry.tuple):
                yield entry
            if budget.left <= 0:
                return
        if budget.left > 0:
            self.after = None

    def _rows(self, behind: int) -> Iterator[Entry]:
        size = self._pattern.size
        while True:
            rows = self._owner.tuples.range((size, behind + 1), (size + 1,), limit=_AHEAD)
            taken = 0
            for (_, behind), row in rows:
                taken += 1
                yield Entry(behind, *row)
            if taken < _AHEAD:
                return

    def _kept(self, behind: int) -> Iterator[Entry]:
        for id, _ in self._leaps(behind):
            entry = self._content.get(self._pattern.size, id)
            if entry is None:
                self._budget.spend()
            else:
                yield entry

    def _by_value(self, position: int, at: str, behind: int, latest: int) -> Iterator[Entry]:
        size, budget = self._pattern.size, self._budget
        start, stop = self._pattern.spans[position]
        place = slot(size, position)
        first: Any = (place, at, behind + 1) if at else (place, start)
        end = (place + 1,) if stop is None else (place, stop)
        for (_, at, id), _ in self._owner.index.range(first, end):
            self.after = ["value", at, id, latest]
            entry = self._content.get(size, id)
            budget.spend(entry.bytes if entry is not None else 0)
            if entry is not None and self._pattern.matches(entry.tuple):
                yield entry
            if budget.left <= 0:
                return
        self.after = ["age", latest] if self._late and self._owner.latest > latest else None

    def _leaps(self, at: int) -> Iterator[tuple[int, int]]:
        """The ids behind `at` that all lists have, with the ends of their leases."""
        size, index = self._pattern.size, self._owner.index
        lists = [_choices(index, slot(size, p), self._pattern.exact[p]) for p in self._exact]
        at += 1
        agreed = turn = 0
        while True:
            found = lists[turn].seek(at)
            if found is None:
                return
            agreed, at = (agreed + 1, at) if found == at else (1, found)
            if agreed == len(lists):
                yield at, lists[turn].due
                at, agreed = at + 1, 0
            else:
                turn = (turn + 1) % len(lists)
                self._budget.spend()
            if self._budget.left <= 0:
                self.after = ["age", at - 1]
                return


class _Ids(Protocol):
    """Ids in order.

    Attributes:
        due: when the lease of the one found ends.
    """

    due: int

    def seek(self, at: int) -> int | None:
        """The first from `at` on, which never falls; None: there is none."""


class _Value:
    """The ids of tuples with one value in one field."""

    def __init__(self, index: Index, slot: int, key: str) -> None:
        self._index = index
        self._slot = slot
        self._key = key
        self._rows: Iterator[tuple[tuple[int, str, int], int]] = iter(())
        self._left = 0  # of what is read at once
        self._many = 1
        self._at: int | None = 0
        self.due = 0

    def seek(self, at: int) -> int | None:
        near = _NEAR
        while self._at is not None and self._at < at:
            if not near:
                self._many, self._left = 1, 0
            if not self._left:
                stop = (self._slot, self._key, _BEHIND_ALL)
                self._rows = self._index.range((self._slot, self._key, at), stop, limit=self._many)
                self._left, self._many, near = self._many, min(self._many * 8, _AHEAD), _NEAR
            found = next(self._rows, None)
            self._at, self.due = (None, 0) if found is None else (found[0][2], found[1])
            self._left -= 1
            near -= 1
        return self._at


class _Choice:
    """The ids of tuples with one of some values in one field."""

    def __init__(self, values: list[_Value]) -> None:
        self._values = values
        self.due = 0

    def seek(self, at: int) -> int | None:
        least: int | None = None
        for value in self._values:
            found = value.seek(at)
            if found is not None and (least is None or found < least):
                least, self.due = found, value.due
        return least


def _choices(index: Index, slot: int, keys: list[str]) -> _Ids:
    values = [_Value(index, slot, key) for key in keys]
    return values[0] if len(values) == 1 else _Choice(values)


def checked_cursor(after: Any) -> Cursor | None:
    """A cursor that came from outside. Raises Reject: it is none that a page has ended with."""
    if after is None:
        return None
    name = after[0] if after and isinstance(after[0], str) else ""
    if tuple(map(type, after)) != _CURSORS.get(name) or not all(
        0 <= number < _BEHIND_ALL for number in after if type(number) is int
    ):
        raise _no_cursor(after)
    return list(after)


_CURSORS = {"age": (str, int), "value": (str, str, int, int)}


def _no_cursor(after: Any) -> Reject:
    return Reject(f"after is {after!r:.80}: give what the page before had as its after, or null")
