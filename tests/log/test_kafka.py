"""What only the log on Kafka has: brokers that are away or refuse, and librdkafka's ways to report that."""

import logging
import threading
import time
import uuid

import pytest
from confluent_kafka import KafkaError, Producer
from confluent_kafka.admin import AdminClient
from log_driving import acks, append, fill, items, read_all, take
from topic_limits import lower_the_limit

from plexstream.log.base import Appender, TopicSpec
from plexstream.log.kafka import log as kafka_log
from plexstream.log.kafka.appending import appender as kafka_appender
from plexstream.log.kafka.appending import produce
from plexstream.log.kafka.appending.appender import KafkaAppender
from plexstream.log.kafka.brokers import admin as kafka_admin
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.limits.limits import RefusedForSize
from plexstream.model.errors import ConfigError, LogError, LogUnavailable, TopicMissing
from plexstream.testing.kafka.broker import LocalBroker


@pytest.fixture
def backend() -> str:
    return "kafka"


def delete(address: str, topic: str) -> None:
    """Delete a topic, and wait until the broker has forgotten it."""
    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.delete_topics([topic]).values():
        future.result(10)
    while topic in admin.list_topics(timeout=10).topics:
        time.sleep(0.05)


@pytest.mark.kafka
def test_a_record_refused_in_the_middle_of_a_group_fails_the_group_and_the_appender(log, topic, kafka):
    """Only the last record has a callback, so that its success must never hide another's failure."""
    appender = log.appender()
    append(appender, (topic, 0), items(b"good"))
    lower_the_limit(kafka, topic, 400_000)
    # The middle one travels alone: it is as large as a batch may be.
    groups = [items(b"before", b"x" * 600_000, b"after") for _ in range(3)]
    for token, group in enumerate(groups):
        appender.append((topic, 0), group, token)
    found = acks(appender, 3)
    assert [(ack.token, ack.offset) for ack in found] == [(0, -1), (1, -1), (2, -1)]
    assert all(isinstance(ack.error, RefusedForSize) for ack in found)
    # It is said which one was refused, and of no other: what became of them is unknown.
    why = found[0].error.why
    assert why(groups[0][1])
    assert not any(why(group[0]) or why(group[2]) for group in groups)
    with pytest.raises(LogError, match="open a new one"):
        appender.append((topic, 0), items(b"later"), None)
    with pytest.raises(LogError, match="open a new one"):
        appender.append((topic, 1), items(b"elsewhere"), None)
    assert appender.poll(0.5) == []
    appender.close()
    # Whatever was appended: nothing after the gap.
    end = log.range((topic, 0))[1]
    values = [record.value for record in read_all(log, (topic, 0), end)]
    assert values in ([b"good"], [b"good", b"before"])
    # Another appender goes on.
    assert fill(log, (topic, 0), b"new") == end


@pytest.mark.kafka
def test_a_group_that_is_taken_by_half_is_an_error(log, topic, handing_over, monkeypatch):
    real, takes = produce.produce_group, 2

    def half(producer, topic, partition, items, on_delivery):
        if takes:
            assert real(producer, topic, partition, items[:takes], lambda *_: None) == (takes, None)
        return takes, KafkaError(KafkaError._QUEUE_FULL)

    appender = KafkaAppender(log)
    append(appender, (topic, 0), items(b"good"))
    monkeypatch.setattr("plexstream.log.kafka.appending.appender.produce_group", half)
    appender.append((topic, 0), items(b"1", b"2", b"3", b"4"), "half")
    (ack,) = acks(appender, 1)
    assert (ack.token, ack.offset) == ("half", -1)
    assert isinstance(ack.error, LogError)
    # Nothing was taken: that is raised.
    takes = 0
    other = KafkaAppender(log)
    with pytest.raises(LogError):
        other.append((topic, 0), items(b"1"), "none")
    assert other.poll(0.2) == []
    appender.close()
    other.close()


