"""Everything there is to coordinate by, contended for while what serves it is killed."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conserved import reckon
from contenders import SPACES, Contenders
from contending import KINDS
from load import read
from nodes import Cluster, Start
from serving import PARTITIONS, until

from plexstream import AsyncClient
from plexstream.log.base import Log
from plexstream.log.open import open_log
from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import decode_applied
from plexstream.testing.kafka.broker import LocalBroker

pytestmark = pytest.mark.slow
PAUSE = 8.0  # seconds; a worker's session ends after 6
APP = Path(__file__).with_name("nouns.py")


def told(log: Log, topic: str) -> dict[str, list[str]]:
    """What is in each space by its topic alone, which has all that was applied, in order and once."""
    entries: dict[str, dict[int, str]] = {}
    numbers: dict[str, int] = {}
    for partition in range(log.partitions(topic) or 0):
        place = (topic, partition)
        for batch in read(log, place, *log.range(place), committed=True):
            for record in batch:
                space, one = record.key.decode(), decode_applied(record.value or b"")
                numbers[space] = numbers.get(space, 0) + 1
                assert one.number == numbers[space], f"{space}: {one} is number {numbers[space]}"
                there = entries.setdefault(space, {})
                if one.op in ("out", "renew"):
                    there[one.entry] = one.tuple
                else:
                    assert there.pop(one.entry) == one.tuple
    return {space: sorted(there.values()) for space, there in entries.items()}


def looked_at(callers: Contenders, make: Callable[[], AsyncClient]) -> dict[str, list[str]]:
    """Reckons, and returns what is in each space."""

    async def look() -> dict[str, list[str]]:
        async with make() as client:
            await reckon(callers, client)
            found = {}
            for name in SPACES:
                tuples = await client.ts.space(name).read_all([None, None, None], limit=100_000)
                found[name] = sorted(json.dumps(one, separators=(",", ":")) for one in tuples)
            return found

    return asyncio.run(look())


def check_told(told: dict[str, list[str]], spaces: dict[str, list[str]]) -> None:
    for name, there in spaces.items():
        parts = [of for space, of in told.items() if space.rpartition("/")[2].partition("~")[0] == name]
        assert sorted(itertools.chain(*parts)) == there, name


def test_on_the_embedded_log(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS), app=APP).ready(PARTITIONS)
    with Contenders("c", [lambda: AsyncClient(node.url)], KINDS) as callers:
        for round in range(3):
            callers.more()
            node.kill()
            if round == 1:  # what it has kept is all in its journal
                shutil.rmtree(node.folder / "state")
            node.start().ready(PARTITIONS)
        callers.more()
    spaces = looked_at(callers, lambda: AsyncClient(node.url))
    assert node.terminate() == 0
    log = open_log(f"embedded:{node.folder / 'log'}")
    try:
        check_told(told(log, "plex.tuplespace"), spaces)
    finally:
        log.close()


@pytest.mark.kafka
def test_on_two_nodes_on_kafka(cluster: Cluster) -> None:
    first = cluster.node("first", 2, app=APP).ready()
    second = cluster.node("second", 1, app=APP).ready()
    until("both serve", lambda: first.active() and first.active() + second.active() == PARTITIONS)
    topics = Topics(cluster.prefix)
    ways = [lambda: AsyncClient(log=cluster.log, topics=topics), lambda: AsyncClient(first.url)]
    ways.append(lambda: AsyncClient(second.url))
    with Contenders("k", ways, KINDS) as callers:
        callers.more(1)
        first.kill_worker(random.Random(2))
        callers.more(1)
        second.kill_all()
        shutil.rmtree(second.folder)
        second.start().ready()
        callers.more(1)
        [zombie] = second.workers()
        os.kill(zombie, signal.SIGSTOP)
        try:
            time.sleep(PAUSE)
        finally:
            os.kill(zombie, signal.SIGCONT)
        callers.more(1)
        first.kill_worker(random.Random(3))
        callers.more(1)
    spaces = looked_at(callers, lambda: AsyncClient(second.url))
    until("all is told", lambda: (second.status() or {}).get("lag") == 0)
    check_told(told(cluster.log, f"{cluster.prefix}tuplespace"), spaces)


@pytest.mark.kafka
def test_on_a_broker_that_is_killed_too(local_broker: LocalBroker, serve: Start, topic_prefix: str) -> None:
    """All stores are lost with the node, and the next one has another number of workers."""
    cluster = Cluster(serve, local_broker.address, topic_prefix)
    topics = Topics(cluster.prefix)
    node = cluster.node("node", 1, app=APP).ready(PARTITIONS)
    with Contenders("b", [lambda: AsyncClient(log=cluster.log, topics=topics)], KINDS) as callers:
        callers.more(1)
        local_broker.kill()
        local_broker.start()
        callers.more(1)
        node.kill_all()
        node = cluster.node("another", 3, app=APP).ready(PARTITIONS)
        callers.more(1)
    spaces = looked_at(callers, lambda: AsyncClient(node.url))
    until("all is told", lambda: (node.status() or {}).get("lag") == 0)
    check_told(told(cluster.log, f"{cluster.prefix}tuplespace"), spaces)
    cluster.log.close()
