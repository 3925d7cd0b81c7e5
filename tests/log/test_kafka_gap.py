"""What a broker in trouble says of appends, and what may be taken for an acknowledgement."""

import time
import uuid
from collections import Counter

import pytest
from confluent_kafka import KafkaError, Producer
from log_driving import acks, append, fill, items, read_all

from plexstream.edge.calls.calls import Calls
from plexstream.log.base import TopicSpec
from plexstream.log.kafka.appending.appender import KafkaAppender
from plexstream.log.kafka.appending.pace import FORGETS_S, PacedAppender
from plexstream.log.kafka.common.settings import APPENDER
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.memory.local import partition_of_key
from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import decode_envelope
from plexstream.testing.kafka.proxy import PRODUCE, Answer, Asked, proxied_broker

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def proxied():
    with proxied_broker() as (broker, proxy):
        yield broker, proxy


@pytest.fixture
def direct(proxied):
    """The log as it is."""
    log = KafkaLog(proxied[0].address)
    yield log
    log.close()


@pytest.fixture
def topic(direct):
    name = f"test-{uuid.uuid4().hex[:12]}"
    direct.create([TopicSpec(name, 2)])
    return name


@pytest.fixture
def proxy(proxied, topic):
    yield proxied[1]
    proxied[1].rule = lambda asked: None


@pytest.fixture
def log(proxy):
    log = KafkaLog(proxy.address)
    yield log
    log.close()


class Once:
    """Answers the first batch of a topic that `chosen` picks, so many times."""

    def __init__(self, topic, answer, times=1, chosen=lambda asked: True):
        self.topic, self.answer, self.times, self.chosen = topic, answer, times, chosen

    def __call__(self, asked: Asked) -> Answer | None:
        if asked.api == PRODUCE and asked.topic == self.topic and self.times and self.chosen(asked):
            self.times -= 1
            return self.answer
        return None


REFUSALS = [
    KafkaError.NOT_ENOUGH_REPLICAS,
    KafkaError.NOT_LEADER_FOR_PARTITION,
    KafkaError.KAFKA_STORAGE_ERROR,
]


def test_librdkafka_reports_a_batch_as_delivered_that_is_nowhere(proxy, direct, topic):
    """Why one record has to be alone: if this fails one day, that can go."""
    proxy.rule = Once(topic, Answer(KafkaError.NOT_ENOUGH_REPLICAS, after=1.5))
    several = {"max.in.flight.requests.per.connection": 5}
    producer = Producer({**APPENDER, **several, "bootstrap.servers": proxy.address})
    producer.list_topics(topic, 10)
    reports = []
    deadline = time.monotonic() + 30
    for value in (b"A", b"B"):
        producer.produce(topic, value, partition=0, on_delivery=lambda error, m: reports.append((error, m)))
        while proxy.rule.times and time.monotonic() < deadline:
            producer.poll(0.02)
    while len(reports) < 2 and time.monotonic() < deadline:
        producer.poll(0.2)
    assert [(error, m.value()) for error, m in reports] == [(None, b"A"), (None, b"B")]
    assert [record.value for record in read_all(direct, (topic, 0), 1)] == [b"B"]


@pytest.mark.parametrize("code", REFUSALS)
def test_what_is_acknowledged_is_on_the_log_if_the_first_batch_was_refused(log, proxy, direct, topic, code):
    proxy.rule = Once(topic, Answer(code, after=0.5), times=2)
    appender = log.appender()
    for number in range(4):
        appender.append((topic, 0), items(b"%d" % number, b"%d'" % number), number)
        time.sleep(0.05)
    found = acks(appender, 4)
    appender.close()
    assert [(ack.offset, ack.error) for ack in found] == [(1, None), (3, None), (5, None), (7, None)]
    values = [record.value for record in read_all(direct, (topic, 0), 8)]
    assert values == [b"%d%s" % (n, part) for n in range(4) for part in (b"", b"'")]


class Unanswered:
    """One batch is appended and not confirmed, and refused when it comes again; later ones are refused, too.

    As of a leader that loses its followers, and then leads no more. It ends after a while.
    """

    def __init__(self, topic, unanswered, refused):
        self.topic, self.unanswered, self.refused = topic, unanswered, refused
        self.asked = Counter()

    def __call__(self, asked: Asked) -> Answer | None:
        at = asked.partition, asked.sequence
        if asked.api != PRODUCE or asked.topic != self.topic or asked.epoch:
            return None
        self.asked[at] += 1
        if at == self.unanswered and self.asked[at] == 1:
            return Answer(KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND, after=0.3, passed=True)
        refused = at in (self.unanswered, self.refused) and self.asked[at] < 4
        return Answer(KafkaError.NOT_ENOUGH_REPLICAS) if refused else None