@pytest.mark.kafka
def test_an_appender_takes_no_more_than_it_may_hold(log, topic, monkeypatch):
    monkeypatch.setattr(kafka_appender, "MAX_PENDING_BYTES", 200_000)
    appender = KafkaAppender(log)
    for number in range(40):
        appender.append((topic, 0), items(*[b"x" * 1000] * 50), number)
        assert appender._pending_bytes <= 200_000
    assert [ack.token for ack in acks(appender, 40)] == list(range(40))
    assert appender._pending_bytes == 0
    appender.close()


@pytest.mark.kafka
def test_records_of_an_open_transaction_stay_unseen_and_its_owner_is_fenced(log, topic, kafka):
    id = f"{topic}-relay"
    zombie = Producer({"bootstrap.servers": kafka, "transactional.id": id, "transaction.timeout.ms": 10_000})
    zombie.init_transactions(10)
    zombie.begin_transaction()
    zombie.produce(topic, b"open", b"k", 0)
    zombie.flush(10)
    fill(log, (topic, 0), b"after")
    committed = log.reader(committed=True)
    committed.assign((topic, 0), 0)
    assert committed.read(10, 0.5) == [], "nothing beyond an open transaction is stable"
    dirty = log.reader()
    dirty.assign((topic, 0), 0)
    assert [record.value for record in take(dirty, 2)] == [b"open", b"after"]
    log.transaction(id).close()
    assert [record.value for record in take(committed, 1)] == [b"after"]
    committed.close()
    dirty.close()


@pytest.mark.kafka
def test_reading_below_the_start_with_much_fetched_ahead(log, topic):
    fill(log, (topic, 0), *[b"%d" % i for i in range(5000)])
    log.trim((topic, 0), 3000, 5000)
    reader = log.reader()
    for offset in (0, 2999, 3000, 3001, 0):
        reader.assign((topic, 0), offset)
        first = max(offset, 3000)
        assert [record.offset for record in take(reader, 100)] == list(range(first, first + 100))
    reader.close()


@pytest.mark.kafka
def test_a_topic_that_cannot_hold_a_batch_is_refused(log, make_topic):
    topic = make_topic(1, max_message_bytes="100000")
    appender = log.appender()
    with pytest.raises(LogError, match=r"max\.message\.bytes=100000"):
        appender.append((topic, 0), items(b"v"), None)
    appender.close()
    reader = log.reader()
    reader.assign((topic, 0), 0)  # reading it is fine
    reader.close()


def test_a_broker_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(kafka_admin, "TIMEOUT_S", 1.0)
    log = KafkaLog("127.0.0.1:1")
    with pytest.raises(LogUnavailable, match=r"127.0.0.1:1.*is the broker up\?"):
        log.topics()
    with pytest.raises(LogUnavailable, match=r"127.0.0.1:1.*is the broker up\?"):
        log.create([TopicSpec("t", 1)])
    log.close()


def test_an_unknown_setting_is_named():
    with pytest.raises(ConfigError, match=r"no\.such\.thing"):
        KafkaLog("127.0.0.1:1", {"no.such.thing": "1"})


@pytest.mark.kafka
def test_librdkafka_speaks_to_our_logger(kafka, caplog, topic):
    caplog.set_level(logging.DEBUG, "plexstream.kafka")
    log = KafkaLog(kafka, {"producer.debug": "eos"})
    appender = log.appender()
    append(appender, (topic, 0), items(b"v"))
    appender.close()
    assert any("rdkafka" in record.getMessage() for record in caplog.records)
    assert not any("experimental" in record.getMessage() for record in caplog.records)


