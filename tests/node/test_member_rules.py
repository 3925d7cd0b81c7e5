"""What a member of the workers' group does with what its consumer tells it, without a broker."""

import threading
from queue import Empty, SimpleQueue

import pytest
from confluent_kafka import KafkaError, TopicPartition
from installation import wait_until

from plexstream.log.kafka.brokers.views import Views
from plexstream.model.topics.topics import Topics
from plexstream.node.worker import membership
from plexstream.node.worker.membership import Membership

LONG = 30.0


class Wrong:
    """A message that is an error."""

    def __init__(self, code):
        self._error = KafkaError(code)

    def error(self):
        return self._error


class Group:
    """Stands for librdkafka: `do` calls the member's callbacks where a poll does, on its thread."""

    def __init__(self):
        self.made = 0
        self.paused, self.assigned = [], []
        self.closed = 0
        self._polls = SimpleQueue()

    def consumer(self, config):
        self.made += 1
        self.config = config
        return self

    def subscribe(self, topics, on_assign, on_revoke, on_lost):
        self.on_assign, self.on_revoke, self.on_lost = on_assign, on_revoke, on_lost

    def poll(self, timeout):
        try:
            what = self._polls.get(timeout=timeout)
        except Empty:
            return None
        return what() if callable(what) else what

    def close(self):
        self.closed += 1

    def pause(self, partitions):
        self.paused += [p.partition for p in partitions]

    def incremental_assign(self, partitions):
        self.assigned += [p.partition for p in partitions]

    def incremental_unassign(self, partitions):
        for p in partitions:
            self.assigned.remove(p.partition)

    def do(self, what, *partitions):
        done = threading.Event()

        def call():
            getattr(self, f"on_{what}")(self, [TopicPartition("t.mailbox", p) for p in partitions])
            done.set()

        self._polls.put(call)
        return done

    def say(self, code):
        self._polls.put(Wrong(code))


@pytest.fixture
def group(monkeypatch):
    group = Group()
    monkeypatch.setattr(membership, "Consumer", group.consumer)
    monkeypatch.setattr(membership, "RETRY_S", 0.01)
    monkeypatch.setattr(membership, "LOOK_S", 1e9)
    return group


class Worker:
    """The worker, as a member sees it."""

    def __init__(self):
        self.told = []
        self.busy = set()
        self.asked = []

    def let_go(self, partition):
        self.asked.append(partition)
        return partition not in self.busy


@pytest.fixture
def worker(group):
    worker = Worker()
    assign = lambda have, known: worker.told.append((set(have), known))  # noqa: E731
    worker.member = Membership(
        "nowhere:1", {}, Topics("t."), "one", assign, worker.let_go, Views("nowhere:1", {})
    )
    worker.member.start()
    yield worker
    worker.member.stop()


def test_what_it_is_given_is_known_and_never_read(group, worker):
    assert group.do("assign", 0, 2).wait(LONG)
    assert worker.told == [({0, 2}, True)]
    assert group.do("assign", 1).wait(LONG)
    assert worker.told[-1] == ({0, 1, 2}, True)
    assert group.paused == [0, 2, 1]


def test_that_it_is_given_nothing_is_known_too(group, worker):
    assert group.do("assign").wait(LONG)
    assert worker.told == [(set(), True)]


def test_what_is_taken_away_is_told_first_and_given_up_once_it_is_let_go(group, worker):
    group.do("assign", 0, 1, 2).wait(LONG)
    worker.busy = {0, 1}
    revoked = group.do("revoke", 0, 1)
    wait_until(lambda: 0 in worker.asked)
    assert worker.told[-1] == ({2}, True)
    assert group.assigned == [0, 1, 2], "its successor may not begin yet"
    worker.busy = {1}
    wait_until(lambda: 1 in worker.asked)
    assert not revoked.is_set()
    worker.busy = set()
    assert revoked.wait(LONG)
    assert group.assigned == [2]


def test_a_handover_is_not_waited_for_for_ever(group, worker, monkeypatch):
    monkeypatch.setattr(membership, "HANDOVER_S", 0.2)
    group.do("assign", 0).wait(LONG)
    worker.busy = {0}
    assert group.do("revoke", 0).wait(LONG)
    assert group.assigned == []


def test_what_it_has_lost_is_gone_and_what_it_has_now_is_not_known(group, worker):
    group.do("assign", 0, 1).wait(LONG)
    worker.busy = {0}
    assert group.do("lost", 0).wait(LONG)
    assert worker.told[-1] == ({1}, False)
    assert group.assigned == [1]
    assert worker.asked == [], "another has it already: nothing is waited for"


@pytest.mark.parametrize("code", [KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL])
def test_one_that_is_fenced_has_nothing_and_joins_again(group, worker, code):
    group.do("assign", 0).wait(LONG)
    group.say(code)
    wait_until(lambda: group.made == 2)
    assert worker.told[-1] == (set(), False)
    assert group.closed == 1


def test_errors_that_pass_cost_no_membership(group, worker):
    group.do("assign", 0).wait(LONG)
    group.say(KafkaError._TRANSPORT)
    assert group.do("assign", 1).wait(LONG)
    assert group.made == 1
    assert worker.told[-1] == ({0, 1}, True)


def test_closing_takes_nothing_away_from_a_worker_that_stops(group, worker, monkeypatch):
    """A static member's partitions wait for it: those that are let go at once are those of a stop."""
    group.do("assign", 0).wait(LONG)

    def close():
        group.closed += 1
        group.on_revoke(group, [TopicPartition("t.mailbox", 0)])

    monkeypatch.setattr(group, "close", close)
    worker.busy = {0}
    told = len(worker.told)
    worker.member.stop()
    wait_until(lambda: group.closed == 1)
    assert len(worker.told) == told
    assert worker.asked == []