def append_behind_the_unanswered(proxy, topic, appender, across):
    """Three records, of which the first is appended without an answer, and the second refused."""
    for partition in (0, 1):
        append(appender, (topic, partition), items(b"warm"))
    first, others = ((topic, 1), (topic, 0)) if across else ((topic, 0), (topic, 0))
    proxy.rule = Unanswered(topic, (first[1], 1), (0, 1 if across else 2))
    for place, value in ((first, b"A"), (others, b"B"), (others, b"C")):
        appender.append(place, items(value), value)
        appender.poll(0)
        time.sleep(0.03)


@pytest.mark.parametrize("across", [False, True], ids=["one partition", "two partitions"])
def test_what_was_appended_without_an_answer_is_there_once(log, proxy, direct, topic, across):
    appender = log.appender()
    append_behind_the_unanswered(proxy, topic, appender, across)
    assert [ack.error for ack in acks(appender, 3)] == [None] * 3
    appender.close()
    places = [(topic, 0), (topic, 1)]
    there = [r.value for place in places for r in read_all(direct, place, direct.range(place)[1])]
    assert sorted(there) == [b"A", b"B", b"C", b"warm", b"warm"]


@pytest.mark.parametrize("sequence", [1, 2])
def test_what_is_refused_later_is_guarded_by_its_sequence_number(log, proxy, direct, topic, sequence):
    refusal = Answer(KafkaError.NOT_ENOUGH_REPLICAS, after=0.2)
    proxy.rule = Once(topic, refusal, chosen=lambda asked: asked.sequence == sequence)
    appender = log.appender()
    append(appender, (topic, 0), items(b"first"))
    for number in range(4):
        appender.append((topic, 0), items(b"%d" % number), number)
        appender.poll(0.02)
    assert read_all(direct, (topic, 0), 5)[-1].value == b"3"
    appender.close()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(0, -1),
        Answer(0, -1, passed=True),
        Answer(KafkaError.DUPLICATE_SEQUENCE_NUMBER),
        Answer(KafkaError.DUPLICATE_SEQUENCE_NUMBER, passed=True),
    ],
    ids=["success, nowhere", "success, there", "duplicate, nowhere", "duplicate, there"],
)
@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
def test_a_success_without_an_offset_is_an_error_of_its_place(log, proxy, direct, topic, answer, known):
    appender = log.appender()
    append(appender, (topic, 1), items(b"elsewhere"))
    if known:
        append(appender, (topic, 0), items(b"before"))
    proxy.rule = Once(topic, answer, chosen=lambda asked: asked.partition == 0)
    appender.append((topic, 0), items(b"v"), "unknown")
    (ack,) = acks(appender, 1)
    assert isinstance(ack.error, LogUnavailable)
    assert "without an offset" in str(ack.error)
    assert not appender.broken
    assert append(appender, (topic, 1), items(b"goes on")) == 1
    # The next ones are acknowledged where they are, or the appender says that it is of no use.
    appender.append((topic, 0), items(b"again"), "again")
    (ack,) = acks(appender, 1)
    if ack.error is None:
        assert fill(direct, (topic, 0), b"end") == ack.offset + 1
    else:
        assert appender.broken
    appender.close()


@pytest.mark.parametrize(
    "code",
    [
        KafkaError.UNKNOWN_PRODUCER_ID, KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER,
        KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.INVALID_RECORD,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.UNKNOWN, KafkaError.INVALID_TXN_STATE,
    ],
)  # fmt: skip
def test_whatever_a_broker_refuses_for_good_is_acknowledged_to_nobody(log, proxy, direct, topic, code):
    appender = log.appender()
    append(appender, (topic, 0), items(b"first"))
    proxy.rule = Once(topic, Answer(code))
    handed_over = 0
    for number in range(3):
        try:
            appender.append((topic, 0), items(b"%d" % number), number)
        except LogError:
            assert number, "the first was not refused yet"
            break  # the refusal was heard before this one
        handed_over += 1
    found = acks(appender, handed_over)
    values = [r.value for r in read_all(direct, (topic, 0), direct.range((topic, 0))[1])]
    for ack in found:
        assert ack.error is not None or values[ack.offset] == b"%d" % ack.token
    # Nothing came behind a gap, and a new appender goes on.
    assert values in ([b"first", b"0", b"1", b"2"][:count] for count in (1, 2, 3, 4))
    appender.close()
    assert fill(log, (topic, 0), b"new") == len(values)


def test_an_offset_that_goes_back_is_no_acknowledgement(log, proxy, topic):
    appender = log.appender()
    append(appender, (topic, 0), items(*[b"v"] * 10))
    proxy.rule = Once(topic, Answer(0, 3, passed=True))
    appender.append((topic, 0), items(b"v"), None)
    (ack,) = acks(appender, 1)
    assert isinstance(ack.error, LogUnavailable)
    assert "acknowledged at offset 3, after one at 9" in str(ack.error)
    appender.close()


