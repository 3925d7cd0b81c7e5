"""Taking from librdkafka, compiled and in Python: the same records, the same errors."""

import gc
import logging
import sys
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from log_driving import PATIENCE_S, fill, items, read_all, take

from plexstream.log.base import Record
from plexstream.log.kafka.common.settings import READER, client_settings
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.kafka.reading import consume
from plexstream.model.errors import Unreadable

pytestmark = pytest.mark.kafka

ENDS = {"enable.partition.eof": True}
"""A partition that is read to its end says so."""


@pytest.fixture
def backend():
    return "kafka"


@pytest.fixture
def heard():
    return []


@pytest.fixture
def sources(heard):
    return [consume.Fetched(heard.append), consume.Polled()]


@pytest.fixture
def consumer_of(log):
    """A consumer as a reader makes it."""
    made = []

    def make(source, *places, bootstrap=log.bootstrap, **own):
        settings = client_settings(bootstrap, READER | source.settings | own, {}, "consumer", lambda _: None)
        consumer = Consumer(settings)
        made.append(consumer)
        consumer.assign([TopicPartition(*place) for place in places])
        return consumer

    yield make
    for consumer in made:
        consumer.close()


def drain(source, consumer, positions, until, limit=1_000):
    """All that comes until `until(records, errors)`."""
    records, errors = [], []
    end = time.monotonic() + PATIENCE_S
    while not until(records, errors):
        assert time.monotonic() < end, (len(records), errors)
        _, stop = source.next(consumer, limit, 0.05, positions, records)
        while stop is not None:
            errors.append(stop[0])
            stop = consume.take(stop[1], positions, records)
    return records, errors


def write_all_kinds(address, topic):
    producer = Producer(
        {
            "bootstrap.servers": address, "message.max.bytes": 2_000_000, "batch.num.messages": 1,
            "enable.idempotence": True,
        }
    )
    kinds = [
        (b"k", b"v", None, 1_500_000_000_123), (None, b"no key", None, 1), (b"gone", None, None, 2),
        (None, None, [("h", b"x"), ("h", None)], 3), (b"", b"", None, 4), (b"\xc3\xa9", b"\x00\xff", [], 5),
        (b"k" * 3_000, b"large" * 150_000, [("huge", b"y" * 10_000)], 6),
    ]  # fmt: skip
    for number in range(200):
        key, value, headers, at = (
            kinds[number % len(kinds)] if number < 20 else (b"k%d" % number, b"v", None, 7)
        )
        producer.produce(topic, value, key, number % 2, headers=headers, timestamp=at)
    assert producer.flush(20) == 0
    return 200


def test_records_of_all_kinds_are_the_same(log, make_topic, sources, consumer_of):
    topic = make_topic(2, max_message_bytes="2000000")
    count = write_all_kinds(log.bootstrap, topic)
    read = []
    for source in sources:
        positions = {(topic, 0): 0, (topic, 1): 3}
        consumer = consumer_of(source, (topic, 0, 0), (topic, 1, 0))
        records, errors = drain(source, consumer, positions, lambda r, _: len(r) == count - 3)
        assert errors == []
        assert positions == {(topic, 0): 100, (topic, 1): 100}
        assert all(type(record) is Record for record in records)
        assert all([*map(type, record)][:4] == [str, int, int, bytes] for record in records)
        read.append(sorted(records))
    assert read[0] == read[1]
    assert {record.offset for record in read[0] if record.partition == 1} == set(range(3, 100))
    assert {type(record.value) for record in read[0]} == {bytes, type(None)}
    assert read[0][0] == (topic, 0, 0, b"k", b"v", 1_500_000_000_123)
    assert max(len(record.value or b"") for record in read[0]) == 750_000


def test_a_reader_goes_on_where_records_are_gone_and_says_where_a_partition_ends(log, topic, taking):
    fill(log, (topic, 0), *(b"%d" % number for number in range(50)))
    fill(log, (topic, 1), b"other")
    log.trim((topic, 0), 30, 50)
    reader = log.reader()
    reader.assign((topic, 0), 0)
    assert [record.offset for record in take(reader, 20)] == list(range(30, 50))
    reader.assign((topic, 0), 60)
    reader.assign((topic, 1), 0)
    with pytest.raises(Unreadable, match="50"):
        take(reader, 2)
    reader.close()
    assert [record.value for record in read_all(log, (topic, 1), 1)] == [b"other"]


