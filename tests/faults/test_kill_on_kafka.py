"""kill -9 and SIGSTOP of what serves on Kafka, under load: each acknowledged call counts exactly once."""

from __future__ import annotations

import os
import random
import signal
import time

import pytest
from load import Load, reckon
from nodes import Cluster
from serving import PARTITIONS, Served, alive, until

from plexstream import AsyncClient
from plexstream.model.topics.topics import Topics

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

PAUSE = 8.0  # seconds; a worker's session ends after 6


def straight(cluster: Cluster) -> AsyncClient:
    return AsyncClient(log=cluster.log, topics=Topics(cluster.prefix))


def replaced(node: Served, victim: int, workers: int) -> None:
    def look() -> bool:
        now = node.workers()
        return len(now) == workers and victim not in now

    until("the worker is replaced", look)


def test_workers_are_killed(cluster: Cluster) -> None:
    node = cluster.node("node", 2).ready(PARTITIONS)
    random_ = random.Random(1)
    with Load(1, [lambda: straight(cluster), lambda: AsyncClient(node.url)]) as load:
        for _ in range(5):
            load.more(random_.randrange(5, 150))
            replaced(node, node.kill_worker(random_), 2)
        load.more()
    reckon(load, node, cluster.outputs)


def test_workers_are_killed_while_they_take_over(cluster: Cluster) -> None:
    node = cluster.node("node", 1).ready(PARTITIONS)
    with Load(2, [lambda: straight(cluster)]) as load:
        load.more(200)
        for delay in (0.0, 0.15, 0.3):
            replaced(node, node.kill_worker(random.Random(2)), 1)
            time.sleep(delay)
        load.more()
    reckon(load, node, cluster.outputs)


def test_the_node_is_killed_and_its_workers_end_by_themselves(cluster: Cluster) -> None:
    node = cluster.node("node", 2).ready(PARTITIONS)
    with Load(3, [lambda: straight(cluster), lambda: AsyncClient(node.url)]) as load:
        for _ in range(2):
            load.more(100)
            orphans = until("workers", node.workers)
            node.kill()
            node.start().ready(PARTITIONS)
            until("the former workers have ended", lambda o=orphans: not any(map(alive, o)))
        load.more()
    reckon(load, node, cluster.outputs)


def test_an_edge_is_killed(cluster: Cluster) -> None:
    node = cluster.node("node", 1).ready(PARTITIONS)
    edge = cluster.edge().ready()
    with Load(4, [lambda: AsyncClient(edge.url)]) as load:
        for _ in range(3):
            load.more(60)
            edge.kill()
            edge.start().ready()
        load.more()
    assert load.done
    reckon(load, node, cluster.outputs)


def test_a_stopped_worker_comes_back_as_a_zombie(cluster: Cluster) -> None:
    first = cluster.node("first", 1).ready()
    second = cluster.node("second", 1).ready()
    until("both serve", lambda: first.active() and first.active() + second.active() == PARTITIONS)
    with Load(5, [lambda: straight(cluster)], callers=8) as load:
        load.more(150)
        [zombie] = first.workers()
        os.kill(zombie, signal.SIGSTOP)
        try:
            time.sleep(PAUSE)
            until("the other serves all", lambda: second.active() == PARTITIONS)
            load.more(80)
        finally:
            os.kill(zombie, signal.SIGCONT)
        load.more(80)
        until("both serve", lambda: first.active() and first.active() + second.active() == PARTITIONS)
        load.more(80)
    assert alive(zombie)
    reckon(load, second, cluster.outputs)
