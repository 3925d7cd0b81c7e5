"""kill -9 while timers, alarms and reminders are pending and fire: each fires once, and none early."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from clocks import BEATS
from load import committed
from nodes import Cluster, Start
from serving import PARTITIONS, Served, until

pytestmark = pytest.mark.slow

CLOCKS = [f"clock/{number}" for number in range(8)]
APP = Path(__file__).with_name("clocks.py")
KILLS = 4


def start(node: Served) -> None:
    for clock in CLOCKS:
        assert node.ask(clock, "start").status_code == 200


def reckon(node: Served, outputs: Callable[[], Iterable[str]]) -> None:
    """Every clock comes to its end, never ahead of its time, and told each beat once."""
    for clock in CLOCKS:
        until(f"{clock} comes to its end", lambda c=clock: node.report(c)["counts"] == [BEATS] * 3)
    time.sleep(0.5)  # what came too often would come now
    for clock in CLOCKS:
        assert node.report(clock) == {"counts": [BEATS] * 3, "early": 0, "pending": [None]}
    whats = ("alarm", "beat", "next")
    expected = sorted(f"{c} {what} {n}" for c in CLOCKS for what in whats for n in range(1, BEATS + 1))
    until("every beat is told", lambda: len(list(outputs())) >= len(expected))
    assert sorted(outputs()) == expected


def test_embedded(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS), app=APP).ready(PARTITIONS)
    start(node)
    random_ = random.Random(1)
    for _ in range(KILLS):
        time.sleep(random_.uniform(0.1, 0.6))
        node.kill()
        node.start().ready(PARTITIONS)
    reckon(node, lambda: [r["value"] for r in node.topic("plex.out.beats")])


@pytest.mark.kafka
def test_workers_on_kafka(cluster: Cluster) -> None:
    node = cluster.node("node", 2, app=APP).ready(PARTITIONS)
    start(node)
    random_ = random.Random(2)
    for _ in range(KILLS):
        time.sleep(random_.uniform(0.1, 0.6))
        node.kill_worker(random_)
    reckon(node, lambda: map(json.loads, committed(cluster.log, f"{cluster.prefix}out.beats")))
