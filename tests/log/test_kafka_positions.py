"""Positions on Kafka: none is told that is not proven."""

import pytest
from confluent_kafka import Consumer, TopicPartition

from plexstream.log.kafka.log import KafkaLog

pytestmark = pytest.mark.kafka


@pytest.fixture
def log(kafka):
    log = KafkaLog(kafka)
    yield log
    log.close()


def test_none_is_told_without_a_witness(log, topic, witness):
    transaction = log.transaction(f"{topic}-relay")
    transaction.commit([], {(topic, 0): 1})
    with pytest.raises(ValueError, match="witness"):
        transaction.position((topic, 0))
    transaction.close()
    transaction = log.transaction(f"{topic}-relay", witness=witness)
    with pytest.raises(ValueError, match="is the witness"):
        transaction.position(witness)
    transaction.close()


def test_the_group_lags_behind_nothing_of_the_witness(log, topic, witness, kafka):
    appender = log.appender()
    appender.append(witness, [(b"k", b"v")] * 3, None)
    while not appender.poll(1.0):
        pass
    appender.close()
    transaction = log.transaction(f"{topic}-relay", witness=witness)
    assert transaction.position((topic, 0)) is None
    transaction.close()
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": f"{topic}-relay"})
    (found,) = consumer.committed([TopicPartition(*witness)], 20)
    consumer.close()
    assert found.offset == 3