def test_what_was_not_committed_does_not_come(log, topic, taking):
    producer = Producer({"bootstrap.servers": log.bootstrap, "transactional.id": f"{topic}-t"})
    producer.init_transactions(20)
    for number in range(6):
        producer.begin_transaction()
        for _ in range(3):
            producer.produce(topic, b"%d" % number, b"k", 0)
        producer.flush(20)
        (producer.abort_transaction if number % 2 else producer.commit_transaction)(20)
    reader = log.reader(committed=True)
    reader.assign((topic, 0), 0)
    assert [record.value for record in take(reader, 9)] == [b"0"] * 3 + [b"2"] * 3 + [b"4"] * 3
    assert reader.read(10, 0.3) == []
    reader.close()
    everything = log.reader()
    everything.assign((topic, 0), 0)
    assert len(take(everything, 18)) == 18
    everything.close()


def test_errors_come_in_their_order_with_what_is_behind_them(log, make_topic, sources, consumer_of):
    topic, short = make_topic(1), make_topic(1)
    fill(log, (topic, 0), *(b"%d" % number for number in range(100)))
    for source in sources:
        consumer = consumer_of(source, (topic, 0, 0), (short, 0, 1_000), **ENDS)
        positions = {(topic, 0): 0, (short, 0): 1_000}
        records, errors = drain(source, consumer, positions, lambda r, e: len(r) == 100 and len(e) >= 2)
        assert [record.offset for record in records] == list(range(100))
        assert positions == {(topic, 0): 100, (short, 0): 1_000}
        codes = {error.code(): where for error, *where in errors}
        assert codes == {KafkaError._PARTITION_EOF: [topic, 0], KafkaError._AUTO_OFFSET_RESET: [short, 0]}
        assert all(type(error) is KafkaError and error.str() and not error.fatal() for error, *_ in errors)


def test_behind_an_error_there_is_no_message_of_librdkafkas(log, topic, sources, consumer_of):
    """Its consumer may be closed there, which would wait for them for ever."""
    for partition in (0, 1):
        fill(log, (topic, partition), *(b"%d" % number for number in range(100)))
    for source in sources:
        end, found, rest = time.monotonic() + PATIENCE_S, [], []
        while not rest:
            assert time.monotonic() < end
            consumer = consumer_of(source, (topic, 0, 0), **ENDS)
            positions, found, failed = {(topic, 0): 0, (topic, 1): 0}, [], None
            time.sleep(0.5)  # all of the one, and its end
            consumer.incremental_assign([TopicPartition(topic, 1, 0)])
            while failed is None and time.monotonic() < end:
                time.sleep(0.5)  # and then what the other has
                _, failed = source.next(consumer, 1_000, 0.05, positions, found)
            rest = [item for item in failed[1] if type(item) is Record]
            consumer.close()
        assert failed[0][0].code() == KafkaError._PARTITION_EOF
        assert consume.take(rest, positions, found) is None
        assert sorted((r.partition, r.offset) for r in found) == [(p, n) for p in (0, 1) for n in range(100)]


def test_what_is_kept_is_looked_at_again():
    error = KafkaError(KafkaError._TRANSPORT)
    records = [Record("t", p, offset, b"", None, 0) for p, offset in ((0, 4), (0, 5), (1, 9), (2, 1), (0, 6))]
    kept = [*records[:3], (error, "t", 0), *records[3:]]
    positions, found = {("t", 0): 5, ("t", 1): 9}, []
    failed, rest = consume.take(kept, positions, found)
    assert failed == (error, "t", 0)
    assert found == records[1:3]
    del positions["t", 0]  # released for the error
    assert consume.take(rest, positions, found) is None
    assert found == records[1:3]
    assert positions == {("t", 1): 10}


def test_connections_that_fail_are_heard_of_and_logged(sources, heard, consumer_of, caplog):
    fetched, _ = sources
    with caplog.at_level(logging.DEBUG, logger="plexstream.kafka"):
        consumer = consumer_of(fetched, bootstrap="127.0.0.1:1", debug="broker")
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and not (heard and caplog.records):
            assert fetched.next(consumer, 10, 0.05, {}, []) == (False, None)
    assert {error.code() for error in heard} <= {KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN}
    assert all(error.str() and not error.fatal() for error in heard)
    assert any("127.0.0.1:1" in error.str() for error in heard)
    names = [record.getMessage() for record in caplog.records if record.name == "plexstream.kafka"]
    assert any("[rdkafka#consumer-" in name for name in names)


