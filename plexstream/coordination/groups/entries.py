"""What a registry knows: which addresses each name has, and an index of them by label."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from plexstream.coordination.common.checks import text
from plexstream.sdk.errors import Reject
from plexstream.sdk.running.collections.maps import StateMap

MAX_NAME = 256
"""Bytes of a name's UTF-8."""
MAX_LABELS = 16
"""Labels of one entry."""
MAX_LABEL, MAX_VALUE = 60, 120
"""Bytes of a label's UTF-8, and of its value's: with name and address they have to fit into one key."""
_LOOKED_AT = 1_000
"""Entries that one page looks at, be there any that fit or not."""

Labels = dict[str, str]
Key = tuple[str, str]  # name, address
Row = list[Any]


class Entry(NamedTuple):
    """One address of a name; stored as a list.

    Attributes:
        labels: by which it is found.
        ttl: how long it lasts without being renewed, in ms; 0: for ever.
        ends: when it does, in ms since the epoch; 0: never.
        since: when it was registered, in ms since the epoch.
    """

    labels: Labels
    ttl: int
    ends: int
    since: int

    def lives(self, now: int) -> bool:
        """Whether it is still there at that time."""
        return not self.ends or self.ends > now

    def shown(self, key: Key, now: int) -> dict[str, Any]:
        """The entry as callers get it; its ttl is what is left, in seconds."""
        left = (self.ends - now) / 1000 if self.ends else None
        return {"name": key[0], "address": key[1], "labels": self.labels, "ttl": left, "since": self.since}


class Indexed(Protocol):
    """An actor with entries.

    Attributes:
        entries: ``state_map()``, by name and address.
        labelled: ``state_map()``, their keys by label and value.
        label_sizes: ``state_map()``, how many a label has with a value.
        size: ``state(default=0)``, how many there are.
    """

    entries: StateMap[Key, Row]
    labelled: StateMap[tuple[str, str, str, str], int]
    label_sizes: StateMap[tuple[str, str], int]
    size: int


def checked_labels(labels: Labels) -> Labels:
    """Labels of an entry. Raises Reject."""
    if len(labels) > MAX_LABELS:
        raise Reject(f"{len(labels)} labels: give at most {MAX_LABELS}")
    for label, value in labels.items():
        text("a label", label, MAX_LABEL)
        text(f"label {label!r}", value, MAX_VALUE, least=0)
    return labels


class Entries:
    """The entries of an actor."""

    def __init__(self, owner: Indexed) -> None:
        self._owner = owner

    def get(self, key: Key) -> Entry | None:
        """The entry of an address; it may have come to its end."""
        row = self._owner.entries.get(key)
        return None if row is None else Entry(*row)

    def put(self, key: Key, entry: Entry, before: Entry | None) -> None:
        """Set an entry, where there was that one `before`."""
        labels = {} if before is None else before.labels
        self._owner.size += before is None
        if labels != entry.labels:
            self._index(key, labels, -1)
            self._index(key, entry.labels, 1)
        self._owner.entries[key] = list(entry)

    def drop(self, key: Key, entry: Entry) -> None:
        """Forget an entry."""
        self._owner.size -= 1
        self._index(key, entry.labels, -1)
        del self._owner.entries[key]

    def of_name(self, name: str, after: str, limit: int, now: int) -> dict[str, Any]:
        """The entries of one name, behind that address, as callers get them.

        Returns:
            ``entries``, and ``next``: the address to go on behind; None: these were all.
        """
        page: list[dict[str, Any]] = []
        for looked_at, (key, entry) in enumerate(self._from((name, after)), 1):
            if key[0] != name:
                break
            if key[1] != after and entry.lives(now):
                page.append(entry.shown(key, now))
            if len(page) == limit or looked_at == _LOOKED_AT:
                return {"entries": page, "next": key[1]}
        return {"entries": page, "next": None}

    def page(self, labels: Labels, prefix: str, after: Sequence[str], limit: int, now: int) -> dict[str, Any]:
        """Entries with all these labels whose names begin so, behind the one with that name and address.

        Returns:
            ``entries``, and ``next``: what to go on behind; None: these were all.
        """
        start = tuple(after) if after and after[0] >= prefix else (prefix,)
        page: list[dict[str, Any]] = []
        for looked_at, key in enumerate(self._narrowed(labels, start), 1):
            if not key[0].startswith(prefix):
                break
            entry = self.get(key) if key != start else None
            fits = entry is not None and labels.items() <= entry.labels.items()
            if entry is not None and fits and entry.lives(now):
                page.append(entry.shown(key, now))
            if len(page) == limit or looked_at == _LOOKED_AT:
                return {"entries": page, "next": list(key)}
        return {"entries": page, "next": None}

    def _narrowed(self, labels: Labels, start: tuple[str, ...]) -> Iterator[Key]:
        """Keys in order from `start`, of the label that the fewest have: all that can fit."""
        if not labels:
            return (key for key, _ in self._from(start))
        sizes = self._owner.label_sizes
        label, value = min(labels.items(), key=lambda one: sizes.get(one, 0))
        return self._with(label, value, start)

    def _with(self, label: str, value: str, start: tuple[str, ...]) -> Iterator[Key]:
        for (of, its, name, address), _ in self._owner.labelled.range((label, value, *start)):
            if (of, its) != (label, value):
                return
            yield name, address

    def _from(self, start: tuple[str, ...]) -> Iterator[tuple[Key, Entry]]:
        return ((key, Entry(*row)) for key, row in self._owner.entries.range(start))

    def _index(self, key: Key, labels: Labels, by: int) -> None:
        owner = self._owner
        for label, value in labels.items():
            if by > 0:
                owner.labelled[label, value, *key] = 0
            else:
                del owner.labelled[label, value, *key]
            size = owner.label_sizes.get((label, value), 0) + by
            if size:
                owner.label_sizes[label, value] = size
            else:
                del owner.label_sizes[label, value]
