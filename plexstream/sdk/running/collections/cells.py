"""Entries of a collection, as the turn that runs reads and changes them."""

from __future__ import annotations

import copy
from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Any, Protocol

from plexstream.sdk.running.identity import ATOMS, Places, held, settle

MISSING: Any = object()
ENDS = "#"
"""The key under which a list has its ends."""
_SCALARS = frozenset((int, str, bool, float, type(None)))
_KEEP = 262_144  # bytes of entries, as they are stored, that a collection keeps decoded between turns
_OBJECT = 256  # bytes that each entry counts for beside


class Entries(Protocol):
    """Where an actor host keeps the entries of one collection."""

    def get(self, key: str) -> bytes | None: ...
    def range(
        self, start: str, stop: str | None, reverse: bool, chunk: int
    ) -> Iterator[tuple[str, bytes]]:
        """Those of keys from `start` to before `stop`, in order, read as they are taken, `chunk` at first."""

    def encode(self, value: Any) -> bytes: ...
    def seal(self, value: Any) -> tuple[bytes, Any]:
        """What is stored for a value that is what the type hint says, and the value as it is read back."""

    def decode(self, data: bytes) -> Any: ...
    def restored(self, data: bytes) -> bytes:
        """How this code stores what is stored as `data`."""


class Cells:
    """Entries as read and changed by the turn that runs."""

    def __init__(self, entries: Entries) -> None:
        self.entries = entries
        self.values: dict[str, Any] = {}  # decoded; MISSING where it is known to be absent
        self.read: dict[str, bytes] = {}  # encoding of each mutable value handed out in this turn
        self.changed: dict[str, None] = {}
        self.ends: tuple[int, int] | None = None  # of a list; not looked up yet
        self.moved = False  # whether `ends` has changed
        self.writes = 0  # how often `set` was called
        self._order: list[str] | None = None  # keys that the turn has set; not needed yet
        # Up to where, from a bound, the turn has changed all that is stored: it may take many, one by one.
        self._passed: dict[tuple[bool, str | None], str] = {}
        self._time = 0  # another whenever what is stored may have changed
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
            value = self.values[key] = MISSING if data is None else self.entries.decode(data)
            self.kept += _OBJECT + (0 if data is None else len(data))
        if type(value) not in _SCALARS and value is not MISSING and key not in self.read:
            self.read[key] = self.entries.encode(value)
        return value

    def look(self, key: str) -> Any:
        """The value of an entry that is there, to look at once: a change of it is not noticed."""
        value = self.values.get(key, self)
        return self.entries.decode(self.entries.get(key) or b"") if value is self else value

    def set(self, key: str, value: Any) -> None:
        if self._order is not None:
            set_before = key in self.changed and self.values[key] is not MISSING
            if value is MISSING and set_before:
                del self._order[bisect_left(self._order, key)]
            elif value is not MISSING and not set_before:
                insort(self._order, key)
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
                    self._order = None
                    self.changed[key] = None
                    inside[key] = found
        return [
            (key, None, MISSING)
            if values[key] is MISSING
            else (key, *(inside.get(key) or entries.seal(values[key])))
            for key in self.changed
        ]

    def _moved(self) -> list[tuple[str, bytes | None]]:
        return [(ENDS, b"[%d,%d]" % self.ends)] if self.moved and self.ends is not None else []

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
            self.values[key] = self._become(key, value, places) if self.live else value
            self.read.pop(key, None)
        self.changed.clear()
        self.moved = False
        if self.read:
            self._read_back(places)
        if self.live:
            self.read.update((key, data) for key, data, _ in sealed if data is not None)
        self._end_reading()
        return changes

    def end_reading(self) -> None:
        """The turn ends: what it was handed is not looked at any more, and too much is not kept.

        But for what somebody holds: it may be changed inside behind a wait.
        """
        if self.read:
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
        self._look_again()
        if self.read:
            self._watch_what_is_held()
        if self.kept > _KEEP:
            self._forget()

    def _look_again(self) -> None:
        self._order = None
        self._passed.clear()
        self._time += 1

    def _watch_what_is_held(self) -> None:
        values = self.values
        self.read = (
            {
                key: data for key, data in self.read.items()
                if values.get(key, MISSING) is not MISSING and held(values[key], 1)
            }
            if self.live and self.read
            else {}
        )

    def take_over(self, key: str, data: bytes | None) -> None:
        """Others have changed an entry, to what is stored as `data`. Who holds it sees that."""
        self._look_again()
        old = self.values.pop(key, MISSING)
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
        self._look_again()
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
        keep = {id(MISSING): MISSING}
        return copy.deepcopy((self.values, self.read, self.changed, self.ends, self.moved), keep)

    def restore(self, saved: Any) -> None:
        """Forget what the turn did since `save`."""
        self._look_again()
        self.values, self.read, self.changed, self.ends, self.moved = saved

    def range(
        self, start: str = "", stop: str | None = None, reverse: bool = False, chunk: int = 8
    ) -> Iterator[tuple[str, bytes | None]]:
        """Keys from `start` to before `stop`, in order, with what is stored; None: the turn has set it.

        Each is looked for when it is taken: what has changed in front of it is seen, be it by the turn, or by
        others while it waited.
        """
        theirs: Iterator[tuple[str, bytes]] = iter(())
        there: tuple[str, bytes] | None = None
        known = -1
        while True:
            if known != self._time:
                known, bound = self._time, (reverse, stop if reverse else start)
                low, high = start, stop
                if bound in self._passed:
                    low, high = (start, self._passed[bound]) if reverse else (self._passed[bound], stop)
                theirs = self.entries.range(low, high, reverse, chunk)
                there = next(theirs, None)
                while there is not None and there[0] in self.changed:
                    there = next(theirs, None)
                    if there is not None:
                        self._passed[bound] = there[0] + "\0" if reverse else there[0]
            while there is not None and there[0] in self.changed:
                there = next(theirs, None)
            own = self._own(start, stop, reverse) if self.changed else None
            if own is not None and (there is None or (own > there[0] if reverse else own < there[0])):
                key, data = own, None
            elif there is not None:
                key, data = there
                there = None
            else:
                return
            start, stop = (start, key) if reverse else (key + "\0", stop)
            yield key, data
            if there is None and known == self._time:
                there = next(theirs, None)

    def _own(self, start: str, stop: str | None, reverse: bool) -> str | None:
        """The first key from `start` to before `stop` that the turn has set, or the last."""
        order = self._order
        if order is None:
            order = self._order = sorted(key for key in self.changed if self.values[key] is not MISSING)
        if reverse:
            at = (len(order) if stop is None else bisect_left(order, stop)) - 1
            return order[at] if at >= 0 and order[at] >= start else None
        at = bisect_left(order, start)
        return order[at] if at < len(order) and (stop is None or order[at] < stop) else None

    def hand_out(self, key: str, data: bytes | None) -> Any:
        """The value of an entry of a `range`."""
        value = self.values.get(key, self)
        if value is not self or data is None:
            return self.get(key)
        value = self.entries.decode(data)
        if type(value) in _SCALARS:
            return value  # is not kept: there may be any number
        self.values[key] = value
        self.kept += _OBJECT + len(data)
        return self.get(key)
