"""A durable dict, in the order of its keys."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from plexstream.sdk.running.collections.cells import MISSING, Cells, Entries
from plexstream.sdk.running.collections.keys import MAX_KEY, TEXT, Keys, behind, readable

K = TypeVar("K")
V = TypeVar("V")
_CHUNK = 8
"""Entries that are read at once where nobody says how many are wanted; then more and more."""
_MOST = 1000


class StateMap(MutableMapping[K, V], Generic[K, V]):
    """A durable dict, in the order of its keys: texts by their UTF-8, numbers, tuples by their fields.

    Reading, setting and deleting cost one entry, `range` and its like what is taken, ``len`` and loops all.
    """

    def __init__(self, entries: Entries, keys: Keys = TEXT) -> None:
        self._cells = Cells(entries)
        self._keys = keys

    if not TYPE_CHECKING:  # as it was before keys had types

        def __class_getitem__(cls, args: Any) -> Any:
            """``StateMap[V]`` is ``StateMap[str, V]``."""
            return super().__class_getitem__(args if isinstance(args, tuple) else (str, args))

    def __getitem__(self, key: K) -> V:
        value = self._cells.get(self._keys.store(key))
        if value is MISSING:
            raise KeyError(key)
        return value  # type: ignore[no-any-return]

    def __setitem__(self, key: K, value: V) -> None:
        stored = self._keys.store(key)
        if len(stored) > MAX_KEY or not stored.isascii():
            size = len(stored.encode())
            if size > MAX_KEY:
                shown = readable(stored)[:40]
                raise ValueError(
                    f"{self._keys.where}: a key of {size} bytes, at most {MAX_KEY} are allowed: {shown!r}…"
                )
        self._cells.set(stored, value)

    def __delitem__(self, key: K) -> None:
        stored = self._keys.store(key)
        if self._cells.get(stored) is MISSING:
            raise KeyError(key)
        self._cells.set(stored, MISSING)

    def discard(self, key: K) -> None:
        """Delete an entry that may be there. It looks at nothing: ``del`` and ``pop`` read it."""
        self._cells.set(self._keys.store(key), MISSING)

    def __contains__(self, key: object) -> bool:
        try:
            stored = self._keys.store(key)
        except (TypeError, ValueError):
            return False
        return self._cells.get(stored) is not MISSING

    def range(
        self, start: Any = None, stop: Any = None, *, limit: int | None = None, reverse: bool = False
    ) -> Iterator[tuple[K, V]]:
        """Keys and values in order, read as they are taken: ten of a million cost ten.

        Each is looked for when it is taken. So a loop may change the map: what it sets or deletes in front of
        where it is counts, behind that it does not; and after a wait it goes on with the map as it is then.

        Parameters:
            start: the first key; None: from the beginning. With tuples as keys it may have fewer fields.
            stop: the first key that is no part of it; None: to the end.
            limit: how many at most.
            reverse: the last first.

        Raises:
            TypeError: `start` or `stop` is no key of this map.
            ValueError: they can be none (NaN), or the limit is negative.
        """
        first = "" if start is None else self._keys.store_start(start)
        end = None if stop is None else self._keys.store_start(stop)
        return self._range(first, end, limit, reverse)

    def prefix(self, start: Any, *, limit: int | None = None, reverse: bool = False) -> Iterator[tuple[K, V]]:
        """The same of texts that begin with `start`, of tuples whose first fields are those of `start`.

        Raises:
            TypeError: the keys are numbers, or `start` is none of their kind.
        """
        if self._keys.type is not str and not self._keys.of_tuples:
            what = f"{self._keys.where} has {self._keys.named} keys"
            raise TypeError(f"{what}, which have no prefix: use range(start, stop)")
        first = self._keys.store_start(start)
        return self._range(first, behind(first), limit, reverse)

    def first(self) -> tuple[K, V] | None:
        """The entry with the least key; None: there is none."""
        return next(self._range("", None, 1, False), None)

    def last(self) -> tuple[K, V] | None:
        """The entry with the greatest key; None: there is none."""
        return next(self._range("", None, 1, True), None)

    def count(self, start: Any = None, stop: Any = None) -> int:
        """How many keys there are from `start` to before `stop`. It reads these entries, and decodes none.

        Raises as `range` does.
        """
        first = "" if start is None else self._keys.store_start(start)
        end = None if stop is None else self._keys.store_start(stop)
        return sum(1 for _ in self._cells.range(first, end, chunk=_MOST))

    def _range(self, start: str, stop: str | None, limit: Any, reverse: bool) -> Iterator[tuple[K, V]]:
        if limit is not None and (not isinstance(limit, int) or isinstance(limit, bool) or limit < 0):
            raise ValueError(f"{self._keys.where}: limit={limit!r}: give a whole number from 0 on, or None")
        chunk = _CHUNK if limit is None else max(1, min(limit, _MOST))
        cells, read = self._cells, self._keys.read
        found = islice(cells.range(start, stop, reverse, chunk), limit)
        return ((read(key), cells.hand_out(key, data)) for key, data in found)

    def popitem(self) -> tuple[K, V]:
        """Take the first entry. Raises KeyError: there is none."""
        found = self.first()
        if found is None:
            raise KeyError(f"{self._keys.where} is empty")
        del self[found[0]]
        return found

    def clear(self) -> None:
        """Delete every entry."""
        for key in self._stored():
            self._cells.set(key, MISSING)

    def _stored(self) -> list[str]:
        return [key for key, _ in self._cells.range(chunk=_MOST)]

    def __iter__(self) -> Iterator[K]:
        """The keys as they are now, in order: a loop may change the map."""
        return iter([self._keys.read(key) for key in self._stored()])

    def __bool__(self) -> bool:
        return any(True for _ in self._cells.range(chunk=1))

    def __len__(self) -> int:
        return self.count()

    def __repr__(self) -> str:
        return f"StateMap({dict(self.range())!r})"
