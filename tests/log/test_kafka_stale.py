"""Brokers that stand still, come back with another epoch, or go for good: whoever asked goes on."""

import threading
import time

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec
from log_driving import acks, fill, items, take

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.errors import Unreadable
from plexstream.testing.kafka.broker import LocalBroker

pytestmark = [pytest.mark.kafka, pytest.mark.slow]


FENCED_S = 6.0
"""Well over the broker's session (2 s): its controller takes it for dead, partitions get new epochs."""


@pytest.fixture(scope="module")
def broker():
    with LocalBroker() as broker:
        yield broker


@pytest.fixture
def log(broker):
    log = KafkaLog(broker.address)
    yield log
    log.close()


@pytest.fixture
def topic(log, request):
    name = f"test-{request.node.name.replace('[', '-').replace(']', '')}"
    log.create([TopicSpec(name, 2)])
    return name


def stand_still(broker, seconds=FENCED_S):
    broker.pause()
    try:
        time.sleep(seconds)
    finally:
        broker.resume()


def new_epoch(broker, log, topic):
    """Pause the broker until its partitions have another epoch: now and then it is quick, and keeps it."""
    for _ in range(5):
        before = epoch(broker, topic)
        stand_still(broker)
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            if epoch(broker, topic) > before:
                return
            time.sleep(0.2)
    pytest.fail("the epoch never changed")


def epoch(broker, topic):
    """Of the partition's leader, by a client of its own."""
    client = AdminClient({"bootstrap.servers": broker.address, "log_level": 0})
    place = TopicPartition(topic, 0)
    try:
        answer = client.list_offsets({place: OffsetSpec.latest()}, request_timeout=10)[place]
        return answer.result(12).leader_epoch
    except KafkaException:
        return -1


def test_after_a_pause_every_client_goes_on(broker, log, topic, witness):
    place = (topic, 0)
    assert fill(log, place, b"1") == 0
    appender, reader = log.appender(), log.reader()
    reader.assign(place, 0)
    assert [r.value for r in take(reader, 1)] == [b"1"]
    transaction = log.transaction(f"{topic}-relay", witness=witness)
    transaction.commit([(topic, 1, b"k", b"v")], {place: 1})
    assert log.range(place) == (0, 1)
    new_epoch(broker, log, topic)
    assert log.range(place) == (0, 1)
    appender.append(place, items(b"2"), "token")
    (ack,) = acks(appender, 1)
    assert (ack.offset, ack.error) == (1, None)
    assert [r.value for r in take(reader, 1)] == [b"2"]
    log.trim(place, 1, 2)
    assert log.range(place) == (1, 2)
    assert transaction.position(place) == 1
    transaction.commit([(topic, 1, b"k", b"v")], {place: 2})
    assert transaction.position(place) == 2
    reader.assign(place, 0)
    assert [r.offset for r in take(reader, 1)] == [1]
    appender.close()
    reader.close()
    transaction.close()


def test_a_reader_waits_for_nobody(broker, log, topic):
    """A worker reads many partitions on one thread: a broker that does not answer must not hold that up."""
    place = (topic, 0)
    fill(log, place, *[b"%d" % number for number in range(20)])
    log.trim(place, 10, 20)
    log.prepare([topic])
    reader = log.reader()
    reader.assign(place, 15)
    assert [r.offset for r in take(reader, 5)] == list(range(15, 20))
    other = log.reader()
    broker.pause()
    try:
        began = time.monotonic()
        other.assign(place, 3)  # has to be moved to where the partition begins
        reader.assign(place, 3)
        reader.assign((topic, 1), 0)
        for _ in range(20):
            assert reader.read(10, 0.01) == []
            assert other.read(10, 0.01) == []
        assert time.monotonic() - began < 3
    finally:
        broker.resume()
    assert [r.offset for r in take(reader, 10)] == list(range(10, 20))
    assert [r.offset for r in take(other, 10)] == list(range(10, 20))
    reader.close()
    other.close()


def test_a_reader_whose_consumer_is_given_up_goes_on_with_another(log, topic):
    for partition in (0, 1):
        fill(log, (topic, partition), *[b"%d" % number for number in range(100)])
    reader = log.reader()
    reader.assign((topic, 0), 0)
    reader.assign((topic, 1), 50)
    reader.pause((topic, 1))
    found = take(reader, 30)
    reader._handle(KafkaError(KafkaError._FATAL, "librdkafka is at its end", True), None, None)
    found += take(reader, 70)
    assert [r.offset for r in found] == list(range(100))
    reader.resume((topic, 1))
    assert [r.offset for r in take(reader, 50)] == list(range(50, 100))
    reader.close()


def test_a_topic_that_is_deleted_costs_its_place_alone(broker, log, topic):
    gone = f"{topic}-gone"
    log.create([TopicSpec(gone, 1)])
    fill(log, (gone, 0), b"v")
    fill(log, (topic, 0), b"v")
    reader = log.reader()
    reader.assign((gone, 0), 0)
    reader.assign((topic, 0), 0)
    assert len(take(reader, 2)) == 2
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.delete_topics([gone])[gone].result(20)
    with pytest.raises(Unreadable, match=gone) as raised:
        reader.read(10, 60)
    assert (raised.value.topic, raised.value.partition) == (gone, 0)
    fill(log, (topic, 0), b"next")
    assert [r.value for r in take(reader, 1)] == [b"next"]
    reader.close()


def test_a_trim_while_the_broker_stands_still_deletes_what_it_says_and_no_more(broker, log, topic):
    place = (topic, 0)
    fill(log, place, *[b"%d" % number for number in range(100)])
    assert log.range(place) == (0, 100)
    broker.pause()
    outcome = []

    def trim():
        try:
            outcome.append(log.trim(place, 10, 100))
        except Exception as error:
            outcome.append(error)

    thread = threading.Thread(target=trim)
    thread.start()
    time.sleep(20)
    broker.resume()
    thread.join(60)
    assert len(outcome) == 1
    first, end = KafkaLog(broker.address).range(place)
    assert end == 100
    assert first in ((10,) if outcome == [None] else (0, 10))
