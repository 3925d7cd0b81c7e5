"""kill -9 in storms of restarts: each end is decided once, and the counters survive."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from nodes import Cluster, Start
from serving import PARTITIONS, Served, until

from plexstream.inspection.history import entries
from plexstream.log.base import Log
from plexstream.log.open import open_log
from plexstream.model.journal.journal import Turn
from plexstream.model.topics.topics import Topics
from plexstream.testing.simulation.cast.supervised import POOL, Judge

pytestmark = pytest.mark.slow

CREW = Path(__file__).with_name("crew.py")
MANIFEST = ("--app", str(Path(__file__).with_name("app-config.toml")))
WORKERS = ("w0", "w1", "p0", "p1")


def children(node: Served, supervisor: str) -> list[dict[str, Any]]:
    answer = node.ask(f"supervisor/{supervisor}", "which_children")
    return answer.json() if answer.is_success else []


def at_rest(node: Served) -> bool:
    """Every child runs, and no start follows."""
    before = [children(node, s) for s in ("app", "app.pool")]
    fine = all(rows and all(row["status"] == "running" for row in rows) for rows in before)
    works = fine and all(node.ask(f"worker/{w}", "work").is_success for w in WORKERS)
    return works and before == [children(node, s) for s in ("app", "app.pool")]


def storm(node: Served, random_: random.Random, count: int) -> None:
    for _ in range(count):
        node.tell(f"worker/{random_.choice(WORKERS)}", random_.choice(("fail", "fail", "work")))


def verdict_of(log: Log, topics: Topics) -> Judge:
    verdict = Judge(pool_limits=(2, 2.0))
    for partition in range(PARTITIONS):
        _, end = log.range((topics.journal, partition))
        for entry in entries(log, topics, partition, 0, end):
            if entry.counts and type(entry.record) is Turn:
                verdict.take(entry.record)
    return verdict


def judge(verdict: Judge) -> None:
    verdict.check()
    assert verdict.restarts > 10
    assert POOL in verdict.turns


def test_on_the_embedded_log(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS), *MANIFEST, app=CREW).ready(PARTITIONS)
    random_ = random.Random(1)
    for _ in range(6):
        storm(node, random_, random_.randrange(2, 30))
        node.kill()
        node.start().ready(PARTITIONS)
    for _ in range(20):
        until("the tree comes to rest", lambda: at_rest(node))
        assert node.terminate() == 0
        log = open_log(f"embedded:{node.folder / 'log'}")
        try:
            verdict = verdict_of(log, Topics())
        finally:
            log.close()
        if verdict.rests:
            break
        node.start().ready(PARTITIONS)  # a worker that fails by itself may do so after it was looked at
    judge(verdict)


@pytest.mark.kafka
def test_on_kafka(cluster: Cluster) -> None:
    node = cluster.node("node", 2, *MANIFEST, app=CREW).ready(PARTITIONS)
    random_ = random.Random(2)
    for _ in range(8):
        storm(node, random_, random_.randrange(2, 30))
        node.kill_worker(random_)
    topics = Topics(cluster.prefix)

    def rested() -> Judge | None:
        """By the journals: a worker that fails by itself may do so after the node was asked."""
        verdict = verdict_of(cluster.log, topics) if at_rest(node) else None
        return verdict if verdict and verdict.rests else None

    for _ in range(20):
        verdict = until("the tree comes to rest", rested)
        if verdict.restarts > 10:
            break
        storm(node, random_, 20)  # how many of them lead to a restart is a matter of time
    judge(verdict)