def test_only_consumers_are_taken_for_consumers(log, sources, consumer_of):
    for other in (object(), None, Producer({"bootstrap.servers": log.bootstrap})):
        with pytest.raises(TypeError):
            consume._consume.fetch(other, 1, 0, {}, [])
    consumer = consumer_of(sources[0])
    for limit, ms in ((0, 0), (-1, 0), (1_000_001, 0), (1, -1)):
        with pytest.raises(ValueError, match="messages"):
            consume._consume.fetch(consumer, limit, ms, {}, [])
    consumer.close()
    with pytest.raises(RuntimeError, match="closed"):
        consume._consume.fetch(consumer, 1, 0, {}, [])


def test_positions_that_are_none_are_errors_and_nothing_leaks(log, topic, sources, consumer_of):
    fill(log, (topic, 0), *(b"%d" % number for number in range(2_000)))
    fetched = sources[0]
    consumer = consumer_of(fetched, (topic, 0, 0))
    end = time.monotonic() + PATIENCE_S
    with pytest.raises(TypeError, match="position"):
        drain(fetched, consumer, {(topic, 0): "0"}, lambda records, _: records)
    for wrong in ((None, []), ({}, ()), ({},)):
        with pytest.raises(TypeError):
            consume._consume.fetch(consumer, 1, 0, *wrong)
    position = 10**15  # no small number, which is there for ever
    positions, records = {(topic, 0): 0}, []
    for wanted in (False, True):
        came = 0
        consumer.seek(TopicPartition(topic, 0, 0))
        while came < 3 and time.monotonic() < end:
            before = sys.getrefcount(None), sys.getrefcount(topic), sys.getrefcount(Record)
            some = []
            any_came, stop = fetched.next(consumer, 300, 0.05, positions if wanted else {}, some)
            assert stop is None
            assert wanted or some == []
            came += any_came
            records += some
            del some
            if not wanted:
                after = sys.getrefcount(None), sys.getrefcount(topic), sys.getrefcount(Record)
                assert all(abs(b - a) < 10 for a, b in zip(before, after, strict=True))
    assert positions[topic, 0] == records[-1].offset + 1
    last = records[-1]
    del records
    gc.collect()
    assert sys.getrefcount(last) == 2
    assert sys.getrefcount(position) < 10


def test_who_hears_may_raise_and_no_record_is_lost(log, topic, consumer_of):
    """Nor does the consumer wait for ever at its end, as it would for messages that are in a traceback."""
    fill(log, (topic, 0), *(b"%d" % number for number in range(100)))

    class Full(logging.Handler):
        def emit(self, record):
            raise OSError("no space left on device")

    fetched = consume.Fetched(print)
    consumer = consumer_of(fetched, (topic, 0, 0), debug="fetch")
    positions, records, errors = {(topic, 0): 0}, [], []
    logger = logging.getLogger("plexstream.kafka")
    handler, level = Full(), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    try:
        end = time.monotonic() + PATIENCE_S
        while (len(records) < 100 or not errors) and time.monotonic() < end:
            try:
                fetched.next(consumer, 10, 0.05, positions, records)
            except OSError as error:
                errors.append(error)
        assert errors
        assert [r.offset for r in records] == list(range(100))
        closing = threading.Thread(target=consumer.close, daemon=True)
        closing.start()
        closing.join(PATIENCE_S)
        assert not closing.is_alive()
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def test_plugins_of_the_user_go_with_confluents_messages(taking):
    for theirs in ("consumer.plugin.library.paths", "oauth_cb"):
        assert isinstance(consume.source([theirs], print), consume.Polled)
    kind = consume.Fetched if consume.COMPILED else consume.Polled
    assert isinstance(consume.source([], print), kind)


def test_a_reader_of_a_log_that_is_away_has_nothing(taking, caplog):
    log = KafkaLog("127.0.0.1:1", {})
    reader = log.reader()
    end = time.monotonic() + PATIENCE_S
    while "reader" not in caplog.text and time.monotonic() < end:
        assert reader.read(1, 0.1) == []
    assert "reader" in caplog.text  # it is told once, as an outage
    reader.close()
    log.close()


def test_items_are_appended_and_read_back_by_any_number_at_a_time(log, topic, taking):
    group = items(*(b"%d" % number for number in range(30)))
    fill(log, (topic, 0), *(value for _, value in group))
    for limit in (1, 7, 30):
        reader = log.reader()
        reader.assign((topic, 0), 0)
        found = []
        end = time.monotonic() + PATIENCE_S
        while len(found) < 30 and time.monotonic() < end:
            some = reader.read(limit, 0.2)
            assert len(some) <= limit
            found += some
        reader.close()
        assert [record.value for record in found] == [value for _, value in group]
