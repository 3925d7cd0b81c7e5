"""What cannot leave stops nothing else: outputs refused, blocked or gone; commits that take too long."""

import threading

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.memory.memory import MemoryLog, MemoryTransaction
from plexstream.model.errors import Fenced, LogUnavailable, Refused
from plexstream.model.journal.journal import Claim, Out, OutKind, Turn
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.channel import Channel
from plexstream.node.lanes.lanes import Lane
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.setup import topology
from plexstream.schema.codec import decode_dead_letter

T = Topics("t.")
EMIT, DEAD = OutKind.EMIT.value, OutKind.DEADLETTER.value
SNAPSHOT = ("t.snapshot", 0, b"a", b"state")


class Log(MemoryLog):
    """A log whose commits do what a test says first: `before(id, records)` may raise or wait."""

    def __init__(self):
        super().__init__()
        self.before = lambda id, records: None
        self.sizes: list[int] = []

    def transaction(self, id, life="", witness=None):
        return Watched(self, id, self.begin_now(id), life)


class Watched(MemoryTransaction):
    def commit(self, records, positions):
        records = list(records)
        self._log.before(self._id, records)
        self._log.sizes.append(len(records))
        super().commit(records, positions)


@pytest.fixture
def log():
    log = Log()
    topology.apply(log, T, 1)
    return log


def turn(*outs: Out) -> Turn:
    return Turn(
        0, "default/default/a/x", 7, "mailbox", 3, 0, 0, False, "", (), "do", "m", "s", 0, "", 0, 0, outs
    )


def emit(topic: str, value: bytes = b"1") -> Out:
    return Out(EMIT, "", topic, "", value)


def dead(payload: bytes) -> Out:
    return Out(DEAD, "m", "default/default/a/x", "do", payload, "failed", "it raised", 1)


def values(log, topic: str) -> list[bytes]:
    reader = log.reader(committed=True)
    found = []
    for p in range(log.topics().get(topic, 0)):
        start, end = log.range((topic, p))
        reader.assign((topic, p), start)
        while start < end and (records := reader.read(100, 2.0 if type(log) is KafkaLog else 0)):
            found += [r.value for r in records]
            start = records[-1].offset + 1
    reader.close()
    return found


def letters(log, topics: Topics = T):
    return [decode_dead_letter(value) for value in values(log, topics.deadletter)]


def run(lane: Lane, steps: int = 30) -> list[str]:
    """All that can be done, and what went wrong on the way."""
    errors = []
    for _ in range(steps):
        for way in lane.ways:
            if way.work():
                try:
                    lane.step(way)
                except LogUnavailable as error:
                    errors.append(str(error))
    return errors


def test_a_name_that_collides_is_put_aside_and_the_rest_leaves(log):
    lane = Lane(0, log, T)
    lane.submit([(0, turn(emit("a_b"))), (1, turn(emit("a.b", b"2"), emit("c")))])
    lane.submit([(2, turn(emit("a_b", b"3")))])
    assert run(lane) == []
    assert values(log, "t.out.a_b") == [b"1", b"3"]
    assert values(log, "t.out.c") == [b"1"]
    (letter,) = letters(log)
    assert (letter.reason, letter.payload, letter.target) == ("output_refused", b"2", "default/default/a/x")
    assert "'t.out.a.b' collides with 't.out.a_b'" in letter.detail
    assert (letter.origin_seq, letter.origin_index) == (1, 0)
    assert lane.backlog == lane.backlog_bytes == 0
    assert [saved.emitted for saved in lane.done if saved.emitted >= 0] == [2]


def test_what_is_too_large_for_its_topic_is_put_aside(log):
    log.create([TopicSpec("t.out.small", 1, {"max.message.bytes": "1000"})])
    lane = Lane(0, log, T)
    lane.submit([(0, turn(emit("small"), emit("small", b"x" * 2000), emit("c")))])
    lane.submit([(1, turn(emit("small", b"2")))])
    assert run(lane) == []
    assert values(log, "t.out.small") == [b"1", b"2"]
    assert [(x.payload, x.origin_index) for x in letters(log)] == [(b"x" * 2000, 1)]
    assert "2019 bytes are over the limit" in letters(log)[0].detail


