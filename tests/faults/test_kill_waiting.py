"""kill -9 while handlers wait: each comes to its end once, with the results that were recorded."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest
from nodes import Cluster, Start
from orders import STEPS
from serving import PARTITIONS, Served, until

pytestmark = pytest.mark.slow

APP = Path(__file__).with_name("orders.py")
ORDERS = [f"order/{number}" for number in range(12)]
KILLS = 4


def start(node: Served) -> None:
    for number, order in enumerate(ORDERS):
        node.tell(order, "go_blocking" if number % 2 else "go")


def reckon(node: Served, paid: Path) -> None:
    for order in ORDERS:
        until(f"{order} comes to its end", lambda o=order: node.report(o)["runs"] >= 1)
    done: dict[tuple[str, int], list[str]] = {}
    for line in paid.read_text().splitlines():
        order, step, token = line.split()
        done.setdefault((order, int(step)), []).append(token)
    for order in ORDERS:
        found = node.report(order)
        assert found["runs"] == 1
        # Each ask was made with the result that was recorded, took effect once, and none is missing.
        assert node.report(f"book/{order.replace('/', '-')}") == found["tokens"]
        assert len(found["tokens"]) == STEPS
        for step, token in enumerate(found["tokens"]):
            assert token in done[order, step]


def test_embedded(serve: Start, tmp_path: Path) -> None:
    paid = tmp_path / "paid"
    env = {"FAULTS_PAID": str(paid)}
    node = serve("dev", "--partitions", str(PARTITIONS), app=APP, env=env).ready(PARTITIONS)
    start(node)
    random_ = random.Random(1)
    for _ in range(KILLS):
        time.sleep(random_.uniform(0.0, 0.3))
        node.kill()
        node.start().ready(PARTITIONS)
    reckon(node, paid)


@pytest.mark.kafka
def test_workers_on_kafka(cluster: Cluster, tmp_path: Path) -> None:
    paid = tmp_path / "paid"
    node = cluster.node("node", 2, app=APP, env={"FAULTS_PAID": str(paid)}).ready(PARTITIONS)
    start(node)
    random_ = random.Random(2)
    for _ in range(KILLS):
        time.sleep(random_.uniform(0.0, 0.3))
        victim = node.kill_worker(random_)
        until("it is replaced", lambda v=victim: v not in node.workers() and len(node.workers()) == 2)
    reckon(node, paid)


def begin(node: Served) -> dict[str, str]:
    return {order: node.begin(order, "go_blocking" if n % 2 else "go", "k") for n, order in enumerate(ORDERS)}


def reckon_ids(node: Served, ids: dict[str, str]) -> None:
    for order, id in ids.items():
        assert until(f"{order} is done", lambda i=id: node.look(i, 5)["status"] == "done")
        assert node.report(order)["runs"] == 1
    assert begin(node) == ids  # a repetition has no effect
    for order, id in ids.items():
        assert node.look(id)["status"] == "done"
        assert node.report(order)["runs"] == 1


def test_invocations_are_found_whatever_is_killed(serve: Start, tmp_path: Path) -> None:
    env = {"FAULTS_PAID": str(tmp_path / "paid")}
    node = serve("dev", "--partitions", str(PARTITIONS), app=APP, env=env).ready(PARTITIONS)
    ids = begin(node)
    random_ = random.Random(3)
    for _ in range(KILLS):
        time.sleep(random_.uniform(0.0, 0.3))
        node.kill()
        node.start().ready(PARTITIONS)
        for id in ids.values():  # at any time something is known of it
            assert node.look(id)["status"] in ("queued", "running", "waiting", "done")
        assert begin(node) == ids
    reckon_ids(node, ids)


@pytest.mark.kafka
def test_invocations_are_found_by_other_edges(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.node("node", 2, app=APP, env={"FAULTS_PAID": str(tmp_path / "paid")}).ready(PARTITIONS)
    edge = cluster.edge().ready()
    ids = begin(node)
    random_ = random.Random(4)
    for _ in range(2):
        time.sleep(random_.uniform(0.0, 0.3))
        victim = node.kill_worker(random_)
        until("it is replaced", lambda v=victim: v not in node.workers() and len(node.workers()) == 2)
        for id in ids.values():
            assert edge.look(id)["status"] in ("queued", "running", "waiting", "done")
    reckon_ids(edge, ids)
