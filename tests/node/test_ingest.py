"""Sources that are not what they were: each costs itself, and what is new counts as new."""

import json
import logging

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from installation import wait_until

from plexstream.log import installation
from plexstream.log.base import TopicSpec
from plexstream.log.installation import Control
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.journal.journal import Claim
from plexstream.model.topics.topics import Topics
from plexstream.node.ingest.ingest import Ingest
from plexstream.node.ingest.sources import positions, sources, subscribed
from plexstream.node.setup import topology
from plexstream.node.shared.desk import Answer
from plexstream.processor.journal.sums.fold import MAILBOX
from plexstream.processor.journal.sums.inbox import InboxState
from plexstream.schema.codec import decode_envelope, encode_journal
from plexstream.sdk.spec import Subscription

T = Topics("t.")


class Type:
    def __init__(self, *topics):
        self.subscriptions = [Subscription(topic, None, "sink", "blob") for topic in topics]


@pytest.fixture(autouse=True)
def at_once(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(subscribed, "LOOK_S", 0.02)
    monkeypatch.setattr(positions, "POSITION_S", 0.05)
    for name in ("RETRY_S", "REFUSED_S"):
        monkeypatch.setattr(sources, name, 0.05)


class Site:
    """An ingest, begun anew as often as wanted."""

    def __init__(self, log, topics=T, sources=("a", "b")):
        self.log, self.topics = log, topics
        topology.apply(log, topics, 2)
        self.types = {"t": Type(*sources)}
        self.ingest = None

    def __enter__(self):
        self.ingest = Ingest(self.log, self.topics, 2, self.types, 1 << 20)
        self.ingest.start()
        self.ingest.assign([0, 1])
        return self

    def __exit__(self, *_):
        self.ingest.stop()

    def messages(self):
        """What receivers take, as (origin's topic, value): repetitions are dropped."""
        found = []
        for p in range(2):
            inbox = InboxState(MAILBOX, None)
            place = (self.topics.mailbox, p)
            first, end = self.log.range(place)
            reader = self.log.reader()
            reader.assign(place, first)
            while first < end:
                for record in reader.read(100, 5.0):
                    first = record.offset + 1
                    e = decode_envelope(record.value)
                    if inbox.admit(record.offset, e.origin, e.origin_seq, e.origin_index):
                        source = e.origin.partition("/")[0]
                        found.append((source, e.headers.get("malformed") or json.loads(e.payload)["blob"]))
            reader.close()
        return sorted(found, key=repr)

    def expect(self, *messages):
        wait_until(lambda: len(self.messages()) >= len(messages))
        assert self.messages() == sorted(messages, key=repr)

    def stored(self, place, position):
        """Wait until a position is stored."""

        def is_stored():
            id = f"{self.topics.prefix}ingest.{place[0]}.{place[1]}"
            transaction = self.log.transaction(id, witness=(self.topics.control, 0))
            try:
                return transaction.position(place) == position
            finally:
                transaction.close()

        wait_until(is_stored)


def give(log, place, *values):
    appender = log.appender()
    appender.append(place, [(b"k%d" % v, b"%d" % v) for v in values], None)
    acks = []
    while not acks:
        acks = appender.poll(0.2)
    assert acks[0].error is None
    appender.close()


def memory(*sources):
    log = MemoryLog()
    log.create([TopicSpec(name, 1) for name in sources or ("a", "b")])
    return log


def shorten(log, place):
    """An out-of-sync replica is made leader."""
    log._topics[place[0]][place[1]].slots = []


@pytest.mark.parametrize("running", [True, False], ids=["while it is read", "before"])
def test_a_source_that_is_shorter_than_it_was_is_refused_by_name_and_others_go_on(running, caplog):
    log = memory()
    with Site(log) as site:
        give(log, ("a", 0), 1, 2, 3)
        give(log, ("b", 0), 10)
        site.expect(("a", 1), ("a", 2), ("a", 3), ("b", 10))
        site.stored(("a", 0), 3)
        if running:
            shorten(log, ("a", 0))
            wait_until(lambda: "is not read" in caplog.text)
    if not running:
        shorten(log, ("a", 0))
    with site:
        wait_until(lambda: "a[0] is not read: it ended at offset 0, but was read up to 3" in caplog.text)
        assert "`plexstream topics accept a`" in caplog.text
        give(log, ("b", 0), 11)
        # So many that it is longer than it was: it stays refused, or some would be passed over in silence.
        give(log, ("a", 0), 4, 5, 6, 7, 8)
        site.expect(("a", 1), ("a", 2), ("a", 3), ("b", 10), ("b", 11))
    with site:
        give(log, ("b", 0), 12)
        site.expect(("a", 1), ("a", 2), ("a", 3), ("b", 10), ("b", 11), ("b", 12))
        assert [place for place, _ in Control(log, T).accept("a")] == [("a", 0)]
        old = [("a", n) for n in (1, 2, 3)] + [("b", n) for n in (10, 11, 12)]
        site.expect(*old, *[("a", n) for n in (4, 5, 6, 7, 8)])
        site.stored(("a", 0), 5)
    with site:
        give(log, ("a", 0), 9)
        site.expect(*old, *[("a", n) for n in (4, 5, 6, 7, 8, 9)])
    assert Control(log, T).accept("a") == []


@pytest.mark.parametrize("running", [True, False], ids=["while it is read", "before"])
def test_records_of_a_topic_that_was_made_again_count_as_new(running, caplog):
    log = memory()

    def make_again():
        log.delete_now("a")
        log.create([TopicSpec("a", 1)])
        give(log, ("a", 0), 1, 2)

    with Site(log) as site:
        give(log, ("a", 0), 1, 2, 3)
        site.expect(("a", 1), ("a", 2), ("a", 3))
        site.stored(("a", 0), 3)
        if running:
            make_again()
            wait_until(lambda: "its records count as new" in caplog.text)
    if not running:
        make_again()
    with site:
        site.expect(("a", 1), ("a", 1), ("a", 2), ("a", 2), ("a", 3))
    assert "topic a was deleted and made again" in caplog.text
    assert "its records count as new" in caplog.text


def test_partitions_that_are_added_are_read(caplog):
    log = memory()
    with Site(log) as site:
        give(log, ("a", 0), 1)
        site.expect(("a", 1))
        log.grow_now("a", 3)
        give(log, ("a", 2), 2)
        site.expect(("a", 1), ("a", 2))
    assert "topic a has 2 partitions more" in caplog.text


def test_an_installation_of_old_goes_on_with_the_origins_that_it_has():
    log = memory()
    log.create(topology.specs(T, 2))
    log.append_now((T.journal, 0), [(b"a", encode_journal(Claim("t", "n", 0, {})))])
    old = log.transaction("t.ingest.a.0")
    old.commit([], {("a", 0): 1})
    give(log, ("a", 0), 1, 2)
    with Site(log) as site:
        site.expect(("a", 2))
        assert origins(site) == {"a/0"}
        log.delete_now("a")
        log.create([TopicSpec("a", 1)])
        give(log, ("a", 0), 3)
        site.expect(("a", 2), ("a", 3))
        assert origins(site) == {"a/0", f"a/0@{log.topic_id('a')}"}


def origins(site):
    found = set()
    for p in range(2):
        records, _ = site.log.fetch((T.mailbox, p), 0, 1000, False)
        found |= {decode_envelope(r.value).origin for r in records}
    return found


def test_a_record_whose_message_does_not_fit_is_put_aside_and_nothing_else():
    log = MemoryLog()
    log.create([TopicSpec("a", 1, {"max.message.bytes": str(8 << 20)}), TopicSpec("b", 1)])
    log.create([TopicSpec(T.mailbox, 2, {"max.message.bytes": "600000"})])
    with Site(log) as site:
        log.append_now(("a", 0), [(b"\0" * 1_400_000, b"1"), (b"k", b"2")])
        log.append_now(("a", 0), [(b"k", b'"%s"' % (b"x" * 700_000)), (b"k" * 700_000, b"4")])
        log.append_now(("a", 0), [(b"k", b"3")])
        give(log, ("b", 0), 10)
        wait_until(lambda: len(site.messages()) == 6)
        found = site.messages()
        assert [m for m in found if isinstance(m[1], int)] == [("a", 2), ("a", 3), ("b", 10)]
        refused = " ".join(text for _, text in found if isinstance(text, str))
        assert "is no actor id" in refused
        assert refused.count("its message is too large") == 2


def test_what_cannot_be_asked_of_one_topic_costs_that_one(monkeypatch, caplog):
    log = memory()
    ask = log.topic_id

    def topic_id(topic):
        if topic == "a":
            raise installation.LogError("forbidden")
        return ask(topic)

    monkeypatch.setattr(log, "topic_id", topic_id)
    with Site(log) as site:
        give(log, ("b", 0), 10)
        site.expect(("b", 10))
        assert "'a' is not known: forbidden" in caplog.text


class Asked:
    """A desk whose questions wait until they are let go, one by one."""

    def __init__(self):
        self.waiting = []
        self.answers = []

    def ask(self, owner, partition, ask, then):
        self.waiting.append((ask, then))

    def answer(self, index=0):
        ask, then = self.waiting.pop(index)
        self.answers.append(Answer(None, then, ask()))

    def take(self):
        taken, self.answers = self.answers, []
        return taken

    def close(self):
        pass


@pytest.mark.parametrize("read_again", [True, False], ids=["it was read again before", "after"])
def test_an_answer_that_comes_after_a_source_was_put_off_keeps_nothing_waiting(read_again):
    log = memory("a")
    log.create(topology.specs(T, 2))
    now, desk = [0.0], Asked()
    site = Ingest(log, T, 2, {"t": Type("a")}, 1 << 20, clock=lambda: now[0], desk=desk)
    reader, appender = log.reader(committed=True), log.appender()

    def step(seconds=0.0):
        now[0] += seconds
        site.step(reader, appender)

    site.begin()
    site.assign([0])
    give(log, ("a", 0), 1, 2, 3)
    for _ in ("which topics there are", "where to begin"):
        step()
        desk.answer()
    wait_until(lambda: step() or bool(desk.waiting))  # which life the records are of
    source = site._sources.by_place["a", 0]
    site._sources.put_off(reader, source, "a mailbox did not take it")
    if read_again:
        for _ in range(5):
            step(sources.RETRY_S)
    while desk.waiting:
        desk.answer()
    for _ in range(20):
        step(sources.RETRY_S)
        while desk.waiting:
            desk.answer()
    assert source.done == 3
    assert site.idle()


@pytest.mark.kafka
def test_on_kafka(kafka, topic_prefix, caplog):
    topics = Topics(topic_prefix)
    a, b = f"{topic_prefix}a", f"{topic_prefix}b"
    log = KafkaLog(kafka)
    log.create([TopicSpec(a, 1), TopicSpec(b, 1)])
    admin = AdminClient({"bootstrap.servers": kafka})
    with Site(log, topics, (a, b)) as site:
        give(log, (a, 0), 1, 2, 3)
        site.expect((a, 1), (a, 2), (a, 3))
        for future in admin.create_partitions([NewPartitions(b, 2)]).values():
            future.result(10)
        wait_until(lambda: KafkaLog(kafka).topics()[b] == 2)
        give(KafkaLog(kafka), (b, 1), 10)
        site.expect((a, 1), (a, 2), (a, 3), (b, 10))
        site.stored((a, 0), 3)
        for future in admin.delete_topics([a]).values():
            future.result(10)
        wait_until(lambda: a not in KafkaLog(kafka).topics())
        other = KafkaLog(kafka)
        other.create([TopicSpec(a, 1)])
        give(other, (a, 0), 1, 2)
        site.expect((a, 1), (a, 1), (a, 2), (a, 2), (a, 3), (b, 10))
        give(other, (a, 0), *range(20, 30))
        site.expect((a, 1), (a, 1), (a, 2), (a, 2), (a, 3), (b, 10), *[(a, n) for n in range(20, 30)])
    with site:
        give(other, (a, 0), 4)
        wait_until(lambda: (a, 4) in site.messages())
    assert f"topic {a} was deleted and made again" in caplog.text
    log.close()
    other.close()


@pytest.mark.kafka
def test_a_source_that_is_made_again_at_once_is_another_however_many_records_it_has(
    kafka, topic_prefix, caplog, monkeypatch
):
    monkeypatch.setattr(subscribed, "LOOK_S", 5.0)
    topics, a = Topics(topic_prefix), f"{topic_prefix}a"
    log = KafkaLog(kafka)
    log.create([TopicSpec(a, 1)])
    admin = AdminClient({"bootstrap.servers": kafka})
    with Site(log, topics, (a,)) as site:
        give(log, (a, 0), *range(20))
        site.expect(*[(a, n) for n in range(20)])
        for future in admin.delete_topics([a]).values():
            future.result(10)
        other = KafkaLog(kafka)
        wait_until(lambda: a not in other.topics())
        other.create([TopicSpec(a, 1)])
        give(other, (a, 0), *range(100, 160))
        wait_until(lambda: (a, 159) in site.messages())
        give(other, (a, 0), 200)
        wait_until(lambda: (a, 200) in site.messages())
        wait_until(lambda: f"topic {a} was deleted and made again" in caplog.text)
        site.expect(*[(a, n) for n in (*range(20), *range(100, 160), 200)])
        site.stored((a, 0), 61)
    assert site.messages() == sorted([(a, n) for n in (*range(20), *range(100, 160), 200)], key=repr)
    other.close()
    log.close()
