"""Collections that are journaled and loaded entry by entry."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping, MutableSequence
from typing import Any, Generic, Protocol, TypeVar, overload

V = TypeVar("V")

_MISSING: Any = object()
_ENDS = "#"
_KEEP = 1024  # decoded entries kept between turns


class Entries(Protocol):
    """Where an actor host keeps the entries of one collection."""

    def get(self, key: str) -> bytes | None: ...
    def scan(self) -> Iterator[tuple[str, bytes]]: ...
    def encode(self, value: Any) -> bytes: ...
    def decode(self, data: bytes) -> Any: ...


class _Cells:
    """Entries as read and changed by the turn that runs."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.values: dict[str, Any] = {}  # decoded; _MISSING where it is known to be absent
        self.read: dict[str, bytes] = {}  # encoding of each mutable value handed out in this turn
        self.changed: dict[str, None] = {}

    def get(self, key: str) -> Any:
        value = self.values.get(key, self)
        if value is self:
            data = self.entries.get(key)
            value = self.values[key] = _MISSING if data is None else self.entries.decode(data)
        if type(value) in (list, dict) and key not in self.read:
            self.read[key] = self.entries.encode(value)
        return value

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value
        self.changed[key] = None

    def drain(self) -> list[tuple[str, bytes | None]]:
        """The changes of the turn, which ends here."""
        for key, before in self.read.items():
            if key not in self.changed and self.entries.encode(self.values[key]) != before:
                self.changed[key] = None
        changes = [
            (key, None if (value := self.values[key]) is _MISSING else self.entries.encode(value))
            for key in self.changed
        ]
        self.read.clear()
        self.changed.clear()
        if len(self.values) > _KEEP:
            self.values.clear()
        return changes

    def roll_back(self) -> None:
        self.values.clear()
        self.read.clear()
        self.changed.clear()

    def scan(self) -> Iterator[tuple[str, Any]]:
        """All entries by key, the turn's own changes included."""
        fresh = {key for key in self.changed if self.values[key] is not _MISSING}
        for key, data in self.entries.scan():
            if key in self.changed and key not in fresh:
                continue
            fresh.discard(key)
            value = self.values.get(key, _MISSING)
            yield key, self.entries.decode(data) if value is _MISSING else self.get(key)
        for key in sorted(fresh):
            yield key, self.values[key]


class StateMap(MutableMapping[str, V], Generic[V]):
    """A durable dict with text keys. Reading, setting and deleting cost one entry; ``len`` and loops all."""

    def __init__(self, entries: Entries) -> None:
        self._cells = _Cells(entries)

    def __getitem__(self, key: str) -> V:
        value = self._cells.get(_text(key))
        if value is _MISSING:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]

    def __setitem__(self, key: str, value: V) -> None:
        self._cells.set(_text(key), value)

    def __delitem__(self, key: str) -> None:
        if self._cells.get(_text(key)) is _MISSING:
            raise KeyError(key)
        self._cells.set(key, _MISSING)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._cells.get(key) is not _MISSING

    def __iter__(self) -> Iterator[str]:
        return iter([key for key, _ in self._cells.scan()])

    def __len__(self) -> int:
        return sum(1 for _ in self._cells.scan())

    def __repr__(self) -> str:
        return f"StateMap({dict(self._cells.scan())!r})"


class StateList(MutableSequence[V], Generic[V]):
    """A durable list. Items and both ends cost one or two entries; inserting in the middle what follows."""

    def __init__(self, entries: Entries) -> None:
        self._cells = _Cells(entries)

    def _ends(self) -> tuple[int, int]:
        ends = self._cells.get(_ENDS)
        return (0, 0) if ends is _MISSING else (ends[0], ends[1])

    def _place(self, index: int) -> str:
        first, end = self._ends()
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
        first, end = self._ends()
        if at == first:
            self._cells.set(str(at), _MISSING)
            self._cells.set(_ENDS, [first + 1, end])
            return
        for i in range(at, end - 1):
            self._cells.set(str(i), self._cells.get(str(i + 1)))
        self._cells.set(str(end - 1), _MISSING)
        self._cells.set(_ENDS, [first, end - 1])

    def insert(self, index: int, value: V) -> None:
        """Insert before `index`; at either end it costs one item."""
        first, end = self._ends()
        size = end - first
        index = max(0, size + index) if index < 0 else min(index, size)
        if index == 0 and size:
            self._cells.set(str(first - 1), value)
            self._cells.set(_ENDS, [first - 1, end])
            return
        for i in range(end, first + index, -1):
            self._cells.set(str(i), self._cells.get(str(i - 1)))
        self._cells.set(str(first + index), value)
        self._cells.set(_ENDS, [first, end + 1])

    def __len__(self) -> int:
        first, end = self._ends()
        return end - first

    def __repr__(self) -> str:
        return f"StateList({list(self)!r})"


def _text(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a StateMap has text keys, not {key!r}: write str(key)")
    return key
