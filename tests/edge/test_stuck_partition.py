"""One partition takes nothing (no leader, below min.insync.replicas): all others are served, and in time."""

from __future__ import annotations

import threading
import time

import pytest
from echo import LONG, Responder, create_topics, eventually

from plexstream.edge.calls import calls as calls_module
from plexstream.edge.calls.calls import Calls
from plexstream.edge.calls.sending import sender as sender_module
from plexstream.edge.calls.sending import ways
from plexstream.edge.calls.sending.sender import Sender
from plexstream.edge.calls.sending.ways import Sending
from plexstream.log.base import appended
from plexstream.log.memory.memory import MemoryAppender, MemoryLog
from plexstream.model.errors import LogUnavailable
from plexstream.model.messages.address import full, partition_of

STUCK, WELL = 1, 0


class StuckAppender(MemoryAppender):
    """Takes records for a partition that is stuck, as librdkafka does; appends them once it is in order."""

    def __init__(self, log):
        super().__init__(log)
        self.kept = []

    def append(self, place, items, token, *, urgent=True):
        # Of the mailbox alone: replies go to the partition that the edge's random id has.
        if self._log.stuck and place == ("test.mailbox", STUCK):
            self.kept.append((place, items, token))
        else:
            super().append(place, items, token, urgent=urgent)

    def poll(self, timeout):
        if not self._log.stuck:
            kept, self.kept = self.kept, []
            for append in kept:
                super().append(*append)
        return super().poll(timeout)


class StuckLog(MemoryLog):
    def __init__(self):
        super().__init__()
        self.stuck = False
        self.appenders = []
        self.blocked = threading.Event()
        self.blocked.set()

    def appender(self):
        self.appenders.append(StuckAppender(self))
        return self.appenders[-1]

    def prepare(self, topics):
        assert threading.current_thread() is threading.main_thread()
        self.prepared = list(topics)
        super().prepare(topics)


@pytest.fixture
def log(topics):
    log = StuckLog()
    create_topics(log, topics)
    return log


def actor(calls, partition, name="a"):
    names = (f"{name}/{n}" for n in range(99))
    return next(name for name in names if partition_of(full(name), calls.partitions) == partition)


def test_calls_to_the_others_are_served_and_those_to_it_get_log_unavailable_in_time(topics, log, calls):
    well, stuck = actor(calls, WELL), actor(calls, STUCK)
    with Responder(log, topics):
        log.stuck = True
        blob = b"x" * 900_000
        lost, refused = [], None
        while refused is None:
            try:
                lost.append(calls.tell(stuck, "c", blob, timeout=LONG))
                time.sleep(0.05)
            except LogUnavailable as error:
                refused = str(error)
        assert refused.startswith(f"{topics.mailbox}[{STUCK}] has acknowledged nothing for ")
        assert "nothing was sent" in refused
        assert len(lost) * 900_000 < ways.MAX_WAY + 2_000_000
        for n in range(20):
            assert calls.ask(well, "c", b"%d" % n).result(LONG) == b"%d" % n
            assert calls.tell(well, "c", b"{}").result(LONG) is None
        assert not any(call.done() for call in lost)
        kept = [items for appender in log.appenders for _, items, _ in appender.kept]
        with_the_appender = sum(len(value) for items in kept for _, value in items)
        assert with_the_appender < sender_module.WINDOW + 1_000_000
        log.stuck = False
        assert [call.result(LONG) for call in lost] == [None] * len(lost)
        assert calls.ask(stuck, "c", b"again").result(LONG) == b"again"
        assert calls.appender_failures == 0


class OneByOne(MemoryAppender):
    """Acknowledges a group when it is told to."""

    def __init__(self, log):
        super().__init__(log)
        self.tokens = []

    def append(self, place, items, token, *, urgent=True):
        self.tokens.append((place, token))

    def poll(self, timeout):
        time.sleep(0.001)
        acks = []
        while self.tokens and self._log.let_go:
            self._log.let_go -= 1
            place, token = self.tokens.pop(0)
            acks.append(appended(place, token, 0))
        return acks


