"""Stores of keys and values, sharded by key."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import islice
from typing import Any

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.operation import (
    Call,
    Noun,
    Operation,
    actor_id,
    operation,
    reading,
    shard_of,
    steps_of,
    together,
)

SHARDS = 16
"""Actors of one store. It stands for good: another number would look for keys elsewhere."""
MAX_PAGE = 1_000

Rows = list[Any]
Texts = list[str]


@dataclass(frozen=True, slots=True)
class Entry:
    """What a store has under a key.

    Attributes:
        version: a number that rises with every change; no key has one twice.
        ttl: seconds until it ends; None: it does not.
    """

    value: Any
    version: int
    ttl: float | None


@dataclass(frozen=True, slots=True)
class Swapped:
    """What `Store.cas` came to: true if it was set, as in ``if host.kv.cas(…):``.

    Attributes:
        done: whether it was set.
        version: the one that the key has now; 0: it has none.
    """

    done: bool
    version: int

    def __bool__(self) -> bool:
        return self.done


class Store(Noun):
    """Values by key: any JSON by texts of up to 900 bytes. Each key by itself is linearizable.

    Keys are spread over 16 actors. What concerns many keys is therefore done for each of these by itself:
    `multi_put` is all or none for the keys of one shard, and no more.
    """

    @reading
    def get(self, key: str, default: Any = None) -> Operation[Any]:
        """The value of a key, or `default`."""
        entry = yield from self._entry(key)
        return default if entry is None else entry.value

    @reading
    def entry(self, key: str) -> Operation[Entry | None]:
        """The value of a key with its version and end; None: there is none."""
        return (yield from self._entry(key))

    @operation
    def put(self, key: str, value: Any, ttl: float | None = None) -> Operation[int]:
        """Set the value of a key.

        Parameters:
            ttl: seconds after which it is gone; None: it stays.

        Returns:
            Its version.
        """
        versions: Sequence[int] = yield self._call("put", key, {"entries": {key: value}, "ttl": ttl})
        return versions[0]

    @operation
    def delete(self, key: str) -> Operation[bool]:
        """Delete a key; whether it was there."""
        return bool((yield self._call("delete", key, {"keys": [key]})))

    @operation
    def cas(
        self, key: str, value: Any, version: int = 0, ttl: float | None = None
    ) -> Operation[Swapped]:
        """Set a value if its key has the version that it is expected to have.

        Parameters:
            version: of its `entry`, or as `put` returned; 0: the key is to have none.
        """
        arguments = {"key": key, "value": value, "version": version, "ttl": ttl}
        return Swapped(*(yield self._call("cas", key, arguments)))

    @operation
    def increment(self, key: str, by: int = 1, ttl: float | None = None) -> Operation[int]:
        """Add to a whole number, 0 where there is none; returns the sum. Raises Rejected: it is none.

        Parameters:
            by: a whole number, below 0 as well.
            ttl: seconds after which a key that was not there is gone; one that was there keeps its end.
        """
        arguments = {"key": key, "by": by} if ttl is None else {"key": key, "by": by, "ttl": ttl}
        total: int = yield self._call("increment", key, arguments)
        return total

    @operation
    def renew(self, key: str, ttl: float | None) -> Operation[bool]:
        """Let a key end so many seconds from now; whether it was there. Its value and version stay.

        Parameters:
            ttl: seconds; None: it does not end.
        """
        return bool((yield self._call("renew", key, {"key": key, "ttl": ttl})))

    @reading
    def list(self, prefix: str = "", after: str = "", limit: int = MAX_PAGE) -> Operation[Sequence[str]]:
        """Keys that begin with `prefix`, by the order of their UTF-8: `limit` at most, behind `after`.

        Keys that come and go meanwhile may be seen or not.
        """
        return [row[0] for row in (yield from self._page(prefix, after, limit, False))]

    @reading
    def items(self, prefix: str = "", after: str = "", limit: int = MAX_PAGE) -> Operation[dict[str, Any]]:
        """The same with their values. Fewer may come where these are large; an empty page is the end."""
        return {row[0]: row[1] for row in (yield from self._page(prefix, after, limit, True))}

    @operation
    def put_with_ttl(self, key: str, value: Any, ttl: float) -> Operation[int]:
        """`put` with an end."""
        version: int = yield from steps_of(self.put)(key, value, ttl)
        return version

    @reading
    def get_ttl(self, key: str) -> Operation[float | None]:
        """Seconds until a key ends; None: it does not, or there is none."""
        entry = yield from self._entry(key)
        return None if entry is None else entry.ttl

    @reading
    def multi_get(self, keys: Sequence[str]) -> Operation[dict[str, Any]]:
        """Values by key, of the keys that are there."""
        left = self._by_shard(keys)
        rows: dict[str, Any] = {}
        while left:  # of large values some come at a time
            calls = [self._to(shard, "get", {"keys": part}, True) for shard, part in left.items()]
            answers = yield from together(calls)
            for part, found in zip(left.values(), answers, strict=True):
                rows |= {key: row[0] for key, row in zip(part, found, strict=False) if row is not None}
                del part[: len(found)]
            left = {shard: part for shard, part in left.items() if part}
        return {key: rows[key] for key in keys if key in rows}

    @operation
    def multi_put(self, entries: Mapping[str, Any], ttl: float | None = None) -> Operation[dict[str, int]]:
        """Set many values; returns their versions."""
        given: object = entries
        if not isinstance(given, Mapping):
            raise ValueError(f"entries are a dict of values by key, not {given!r:.80}")
        parts = self._by_shard([*entries])
        calls = [
            self._to(shard, "put", {"entries": {key: entries[key] for key in part}, "ttl": ttl})
            for shard, part in parts.items()
        ]
        versions: dict[str, int] = {}
        for part, found in zip(parts.values(), (yield from together(calls)), strict=True):
            versions |= zip(part, found, strict=True)
        return versions

    @reading
    def get_json(self, key: str, default: Any = None) -> Operation[Any]:
        """The value of a key that holds JSON as text, read. Raises Rejected: it is none."""
        entry = yield from self._entry(key)
        if entry is None:
            return default
        if not isinstance(entry.value, str):
            return entry.value
        try:
            return json.loads(entry.value)
        except (ValueError, RecursionError):
            raise Reject(f"key {key!r} holds {entry.value!r:.80}, which is no JSON: use get") from None

    @operation
    def put_json(self, key: str, value: Any, ttl: float | None = None) -> Operation[int]:
        """`put` of a value as text of JSON, for programs that read it as such."""
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
        version: int = yield from steps_of(self.put)(key, text, ttl)
        return version

    # Shards

    def _entry(self, key: str) -> Operation[Entry | None]:
        (row,) = yield self._call("get", key, {"keys": [key]}, True)
        return None if row is None else Entry(*row)

    def _page(self, prefix: str, after: str, limit: int, values: bool) -> Operation[Rows]:
        asked = {"prefix": prefix, "after": after, "limit": limit, "values": values}
        pages = yield from together(self._to(shard, "list", asked, True) for shard in range(SHARDS))
        # What is behind the end of a page that is not the last of its shard is not known.
        ends = [_order(rows[-1][0]) for rows, more in pages if more]
        found = merge(*(rows for rows, _ in pages), key=lambda row: _order(row[0]))
        known = (row for row in found if not ends or _order(row[0]) <= min(ends))
        return list(islice(known, limit))

    def _by_shard(self, keys: Sequence[str]) -> dict[int, Texts]:
        given: object = keys
        if isinstance(given, str) or not isinstance(given, Sequence):
            raise ValueError(f"keys are a list of texts, not {given!r:.80}")
        parts: dict[int, Texts] = {}
        for key in dict.fromkeys(keys):
            parts.setdefault(shard_of(_text(key), SHARDS), []).append(key)
        return parts

    def _call(self, handler: str, key: str, arguments: dict[str, Any], reads: bool = False) -> Call:
        return self._to(shard_of(_text(key), SHARDS), handler, arguments, reads)

    def _to(self, shard: int, handler: str, arguments: dict[str, Any], reads: bool = False) -> Call:
        return Call("plex.kv", actor_id(self.name, shard), handler, arguments, reads=reads)


class KeyValues(Store):
    """``host.kv`` and ``client.kv``: the store ``default``, and the way to others."""

    def store(self, name: str) -> Store:
        """Another store."""
        return Store(self._run, name)


def _order(key: str) -> bytes:
    return key.encode()


def _text(key: str) -> str:
    given: object = key
    if not isinstance(given, str):
        raise ValueError(f"a key is a text, not {key!r:.80}: write str(key)")
    return key
