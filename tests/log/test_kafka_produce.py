"""Handing over to librdkafka, compiled and in Python: the same records, the same fates."""

import gc
import subprocess
import sys
import threading

import pytest
from confluent_kafka import KafkaError, Producer
from log_driving import append, items, read_all, take
from topic_limits import lower_the_limit

from plexstream.log.kafka.appending import produce
from plexstream.log.kafka.appending.appender import KafkaAppender
from plexstream.log.kafka.appending.transaction import KafkaTransaction
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.errors import LogError, Refused

pytestmark = pytest.mark.kafka


@pytest.fixture
def backend():
    return "kafka"


def test_a_group_is_in_its_order_and_its_last_record_tells(log, topic, handing_over):
    appender = KafkaAppender(log)
    group = items(*(b"%d" % number for number in range(500)), None, b"")
    assert append(appender, (topic, 1), group) == 501
    found = read_all(log, (topic, 1), 502)
    assert [(r.key, r.value) for r in found] == [(k if type(k) is bytes else k.encode(), v) for k, v in group]
    appender.close()


def test_a_transaction_has_all_its_records_in_the_order_of_each_partition(
    log, make_topic, witness, handing_over
):
    topics = [make_topic(3), make_topic(1)]
    transaction = log.transaction(f"{topics[0]}-relay", witness=witness)
    keys = ("kéy1", b"\x00\xff", "", "key2", b"")
    records = [
        (topics[number % 2], (None, 0)[number % 2], keys[number % 5], b"%d" % number) for number in range(600)
    ]
    records.append((topics[0], 2, b"gone", None))
    transaction.commit(records, {(topics[1], 0): 7})
    assert transaction.position((topics[1], 0)) == 7
    transaction.close()
    for topic, partitions in ((topics[0], 3), (topics[1], 1)):
        reader = log.reader(committed=True)
        for partition in range(partitions):
            reader.assign((topic, partition), 0)
        wanted = sum(record[0] == topic for record in records)
        found = take(reader, wanted)
        reader.close()
        for partition in range(partitions):
            values = [int(r.value) for r in found if r.partition == partition and r.value]
            assert values == sorted(values)
        by_key = {}
        for r in found:
            by_key.setdefault(r.key, set()).add(r.partition)
        assert all(len(places) == 1 for places in by_key.values())
        assert sorted((r.key, r.value or b"") for r in found) == sorted(
            (key.encode() if isinstance(key, str) else key, value or b"")
            for name, _, key, value in records if name == topic
        )  # fmt: skip


def test_who_is_refused_is_named_and_nothing_is_committed(log, make_topic, handing_over):
    topic = make_topic(1)
    transaction = log.transaction(f"{topic}-relay")
    transaction.commit([(topic, 0, b"k", b"first")], {(topic, 0): 1})
    lower_the_limit(log.bootstrap, topic, 1_000)
    with pytest.raises(Refused) as refused:
        transaction.commit([(topic, 0, b"k", b"small"), (topic, 0, b"k", b"x" * 5_000)], {(topic, 0): 2})
    assert "MSG_SIZE_TOO_LARGE" in str(refused.value) or "RECORD_LIST" in str(refused.value)
    assert 1 in refused.value.records
    transaction.close()
    assert [r.value for r in read_all(log, (topic, 0), 1)] == [b"first"]


def test_plugins_of_the_user_go_with_reports(handing_over):
    assert isinstance(produce.fates(["producer.plugin.library.paths"]), produce.Reported)
    kind = produce.Watched if produce.COMPILED else produce.Reported
    assert isinstance(produce.fates([]), kind)


@pytest.mark.parametrize(
    "wrong",
    [
        [(b"k",)], [b"k"], [(b"k", 7)], [(3, b"v")], ["ab"], [(b"k", b"v"), None], [("\ud800", b"v")],
    ],
)  # fmt: skip
def test_what_is_no_record_is_an_error_and_none_of_it_is_handed_over(kafka, wrong):
    producer = Producer({"bootstrap.servers": kafka})
    with pytest.raises((TypeError, UnicodeEncodeError)):
        produce._produce.produce(producer, "t", 0, wrong, 0, 1, None)
    assert len(producer) == 0


