"""The parts of a worker, each alone: which partitions it drives, and what goes wrong with one of them."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from plexstream.log.limits.limits import RecordTooLarge
from plexstream.model.errors import HistoryGone, LogUnavailable, StoreCorrupt, StoreUnavailable
from plexstream.node.partition.service.driver import RECLAIM_S, State
from plexstream.node.worker import assignment
from plexstream.node.worker.assignment import Assignment
from plexstream.node.worker.health.guard import GONE_S, STORE_S, TOO_LARGE_S, guard


class Driven:
    """A driver that does as the test says."""

    def __init__(self, equipment, partition):
        if equipment.broken:
            raise LogUnavailable("nothing is taken")
        self.partition = partition
        self.state = State.TAKEOVER
        self.phase = "claiming"
        self.again_s = RECLAIM_S
        self.why = ""
        self.done = False
        self.told = []
        self.s = Mock()

    def release(self):
        self.state = State.RELEASING

    def released(self):
        return self.done

    def appender_failed(self, error):
        self.told.append(error)

    def lose(self, why):
        self.state, self.why = State.LOST, why


@pytest.fixture
def room(monkeypatch):
    """An assignment that may claim, and the time."""
    room = Mock(now=100.0)
    monkeypatch.setattr(assignment, "Driver", Driven)
    monkeypatch.setattr(assignment.time, "monotonic", lambda: room.now)
    room.equipment = Mock(broken=False)
    room.faults = Mock()
    made = room.made = Assignment(room.equipment, room.faults)
    made.assign([0, 1], True)
    made.follow(False)
    assert made.drivers == {}  # not before the log knows what its topics are like
    room.equipment.ask.call_args.args[-1](None)
    return room


def test_nothing_is_claimed_before_the_log_knows_its_topics(monkeypatch):
    equipment, now = Mock(broken=False), [100.0]
    monkeypatch.setattr(assignment, "Driver", Driven)
    monkeypatch.setattr(assignment.time, "monotonic", lambda: now[0])
    made = Assignment(equipment, Mock())
    assert made.why() == ["no partitions are assigned yet"]
    made.assign([0], True)
    made.follow(False)
    made.follow(False)
    assert equipment.ask.call_count == 1
    equipment.ask.call_args.args[-1](LogUnavailable("away"))
    made.follow(False)
    assert equipment.ask.call_count == 1
    now[0] += RECLAIM_S
    made.follow(False)
    assert equipment.ask.call_count == 2
    assert made.drivers == {}


def test_what_is_assigned_is_claimed_and_what_is_taken_away_is_let_go(room):
    made = room.made
    made.follow(False)
    one = made.drivers[1]
    assert made.why() == ["partition 0 is claiming", "partition 1 is claiming"]
    made.drivers[0].state = State.ACTIVE
    made.assign([0], True)
    made.follow(False)
    assert (made.releasing, made.why()) == ({1: one}, [])
    made.assign([0, 1], True)
    made.follow(False)
    assert made.find(1) is one  # it lets go first
    one.done = True
    made.follow(False)
    assert made.find(1) is not one
    assert 1 in made.drivers


def test_who_stops_claims_nothing_more(room):
    room.made.follow(False)
    room.made.follow(True)
    assert sorted(room.made.releasing) == [0, 1]
    for driver in room.made.all():
        driver.done = True
    room.made.follow(True)
    assert room.made.all() == []


@pytest.mark.parametrize("again_s", [RECLAIM_S, 10.0])
def test_what_is_lost_is_claimed_again_after_as_long_as_it_says(room, again_s):
    made = room.made
    made.follow(False)
    lost = made.drivers[0]
    lost.again_s = again_s
    lost.lose("a newer owner")
    made.follow(False)
    room.now += again_s * 0.9
    made.follow(False)
    assert sorted(made.drivers) == [1]
    room.now += again_s
    made.follow(False)
    assert made.drivers[0] is not lost


def test_a_claim_that_cannot_be_sent_is_sent_later_by_another_appender(room):
    room.equipment.broken = True
    room.made.follow(False)
    assert (room.made.drivers, room.equipment.replace_appender.called) == ({}, True)
    room.equipment.broken = False
    room.made.follow(False)
    assert room.made.drivers == {}
    room.now += RECLAIM_S
    room.made.follow(False)
    assert sorted(room.made.drivers) == [0, 1]


def test_every_driver_hears_of_an_appender_that_takes_nothing_and_one_that_cannot_be_replaced_is_told(room):
    made = room.made
    made.follow(False)
    made.assign([1], True)
    made.follow(False)
    room.equipment.replace_appender.side_effect = RuntimeError("no client")
    error = LogUnavailable("fatal")
    made.replace_appender(error)
    assert [driver.told for driver in made.all()] == [[error], [error]]
    assert "there is no other appender yet" in room.faults.tell.call_args.args[0]


@pytest.mark.parametrize(
    ("error", "again_s"),
    [
        (HistoryGone("trimmed"), GONE_S), (RecordTooLarge("too large", {}), TOO_LARGE_S),
        (StoreUnavailable("no disk"), STORE_S), (StoreCorrupt("damaged"), RECLAIM_S),
        (LogUnavailable("away"), RECLAIM_S), (KeyError("a bug"), RECLAIM_S),
    ],
)  # fmt: skip
def test_what_goes_wrong_costs_the_reign_and_says_how_soon_it_is_claimed_again(error, again_s):
    driver = Driven(Mock(broken=False), 0)

    def fail():
        raise error

    guard(driver, fail)
    assert (driver.state, driver.again_s) == (State.LOST, again_s)
    assert driver.s.close_store.called == isinstance(error, StoreCorrupt)


def test_what_goes_wrong_while_it_is_given_up_ends_nothing_either():
    driver = Driven(Mock(broken=False), 0)
    driver.s.close_store.side_effect = RuntimeError("that, too")

    def fail():
        raise StoreCorrupt("damaged")

    guard(driver, fail)
    assert driver.state is State.LOST
