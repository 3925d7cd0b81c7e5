"""Topics that somebody has added partitions to: refused by name, and served with the number of old."""

import json
import logging

import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from installation import BANK, Installation, wait_until

from plexstream.client import Client
from plexstream.edge.calls import growth
from plexstream.edge.calls.calls import Calls
from plexstream.hosts.load import load_actors
from plexstream.inspection.views.state_view import state_at
from plexstream.log import installation
from plexstream.log.base import TopicSpec
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import ConfigError, TopicMissing
from plexstream.model.topics.topics import COPARTITIONED, Topics
from plexstream.node.running.node import Node
from plexstream.node.setup import topology
from plexstream.node.setup.config import load_config
from plexstream.node.worker.unit import Unit
from plexstream.processor import Settings
from plexstream.testing.kafka.process.ports import free_port

T = Topics("t.")
ACTORS = [f"account/{n}" for n in range(12)]


def grow(address: str, topic: str, count: int) -> None:
    admin = AdminClient({"bootstrap.servers": address})
    for future in admin.create_partitions([NewPartitions(topic, count)]).values():
        future.result(10)
    wait_until(lambda: len(admin.list_topics(timeout=10).topics[topic].partitions) == count)


@pytest.fixture
def log():
    log = MemoryLog()
    assert topology.apply(log, T, 2) == 2
    return log


@pytest.mark.parametrize("kind", COPARTITIONED)
def test_whoever_starts_refuses_and_names_the_topic_and_the_way_out(log, kind):
    log.grow_now(f"t.{kind}", 3)
    starts = lambda: Calls(log, T), lambda: topology.apply(log, T, 8), lambda: Client(log=log, topics=T)
    for start in starts:
        with pytest.raises(TopicMissing, match=rf"'t.{kind}' has 3 .*began with 2.*--partitions 2") as e:
            start()
        assert "delete" not in str(e.value).replace("nothing need be deleted", "")
    with pytest.raises(ConfigError, match=r"partitions = 3, but .* 2, which is fixed"):
        topology.apply(log, T, 3, 3)


def test_it_is_the_first_number_that_counts_though_every_topic_has_grown(log):
    for kind in COPARTITIONED:
        log.grow_now(f"t.{kind}", 5)
    with pytest.raises(TopicMissing, match=r"'t.mailbox' has 5 partitions, 't.journal' has 5"):
        Calls(log, T)
    assert topology.apply(log, T, 2, 2) == 2
    # Whoever comes later goes by what was said once.
    assert topology.apply(log, T, 8) == 2
    calls = Calls(log, T)
    assert calls.partitions == 2
    calls.close()
    log.grow_now("t.journal", 6)
    with pytest.raises(TopicMissing, match=r"'t.journal' has 6 partitions, but"):
        Calls(log, T)


def test_an_installation_from_before_its_number_was_kept_is_what_its_smallest_topic_says():
    log = MemoryLog()
    log.create([*topology.specs(T, 2)])
    log.grow_now("t.mailbox", 4)
    with pytest.raises(TopicMissing, match=r"'t.mailbox' has 4 partitions, but .* began with 2"):
        topology.apply(log, T, 8)
    assert topology.apply(log, T, 8, 2) == 2


def test_a_topic_with_fewer_is_refused(log):
    log.delete_now("t.journal")
    log.create([TopicSpec("t.journal", 1)])
    with pytest.raises(TopicMissing, match=r"'t.journal' has 1 partitions, but the installation has 2"):
        topology.apply(log, T, 2, 2)


def test_what_is_beyond_is_told(log, caplog):
    log.grow_now("t.mailbox", 3)
    log.append_now(("t.mailbox", 2), [(b"k", b"v")] * 3)
    topology.apply(log, T, 2, 2)
    assert "t.mailbox[2] has 3 records that nobody reads" in caplog.text


def test_a_control_record_that_is_none_counts_for_nothing(log, caplog):
    for value in (b"\xff", b"{}", json.dumps({"partitions": -1}).encode(), b'{"partitions": "x"}'):
        log.append_now((T.control, 0), [(installation.KEY, value)])
        assert topology.apply(log, T, 8) == 2
    assert "counts for nothing" in caplog.text


