"""Calls that are many wait for others, to travel as few large groups; a call among few never does."""

from __future__ import annotations

import sys
import time

import pytest
from echo import LONG, create_topics, eventually

from plexstream.edge.calls.calls import Calls
from plexstream.edge.calls.sending import gathering
from plexstream.edge.calls.sending.gathering import (
    HOLDS_S,
    MANY,
    MOST_S,
    MOST_SKIPPED,
    OLD_S,
    SHARE,
    TRIAL_S,
    TRIALS,
    WORTH,
    Gathering,
)
from plexstream.edge.calls.sending.sender import Sender
from plexstream.edge.calls.sending.ways import Sending
from plexstream.log.memory.memory import MemoryAppender, MemoryLog
from plexstream.model.topics.topics import Topics

TOPICS = Topics()

REST_S = MOST_S / 16


class Times:
    """A gathering on a clock that only its rests move on, each of which brings some calls."""

    def __init__(self, open=0, each=0):
        self.open = open
        self.old = 0
        self.each = each
        self.come = self.rests = 0
        self.now = 7.0
        self.gathering = Gathering(lambda: self.open, self.older, lambda: self.now)

    def older(self, before):
        assert before == self.now - OLD_S
        return self.old

    def rest(self):
        self.rests += 1
        self.come += self.each
        self.now += REST_S

    def wait(self, here=1):
        self.come = self.rests = 0
        return self.gathering.wait(here, lambda: self.come, self.rest)


def through(with_it, without, open=1000, each=0):
    """After a trial in which so many calls got through in a round, with waiting and without."""
    times = Times(open=1000)
    gathering, end = times.gathering, times.now + (TRIALS + 0.5) * TRIAL_S
    while times.now < end:
        gathering.wait(with_it if gathering.waits else without, lambda: 10_000, times.rest)
        times.now += TRIAL_S / 100
    times.open, times.each = open, each
    return times


def settled(open=0, each=0):
    return through(with_it=40, without=30, open=open, each=each)


def test_it_is_left_where_fewer_calls_get_through():
    assert through(with_it=40, without=30).gathering.waits
    assert through(with_it=36, without=40).gathering.waits, "that is no difference in so short a time"
    times = through(with_it=30, without=40)
    assert not times.gathering.waits
    assert not times.wait()


def test_calls_that_were_waited_for_have_got_through():
    times = Times(open=200, each=30)
    end = times.now + (TRIALS + 1.5) * TRIAL_S
    while times.now < end:
        times.wait(here=1 if times.gathering.waits else 20)
        times.now += TRIAL_S / 100
    assert times.gathering.waits


def test_what_a_trial_has_found_is_looked_at_again():
    times = through(with_it=30, without=40)
    end = times.now + HOLDS_S - TRIAL_S
    while times.now < end:
        assert not times.wait(here=0)
        times.now += TRIAL_S / 2
    times.now = end + TRIAL_S
    seen = set()
    for _ in range(2 * TRIALS):
        times.wait(here=0)
        seen.add(times.gathering.waits)
        times.now += TRIAL_S
    assert seen == {True, False}


def test_a_trial_that_was_interrupted_begins_anew():
    times = Times(open=1000)
    seen = []
    for pause in (1, 1, 5, 1, 1):  # few calls were open for a while, in the third part
        times.wait(here=500)
        seen.append(times.gathering.waits)
        times.now += pause * TRIAL_S
    assert seen == [False, True, False, False, True]


def test_a_call_among_few_never_waits():
    times = settled()
    for times.open in (0, 1, MANY - 1):
        assert not times.wait()
        assert times.rests == 0


def test_among_many_the_others_are_waited_for_until_their_share_is_there():
    times = settled(open=200, each=30)
    assert times.wait(here=40)
    assert times.rests == 4  # 40 and four times 30 are three quarters of 200


def test_those_that_have_come_already_are_not_waited_for():
    times = settled(open=200)
    assert not times.wait(here=150)
    assert times.rests == 0


def test_no_more_are_waited_for_than_what_makes_groups_large():
    times = settled(open=100_000, each=30)
    assert times.wait(here=100)
    assert times.rests == 4  # up to 192


def test_nobody_waits_for_longer_than_the_bound():
    times = settled(open=1000, each=2)
    assert times.wait()
    assert times.rests == 16


