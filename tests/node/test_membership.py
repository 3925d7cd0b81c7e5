"""The consumer that is a member of the workers' group: whatever happens to it, it joins again."""

import time

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition
from installation import wait_until

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.brokers.views import Views
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.topics.topics import Topics
from plexstream.node.worker import membership
from plexstream.node.worker.membership import Membership

pytestmark = pytest.mark.kafka


@pytest.fixture
def topics(kafka, topic_prefix):
    topics = Topics(topic_prefix)
    log = KafkaLog(kafka)
    log.create([TopicSpec(topics.mailbox, 2)])
    log.close()
    return topics


def test_a_member_that_fails_joins_again(kafka, topics, monkeypatch, caplog):
    monkeypatch.setattr(membership, "RETRY_S", 0.1)
    had = []

    def assign(partitions, known):
        had.append(partitions)
        if len(had) == 1:
            raise RuntimeError("the worker was not ready")

    member = Membership(
        kafka, {"consumer.client.rack": "here"}, topics, "one", assign, lambda p: True, Views(kafka, {})
    )
    member.start()
    wait_until(lambda: had[2:] and had[-1] == {0, 1})
    member.stop()
    assert "membership begins anew" in caplog.text


def test_a_member_for_which_no_client_can_be_made_tries_again(kafka, topics, monkeypatch, caplog):
    monkeypatch.setattr(membership, "RETRY_S", 0.1)
    real, refused = membership.Consumer, []

    def consumer(config):
        if not refused:
            refused.append(config)
            raise OSError("no file descriptors")
        return real(config)

    monkeypatch.setattr(membership, "Consumer", consumer)
    had = []
    assign = lambda have, known: had.append(have)  # noqa: E731
    member = Membership(kafka, {}, topics, "one", assign, lambda p: True, Views(kafka, {}))
    member.start()
    wait_until(lambda: had and had[-1] == {0, 1})
    member.stop()
    assert "no file descriptors" in caplog.text


class Member:
    """A consumer that is told partitions by `events`: a set, or the error by which it ends."""

    def __init__(self, events):
        self._events = events
        self._has = []

    def subscribe(self, topics, on_assign, on_revoke, on_lost):
        self._on_assign, self._on_lost = on_assign, on_lost

    def poll(self, timeout):
        time.sleep(0.01)
        event = self._events.pop(0) if self._events else None
        if isinstance(event, int):
            raise KafkaException(KafkaError(event, "it is over"))
        if event is not None:
            self._has = [TopicPartition("mailbox", number) for number in event]
            self._on_assign(self, self._has)

    def close(self):
        self._on_lost(self, self._has)

    def ignore(self, *_):
        """Nothing is read."""

    incremental_assign = incremental_unassign = pause = ignore

    def list_topics(self, *_):
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "nobody answers"))


def told(monkeypatch, *lives):
    """What a worker is told by a membership with these consumers, one after the other."""
    monkeypatch.setattr(membership, "RETRY_S", 0.05)
    lives = list(lives)
    monkeypatch.setattr(membership, "Consumer", lambda config: Member(lives.pop(0) if lives else []))
    found = []
    member = Membership(
        "127.0.0.1:1", {}, Topics(), "one", lambda have, known: found.append((set(have), known)),
        lambda p: True, Views("127.0.0.1:1", {}),
    )  # fmt: skip
    member.start()
    return member, found


def test_what_a_member_has_stays_while_it_joins_again(monkeypatch):
    member, found = told(monkeypatch, [{0, 1}, KafkaError._STATE], [None] * 5 + [{0}])
    wait_until(lambda: found[-1:] == [({0}, True)])
    member.stop()
    assert found[:3] == [({0, 1}, True), ({0, 1}, False), ({0}, True)]


def test_it_stays_no_longer_than_a_session(monkeypatch):
    monkeypatch.setattr(membership, "SESSION_MS", 100)
    member, found = told(monkeypatch, [{0, 1}, KafkaError._STATE], [KafkaError._STATE])
    wait_until(lambda: found[-1:] == [(set(), False)])
    member.stop()


@pytest.mark.parametrize("code", [KafkaError._FENCED, KafkaError._FATAL])
def test_nothing_stays_where_another_process_has_joined_under_its_name(monkeypatch, code):
    member, found = told(monkeypatch, [{0, 1}, code])
    wait_until(lambda: len(found) > 1)
    member.stop()
    assert found[:2] == [({0, 1}, True), (set(), False)]