def test_a_partition_that_is_always_busy_and_acknowledges_is_not_stuck():
    log = MemoryLog()
    log.let_go = 0
    log.appender = lambda: OneByOne(log)
    done = []
    sender = Sender(log, lambda ids, error: done.extend(ids), name="test")
    place, began = ("m", 0), time.monotonic()
    for n in range(3):
        # The first one waits for as long as makes a partition stuck; those behind it have only just come.
        since = began - 10 * ways.STUCK_S if n == 0 else began
        sender.put(Sending(place, [(b"k", b"v")], f"{n}", True, began + 1e6, since))
        eventually(lambda n=n: place in sender.ways and len(sender.ways[place].flying) == n + 1)
    way = sender.ways[place]
    assert way.stuck(began)
    log.let_go = 1
    eventually(lambda: done == ["0"])
    assert len(way.flying) == 2
    assert not way.stuck(began)
    log.let_go = 2
    eventually(lambda: done == ["0", "1", "2"])
    sender.close(1.0)


def test_an_ask_whose_message_the_log_has_not_taken_says_so(topics, log, calls):
    log.stuck = True
    asked = calls.ask(actor(calls, STUCK), "c", b"{}", timeout=1.0)
    with pytest.raises(LogUnavailable, match=r"acknowledged nothing for .*idempotency key"):
        asked.result(LONG)


def test_what_its_callers_no_longer_wait_for_is_not_kept(topics, log, calls, monkeypatch):
    monkeypatch.setattr(sender_module, "WINDOW", 10_000)
    log.stuck = True
    lost = [calls.tell(actor(calls, STUCK), "c", b"x" * 4000, timeout=1.0) for _ in range(50)]
    for call in lost:
        with pytest.raises(LogUnavailable, match="may still take effect"):
            call.result(LONG)
    eventually(lambda: calls._sender.unacknowledged < 20_000)


def test_asks_that_wait_for_room_are_not_left_alone(topics, log, calls, monkeypatch):
    """Nobody waits for an ask's acknowledgement, but those behind it do."""
    monkeypatch.setattr(sender_module, "WINDOW", 1000)
    idle, waits = sender_module.Sender._idle, []

    def noted(self, now, wait):
        found = idle(self, now, wait)
        if any(way.waiting and way.flying_bytes >= 1000 for way in self.ways.values()):
            waits.append(found)
        return found

    monkeypatch.setattr(sender_module.Sender, "_idle", noted)
    log.stuck = True
    asks = [calls.ask(actor(calls, STUCK), "c", b" " * 600, timeout=LONG) for _ in range(8)]
    eventually(lambda: len(waits) > 10)
    with Responder(log, topics):
        log.stuck = False
        for ask in asks:
            ask.result(LONG)
    assert set(waits) == {0.0}  # it looks for acknowledgements instead


def test_order_is_kept_across_what_waited(topics, log, calls, monkeypatch):
    monkeypatch.setattr(sender_module, "WINDOW", 1000)
    stuck = actor(calls, STUCK)
    with Responder(log, topics) as responder:
        log.stuck = True
        tells = [calls.tell(stuck, "c", b"%04d" % n + b" " * 100) for n in range(200)]
        late = calls.tell(stuck, "c", b"late", timeout=0.05)
        with pytest.raises(Exception, match="take effect"):
            late.result(LONG)
        log.stuck = False
        for tell in tells:
            tell.result(LONG)
    assert [int(m.payload) for m in responder.seen] == list(range(200))


def test_a_deadline_passes_in_time_while_the_sender_hangs(topics, log, calls, monkeypatch):
    hangs, hung = threading.Event(), threading.Event()

    def hang(self, *_, urgent):
        hung.set()
        hangs.wait(LONG)

    monkeypatch.setattr(StuckAppender, "append", hang)
    first = calls.ask(actor(calls, WELL), "c", b"{}", timeout=10 * LONG)
    assert hung.wait(LONG)
    began = time.monotonic()
    with pytest.raises((calls_module.TimedOut, LogUnavailable)):
        calls.ask(actor(calls, WELL), "c", b"{}", timeout=0.2).result(LONG)
    assert time.monotonic() - began < LONG / 2
    assert not first.done()
    hangs.set()


def test_what_appending_asks_the_brokers_is_asked_before_the_first_call(topics, log):
    calls = Calls(log, topics)
    assert log.prepared == [topics.mailbox, topics.reply]
    calls.close()


def test_a_sender_that_fails_goes_on(topics, log, calls, monkeypatch):
    sort = sender_module.Sender._sort

    def wrong(self, batch):
        monkeypatch.setattr(sender_module.Sender, "_sort", sort)
        raise KeyError("a bug")

    monkeypatch.setattr(sender_module.Sender, "_sort", wrong)
    calls.ask(actor(calls, WELL), "c", b"{}")
    with Responder(log, topics):
        eventually(lambda: calls._sender.failures == 1)
        assert calls.ask(actor(calls, WELL), "c", b"1").result(LONG) == b"1"
