"""A map of an actor object outside a host, for unit tests of its methods."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import Any

from plexstream.sdk.running.collections.keys import Keys
from plexstream.sdk.running.collections.maps import StateMap

_THERE = b""


class BareMap(dict[Any, Any]):
    """A dict that has the order and the ranges of a `StateMap`, which look at all of it."""

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self._keys = keys

    def __iter__(self) -> Iterator[Any]:
        """As `StateMap.__iter__`."""
        return iter(sorted(super().__iter__(), key=self._keys.store))

    def keys(self) -> Any:
        """In order, as all that follows."""
        return KeysView(self)

    def values(self) -> Any:
        """As of a `StateMap`."""
        return ValuesView(self)

    def items(self) -> Any:
        """As of a `StateMap`."""
        return ItemsView(self)

    def __repr__(self) -> str:
        return repr(dict(self))

    def popitem(self) -> tuple[Any, Any]:
        """As `StateMap.popitem`."""
        key, _ = self._map().popitem()
        return key, self.pop(key)

    def discard(self, key: Any) -> None:
        """As `StateMap.discard`."""
        self.pop(key, None)

    def _map(self) -> StateMap[Any, Any]:
        """One that has its keys, and remembers nothing: the dict changes without it."""
        return StateMap(_Inside(self, self._keys), self._keys)

    def range(self, *args: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
        """As `StateMap.range`."""
        return ((key, self[key]) for key, _ in self._map().range(*args, **options))

    def prefix(self, *args: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
        """As `StateMap.prefix`."""
        return ((key, self[key]) for key, _ in self._map().prefix(*args, **options))

    def first(self) -> tuple[Any, Any] | None:
        """As `StateMap.first`."""
        return next(self.range(limit=1), None)

    def last(self) -> tuple[Any, Any] | None:
        """As `StateMap.last`."""
        return next(self.range(limit=1, reverse=True), None)

    def count(self, *args: Any, **options: Any) -> int:
        """As `StateMap.count`."""
        return self._map().count(*args, **options)


class _Inside:
    """The keys of a dict, as those of entries that are all the same: the values are the dict's."""

    def __init__(self, of: dict[Any, Any], keys: Keys) -> None:
        self._of = of
        self._keys = keys

    def get(self, key: str) -> bytes | None:
        return _THERE if self._keys.read(key) in self._of else None

    def range(self, start: str, stop: str | None, reverse: bool, chunk: int) -> Iterator[tuple[str, bytes]]:
        while True:
            stored = map(self._keys.store, dict.__iter__(self._of))
            inside = [key for key in stored if start <= key and (stop is None or key < stop)]
            if not inside:
                return
            key = max(inside) if reverse else min(inside)
            yield key, _THERE
            start, stop = (start, key) if reverse else (key + "\0", stop)

    def encode(self, value: Any) -> bytes:
        return _THERE

    def seal(self, value: Any) -> tuple[bytes, Any]:
        return _THERE, value

    def decode(self, data: bytes) -> Any:
        return None

    def restored(self, data: bytes) -> bytes:
        return data