def test_one_that_brokers_refuse_is_found_among_those_that_were_sent_with_it(log):
    def before(id, records):
        large = [r for r in records if r[3] and r[3].startswith(b"large") and r[0] == "t.out.a"]
        if large:  # as Kafka does: all of the batch, whatever is in it
            raise Refused("no", {i: "no" for i, r in enumerate(records) if r[0] == "t.out.a"}, exact=False)

    log.before = before
    lane = Lane(0, log, T)
    lane.submit([(n, turn(emit("a", b"%d" % n))) for n in range(9)])
    lane.submit([(9, turn(emit("a", b"small"), emit("a", b"large one"), emit("b")))])
    lane.submit([(10, turn(emit("a", b"z")))])
    assert run(lane) == []
    assert values(log, "t.out.a") == [*[b"%d" % n for n in range(9)], b"small", b"z"]
    assert [x.payload for x in letters(log)] == [b"large one"]


def test_a_forbidden_topic_is_put_aside_at_once_and_tried_again_later(log, monkeypatch):
    forbidden = {"t.out.a"}

    def before(id, records):
        if found := forbidden & {topic for topic, *_ in records}:
            raise Refused("no right", topics=dict.fromkeys(found, "no right"), exact=False)

    log.before = before
    lane = Lane(0, log, T)
    lane.submit([(n, turn(emit("a"), emit("b"))) for n in range(50)])
    assert run(lane, 3) == []
    assert (len(letters(log)), len(values(log, "t.out.b"))) == (50, 50)
    assert "no right" in letters(log)[0].detail
    forbidden.clear()
    monkeypatch.setattr("plexstream.node.lanes.outputs.time.monotonic", lambda: 1e9)
    lane.submit([(50, turn(emit("a")))])
    run(lane)
    assert len(values(log, "t.out.a")) == 1


def test_a_topic_that_was_deleted_is_made_again(log):
    lane = Lane(0, log, T)
    lane.submit([(0, turn(emit("a")))])
    run(lane)
    log.delete_now("t.out.a")
    lane.submit([(1, turn(emit("a", b"2"), emit("b")))])
    with pytest.raises(Exception, match="there is no topic"):
        lane.step(lane.outputs)
    assert run(lane) == []
    assert (values(log, "t.out.a"), values(log, "t.out.b")) == ([b"2"], [b"1"])


def test_snapshots_and_dead_letters_do_not_wait_for_outputs(log):
    free = threading.Event()
    log.before = lambda id, records: id.endswith(".out") and not free.wait(20)
    lane = Lane(0, log, T)
    lane.submit([(0, turn(emit("a"), dead(b"{}")))])
    lane.put_aside([(0, turn(emit("a"), dead(b"{}")))])
    lane.step(lane.keeping)
    blocked = threading.Thread(target=lane.step, args=(lane.outputs,), daemon=True)
    blocked.start()
    number = lane.save([SNAPSHOT])
    lane.step(lane.keeping)
    assert values(log, "t.snapshot") == [b"state"]
    assert len(letters(log)) == 1
    assert [(saved.put_aside, saved.batch) for saved in lane.done] == [(0, -1), (-1, number)]
    assert lane.backlog == 1
    free.set()
    blocked.join(20)
    assert lane.backlog == 0


@pytest.mark.parametrize("fate", ["away", "refused"])
def test_snapshots_do_not_wait_for_dead_letters_that_cannot_be_written(log, fate):
    def before(id, records):
        if any(topic == T.deadletter for topic, *_ in records):
            refused = Refused("no right", topics={T.deadletter: "no"})
            raise LogUnavailable("away") if fate == "away" else refused

    log.before = before
    lane = Lane(0, log, T)
    lane.put_aside([(0, turn(dead(b"{}")))])
    lane.save([SNAPSHOT])
    lane.save([SNAPSHOT])
    for _ in range(6):
        try:
            lane.step(lane.keeping)
        except (LogUnavailable, Refused):
            assert lane.blocked
    assert len(values(log, "t.snapshot")) == 2
    log.before = lambda id, records: None
    run(lane)
    assert len(letters(log)) == 1
    assert not lane.blocked


def test_a_dead_letter_that_is_too_large_is_cut_with_the_reason(log):
    log.delete_now(T.deadletter)
    log.create([TopicSpec(T.deadletter, 1, {"max.message.bytes": "3000"})])
    lane = Lane(0, log, T)
    lane.put_aside([(0, turn(dead(b"x" * 100_000))), (1, turn(dead(b"small")))])
    lane.submit([(2, turn(emit("a b", b"y" * 100_000)))])  # refused, and its letter, too
    run(lane)
    first, second, third = letters(log)
    assert (first.payload, first.reason, second.payload) == (b"", "failed", b"small")
    assert first.detail.startswith("it raised (payload cut from 100000 to 0 bytes: ")
    assert (third.payload, third.reason) == (b"", "output_refused")
    assert lane.backlog == 0


