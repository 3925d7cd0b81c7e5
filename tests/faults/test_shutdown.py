"""SIGTERM and Ctrl-C under load: exit code 0, no acknowledged call lost, callers answered or told so."""

from __future__ import annotations

import signal

import pytest
from load import Load, reckon
from nodes import Cluster, Start
from serving import PARTITIONS, Served, alive

from plexstream import AsyncClient
from plexstream.model.topics import Topics

pytestmark = pytest.mark.slow
SIGNALS = [signal.SIGTERM, signal.SIGINT]


def again(load: Load, node: Served, number: int, twice: bool = False) -> None:
    """Stop the node under load, and start it again."""
    load.more(80)
    workers = node.workers()
    assert node.process is not None
    if twice:
        node.process.send_signal(number)
    assert node.terminate(number) == 0, node.log()[-3000:]
    assert not any(map(alive, workers))
    node.start().ready(PARTITIONS)


@pytest.mark.kafka
def test_on_kafka(cluster: Cluster) -> None:
    node = cluster.node("node", 1).ready(PARTITIONS)
    client = lambda: AsyncClient(log=cluster.log, topics=Topics(cluster.prefix))  # noqa: E731
    with Load(13, [client, lambda: AsyncClient(node.url)]) as load:
        for number in SIGNALS:
            again(load, node, number)
        again(load, node, signal.SIGTERM, twice=True)
        load.more()
    assert "Traceback" not in node.log()
    reckon(load, node, cluster.outputs)


def test_embedded(serve: Start) -> None:
    node = serve("dev", "--partitions", str(PARTITIONS)).ready(PARTITIONS)
    with Load(14, [lambda: AsyncClient(node.url)]) as load:
        for number in SIGNALS:
            again(load, node, number)
        again(load, node, signal.SIGTERM, twice=True)
        load.more()
    assert "Traceback" not in node.log()
    reckon(load, node, lambda: [r["value"] for r in node.topic("plex.out.entries")])