def test_an_answer_that_was_lost_is_asked_again_and_gives_the_offset(log, proxy, direct, topic):
    proxy.rule = Once(topic, Answer(KafkaError.REQUEST_TIMED_OUT, passed=True))
    appender = log.appender()
    assert append(appender, (topic, 0), items(b"1", b"2")) == 1
    proxy.rule = Once(topic, Answer(KafkaError.REQUEST_TIMED_OUT, passed=True))
    assert append(appender, (topic, 0), items(b"3")) == 2
    assert len(read_all(direct, (topic, 0), 3)) == 3
    appender.close()


def test_a_producer_that_was_idle_for_too_long_begins_with_one_record(proxied, proxy, direct, topic):
    log = KafkaLog(proxy.address)
    now = [0.0]
    appender = PacedAppender(KafkaAppender(log), log.limit, lambda: now[0], 100.0)
    append(appender, (topic, 0), items(b"a", b"b", b"c"))
    now[0] = 99.0
    append(appender, (topic, 0), items(b"d", b"e"))
    now[0] = 200.0
    proxy.rule = Once(topic, Answer(KafkaError.NOT_ENOUGH_REPLICAS, after=0.1), times=2)
    append(appender, (topic, 0), items(b"f", b"g"))
    batches = [asked.records for asked, _ in proxy.seen if asked.topic == topic]
    assert batches[0] == 1
    assert batches[-4:] == [1, 1, 1, 1], "refused twice, taken, and then the rest"
    assert len(read_all(direct, (topic, 0), 7)) == 7
    appender.close()
    log.close()


def test_a_log_takes_a_producer_for_unknown_after_seconds_though_brokers_remember_it(
    log, proxy, direct, topic
):
    """The leader may be a replica that was made anew, from a log where what it has sent is trimmed."""
    appender = log.appender()
    append(appender, (topic, 0), items(b"a", b"b"))
    time.sleep(FORGETS_S + 0.1)
    before = len(proxy.seen)
    proxy.rule = Once(topic, Answer(KafkaError.NOT_ENOUGH_REPLICAS, after=0.5))
    large = [b"%d" % number + b"x" * 300_000 for number in range(3)]  # a batch each
    append(appender, (topic, 0), items(*large))
    seen = [(asked, answer) for asked, answer in proxy.seen[before:] if asked.topic == topic]
    first, again = seen[:2]
    assert first[0] == again[0], "nothing else was on its way"
    assert (first[0].records, first[1] is None, again[1] is None) == (1, False, True)
    assert [r.value for r in read_all(direct, (topic, 0), 5)] == [b"a", b"b", *large]
    appender.close()


@pytest.mark.parametrize("partition", [0, None])
@pytest.mark.parametrize("answer", [Answer(KafkaError.NOT_ENOUGH_REPLICAS, after=1.5), Answer(0, -1)])
def test_no_transaction_is_committed_that_lacks_a_record(
    log, proxy, direct, topic, witness, partition, answer, handing_over
):
    transaction = log.transaction(f"{topic}-relay")
    proxy.rule = Once(topic, answer)
    records = [(topic, partition, b"k", b"%d" % number + b"x" * 100_000) for number in range(20)]
    with pytest.raises(LogUnavailable, match="without an offset"):
        transaction.commit(records, {(topic, 1): 20})
    transaction.close()
    # Whoever comes next finds nothing of it, position and records.
    again = log.transaction(f"{topic}-relay", witness=witness)
    assert again.position((topic, 1)) is None
    again.commit(records, {(topic, 1): 20})
    assert again.position((topic, 1)) == 20
    again.close()
    at = partition_of_key(b"k", 2) if partition is None else partition
    found = []
    reader = direct.reader(committed=True)
    reader.assign((topic, at), 0)
    deadline = time.monotonic() + 30
    while len(found) < 20 and time.monotonic() < deadline:
        found += reader.read(100, 0.2)
    reader.close()
    assert [record.value for record in found] == [record[3] for record in records]


def test_a_tell_that_is_acknowledged_is_in_the_mailbox(proxy, direct):
    """The whole way of a client: four tells, the first of which meets a broker below its replicas."""
    topics = Topics(f"t{uuid.uuid4().hex[:6]}.")
    direct.create([TopicSpec(topics.mailbox, 1), TopicSpec(topics.reply, 1)])
    proxy.rule = Once(topics.mailbox, Answer(KafkaError.NOT_ENOUGH_REPLICAS, after=0.5))
    log = KafkaLog(proxy.address)
    calls = Calls(log, topics)
    tells = []
    for number in range(4):
        tells.append(calls.tell("account/alice", "deposit", b"%d" % number, timeout=60))
        time.sleep(0.1)
    assert [tell.result(60) for tell in tells] == [None] * 4
    calls.close()
    log.close()
    found = read_all(direct, (topics.mailbox, 0), 4)
    assert [decode_envelope(record.value).payload for record in found] == [b"0", b"1", b"2", b"3"]
