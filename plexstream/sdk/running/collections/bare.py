"""A map of an actor object outside a host, for unit tests of its methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plexstream.sdk.running.collections.keys import Keys
from plexstream.sdk.running.collections.maps import StateMap


class BareMap(dict[Any, Any]):
    """A dict that has the ranges of a `StateMap`, which look at all of it."""

    def __init__(self, keys: Keys) -> None:
        super().__init__()
        self._keys = keys

    def _map(self) -> StateMap[Any, Any]:
        """One that remembers nothing: the dict changes without it."""
        return StateMap(_Inside(self, self._keys), self._keys)

    def range(self, *args: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
        """As `StateMap.range`."""
        return self._map().range(*args, **options)

    def prefix(self, *args: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
        """As `StateMap.prefix`."""
        return self._map().prefix(*args, **options)

    def first(self) -> tuple[Any, Any] | None:
        """As `StateMap.first`."""
        return self._map().first()

    def last(self) -> tuple[Any, Any] | None:
        """As `StateMap.last`."""
        return self._map().last()

    def count(self, *args: Any, **options: Any) -> int:
        """As `StateMap.count`."""
        return self._map().count(*args, **options)


class _Inside:
    """The values of a dict, as entries that are stored as they are."""

    def __init__(self, of: dict[Any, Any], keys: Keys) -> None:
        self._of = of
        self._keys = keys

    def get(self, key: str) -> Any:
        return self._of.get(self._keys.read(key))

    def range(self, start: str, stop: str | None, reverse: bool, chunk: int) -> Iterator[tuple[str, Any]]:
        while True:
            stored = map(self._keys.store, self._of)
            inside = [key for key in stored if start <= key and (stop is None or key < stop)]
            if not inside:
                return
            key = max(inside) if reverse else min(inside)
            yield key, self._of[self._keys.read(key)]
            start, stop = (start, key) if reverse else (key + "\0", stop)

    def encode(self, value: Any) -> bytes:
        return b""

    def seal(self, value: Any) -> tuple[bytes, Any]:
        return b"", value

    def decode(self, data: Any) -> Any:
        return data

    def restored(self, data: bytes) -> bytes:
        return data