def test_a_worker_leaves_partitions_that_are_none_of_its_installation(log, tmp_path, caplog):
    app = load_actors(BANK)
    unit = Unit(log, T, 2, app, Settings(), tmp_path, "n", 1 << 20)
    log.grow_now("t.mailbox", 3)
    unit.start()
    unit.assign(range(3))
    try:
        wait_until(lambda: bool(unit.worker.drivers) and unit.worker.ready())
        assert sorted(unit.worker.drivers) == [0, 1]
        assert "[2] are none of this installation" in caplog.text
    finally:
        unit.stop()


@pytest.mark.kafka
def test_on_kafka_all_state_is_served_after_the_advice_was_followed(kafka, topic_prefix, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    log = KafkaLog(kafka)
    with Installation(log, tmp_path / "state", None, BANK, prefix=topic_prefix) as i:
        for n, address in enumerate(ACTORS):
            i.ask(address, "deposit", amount=n + 1)
    grow(kafka, i.topics.mailbox, 5)
    grow(kafka, i.topics.reply, 3)
    # One that knew the topics before, and one that did not.
    other = KafkaLog(kafka)
    for some in (log, other):
        with pytest.raises(TopicMissing, match=r"mailbox' has 5 partitions.*reply' has 3"):
            Client(log=some, topics=i.topics)
    assert topology.apply(other, i.topics, 8, 2) == 2
    with Installation(other, tmp_path / "state", None, BANK, prefix=topic_prefix) as again:
        assert [again.ask(a, "balance") for a in ACTORS] == [n + 1 for n in range(len(ACTORS))]
    assert state_at(other, i.topics, ACTORS[3]).state["balance"] == 4
    log.close()
    other.close()


@pytest.mark.kafka
def test_what_runs_goes_on_when_partitions_are_added_and_tells_it_once(
    kafka, topic_prefix, tmp_path, caplog, monkeypatch
):
    monkeypatch.setattr(growth, "LOOK_S", 0.2)
    config = load_config(
        None, app=BANK, data=tmp_path, kafka=kafka, prefix=topic_prefix, partitions=2, http_port=free_port()
    )
    node = Node(config)
    edge = Calls(KafkaLog(kafka), node.topics)
    node.start()
    try:
        wait_until(lambda: node.status()["ready"])

        def deposit(address):
            return edge.ask(address, "deposit", b'{"amount": 1}', timeout=20).result(20)

        assert {deposit(a) for a in ACTORS} == {b'{"balance":1}'}
        assert node.status()["refused"] == ""
        grow(kafka, node.topics.mailbox, 5)
        wait_until(lambda: bool(edge.growth.why and node.status()["refused"]))
        why = node.status()["refused"]
        assert f"'{node.topics.mailbox}' has 5 partitions, but the installation began with 2" in why
        assert "`plexstream topics apply --partitions 2`" in why
        assert {deposit(a) for a in ACTORS} == {b'{"balance":2}'}
        there = KafkaLog(kafka)
        assert [there.range((node.topics.mailbox, p)) for p in (2, 3, 4)] == [(0, 0)] * 3
        assert node.status()["ready"]
        told = [r for r in caplog.records if r.name == "plexstream.edge" and "goes on" in r.message]
        assert len(told) == 2  # each once, however often it has looked
        # An operator takes note of it: it is no longer told.
        assert topology.apply(there, node.topics, 8, 2) == 2
        wait_until(lambda: not edge.growth.why and not node.status()["refused"])
        assert {deposit(a) for a in ACTORS} == {b'{"balance":3}'}
    finally:
        edge.close()
        node.stop()


def test_an_installation_has_an_id_of_its_own_from_its_first_start_on(log):
    def id_now():
        return installation.read(log, T).id

    topology.apply(log, T, 2)
    first = id_now()
    assert first
    topology.apply(log, T, 2)
    assert id_now() == first
    appender = log.appender()
    appender.append((T.journal, 0), [(b"", b"of whatever has run")], None)
    assert [ack.error for ack in appender.poll(5)] == [None]
    log.delete_now(T.control)
    log.create([spec for spec in topology.specs(T, 2) if spec.name == T.control])
    # In use, and nothing recorded: as one from before there were ids.
    topology.apply(log, T, 2)
    assert id_now() == ""
