"""The broker that our users' tests and ours run against is a real one."""

import os
import signal
import subprocess
import sys
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from plexstream.testing.kafka.broker import LocalBroker


def create(address, topic, partitions=1):
    admin = AdminClient({"bootstrap.servers": address})
    admin.create_topics([NewTopic(topic, partitions, 1)])[topic].result(10)


def send(producer, topic, *values):
    """Send and wait. A flush that returns 0 says nothing: refused messages leave the queue too."""
    errors = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: errors.append(error) if error else None)
    assert producer.flush(30) == 0
    assert errors == []


def read(address, topic, count, isolation="read_committed"):
    consumer = Consumer({"bootstrap.servers": address, "group.id": "-", "isolation.level": isolation})
    try:
        consumer.assign([TopicPartition(topic, 0, 0)])
        messages = consumer.consume(count, timeout=10)
        assert [message.error() for message in messages if message.error()] == []
        return [message.value() for message in messages]
    finally:
        consumer.close()


@pytest.mark.kafka
def test_what_is_sent_can_be_read(kafka, topic_prefix):
    topic = f"{topic_prefix}t"
    create(kafka, topic)
    send(Producer({"bootstrap.servers": kafka}), topic, b"1", b"2", b"3")
    assert read(kafka, topic, 3) == [b"1", b"2", b"3"]


@pytest.mark.kafka
def test_only_committed_transactions_are_seen(kafka, topic_prefix):
    topic = f"{topic_prefix}t"
    create(kafka, topic)
    producer = Producer({"bootstrap.servers": kafka, "transactional.id": topic})
    producer.init_transactions(20)
    for value, end in [(b"no", producer.abort_transaction), (b"yes", producer.commit_transaction)]:
        producer.begin_transaction()
        send(producer, topic, value)
        end(20)
    assert read(kafka, topic, 1) == [b"yes"]
    assert read(kafka, topic, 2, "read_uncommitted") == [b"no", b"yes"]


@pytest.mark.kafka
def test_a_group_gets_its_partitions_at_once(kafka, topic_prefix):
    topic = f"{topic_prefix}t"
    create(kafka, topic, partitions=2)
    send(Producer({"bootstrap.servers": kafka}), topic, b"1")
    consumer = Consumer({"bootstrap.servers": kafka, "group.id": topic, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([topic])
        started = time.monotonic()
        (message,) = consumer.consume(1, timeout=10)
        assert message.value() == b"1"
        assert time.monotonic() - started < 5
    finally:
        consumer.close()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["kill", "stop"])
def test_address_and_data_survive(local_broker, how):
    address = local_broker.address
    create(address, "t")
    # One producer over the outage: it finds the broker again.
    producer = Producer({"bootstrap.servers": address, "reconnect.backoff.max.ms": 200})
    send(producer, "t", *(b"%d" % n for n in range(1000)))
    getattr(local_broker, how)()
    assert not local_broker.running
    local_broker.start()
    assert local_broker.address == address
    send(producer, "t", b"after")
    assert read(address, "t", 1001) == [*(b"%d" % n for n in range(1000)), b"after"]


@pytest.mark.slow
def test_a_broker_that_cannot_start_says_why(tmp_path):
    broker = LocalBroker(tmp_path, settings={"log.retention.hours": "soon"})
    with pytest.raises(RuntimeError, match=r"(?s)ended while it started.*log\.retention\.hours"):
        broker.start()
    assert not broker.running


@pytest.mark.kafka
@pytest.mark.slow
def test_the_broker_dies_with_its_starter():
    program = """
import time
from plexstream.testing.kafka.broker import LocalBroker
broker = LocalBroker().start()
print(broker.pid, broker.folder, flush=True)
time.sleep(60)
"""
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with starter:
        pid, folder = starter.stdout.readline().split()
        os.kill(int(pid), 0)
        starter.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + 60
    while os.path.exists(folder) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not os.path.exists(folder)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
