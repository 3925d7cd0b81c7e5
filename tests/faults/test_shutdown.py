"""SIGTERM and Ctrl-C under load: exit code 0, no acknowledged call lost, callers answered or told so."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest
from load import Load, reckon
from nodes import Cluster, Start
from serving import PARTITIONS, Served, alive

from plexstream import AsyncClient
from plexstream.inspection.history import entries
from plexstream.model.journal.journal import Mark
from plexstream.model.topics.topics import Topics

pytestmark = pytest.mark.slow
SIGNALS = [signal.SIGTERM, signal.SIGINT]


def again(
    load: Load, node: Served, number: int, twice: bool = False, look: Callable[[], None] = lambda: None
) -> None:
    """Stop the node under load, look what it left behind, and start it again."""
    load.more(80)
    workers = node.workers()
    assert node.process is not None
    if twice:
        node.process.send_signal(number)
    assert node.terminate(number) == 0, node.log()[-3000:]
    assert not any(map(alive, workers))
    look()
    node.start().ready(PARTITIONS)


@pytest.mark.kafka
def test_on_kafka(cluster: Cluster) -> None:
    node = cluster.node("node", 1).ready(PARTITIONS)
    topics = Topics(cluster.prefix)
    client = lambda: AsyncClient(log=cluster.log, topics=topics)  # noqa: E731

    def released() -> None:
        """Each partition was let go in good order, not found out about by the next owner."""
        for partition in range(PARTITIONS):
            end = cluster.log.range((topics.journal, partition))[1]
            *_, last = entries(cluster.log, topics, partition, max(0, end - 50), end)
            assert type(last.record) is Mark, (partition, last)
            assert last.record.release, (partition, last)

    with Load(13, [client, lambda: AsyncClient(node.url)]) as load:
        for number in SIGNALS:
            again(load, node, number, look=released)
        again(load, node, signal.SIGTERM, twice=True, look=released)
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
