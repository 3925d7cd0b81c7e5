"""The reckoning: what nouns have in the end, and what those who contended for it have heard, is the same."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from typing import Any

from contenders import HEARERS, MEMBERS, SPACES, Contenders

from plexstream import AsyncClient


def multiset(values: Any) -> Counter[str]:
    return Counter(map(repr, values))


async def reckon(all: Contenders, client: AsyncClient) -> None:
    """What the nouns have now, and what callers were told, is the same."""
    for name in SPACES:
        space = client.ts.space(name)
        there = multiset(await space.read_all([None, {"prefix": "trade"}, None], limit=100_000))
        assert multiset(all.written[name]) == multiset(all.taken[name]) + there, (
            name, "lost", multiset(all.written[name]) - multiset(all.taken[name]) - there,
            "too many", multiset(all.taken[name]) + there - multiset(all.written[name]))
        raw = multiset(t[1:] for t in await space.read_all(["raw", None, None], limit=100_000))
        done = multiset(t[1:] for t in await space.read_all(["done", None, None], limit=100_000))
        assert done == multiset(all.moved[name]), name
        assert raw + done == multiset(all.raw[name]), (name, raw, done)
        assert await space.count() == sum(there.values()) + sum(raw.values()) + sum(done.values())
    moved = sum(len(one) for one in all.moved.values())
    assert await client.kv.get("moved", 0) == moved
    assert (await client.queues.queue("moved").depth())["ready"] == moved
    for key, number in all.counted.items():
        assert await client.kv.get(key) == number, key
    versions = [found.version for found, _ in all.swapped]
    assert len({*versions}) == len(versions)
    depth = await client.queues.queue("work").depth()
    left = [m.value for _ in range(depth["ready"]) for m in await client.queues.queue("work").receive()]
    assert multiset(all.sent) == multiset(all.received + left)
    assert depth["in_flight"] == 0, depth
    done = multiset(all.flaky_done)
    assert max(done.values(), default=1) == 1
    depth = await client.queues.queue("flaky").depth()
    assert depth["ready"] + depth["delayed"] + depth["in_flight"] + len(done) == len(all.flaky), depth
    metrics = await client.pools.pool("pool").metrics()
    assert (metrics["idle"], metrics["busy"]) == (MEMBERS, 0), metrics
    for what, noun in (("lock", client.locks.lock("one")), ("election", client.elections.election("one"))):
        status = await noun.status()
        assert (status.get("holder"), status.get("leader")) == (None, None), status
        assert status["newest"] == all.held[what].newest, (what, status)
    tokens = [token for _, _, token in all.tokens]
    assert len({*tokens}) == len(tokens)
    for _, answered, token in all.tokens:
        for called, _, later in all.tokens:
            assert called < answered or token < later, "tokens do not rise"
    assert await client.shards.group("slices").reduce("total", by="sum") == all.added
    reports = []
    end = time.monotonic() + 40
    while True:
        reports = [await client.ask(f"hearer/{i}", "report") for i in range(HEARERS)]
        if all_heard(reports, all) or time.monotonic() > end:
            break
        await asyncio.sleep(0.2)
    heard = [(len(r["said"]), len(r["posted"])) for r in reports]
    assert all_heard(reports, all), (heard, len(all.published), len(all.posted))
    assert all_same(r["said"] for r in reports)
    assert multiset(reports[0]["said"]) == multiset(all.published)
    assert all_same(r["posted"] for r in reports)
    assert [p for p, _ in reports[0]["posted"]] == list(range(1, len(all.posted) + 1))
    assert {said: position for position, said in reports[0]["posted"]} == all.posted
    while True:
        found = await client.channels.channel("news").fetch("fetcher", 1000, 0)
        if not found.messages:
            break
        all.fetched += [(m.position, m.value) for m in found.messages]
        await client.channels.channel("news").commit("fetcher", found.position)
    assert [list(f) for f in all.fetched] == reports[0]["posted"]


def all_heard(reports: list[Any], all: Contenders) -> bool:
    told = {(len(r["said"]), len(r["posted"])) for r in reports}
    return told == {(len(all.published), len(all.posted))}


def all_same(values: Any) -> bool:
    found = list(values)
    return found.count(found[0]) == len(found)
