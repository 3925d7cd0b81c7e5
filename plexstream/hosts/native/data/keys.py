"""Keys of maps: those that are usual are made compiled, as `sdk.running.collections.keys` makes all."""

from __future__ import annotations

from typing import Any

from plexstream.model.process.compiled import WANTED
from plexstream.sdk.running.collections.keys import Keys

try:
    if not WANTED:
        raise ImportError
    from plexstream.hosts.native.data import _keys
except ImportError:
    COMPILED = False
else:
    COMPILED = True

_LETTERS = {int: "i", str: "s"}
_MOST_FIELDS = 8


def keys_of(where: str, type: Any) -> Keys:
    """The keys of one map. Parameters and errors are those of `Keys`."""
    keys = Keys(where, type)
    fields = keys.fields
    if COMPILED and type is not str and len(fields) <= _MOST_FIELDS and _LETTERS.keys() >= set(fields):
        return _Compiled(where, type)
    return keys


class _Compiled(Keys):
    """Of ints, or tuples of ints and texts."""

    __slots__ = ("_letters",)

    def __init__(self, where: str, type: Any) -> None:
        super().__init__(where, type)
        self._letters = "".join(_LETTERS[field] for field in self.fields)

    def store(self, key: Any) -> str:
        if self.of_tuples:
            whole = type(key) is tuple and len(key) == len(self._letters)
            stored = _keys.store(self._letters, key) if whole else None
        else:
            stored = _keys.store(self._letters, (key,))
        return super().store(key) if stored is None else stored

    def store_start(self, key: Any) -> str:
        stored = _keys.store(self._letters, key) if self.of_tuples else None
        return super().store_start(key) if stored is None else stored

    def read(self, stored: str) -> Any:
        found = _keys.read(self._letters, stored)
        if found is None:
            return super().read(stored)
        return found if self.of_tuples else found[0]
