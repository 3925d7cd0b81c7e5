"""Waiting at all shards of a space: for whoever leaves open the field by which it is sharded."""

from __future__ import annotations

from typing import Any

from plexstream.coordination.common.checks import count, patience
from plexstream.sdk.declaring.declare import handler
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.kept.spaces import MAX_SHARDS
from plexstream.sdk.host.host import host
from plexstream.sdk.kinds.workflows import service

_LIMIT = "limit"


@service(name="plex.spread")
class Spread:
    """Reads at each shard, whichever is first, and takes from that one.

    What it takes is taken by its own ask: durable, and answered to whoever waits here. So who repeats a take
    under its key gets the same tuple, whatever the shards have by then.
    """

    @handler("wait")
    async def wait(self, what: str, pattern: list[Any], wait: float | None, shards: int) -> Any:
        """The tuple that is read or taken; null: none came within `wait` seconds (null: for ever)."""
        if what not in ("read", "take"):
            raise Reject(f"what is {what!r:.80}: give read or take")
        count("shards", shards, MAX_SHARDS)
        patience("wait", wait)
        own = host.self_id().split("/")
        spaces = "/".join([*own[:-2], "plex.space", own[-1]])
        if what == "take":
            taken = await _there(spaces, pattern, shards)
            if taken is not None or wait == 0:
                return taken
        waits: dict[str, Any] = {} if wait is None else {_LIMIT: host.start.sleep(wait)}
        while True:
            for shard in map(str, range(shards)):
                if shard not in waits:
                    waits[shard] = host.start.ask(f"{spaces}~{shard}", "read", pattern=pattern, wait=None)
            first, found = await host.select(**waits)
            if first == _LIMIT:
                return None
            del waits[first]
            if what == "read":
                return found
            taken = await host.ask(f"{spaces}~{first}", "take", pattern=pattern, wait=0)
            if taken is not None:
                return taken


async def _there(spaces: str, pattern: list[Any], shards: int) -> Any:
    """A tuple that is taken from a shard which has one; null: none has."""
    while True:
        looks = [
            host.start.ask(f"{spaces}~{shard}", "read", pattern=pattern, wait=0) for shard in range(shards)
        ]
        found = await host.all(*looks)
        there = [shard for shard, one in enumerate(found) if one is not None]
        for shard in there:
            taken = await host.ask(f"{spaces}~{shard}", "take", pattern=pattern, wait=0)
            if taken is not None:
                return taken
        if not there:
            return None
