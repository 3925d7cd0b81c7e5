"""The broker is killed, restarted or stands still under load: each acknowledged call takes effect once."""

from __future__ import annotations

import random
import time

import pytest
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from load import Load, reckon
from nodes import Cluster, Start
from serving import PARTITIONS

from plexstream import AsyncClient
from plexstream.model.topics.topics import Topics
from plexstream.testing.kafka.broker import LocalBroker

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


def test_the_broker_stands_still_for_longer_than_its_session(
    local_broker: LocalBroker, serve: Start, topic_prefix: str
) -> None:
    """Its controller takes it for dead, and its partitions get another epoch: nobody may keep the old one."""
    cluster = Cluster(serve, local_broker.address, topic_prefix)
    node = cluster.node("node", 1).ready(PARTITIONS)
    client = lambda: AsyncClient(log=cluster.log, topics=Topics(cluster.prefix))  # noqa: E731
    journal = Topics(cluster.prefix).journal
    epochs = [epoch(local_broker, journal)]
    with Load(6, [client, lambda: AsyncClient(node.url)]) as load:
        load.more(50)
        for _ in range(5):  # now and then it is quick, and keeps it
            local_broker.pause()
            time.sleep(6.0)
            local_broker.resume()
            load.more(50)
            epochs.append(epoch(local_broker, journal))
            if len(epochs) > 2 and epochs[-1] > epochs[0]:
                break
    assert epochs[-1] > epochs[0]
    node.ready(PARTITIONS)
    reckon(load, node, cluster.outputs)
    cluster.log.close()


def epoch(broker: LocalBroker, topic: str) -> int:
    """Of the leader of its first partition, asked by a client of its own."""
    place = TopicPartition(topic, 0)
    for _ in range(20):
        client = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
        try:
            found = client.list_offsets({place: OffsetSpec.latest()}, request_timeout=5)[place]
            return int(found.result(10).leader_epoch)
        except KafkaException:
            time.sleep(0.2)
    raise AssertionError("the broker answers nobody")