def test_calls_that_wait_long_are_not_waited_for_again_and_again():
    times = settled(open=1000)  # which nobody answers, and one comes now and then
    waited = [times.wait() for _ in range(1000)]
    assert waited[:8] == [True, False, True, False, False, False, True, False]  # 1, 3, 7, … are left out
    assert sum(waited[500:]) <= 500 // MOST_SKIPPED + 1
    times.each = WORTH
    while not times.wait():
        pass
    assert all(times.wait() for _ in range(10)), "they come again, and are waited for each time"


def test_old_calls_are_none_of_many():
    times = settled(open=MANY + 50, each=30)
    times.now, times.old = times.now + OLD_S, 51
    assert not times.wait(), "few others are under way"
    times.open += 13
    assert times.wait()
    assert times.rests == 4  # 1 and four times 30 are three quarters of 140
    times.old = 500
    assert times.wait(), "it is not counted each time"
    times.now += OLD_S
    assert not times.wait()


class Grouped(MemoryAppender):
    """Notes the sizes of groups, and keeps acknowledgements while it is told to."""

    def append(self, place, items, token, *, urgent=True):
        self._log.groups.append(len(items))
        super().append(place, items, token, urgent=urgent)

    def poll(self, timeout):
        if self._log.keeps:
            time.sleep(0.001)
            return []
        return super().poll(timeout)


class GroupedLog(MemoryLog):
    def __init__(self):
        super().__init__()
        self.groups = []
        self.keeps = False

    def appender(self):
        return Grouped(self)


@pytest.fixture
def log(monkeypatch):
    monkeypatch.setattr(gathering, "MOST_S", 2 * LONG)  # so that nothing leaves for want of time
    monkeypatch.setattr(gathering, "TRIALS", 0)
    log = GroupedLog()
    create_topics(log, TOPICS, 1)
    return log


def test_many_calls_leave_together(log, monkeypatch):
    together = int(SHARE * MANY)
    monkeypatch.setattr(gathering, "ENOUGH", together)  # however many are open when the first is seen
    calls = Calls(log, TOPICS)
    try:
        for _ in range(MANY - 1):
            calls.ask("echo/a", "add", b"{}")
        eventually(lambda: sum(log.groups) == MANY - 1)  # few: they have left whatever came
        for _ in range(together - 1):
            calls.ask("echo/a", "add", b"{}")
        time.sleep(0.05)
        assert sum(log.groups) == MANY - 1
        calls.ask("echo/a", "add", b"{}")
        eventually(lambda: sum(log.groups) == MANY - 1 + together)
        assert log.groups[-1] == together
    finally:
        calls.close(0.1)


def test_what_a_caller_raises_while_others_are_waited_for_loses_none(log):
    """An outcome is told then, and what is told may end the sender's round."""
    calls = Calls(log, TOPICS)
    try:
        for _ in range(MANY - 2):
            calls.ask("echo/a", "add", b"{}")
        eventually(lambda: sum(log.groups) == MANY - 2)
        log.keeps = True
        calls.tell("echo/a", "add", b"{}").add_done_callback(lambda done: sys.exit(1))
        eventually(lambda: sum(log.groups) == MANY - 1)
        told = [calls.tell("echo/a", "add", b"{}") for _ in range(5)]
        time.sleep(0.05)
        log.keeps = False
        eventually(lambda: sum(log.groups) == MANY + 4)
        eventually(lambda: all(future.done() for future in told))
    finally:
        calls.close(0.1)


def test_acknowledgements_are_heard_of_while_calls_are_waited_for(log):
    settled, open = [], [0]
    gathers = Gathering(lambda: open[0], lambda before: 0)
    sender = Sender(log, lambda ids, error: settled.extend(ids), name="edge", gathering=gathers)
    place = (TOPICS.mailbox, 0)

    def put(id, waits):
        sender.put(Sending(place, [(b"a", b"b")], id, waits, time.monotonic() + 2 * LONG, time.monotonic()))

    try:
        log.keeps = True
        put("tell", True)
        eventually(lambda: log.groups == [1])
        open[0] = MANY
        put("ask", False)
        time.sleep(0.05)
        log.keeps = False
        eventually(lambda: settled == ["tell"])
        assert log.groups == [1], "the ask still waits for others"
        for number in range(MANY):
            put(f"other-{number}", False)
        eventually(lambda: sum(log.groups) == 2 + MANY)
    finally:
        sender.close(0.1)
