"""A durable list."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any, Generic, TypeVar, overload

from plexstream.sdk.running.collections.cells import ENDS, MISSING, Cells, Entries

V = TypeVar("V")


class ListCells(Cells):
    """Those of a list, which keeps its ends beside its items. In a map that key is one like any other."""

    def get_ends(self) -> tuple[int, int]:
        if self.ends is None:
            data = self.entries.get(ENDS)
            self.ends = (0, 0) if data is None else _ends(data)
        return self.ends

    def set_ends(self, first: int, end: int) -> None:
        self.ends = (first, end)
        self.moved = True

    def take_over(self, key: str, data: bytes | None) -> None:
        if key == ENDS:
            self.ends = None if data is None else _ends(data)
        else:
            super().take_over(key, data)


class StateList(MutableSequence[V], Generic[V]):
    """A durable list. Items and both ends cost one or two entries; inserting in the middle what follows."""

    def __init__(self, entries: Entries) -> None:
        self._cells = ListCells(entries)

    def _place(self, index: int) -> str:
        first, end = self._cells.get_ends()
        at = first + index if index >= 0 else end + index
        if not first <= at < end:
            raise IndexError(f"index {index} of a list of {end - first}")
        return str(at)

    @overload
    def __getitem__(self, index: int) -> V: ...
    @overload
    def __getitem__(self, index: slice) -> list[V]: ...
    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self._cells.get(self._place(index))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            raise TypeError("a StateList takes no slice assignment: set the items one by one")
        self._cells.set(self._place(index), value)

    def __delitem__(self, index: Any) -> None:
        if isinstance(index, slice):
            raise TypeError("a StateList takes no slice deletion: delete the items one by one")
        at = int(self._place(index))
        first, end = self._cells.get_ends()
        if at == first:
            self._cells.set(str(at), MISSING)
            self._cells.set_ends(first + 1, end)
            return
        for i in range(at, end - 1):
            self._cells.set(str(i), self._cells.get(str(i + 1)))
        self._cells.set(str(end - 1), MISSING)
        self._cells.set_ends(first, end - 1)

    def insert(self, index: int, value: V) -> None:
        """Insert before `index`; at either end it costs one item."""
        first, end = self._cells.get_ends()
        size = end - first
        index = max(0, size + index) if index < 0 else min(index, size)
        if index == 0 and size:
            self._cells.set(str(first - 1), value)
            self._cells.set_ends(first - 1, end)
            return
        for i in range(end, first + index, -1):
            self._cells.set(str(i), self._cells.get(str(i - 1)))
        self._cells.set(str(first + index), value)
        self._cells.set_ends(first, end + 1)

    def __len__(self) -> int:
        first, end = self._cells.get_ends()
        return end - first

    def __repr__(self) -> str:
        return f"StateList({list(self)!r})"


def _ends(data: bytes) -> tuple[int, int]:
    first, end = map(int, data[1:-1].split(b","))
    return first, end
