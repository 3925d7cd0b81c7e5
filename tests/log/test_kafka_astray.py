"""A broker that is cut off from its peers serves clients all the same: nobody believes it for long."""

import time

import pytest
from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient
from log_driving import acks, append, fill, items, take

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.appending import positions
from plexstream.log.kafka.appending import transaction as kafka_transaction
from plexstream.log.kafka.brokers import admin as kafka_admin
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.topics.topics import Topics
from plexstream.node.worker.membership import SESSION_MS, Membership
from plexstream.testing.kafka.cluster import Cut, LocalCluster

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

LONG = 60.0
GROUPS, TRANSACTIONS = "__consumer_offsets", "__transaction_state"


def until(look):
    end = time.monotonic() + LONG
    while not look():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture(scope="module")
def cluster():
    with LocalCluster() as cluster:
        yield cluster


@pytest.fixture
def log(cluster):
    cluster.restore()
    log = KafkaLog(cluster.address)
    yield log
    log.close()


@pytest.fixture
def place(log, make_topic):
    return make_topic(1), 0


def address(cluster, broker):
    return cluster.address.split(",")[broker - 1]


class Astray:
    """A log that knows the cluster from the leader of a place alone, before and while that is cut off."""

    def __init__(self, cluster, log, place):
        self._cluster = cluster
        cluster.wait_in_sync()
        self.victim = cluster.leader(*place)
        self.log = KafkaLog(address(cluster, self.victim))
        fill(log, place, b"before")
        assert self.log.range(place) == (0, 1)

    def cut(self, place):
        self._cluster.cut(self.victim, Cut.PEERS)
        until(lambda: self._cluster.leader(*place) not in (-1, self.victim))


@pytest.fixture
def astray(cluster, log, place):
    astray = Astray(cluster, log, place)
    yield astray
    cluster.mend()
    astray.log.close()


def test_a_reader_reads_on(log, place, astray):
    reader = astray.log.reader()
    reader.assign(place, 0)
    assert [r.value for r in take(reader, 1)] == [b"before"]
    astray.cut(place)
    fill(log, place, b"after")
    assert [(r.offset, r.value) for r in take(reader, 1)] == [(1, b"after")]
    reader.close()


def test_what_is_asked_is_never_answered_by_it(log, place, astray):
    astray.cut(place)
    fill(log, place, b"after")
    assert astray.log.range(place) == (0, 2)  # an owner's claim would not be seen else
    reader = astray.log.reader()
    reader.assign(place, 2)  # and this would pass for a partition that has lost records
    fill(log, place, b"later")
    assert [(r.offset, r.value) for r in take(reader, 1)] == [(2, b"later")]
    reader.close()


def test_nothing_is_said_where_nobody_else_can_be_asked(cluster, place, astray, monkeypatch):
    monkeypatch.setattr(kafka_admin, "TIMEOUT_S", 4.0)
    others = [broker for broker in cluster.brokers if broker != astray.victim]
    astray.cut(place)
    for broker in others:
        cluster.pause(broker)
    try:
        with pytest.raises(LogUnavailable):
            astray.log.range(place)
    finally:
        for broker in others:
            cluster.resume(broker)


def opened(log, id, witness):
    """A transaction; it is tried again, as its coordinator may be busy with half of what was asked."""
    end = time.monotonic() + 40
    while True:
        try:
            return log.transaction(id, "", witness)
        except LogUnavailable:
            assert time.monotonic() < end


def committed(log, id, place, witness, position=1):
    """A transaction that has committed a record; whoever does not hear of it opens another, as lanes do."""
    end = time.monotonic() + 40
    while True:
        transaction = opened(log, id, witness)
        try:
            transaction.commit([(*place, b"k", b"v")], {place: position})
        except LogError:
            transaction.close()
            assert time.monotonic() < end
        else:
            return transaction


def test_an_appender_and_transactions_go_on(log, place, witness, astray):
    appender = astray.log.appender()
    append(appender, place, items(b"first"))
    astray.cut(place)
    appender.append(place, items(b"second"), "token")
    (ack,) = acks(appender, 1)
    assert ack.error is None
    appender.close()
    assert astray.log.range(place)[1] >= 3
    transaction = committed(astray.log, "astray", place, witness)
    assert transaction.position(place) == 1
    transaction.close()


def number(id, partitions):
    """The partition in which Kafka keeps what there is about a group or a transactional id: Java's hash."""
    hashed = 0
    for letter in id:
        hashed = (31 * hashed + ord(letter)) % 2**32
    return (2**32 - hashed if hashed >= 2**31 else hashed) % partitions


