"""Names of blobs: what a container has under each, and where in the object store the bytes are."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

from plexstream.coordination.common.checks import count
from plexstream.coordination.common.room import largest
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.kept.places import check_place, check_type
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_NAME = 900
"""Bytes of a name's UTF-8."""
MAX_PAGE = 1_000
MAX_SIZE = 1 << 50
"""Bytes of a blob, whatever stores take."""
FRESH_MS = 30 * 60_000
"""How long after it was put an object may get its first name."""
GRACE_MS = 60 * 60_000
"""How long an object that has no name any more is left to those who read it. It is more than `FRESH_MS`, by
so much may clocks differ: whoever sweeps sees how old an object is by the store's clock."""
_CONTROLS = ("Cc", "Cs", "Zl", "Zp")

Row = list[Any]  # hash, size, content type, place, when in ms, by whom, version


@actor(name="plex.blob")
class Blobs:
    """Keeps what a container has: by name a hash, and by hash the one object that has these bytes.

    Each upload is an object of its own. The first that gets a name stands for all of its bytes as long as any
    name has them. One that has lost its last name is never named again, but by a commit no later than
    `FRESH_MS` after it was put: so what is older, and has no name, can be swept.
    """

    rows: StateMap[str, Row] = state_map()
    objects: StateMap[str, list[Any]] = state_map()  # by hash: place, number of names
    loose: StateMap[str, int] = state_map()  # by place: since when in ms it has no name
    version: int = state(default=0)

    @handler("stat", read_only=True)
    def stat(self, name: str) -> Row | None:
        """What is under a name; None: nothing."""
        return self.rows.get(_checked(name))

    @handler("list", read_only=True)
    def page(self, prefix: str = "", after: str = "", limit: int = MAX_PAGE) -> list[Any]:
        """Names that begin with `prefix`, behind `after`, each with its row, by the order of their UTF-8.

        Fewer than `limit` come where they are more than an answer may have.
        """
        count("limit", limit, MAX_PAGE)
        page: list[Any] = []
        left = largest() // 2
        for name, row in self._behind(prefix, after):
            left -= len(json.dumps([name, *row]))
            if len(page) == limit or (page and left < 0):
                break
            page.append([name, *row])
        return page

    @handler("commit")
    def commit(
        self, name: str, hash: str, size: int, content_type: str, place: str, time: int
    ) -> Row | None:
        """Give a name to bytes that are in the store. Answers the row, None: they were put too long ago.

        Where the name has these bytes already, nothing changes: an upload may be repeated.
        Another object may stand for them already: then the row has that one's place.
        """
        _checked(name)
        check_type(content_type)
        count("size", size, MAX_SIZE, 0)
        check_place(host.self_id(), hash, place)
        if not host.now() - FRESH_MS <= time <= host.now() + FRESH_MS:
            return None
        before = self.rows.get(name)
        if before is not None and before[:3] == [hash, size, content_type]:
            return before
        place = self._hold(hash, place)
        self.version += 1
        row = [hash, size, content_type, place, host.now(), host.sender(), self.version]
        self.rows[name] = row
        if before is not None:
            self._release(before)
        return row

    @handler("delete")
    def delete(self, name: str) -> bool:
        """Forget a name; whether it was there."""
        row = self.rows.get(_checked(name))
        if row is None:
            return False
        del self.rows[name]
        self._release(row)
        return True

    @handler("unused", read_only=True)
    def unused(self, places: list[str]) -> list[str]:
        """Those of the objects, all older than `GRACE_MS`, that nobody can want any more."""
        count("places", len(places) or 1, MAX_PAGE)
        until = host.now() - GRACE_MS
        return [place for place in places if not self._is_held(place) and self.loose.get(place, 0) <= until]

    @handler("swept")
    def swept(self, places: list[str]) -> None:
        """These objects, which are unused, will be gone: nothing more need be known of them."""
        count("places", len(places) or 1, MAX_PAGE)
        for place in places:
            self.loose.pop(place, None)

    def _hold(self, hash: str, place: str) -> str:
        held, names = self.objects.get(hash, [place, 0])
        self.objects[hash] = [held, names + 1]
        self.loose.pop(held, None)
        return str(held)

    def _release(self, row: Row) -> None:
        place, names = self.objects[row[0]]
        if names > 1:
            self.objects[row[0]] = [place, names - 1]
        else:
            del self.objects[row[0]]
            self.loose[place] = host.now()

    def _is_held(self, place: str) -> bool:
        parts = place.rpartition(".")[0].split("/")
        held = self.objects.get("".join(parts[-2:]))
        return held is not None and held[0] == place

    def _behind(self, prefix: str, after: str) -> Iterator[tuple[str, Row]]:
        for name, row in self.rows.range(max(prefix, after) or None):
            if not name.startswith(prefix):
                return
            if name != after:
                yield name, row


def _checked(name: str) -> str:
    size = len(name.encode(errors="replace"))
    if not 0 < size <= MAX_NAME or not _is_line(name):
        raise Reject(
            f"a blob's name of {size} bytes ({name[:40]!r}): give 1 to {MAX_NAME} bytes without control "
            "characters"
        )
    return name


def _is_line(text: str) -> bool:
    return not any(unicodedata.category(c) in _CONTROLS for c in text)
