"""The broker is killed and restarted under load: each acknowledged call takes effect exactly once."""

from __future__ import annotations

import random

import pytest
from load import Load, reckon
from nodes import Cluster, Start
from serving import PARTITIONS

from plexstream import AsyncClient
from plexstream.model.topics import Topics
from plexstream.testing.broker import LocalBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]


def test_the_broker_is_killed_and_restarted(
    local_broker: LocalBroker, serve: Start, topic_prefix: str
) -> None:
    cluster = Cluster(serve, local_broker.address, topic_prefix)
    node = cluster.node("node", 1).ready(PARTITIONS)
    random_ = random.Random(6)
    client = lambda: AsyncClient(log=cluster.log, topics=Topics(cluster.prefix))  # noqa: E731
    with Load(6, [client, lambda: AsyncClient(node.url)]) as load:
        load.more(random_.randrange(50, 200))
        local_broker.kill()
        local_broker.start()
        load.more(random_.randrange(50, 200))
        local_broker.restart()
        load.more(100)
    node.ready(PARTITIONS)
    reckon(load, node, cluster.outputs)
    cluster.log.close()