class Split:
    """A group whose coordinator is cut off from its peers at position 1, and that has had position 2 since.

    Attributes:
        log: knows the others.
        strays: how many consumers of transactions, from the next on, hear of that coordinator and no other.
        asked: how often these were asked.
    """

    def __init__(self, cluster, log, place, witness, monkeypatch):
        self.id = f"{place[0]}-relay"
        self.strays = self.asked = 0
        self._cluster = cluster
        cluster.wait_in_sync()
        committed(log, self.id, place, witness).close()
        ours = {topic: number(self.id, len(cluster.leaders(topic))) for topic in (GROUPS, TRANSACTIONS)}
        self.victim = cluster.leader(GROUPS, ours[GROUPS])
        self._others = [broker for broker in cluster.brokers if broker != self.victim]
        self.log = KafkaLog(",".join(address(cluster, broker) for broker in self._others))
        until(lambda: self.old_is_said(place))  # it has heard that it is the coordinator
        cluster.cut(self.victim, Cut.PEERS)
        for led in (*ours.items(), place, witness):
            until(lambda led=led: cluster.leader(*led) not in (-1, self.victim))
        committed(self.log, self.id, place, witness, position=2).close()
        connect = positions.connect_group

        def connected(*given):
            consumer = connect(*given)
            if self.strays == 0:
                return consumer
            self.strays -= 1
            return Stray(self, consumer)

        monkeypatch.setattr(positions, "connect_group", connected)

    def said(self, places):
        """What the broker that is cut off says of offsets, to a consumer that can reach no other."""
        for broker in self._others:
            self._cluster.cut(broker, Cut.CLIENTS)
        settings = {"group.id": self.id, "isolation.level": "read_committed"}
        consumer = Consumer(settings | {"bootstrap.servers": address(self._cluster, self.victim)})
        try:
            return consumer.committed(places, 20)
        finally:
            consumer.close()
            self._cluster.mend(*self._others)

    def old_is_said(self, place):
        """Whether the position of before comes from there, and no error: else nothing is proven here."""
        try:
            (found,) = self.said([TopicPartition(*place)])
        except KafkaException:
            return False
        return (found.offset, found.error) == (1, None)


class Stray:
    """A consumer of a transaction for whom the coordinator is the broker that is cut off."""

    def __init__(self, split, consumer):
        self._split = split
        self._consumer = consumer

    def committed(self, places, timeout):
        self._split.asked += 1
        return self._split.said(places)

    def __getattr__(self, name):
        return getattr(self._consumer, name)


@pytest.fixture
def split(cluster, log, place, witness, monkeypatch):
    split = Split(cluster, log, place, witness, monkeypatch)
    yield split
    cluster.mend()
    split.log.close()


def test_a_coordinator_that_is_cut_off_is_not_believed(place, witness, split):
    assert split.old_is_said(place)
    split.strays = 1
    transaction = opened(split.log, split.id, witness)
    assert transaction.position(place) == 2
    assert split.asked == 1, "the first consumer has to be the one that is led astray"
    assert transaction.position(place) == 2
    transaction.close()


def test_no_position_is_told_where_no_other_can_be_reached(place, witness, split, monkeypatch):
    assert split.old_is_said(place)
    split.strays = 1_000
    transaction = opened(split.log, split.id, witness)
    monkeypatch.setattr(kafka_transaction, "TIMEOUT_S", 4.0)
    with pytest.raises(LogUnavailable, match=f"coordinator of group '{split.id}'.*open it again"):
        transaction.position(place)
    assert split.asked > 1
    transaction.close()
    split.strays = 0
    monkeypatch.undo()
    transaction = opened(split.log, split.id, witness)
    assert transaction.position(place) == 2
    transaction.close()


def test_a_member_is_one_as_others_see_it(cluster, log):
    topics = Topics("astray.")
    log.create([TopicSpec(topics.mailbox, 2)])
    group = f"{topics.prefix}workers"
    had = []

    def coordinator(admin):
        described = admin.describe_consumer_groups([group])[group].result(20)
        return described.coordinator.id, {member.group_instance_id for member in described.members}

    start = Membership(
        cluster.address, {}, topics, "one", lambda have, known: had.append(have), lambda p: True, log.views
    )
    start.start()
    until(lambda: had and had[-1] == {0, 1})
    victim, _ = coordinator(AdminClient({"bootstrap.servers": cluster.address}))
    start.stop()
    other = KafkaLog(address(cluster, victim))
    member = Membership(
        other.bootstrap, {}, topics, "one", lambda have, known: had.append(have), lambda p: True, other.views
    )
    member.start()
    del had[:]
    until(lambda: had and had[-1] == {0, 1})
    cluster.cut(victim, Cut.PEERS)
    sound = address(cluster, next(b for b in cluster.brokers if b != victim))

    def seen():
        try:
            now, members = coordinator(AdminClient({"bootstrap.servers": sound}))
        except KafkaException:  # it loads the group, or its client was led to the one that is cut off
            return False
        return now != victim and members == {"one"}

    # To the coordinator that is elected now it is a member until its session ends, whatever it does.
    until(seen)
    time.sleep(SESSION_MS / 1000 + 2)
    until(seen)
    until(lambda: had[-1] == {0, 1})
    member.stop()
    cluster.mend()
    other.close()
