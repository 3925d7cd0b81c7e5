"""Collections that are journaled and loaded entry by entry."""

from __future__ import annotations

import copy
from collections.abc import Iterator, MutableMapping, MutableSequence
from typing import Any, Generic, Protocol, TypeVar, overload

from plexstream.sdk.running.identity import ATOMS, Places, held, settle

V = TypeVar("V")

_MISSING: Any = object()
_ENDS = "#"
_SCALARS = frozenset((int, str, bool, float, type(None)))
_MAX_KEY = 1024
_KEEP = 262_144  # bytes of entries, as they are stored, that a collection keeps decoded between turns
_OBJECT = 256  # bytes that each entry counts for beside


class Entries(Protocol):
    """Where an actor host keeps the entries of one collection."""

    def get(self, key: str) -> bytes | None: ...
    def scan(self) -> Iterator[tuple[str, bytes]]: ...
    def encode(self, value: Any) -> bytes: ...
    def seal(self, value: Any) -> tuple[bytes, Any]:
        """What is stored for a value that is what the type hint says, and the value as it is read back."""

    def decode(self, data: bytes) -> Any: ...
    def restored(self, data: bytes) -> bytes:
        """How this code stores what is stored as `data`."""


class _Cells:
    """Entries as read and changed by the turn that runs."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.values: dict[str, Any] = {}  # decoded; _MISSING where it is known to be absent
        self.read: dict[str, bytes] = {}  # encoding of each mutable value handed out in this turn
        self.changed: dict[str, None] = {}
        self.ends: tuple[int, int] | None = None  # of a list; not looked up yet
        self.moved = False  # whether `ends` has changed
        self.writes = 0  # how often `set` was called
        self.live = False  # whether handlers hold what they were handed while others take their turns
        self.kept = 0  # bytes of `values`, as far as they have been read, or changed by turns that ended

    @property
    def dirty(self) -> bool:
        """Whether the turn changed something, or may have."""
        return bool(self.changed or self.read or self.moved)

    def get(self, key: str) -> Any:
        value = self.values.get(key, self)
        if value is self:
            data = self.entries.get(key)
            value = self.values[key] = _MISSING if data is None else self.entries.decode(data)
            self.kept += _OBJECT + (0 if data is None else len(data))
        if type(value) not in _SCALARS and value is not _MISSING and key not in self.read:
            self.read[key] = self.entries.encode(value)
        return value

    def look(self, key: str) -> Any:
        """The value of an entry that is there, to look at once: a change of it is not noticed."""
        value = self.values.get(key, self)
        return self.entries.decode(self.entries.get(key) or b"") if value is self else value

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value
        self.changed[key] = None
        self.writes += 1

    def changes(self) -> list[tuple[str, bytes | None]]:
        """What the turn changed so far."""
        return [*((key, data) for key, data, _ in self._sealed()), *self._moved()]

    def _sealed(self) -> list[tuple[str, bytes | None, Any]]:
        """Changed entries: key, what is stored, and the value as it will be read back."""
        entries, values, inside = self.entries, self.values, dict[str, tuple[bytes, Any]]()
        for key, before in self.read.items():
            if key not in self.changed and entries.encode(values[key]) != before:
                found = entries.seal(values[key])
                if found[0] != before:  # else it is the same as its type: 1 for 1.0
                    self.changed[key] = None
                    inside[key] = found
        return [
            (key, None, _MISSING)
            if values[key] is _MISSING
            else (key, *(inside.get(key) or entries.seal(values[key])))
            for key in self.changed
        ]

    def _moved(self) -> list[tuple[str, bytes | None]]:
        return [(_ENDS, b"[%d,%d]" % self.ends)] if self.moved and self.ends is not None else []

    def handed_out(self) -> tuple[list[str], list[str]]:
        """The entries that somebody may hold: those that were there, and those that the turn has set."""
        return [key for key in self.read if key not in self.changed], list(self.changed)

    def drain(self, places: Places | None = None) -> list[tuple[str, bytes | None]]:
        """The changes of the turn, which ends here. `places`: of what handlers hold."""
        sealed = self._sealed()
        changes = [*((key, data) for key, data, _ in sealed), *self._moved()]
        for key, data, value in sealed:
            self.kept += _OBJECT + (0 if data is None else len(data))
            # Read back, it may be another: a tuple becomes a list.
            self.values[key] = self._become(key, value, places)
            self.read.pop(key, None)
        self.changed.clear()
        self.moved = False
        self._read_back(places)
        if self.live:
            self.read.update((key, data) for key, data, _ in sealed if data is not None)
        self._end_reading()
        return changes

    def end_reading(self) -> None:
        """The turn ends: what it was handed is not looked at any more, and too much is not kept.

        But for what somebody holds: it may be changed inside behind a wait.
        """
        self._read_back()
        self._end_reading()

    def _become(self, key: str, value: Any, places: Places | None) -> Any:
        return settle(self.values[key], value, places, (id(self), key)) if self.live else value

    def _read_back(self, places: Places | None = None) -> None:
        """What was handed out and has the JSON of before may have other types inside: those of its hint."""
        for key, data in self.read.items():
            old = self.values[key]
            if type(old) not in ATOMS:
                self.values[key] = self._become(key, self.entries.decode(data), places)

    def _end_reading(self) -> None:
        self._watch_what_is_held()
        if self.kept > _KEEP:
            self._forget()

    def _watch_what_is_held(self) -> None:
        values = self.values
        self.read = (
            {
                key: data for key, data in self.read.items()
                if values.get(key, _MISSING) is not _MISSING and held(values[key], 1)
            }
            if self.live and self.read
            else {}
        )

    def take_over(self, key: str, data: bytes | None) -> None:
        """Others have changed an entry, to what is stored as `data`. Who holds it sees that."""
        old = self.values.pop(key, _MISSING)
        known = self.read.pop(key, None)
        if data is not None and known is not None and held(old, 1):
            self.values[key] = settle(old, self.entries.decode(data))
            self.read[key] = data

    def _forget(self) -> None:
        holds = {key: self.values[key] for key in self.read}
        self.values.clear()
        self.values.update(holds)
        self.kept = _OBJECT * len(holds)

    def roll_back(self) -> None:
        """The turn comes to nothing, and nobody holds what it was handed: all is looked up again."""
        self.values.clear()
        self.read, self.kept, self.ends = {}, 0, None
        self.changed.clear()
        self.moved = False

    def fingerprint(self) -> Any:
        """What is equal later if, and only if, nothing was changed in between."""
        inside: dict[str, bytes] = {}
        for key, before in self.read.items():
            if key not in self.changed and (now := self.entries.encode(self.values[key])) != before:
                inside[key] = now
        return self.writes, self.ends if self.moved else None, inside

    def save(self) -> Any:
        """What the turn has touched so far, for `restore`."""
        keep = {id(_MISSING): _MISSING}
        return copy.deepcopy((self.values, self.read, self.changed, self.ends, self.moved), keep)

    def restore(self, saved: Any) -> None:
        """Forget what the turn did since `save`."""
        self.values, self.read, self.changed, self.ends, self.moved = saved

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


class _ListCells(_Cells):
    """Those of a list, which keeps its ends beside its items. In a map that key is one like any other."""

    def get_ends(self) -> tuple[int, int]:
        if self.ends is None:
            data = self.entries.get(_ENDS)
            self.ends = (0, 0) if data is None else _ends(data)
        return self.ends

    def set_ends(self, first: int, end: int) -> None:
        self.ends = (first, end)
        self.moved = True

    def take_over(self, key: str, data: bytes | None) -> None:
        if key == _ENDS:
            self.ends = None if data is None else _ends(data)
        else:
            super().take_over(key, data)


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
        if len(_text(key)) > _MAX_KEY or not key.isascii():
            size = len(key.encode())  # which refuses what is no Unicode text
            if size > _MAX_KEY:
                raise ValueError(f"a key of {size} bytes, at most {_MAX_KEY} are allowed: {key[:40]!r}…")
        self._cells.set(key, value)

    def __delitem__(self, key: str) -> None:
        if self._cells.get(_text(key)) is _MISSING:
            raise KeyError(key)
        self._cells.set(key, _MISSING)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._cells.get(key) is not _MISSING

    def clear(self) -> None:
        """Delete every entry."""
        for key in list(self):
            self._cells.set(key, _MISSING)

    def __iter__(self) -> Iterator[str]:
        return iter([key for key, _ in self._cells.scan()])

    def __len__(self) -> int:
        return sum(1 for _ in self._cells.scan())

    def __repr__(self) -> str:
        return f"StateMap({dict(self._cells.scan())!r})"


class StateList(MutableSequence[V], Generic[V]):
    """A durable list. Items and both ends cost one or two entries; inserting in the middle what follows."""

    def __init__(self, entries: Entries) -> None:
        self._cells = _ListCells(entries)

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
            self._cells.set(str(at), _MISSING)
            self._cells.set_ends(first + 1, end)
            return
        for i in range(at, end - 1):
            self._cells.set(str(i), self._cells.get(str(i + 1)))
        self._cells.set(str(end - 1), _MISSING)
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


def _text(key: object) -> str:
    if not isinstance(key, str):
        raise TypeError(f"a StateMap has text keys, not {key!r}: write str(key)")
    return key
