"""Calls that are many wait for others, to travel as few large groups; a call among few never does."""

from __future__ import annotations

import time

import pytest
from echo import LONG, create_topics, eventually

from plexstream.edge.calls.calls import Calls
from plexstream.edge.calls.sending import gathering
from plexstream.edge.calls.sending.gathering import MANY, MOST_S, MOST_SKIPPED, SHARE, WORTH, Gathering
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
        self.each = each
        self.come = self.rests = 0
        self.now = 7.0
        self.gathering = Gathering(lambda: self.open, lambda: self.now)

    def rest(self):
        self.rests += 1
        self.come += self.each
        self.now += REST_S

    def wait(self, here=1):
        self.come = self.rests = 0
        return self.gathering.wait(here, lambda: self.come, self.rest)


def test_a_call_among_few_never_waits():
    times = Times()
    for times.open in (0, 1, MANY - 1):
        assert not times.wait()
        assert times.rests == 0


def test_among_many_the_others_are_waited_for_until_their_share_is_there():
    times = Times(open=200, each=30)
    assert times.wait(here=40)
    assert times.rests == 4  # 40 and four times 30 are three quarters of 200


def test_those_that_have_come_already_are_not_waited_for():
    times = Times(open=200)
    assert not times.wait(here=150)
    assert times.rests == 0


def test_no_more_are_waited_for_than_what_makes_groups_large():
    times = Times(open=100_000, each=30)
    assert times.wait(here=100)
    assert times.rests == 4  # up to 192


def test_nobody_waits_for_longer_than_the_bound():
    times = Times(open=1000, each=2)
    assert times.wait()
    assert times.rests == 16


def test_calls_that_wait_long_are_not_waited_for_again_and_again():
    times = Times(open=1000)  # which nobody answers, and one comes now and then
    waited = [times.wait() for _ in range(1000)]
    assert waited[:8] == [True, False, True, False, False, False, True, False]  # 1, 3, 7, … are left out
    assert sum(waited[500:]) <= 500 // MOST_SKIPPED + 1
    times.each = WORTH
    while not times.wait():
        pass
    assert all(times.wait() for _ in range(10)), "they come again, and are waited for each time"


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


def test_acknowledgements_are_heard_of_while_calls_are_waited_for(log):
    settled, open = [], [0]
    sender = Sender(log, lambda ids, error: settled.extend(ids), name="edge", open=lambda: open[0])
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
