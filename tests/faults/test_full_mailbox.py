"""A slow actor with a full mailbox: memory stays bounded, and actors of other partitions are served."""

from __future__ import annotations

import time

import pytest
from nodes import Cluster
from serving import PARTITIONS, Served, rss

from plexstream.model.messages.address import full, partition_of
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import encode_envelope

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TELLS = 200_000
MIB = 1 << 20
GROWTH = 250 * MIB  # what the clients of Kafka fetch ahead, and no more; the mailbox holds as much again


def fill(cluster: Cluster) -> tuple[Served, int, int]:
    """A node whose slow actor has a full mailbox, the actor's partition, and the worker's memory before."""
    node = cluster.node().ready(PARTITIONS)
    [worker] = node.workers()
    before = rss(worker)
    target = full("trouble/a")
    place = (Topics(cluster.prefix).mailbox, partition_of(target, PARTITIONS))
    message = Envelope(TELL, "id", target, "slow", b'{"seconds": 0.005, "text": "%s"}' % (b"x" * 1000))
    item = (target.encode(), encode_envelope(message))
    appender = cluster.log.appender()
    handed = written = 0
    end = time.monotonic() + 90
    while written < TELLS // 1000:
        if handed < TELLS // 1000 and handed - written < 50:  # an appender keeps back a part of them only
            appender.append(place, [item] * 1000, None)
            handed += 1
        acks = appender.poll(0.0 if handed < TELLS // 1000 else 0.5)
        assert all(ack.error is None for ack in acks)
        written += len(acks)
        assert time.monotonic() < end
    appender.close()

    return node, place[1], before


def test_memory_is_bounded(cluster: Cluster) -> None:
    node, _, before = fill(cluster)
    [worker] = node.workers()
    most = 0
    for _ in range(20):
        time.sleep(0.5)
        most = max(most, rss(worker))
    print(f"memory of the worker: {before // MIB} MiB, then {most // MIB} MiB")
    assert node.workers() == [worker]
    assert most - before < GROWTH


def test_actors_of_other_partitions_are_served(cluster: Cluster) -> None:
    node, partition, _ = fill(cluster)
    names = [f"trouble/{number}" for number in range(50)]
    others = [name for name in names if partition_of(full(name), PARTITIONS) != partition]
    for other in others[:5]:
        answer = node.ask(other, "slow", seconds=0, timeout=60)
        assert answer.status_code == 200, answer.text
