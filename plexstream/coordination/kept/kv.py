"""Keys and values: one shard of a store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import check_depth, count, json_size, milliseconds
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_KEY = 900
"""Bytes of a key's UTF-8: with its time it has to fit into a key of the agenda."""
MAX_PAGE = 1_000
"""Entries that one answer has at most."""
_MAX_PAGE_BYTES = 500_000
_NONE: list[Any] = [None, 0, 0]

Row = list[Any]  # value, version, when it ends in ms (0: never)


@actor(name="plex.kv")
class KeyValue:
    """Keeps values by key, each with a version and perhaps an end.

    A version is a number that rises with every change in this shard. So no key ever has one twice, also where
    it is deleted in between: what `cas` compares cannot come back.
    """

    rows: StateMap[str, Row] = state_map()
    version: int = state(default=0)
    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)

    @handler("get", read_only=True)
    def get(self, keys: list[str]) -> list[Row | None]:
        """Value, version and remaining seconds (None: no end) of each key, in order; None: there is none.

        Where they are large it answers fewer than it was asked for, one at least: ask for the rest.
        """
        now, room = host.now(), _MAX_PAGE_BYTES
        found: list[Row | None] = []
        for key in keys:
            row = self._row(key)
            shown = None if not row[1] else _shown(row, now)
            if len(keys) > 1:
                room -= json_size(shown)
                if found and room < 0:
                    break
            found.append(shown)
        return found

    @handler("list", read_only=True)
    def page(
        self, prefix: str = "", after: str = "", limit: int = MAX_PAGE, values: bool = False
    ) -> list[Any]:
        """Keys that begin with `prefix`, behind `after`, by the order of their UTF-8; with rows if asked.

        Answers entries, each a list that begins with its key, and whether there are more: fewer than `limit`
        may come where rows are large.
        """
        count("limit", limit, MAX_PAGE)
        page: list[Any] = []
        size, now = 0, host.now()
        for key, row in self._behind(prefix, after, now):
            one = [key, *_shown(row, now)] if values else [key]
            size += json_size(one)
            if len(page) == limit or (page and size > _MAX_PAGE_BYTES):
                return [page, True]
            page.append(one)
        return [page, False]

    @handler("put")
    def put(self, entries: dict[str, Any], ttl: float | None = None) -> list[int]:
        """Set values, all or none. Answers their versions, in order."""
        ends = _end(ttl)
        return [self._set(key, value, ends) for key, value in entries.items()]

    @handler("cas")
    def cas(self, key: str, value: Any, version: int, ttl: float | None = None) -> Row:
        """Set a value if its key has this version (0: if it is not there). Whether, and its version."""
        ends = _end(ttl)
        row = self._row(key)
        if row[1] != version:
            return [False, row[1]]
        return [True, self._set(key, value, ends)]

    @handler("increment")
    def increment(self, key: str, by: int = 1, ttl: float | None = None) -> int:
        """Add to a whole number, 0 where there is none. Its end stays, or is after `ttl`. Answers the sum."""
        ends = _end(ttl)
        row = self._row(key)
        value = row[0] if row[1] else 0
        if type(value) is not int:
            raise Reject(f"key {key!r} holds {value!r:.80}: put a whole number, to increment it")
        self._set(key, value + by, row[2] if row[1] else ends)
        return value + by

    @handler("renew")
    def renew(self, key: str, ttl: float | None) -> bool:
        """Set when a key ends (None: never). Its version stays, as its value does. Whether it is there."""
        ends = _end(ttl)
        row = self._row(key)
        if not row[1]:
            return False
        self.rows[key] = [row[0], row[1], ends]
        Agenda(self).move(row[2], ends, key)
        return True

    @handler("delete")
    def delete(self, keys: list[str]) -> int:
        """Delete keys; answers how many there were."""
        there = 0
        for key in keys:
            row = self._row(key)
            if row[1]:
                there += 1
                self._forget(key, row)
        return there

    @handler("__alarm__")
    def alarm(self) -> None:
        """Forget what has come to its end."""
        for key in Agenda(self).due():
            row = self.rows.get(key, _NONE)
            if row[2] and row[2] <= host.now():
                del self.rows[key]

    def _row(self, key: str) -> Row:
        row = self.rows.get(_checked(key), _NONE)
        return _NONE if row[2] and row[2] <= host.now() else row

    def _behind(self, prefix: str, after: str, now: int) -> Iterator[tuple[str, Row]]:
        for key, row in self.rows.range(max(prefix, after) or None):
            if not key.startswith(prefix):
                return
            if key != after and not (row[2] and row[2] <= now):
                yield key, row

    def _set(self, key: str, value: Any, ends: int) -> int:
        check_depth(f"the value of {key[:40]!r}", value)
        before = self.rows.get(_checked(key), _NONE)
        self.version += 1
        self.rows[key] = [value, self.version, ends]
        Agenda(self).move(before[2], ends, key)
        return self.version

    def _forget(self, key: str, row: Row) -> None:
        del self.rows[key]
        Agenda(self).move(row[2], 0, key)


def _end(ttl: float | None) -> int:
    return 0 if ttl is None else host.now() + milliseconds("ttl", ttl)


def _shown(row: Row, now: int) -> Row:
    return [row[0], row[1], (row[2] - now) / 1000 if row[2] else None]


def _checked(key: str) -> str:
    size = len(key.encode(errors="replace")) + key.count("\0")  # which is two in a key of the agenda
    if not 0 < size <= MAX_KEY:
        raise Reject(f"a key of {size} bytes ({key[:40]!r}): give a text of 1 to {MAX_KEY}, NUL as two")
    return key