def test_only_producers_are_taken_for_producers(kafka):
    for other in (object(), "x", None, type):
        with pytest.raises(TypeError):
            produce._produce.produce(other, "t", 0, [(b"k", b"v")], 0, 1, None)
        with pytest.raises(TypeError):
            produce._produce.watch(other)
    with pytest.raises(RuntimeError, match="plugin"):
        produce._produce.watch(Producer({"bootstrap.servers": kafka}))
    with pytest.raises(ValueError, match="records"):
        produce._produce.produce(Producer({"bootstrap.servers": kafka}), "t", 0, [(b"k", b"v")], -1, 1, None)


def test_a_group_that_librdkafka_refuses_leaves_no_callback_behind(log, topic):
    producer = Producer({"bootstrap.servers": log.bootstrap, "message.max.bytes": 4_000})

    class Told:
        def __call__(self, error, message):
            raise AssertionError("nobody was to be told")

    told = Told()
    large = [(b"k", b"x" * 10_000)]
    refused = produce._produce.produce(producer, topic, 0, large, 0, 1, told)
    assert refused == (0, KafkaError.MSG_SIZE_TOO_LARGE)
    producer.flush(5)
    assert len(gc.get_referrers(told)) <= 1, "this function's frame alone"


def test_fates_outlive_their_producer_and_threads_may_ask_at_any_time(log, topic):
    fates = produce.Watched()
    producer = Producer({"bootstrap.servers": log.bootstrap, "message.timeout.ms": 1, **fates.settings})
    fates.attach(producer)
    asked = threading.Event()

    def ask(of):
        while not asked.is_set():
            of.undelivered()
            of.unproven()

    asking = threading.Thread(target=ask, args=(fates,))
    asking.start()
    for number in range(300):
        fates.send([(topic, 0, b"k", b"%d" % number)] * 50)
        if number % 10 == 0:
            fates.clear()
    producer.flush(10)
    asked.set()
    asking.join()
    late = fates.undelivered()
    assert all((name, key) == (topic, b"k") for name, key, _, _ in late)
    assert {error.code() for *_, error in late} <= {KafkaError._MSG_TIMED_OUT}
    watch = fates._watch
    del producer, fates, asking
    gc.collect()
    assert len(watch.undelivered()) == len(late)


ASKED_WHILE_COLLECTING = """
import gc, threading, time
from confluent_kafka import Producer
from plexstream.log.kafka.appending import produce

fates = produce.Watched()
away = {"bootstrap.servers": "127.0.0.1:1", "message.timeout.ms": 1, "log_level": 0}
producer = Producer(away | fates.settings)
fates.attach(producer)
fates.send([("t", 0, b"k", b"v")] * 4_000)
while len(fates.undelivered()) < 4_000:
    producer.poll(0.1)

class Cycle:
    def __init__(self):
        self.own = self

    def __del__(self):
        time.sleep(0.01)  # another thread goes on

ended = False

def ask():
    while not ended:
        fates.unproven()
        time.sleep(0)

asking = threading.Thread(target=ask)
asking.start()
gc.set_threshold(50)
for _ in range(5):
    Cycle()  # found while more tuples are made than CPython has in store
    fates.undelivered()
ended = True
asking.join()
print("ended")
"""


def test_threads_may_ask_while_the_collector_runs_finalizers():
    """Where one lets go of the GIL, no thread that takes it waits for who waits for the GIL."""
    done = subprocess.run(
        [sys.executable, "-c", ASKED_WHILE_COLLECTING], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("ended\n", "")


def test_many_transactions_end_one_after_the_other(log, topic, handing_over):
    """Each has its own fates: none is told of another's."""
    for number in range(4):
        transaction = KafkaTransaction(log, f"{topic}-{number}", "")
        transaction.commit([(topic, 0, b"k", b"%d" % number)] * 3, {})
        transaction.close()
    assert len(read_all(log, (topic, 0), 12)) == 12


def test_nothing_is_sent_to_a_log_that_is_away(handing_over):
    log = KafkaLog("127.0.0.1:1", {"socket.connection.setup.timeout.ms": "1000"})
    with pytest.raises(LogError):
        log.transaction("nobody")
    log.close()
