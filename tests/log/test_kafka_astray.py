"""A broker that is cut off from its peers serves clients all the same: nobody believes it for long."""

import time

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from log_driving import acks, append, fill, items, take

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.brokers import admin as kafka_admin
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.topics.topics import Topics
from plexstream.node.worker.membership import SESSION_MS, Membership
from plexstream.testing.kafka.cluster import Cut, LocalCluster

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

LONG = 60.0


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


def opened(log, id):
    """A transaction; it is tried again, as its coordinator may be busy with half of what was asked."""
    end = time.monotonic() + 40
    while True:
        try:
            return log.transaction(id)
        except LogUnavailable:
            assert time.monotonic() < end


def committed(log, id, place):
    """A transaction that has committed a record; whoever does not hear of it opens another, as lanes do."""
    end = time.monotonic() + 40
    while True:
        transaction = opened(log, id)
        try:
            transaction.commit([(*place, b"k", b"v")], {place: 1})
        except LogError:
            transaction.close()
            assert time.monotonic() < end
        else:
            return transaction


def test_an_appender_and_transactions_go_on(log, place, astray):
    appender = astray.log.appender()
    append(appender, place, items(b"first"))
    astray.cut(place)
    appender.append(place, items(b"second"), "token")
    (ack,) = acks(appender, 1)
    assert ack.error is None
    appender.close()
    assert astray.log.range(place)[1] >= 3
    transaction = committed(astray.log, "astray", place)
    assert transaction.position(place) == 1
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
