"""A real journal of which somebody has deleted what its snapshots need."""

import logging
import shutil
from contextlib import suppress

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient
from installation import PARTITIONS, Installation, wait_until

from plexstream.log.installation import Control
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.errors import CallError
from plexstream.model.messages.address import full, partition_of
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.service.driver import State
from plexstream.node.worker.health import guard

GONE, WELL = 0, 1


def account(partition: int) -> str:
    names = (f"account/{n}" for n in range(99))
    return next(name for name in names if partition_of(full(name), PARTITIONS) == partition)


def delete_all(address: str, topic: str, partition: int, end: int) -> None:
    """As an operator does, with Kafka's own tools."""
    place = TopicPartition(topic, partition, end)
    admin = AdminClient({"bootstrap.servers": address})
    admin.delete_records([place])[place].result(30)


def served(i: Installation, address: str) -> bool:
    with suppress(CallError):
        return i.client.ask(address, "balance", {}, timeout=1.0) is not None
    return False


@pytest.mark.kafka
@pytest.mark.parametrize("store", ["an older one", "none"])
def test_it_is_named_the_others_go_on_and_an_operator_goes_on_with_what_is_left(
    kafka, topic_prefix, tmp_path, caplog, monkeypatch, store
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(guard, "GONE_S", 0.2)
    topics = Topics(topic_prefix)
    log = KafkaLog(kafka)
    with Installation(log, tmp_path / "a", prefix=topic_prefix) as i:
        for partition in (GONE, WELL):
            assert i.ask(account(partition), "deposit", amount=1) == {"balance": 1}
    if store == "an older one":
        shutil.copytree(tmp_path / "a", tmp_path / "b")
    with Installation(log, tmp_path / "a", prefix=topic_prefix) as i:
        for partition in (GONE, WELL):
            assert i.ask(account(partition), "deposit", amount=1) == {"balance": 2}
    for topic in (topics.journal, topics.mailbox):
        delete_all(kafka, topic, GONE, log.range((topic, GONE))[1])
    log.close()

    log = KafkaLog(kafka)
    caplog.clear()
    again = Installation(log, tmp_path / "b", prefix=topic_prefix)
    again.in_service = lambda worker: worker.drivers[WELL].state is State.ACTIVE
    with again as i:
        wait_until(lambda: f"partition {GONE} stays out of service" in caplog.text, 60)
        assert f"`plexstream topics accept {topics.journal}`" in caplog.text
        assert f"partition {WELL} stays out of service" not in caplog.text
        for n in range(3):
            assert i.ask(account(WELL), "deposit", amount=1) == {"balance": n + 3}
        assert not i.worker.ready()

        assert [place for place, _ in Control(log, topics).accept(topics.journal)] == [(topics.journal, GONE)]
        wait_until(lambda: served(i, account(GONE)), 60)
        wait_until(i.worker.ready)
        left = 1 if store == "an older one" else 0
        assert i.ask(account(GONE), "balance") == left
        assert i.ask(account(GONE), "deposit", amount=5) == {"balance": left + 5}
        assert i.ask(account(WELL), "balance") == 5
    assert "is LOST" in caplog.text
    with Installation(log, tmp_path / "b", prefix=topic_prefix) as i:  # it was accepted for good
        assert i.ask(account(GONE), "balance") == left + 5
    log.close()