def test_a_transaction_that_took_too_long_is_halved_and_is_no_fence(log):
    def before(id, records):
        if len(records) > 3:  # Kafka has ended it, and fences its producer as it would an old one
            raise Fenced("INVALID_PRODUCER_EPOCH")

    log.before = before
    lane = Lane(0, log, T)
    lane.submit([(n, turn(emit("a", b"%d" % n))) for n in range(20)])
    errors = run(lane)
    assert errors
    assert all("nobody has claimed" in error for error in errors)
    assert not lane.fenced
    assert values(log, "t.out.a") == [b"%d" % n for n in range(20)]


@pytest.mark.parametrize("when", ["before it is opened", "while it is opened", "afterwards"])
def test_a_claim_fences(log, when):
    claim = lambda: log.append_now((T.journal, 0), journal_items([Claim("t", "other", 0, {})]))  # noqa: E731
    if when == "while it is opened":
        begin = log.begin_now
        log.begin_now = lambda id: (claim(), begin(id))[1]
    lane = Lane(0, log, T)
    lane.known = 0
    lane.save([SNAPSHOT])
    if when == "before it is opened":
        claim()
        log.begin_now = None  # the owner's is not fenced
    if when == "afterwards":
        lane.step(lane.keeping)
        claim()
        log.begin_now("t.lane.0")
        lane.save([SNAPSHOT])
    before = len(values(log, "t.snapshot"))
    lane.step(lane.keeping)
    assert lane.fenced
    assert not lane.work()
    assert len(values(log, "t.snapshot")) == before


def test_only_a_claim_ends_a_channel_that_is_fenced_before_its_position_is_read(log):
    channel = Channel(log, (T.journal, 0), "t.lane.0", (T.control, 0))
    channel.open()
    log.begin_now("t.lane.0")
    with pytest.raises(LogUnavailable, match="nobody has claimed"):
        channel.position((T.journal, 0))
    assert not channel.is_open
    channel.open()
    assert channel.position((T.journal, 0)) is None
    log.begin_now("t.lane.0")
    log.append_now((T.journal, 0), journal_items([Claim("t", "other", 0, {})]))
    with pytest.raises(Fenced, match="has a claim beyond"):
        channel.position((T.journal, 0))
    assert not channel.is_open


def test_positions_of_a_version_that_had_one_way_count(log):
    old = log.transaction("t.lane.0")
    old.commit([], {(T.journal, 0): 5})
    lane = Lane(0, log, T)
    lane.submit([(4, turn(emit("a", b"old"))), (5, turn(emit("a", b"new")))])
    lane.put_aside([(4, turn(dead(b"old"))), (6, turn(dead(b"new")))])
    run(lane)
    assert values(log, "t.out.a") == [b"new"]
    assert [x.payload for x in letters(log)] == [b"new"]
    with pytest.raises(Fenced):
        old.commit([SNAPSHOT], {})
    # From now on each way has its own.
    again = Lane(0, log, T)
    again.submit([(5, turn(emit("a", b"new"))), (6, turn(emit("a", b"newer")))])
    again.put_aside([(6, turn(dead(b"new")))])
    run(again)
    assert values(log, "t.out.a") == [b"new", b"newer"]
    assert len(letters(log)) == 1


def test_on_kafka(kafka, topic_prefix):
    topics = Topics(topic_prefix)
    log = KafkaLog(kafka)
    topology.apply(log, topics, 1)
    log.create([TopicSpec(topics.out("big"), 1, {})])
    lane = Lane(0, log, topics)
    large = b"x" * 1_048_500
    lane.submit([(0, turn(emit("a_b"))), (1, turn(emit("a.b"))), (2, turn(emit("big", large), emit("big")))])
    run(lane)
    assert [x.payload for x in letters(log, topics)] == [b"1", large]
    assert (values(log, topics.out("a_b")), values(log, topics.out("big"))) == ([b"1"], [b"1"])
    # Somebody lowers the limit, and deletes a topic.
    admin = AdminClient({"bootstrap.servers": kafka})
    lower = ConfigEntry("max.message.bytes", "5000", incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topics.out("big"), incremental_configs=[lower])
    admin.incremental_alter_configs([resource])[resource].result(10)
    lane.submit([(3, turn(emit("big", b"y" * 20_000), emit("big", b"2")))])
    run(lane)
    assert [len(x.payload) for x in letters(log, topics)] == [1, len(large), 20_000]
    assert values(log, topics.out("big")) == [b"1", b"2"]
    admin.delete_topics([topics.out("a_b")])[topics.out("a_b")].result(10)
    lane.submit([(4, turn(emit("a_b", b"again")))])
    run(lane)
    assert values(log, topics.out("a_b")) == [b"again"]
    lane.close()
    log.close()
