"""Entries of collections in the order of their keys: three layers, merged as they are read."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from plexstream.model.journal.journal import Change, Out, Step, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.processor.state.ports import PieceKey, Store

_ENTRY = Piece.ENTRY.value
_MOST_ROWS = 1000
"""Of the store that are read at once."""
_MOST_GAPS = 10_000
"""That are remembered in a partition. Each is two texts."""
Dirty = Mapping[PieceKey, Snapshot | None]
Ahead = Mapping[PieceKey, Change | Turn | Step | Out]
Name = tuple[str, str]  # of a collection: whose it is, its field
Entry = tuple[str, bytes]


class Newer:
    """The keys of one collection that the store may have otherwise, and whether they live.

    They are in order once the collection is scanned: most never are.
    """

    __slots__ = ("_order", "lives")

    def __init__(self) -> None:
        self.lives: dict[str, bool] = {}
        self._order: list[str] | None = None  # those that live

    def note(self, key: str, lives: bool) -> None:
        """A key was set, or deleted."""
        before = self.lives.get(key, False)
        self.lives[key] = lives
        order = self._order
        if order is None or lives == before:
            return
        if not lives:
            del order[bisect_left(order, key)]
        elif not order or key > order[-1]:
            order.append(key)
        else:
            insort(order, key)

    def next(self, start: str, stop: str | None, reverse: bool) -> str | None:
        """The first key that lives from `start` to before `stop`, or the last."""
        order = self._order
        if order is None:
            order = self._order = sorted(key for key, lives in self.lives.items() if lives)
        if reverse:
            at = (len(order) if stop is None else bisect_left(order, stop)) - 1
            return order[at] if at >= 0 and order[at] >= start else None
        at = bisect_left(order, start)
        return order[at] if at < len(order) and (stop is None or order[at] < stop) else None


class Gaps:
    """Where the store has nothing that counts, by the bound from which a scan comes.

    A queue is taken from at its head. What is deleted there is read again by each scan, as long as it is in
    the store; and then what says that it is not. So a scan remembers how far nothing was, and the next one
    from there begins behind that. A key that is set and not in the store yet is none of this: it is newer.
    """

    __slots__ = ("_count", "_of")

    def __init__(self) -> None:
        self._of: dict[Name, dict[tuple[bool, str | None], str | None]] = {}
        self._count = 0

    def skip(self, of: Name, start: str, stop: str | None, reverse: bool) -> tuple[str, str | None]:
        """What is left of a range of the store. Where nothing is, it ends before it begins."""
        known = self._of.get(of, {})
        bound = (reverse, stop if reverse else start)
        if bound not in known:
            return start, stop
        far = known[bound]
        if reverse:
            return start, far
        return (start, start) if far is None else (far, stop)

    def note(self, of: Name, start: str, stop: str | None, reverse: bool) -> None:
        """The store has nothing that counts from `start` to before `stop`; a scan comes from there."""
        if stop is not None and start >= stop:
            return
        bound, far = ((True, stop), start) if reverse else ((False, start), stop)
        known = self._of.get(of, {})
        if bound in known:
            before = known[bound]
            if before is None or (far is not None and (far > before if reverse else far < before)):
                return
        elif self._count == _MOST_GAPS:
            self._of.clear()
            self._count = 0
        self._count += bound not in known
        self._of.setdefault(of, {})[bound] = far

    def fill(self, written: Iterable[PieceKey]) -> None:
        """The store gets these keys: a gap that has one of them ends before it."""
        keys: dict[Name, list[str]] = {}
        for kind, address, field, key in written:
            if kind == _ENTRY and (address, field) in self._of:
                keys.setdefault((address, field), []).append(key or "")
        for name, found in keys.items():
            found.sort()
            gaps = self._of[name]
            for bound, far in gaps.items():
                reverse, near = bound
                if reverse:
                    at = (len(found) if near is None else bisect_left(found, near)) - 1
                    if at >= 0 and found[at] >= (far or ""):
                        gaps[bound] = found[at] + "\0"
                else:
                    at = bisect_left(found, near or "")
                    if at < len(found) and (far is None or found[at] < far):
                        gaps[bound] = found[at]


class Collections:
    """Reads collections of a partition by key, across the layers of its state.

    Nothing is done for what is written as long as nobody scans.

    Parameters:
        dirty: what is acknowledged and not in the store.
        ahead: what is not acknowledged.
    """

    def __init__(self, store: Store, dirty: Dirty, ahead: Ahead) -> None:
        self._store = store
        self._dirty = dirty
        self._ahead = ahead
        self._newer: dict[Name, Newer] | None = None  # None: nobody has scanned since the last flush
        self._scanned = False
        self._gaps = Gaps()
        self._changes = 0

    def note(self, address: str, field: str, key: str, lives: bool) -> None:
        """The newest of an entry has become another."""
        self._changes += 1
        if self._newer is not None:
            name = (address, field)
            found = self._newer.get(name)
            if found is None:
                found = self._newer[name] = Newer()
            found.note(key, lives)

    def flushed(self, written: Dirty, dirty: Dirty) -> None:
        """The store has what was `written`, and `dirty` is what it has not, from now on."""
        self._gaps.fill(key for key, piece in written.items() if piece is not None)
        self._dirty = dirty
        self._newer = None
        if self._scanned:
            self._scanned = False
            self._index()

    def _index(self) -> dict[Name, Newer]:
        found = self._newer = {}
        layers: tuple[Mapping[PieceKey, Any], ...] = (self._dirty, self._ahead)
        for layer in layers:
            for (kind, address, field, key), newest in layer.items():
                if kind == _ENTRY:
                    name = (address, field)
                    if name not in found:
                        found[name] = Newer()
                    lives = newest is not None and (type(newest) is Snapshot or newest.value is not None)
                    found[name].lives[key or ""] = lives
        return found

    def entry(self, key: PieceKey) -> bytes | None:
        """The newest value of an entry, be it acknowledged or not."""
        change = self._ahead.get(key)
        if change is not None:
            return change.value if type(change) is Change else None
        piece = self._dirty[key] if key in self._dirty else self._store.get(key)
        return piece.data if piece is not None else None

    def entries(
        self, address: str, field: str, start: str = "", stop: str | None = None, reverse: bool = False,
        chunk: int = 8,
    ) -> Iterator[Entry]:  # fmt: skip
        """Entries by key from `start` to before `stop`, newest values, read as they are taken.

        Each is looked for when it is taken, so that one that changed meanwhile is as it is then.

        Parameters:
            chunk: how many are read from the store first; then more and more.
        """
        name = (address, field)
        low, high = start, stop
        while True:
            changes = self._changes
            first = (low, high) == (start, stop)
            for key, data in self._merged(name, low, high, reverse, chunk, first):
                low, high = (low, key) if reverse else (key + "\0", high)
                yield key, data
                if self._changes != changes:
                    break  # what was read ahead may be another by now
            else:
                return

    def _merged(
        self, name: Name, start: str, stop: str | None, reverse: bool, chunk: int, first: bool
    ) -> Iterator[Entry]:
        self._scanned = True
        index = self._newer if self._newer is not None else self._index()
        newer = index.get(name)
        own = newer.next(start, stop, reverse) if newer is not None else None
        lives = newer.lives if newer is not None else {}
        for key, data in self._stored(name, start, stop, reverse, chunk, lives, first):
            while own is not None and (own > key if reverse else own < key):
                yield from self._newest(name, own)
                assert newer is not None
                start, stop = (start, own) if reverse else (own + "\0", stop)
                own = newer.next(start, stop, reverse)
            yield key, data
        while own is not None:
            yield from self._newest(name, own)
            assert newer is not None
            start, stop = (start, own) if reverse else (own + "\0", stop)
            own = newer.next(start, stop, reverse)

    def _newest(self, name: Name, key: str) -> Iterator[Entry]:
        data = self.entry((_ENTRY, *name, key))
        if data is not None:
            yield key, data

    def _stored(
        self, name: Name, start: str, stop: str | None, reverse: bool, chunk: int, newer: Mapping[str, bool],
        first: bool,
    ) -> Iterator[Entry]:  # fmt: skip
        """What the store has, and nothing newer says otherwise. `first`: where it begins is remembered."""
        low, high = self._gaps.skip(name, start, stop, reverse)
        while high is None or low < high:
            rows = self._store.entries(*name, low, high, chunk, reverse)
            for piece in rows:
                key = piece.key or ""
                if key in newer:
                    continue
                if first:
                    first = False
                    self._gaps.note(name, *((key + "\0", stop) if reverse else (start, key)), reverse)
                yield key, piece.data
            if len(rows) < chunk:
                break
            last = rows[-1].key or ""
            low, high = (low, last) if reverse else (last + "\0", high)
            chunk = min(_MOST_ROWS, chunk * 4)
        if first:
            self._gaps.note(name, start, stop, reverse)

    def of_actor(self, address: str) -> list[tuple[str, str, bytes]]:
        """All entries of an actor: field, key, newest value, in order."""
        found = {(piece.name, piece.key or ""): piece.data for piece in self._store.scan(_ENTRY, address)}
        layers: tuple[Mapping[PieceKey, Any], ...] = (self._dirty, self._ahead)
        for layer in layers:
            for (kind, owner, name, key), newer in layer.items():
                if kind == _ENTRY and owner == address:
                    value = newer.data if type(newer) is Snapshot else getattr(newer, "value", None)
                    if value is None:
                        found.pop((name, key or ""), None)
                    else:
                        found[name, key or ""] = value
        return [(name, key, value) for (name, key), value in sorted(found.items())]
