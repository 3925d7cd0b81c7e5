"""How long calls wait when a worker is killed: measured and printed; judged only where it is far off."""

from __future__ import annotations

import os
import random
import signal

import pytest
from load import Load, reckon
from nodes import Cluster
from serving import PARTITIONS, until

from plexstream import AsyncClient
from plexstream.model.topics.topics import Topics

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


def test_with_and_without_a_restart(cluster: Cluster) -> None:
    first = cluster.node("first").ready()
    client = lambda: AsyncClient(log=cluster.log, topics=Topics(cluster.prefix))  # noqa: E731
    until("it serves", lambda: first.active() == PARTITIONS)
    waits = []
    with Load(15, [client], callers=4) as load:
        for _ in range(3):
            load.more(100)
            load.gap = 0.0
            first.kill_worker(random.Random(15))
            load.more(100)
            waits.append(load.gap)
        second = cluster.node("second").ready()
        until("both serve", lambda: first.active() and second.active() == PARTITIONS - first.active() > 0)
        load.more(100)
        load.gap = 0.0
        # The whole node: nobody starts its worker again.
        assert first.process is not None
        os.killpg(first.process.pid, signal.SIGKILL)
        until("the other serves all", lambda: second.active() == PARTITIONS)
        load.more(100)
        without = load.gap
    print(f"calls waited {', '.join(f'{w:.2f} s' for w in waits)} with a restart, {without:.1f} s without")
    assert max(waits) < 20
    assert without < 40
    reckon(load, second, cluster.outputs)