@pytest.mark.kafka
@pytest.mark.slow
def test_a_broker_that_is_killed_loses_nothing_and_repeats_nothing(local_broker):
    """Groups handed over while it is away are appended when it is back: there is no time limit."""
    log = KafkaLog(local_broker.address)
    topic = f"test-{uuid.uuid4().hex[:8]}"
    log.create([TopicSpec(topic, 1)])
    appender, reader = log.appender(), log.reader()
    reader.assign((topic, 0), 0)
    sent = acknowledged = 0
    for _ in range(2):
        for _ in range(200):
            appender.append((topic, 0), items(b"%d a" % sent, b"%d b" % sent), sent)
            sent += 1
        local_broker.kill()
        for _ in range(200):
            appender.append((topic, 0), items(b"%d a" % sent, b"%d b" % sent), sent)
            sent += 1
        acknowledged += len(appender.poll(0.5))
        assert isinstance(reader.read(1, 0.5), list), "a broker that is away is no error to a reader"
        local_broker.restart()
    # An acknowledgement that was lost with the connection is an error, or comes with the right offset.
    deadline = time.monotonic() + 60
    while acknowledged < sent and time.monotonic() < deadline:
        for ack in appender.poll(0.5):
            acknowledged += 1
            assert ack.offset == (2 * ack.token + 1 if ack.error is None else -1)
    assert acknowledged == sent
    reader.assign((topic, 0), 0)
    values = [record.value for record in take(reader, 2 * sent)]
    assert values == [b"%d %s" % (number, part) for number in range(sent) for part in (b"a", b"b")]
    reader.close()
    appender.close()
    log.close()


@pytest.mark.kafka
@pytest.mark.slow
def test_closing_does_not_wait_for_a_broker_that_is_away(local_broker):
    log = KafkaLog(local_broker.address)
    topic = f"test-{uuid.uuid4().hex[:8]}"
    log.create([TopicSpec(topic, 1)])
    appender: Appender | None = log.appender()
    reader = log.reader()
    reader.assign((topic, 0), 0)
    transaction = log.transaction("relay")
    append(appender, (topic, 0), items(b"v"))
    local_broker.kill()
    for number in range(100):
        appender.append((topic, 0), items(b"v"), number)
    began = time.monotonic()
    appender.close()
    appender = None
    reader.close()
    transaction.close()
    log.close()
    assert time.monotonic() - began < 15  # whatever would wait, would for 30 s or more


@pytest.mark.kafka
def test_a_topic_that_is_made_again_has_another_id(log, topic, kafka):
    fill(log, (topic, 0), b"1")
    before = log.topic_id(topic)
    delete(kafka, topic)
    with pytest.raises(TopicMissing, match=topic):
        log.topic_id(topic)
    other = KafkaLog(kafka)
    other.create([TopicSpec(topic, 2)])
    # By a log that knew the former one, too.
    assert log.topic_id(topic) == other.topic_id(topic) != before
    other.close()


@pytest.mark.kafka
def test_a_topic_that_another_has_just_made_is_waited_for(kafka, log, monkeypatch):
    monkeypatch.setattr(kafka_log, "MISSING_S", 30.0)
    asked = threading.Event()
    topics = log.topics

    def look():
        found = topics()
        asked.set()
        return found

    monkeypatch.setattr(log, "topics", look)
    name = f"late-{uuid.uuid4().hex}"
    answers = []
    asking = threading.Thread(target=lambda: answers.append(log.range((name, 1))))
    asking.start()
    assert asked.wait(30)
    other = KafkaLog(kafka)
    other.create([TopicSpec(name, 2)])
    other.close()
    asking.join(30)
    assert answers == [(0, 0)]


@pytest.mark.kafka
def test_asking_for_the_id_of_a_topic_never_creates_it():
    with LocalBroker(settings={"auto.create.topics.enable": "true"}) as broker:
        log = KafkaLog(broker.address)
        with pytest.raises(TopicMissing, match="absent"):
            log.topic_id("absent")
        assert log.topics() == {}
        log.close()


@pytest.mark.kafka
def test_nothing_waits_behind_a_trim(log, topic, monkeypatch):
    """A leader answers it when all replicas have done it, and nothing else of its connection before."""
    attempt, asked = kafka_admin.Admin._attempt, []

    def noted(self, client, *question):
        asked.append(client)
        return attempt(self, client, *question)

    place = topic, 0
    fill(log, place, b"first", b"second")
    monkeypatch.setattr(kafka_admin.Admin, "_attempt", noted)
    log.range(place)
    others = list(asked)
    asked.clear()
    log.trim(place, 1, 2)
    assert others
    assert asked
    assert not {id(client) for client in others} & {id(client) for client in asked}
    assert log.range(place) == (1, 2)
