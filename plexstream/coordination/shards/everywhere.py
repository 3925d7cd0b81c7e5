"""Looking and waiting at all shards of a space: for whoever leaves open the field by which it is sharded."""

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

    What it takes is taken by its own ask: durable, and answered to whoever waits here, who has made one call:
    made again with its idempotency key it has the same answer, whatever is in which shard by then.
    """

    @handler("wait")
    async def wait(self, what: str, pattern: list[Any], wait: float | None, shards: int) -> Any:
        """The tuple that is read or taken; null: none came in `wait` seconds (null: for ever; 0: at once)."""
        if what not in ("read", "take"):
            raise Reject(f"what is {what!r:.80}: give read or take")
        count("shards", shards, MAX_SHARDS)
        patience("wait", wait)
        own = host.self_id().split("/")
        spaces = "/".join([*own[:-2], "plex.space", own[-1]])
        addresses = [f"{spaces}~{shard}" for shard in range(shards)]
        found = await _now(what, pattern, addresses)
        if found is not None or wait == 0:
            return found
        waits: dict[str, Any] = {} if wait is None else {_LIMIT: host.start.sleep(wait)}
        while True:
            for address in addresses:
                if address not in waits:
                    waits[address] = host.start.ask(address, "read", pattern=pattern, wait=None)
            first, found = await host.select(**waits)
            if first == _LIMIT:
                return None
            del waits[first]
            if what == "read":
                return found
            taken = await host.ask(first, "take", pattern=pattern, wait=0)
            if taken is not None:
                return taken


async def _now(what: str, pattern: list[Any], addresses: list[str]) -> Any:
    """One that is there; None: no shard has one, each as it was when it was asked."""
    while True:
        looks = [host.start.ask(address, "read", pattern=pattern, wait=0) for address in addresses]
        there = [
            (address, found)
            for address, found in zip(addresses, await host.all(*looks), strict=True)
            if found is not None
        ]
        if not there or what == "read":
            return there[0][1] if there else None
        for address, _ in there:
            taken = await host.ask(address, "take", pattern=pattern, wait=0)
            if taken is not None:
                return taken
