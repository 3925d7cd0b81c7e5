"""What callers see when the log is away, or an appender dies: no hang, no false answer, no lost thread."""

from __future__ import annotations

import threading
import time

import pytest
from echo import LONG, Responder, create_topics, eventually, reply

from plexstream.edge.calls import calls as calls_module
from plexstream.edge.calls.calls import Calls
from plexstream.log.base import Ack, failed, unproven
from plexstream.log.memory.memory import MemoryAppender, MemoryLog
from plexstream.model.errors import LogUnavailable, Overloaded, TimedOut
from plexstream.model.messages.message import ASK


class Faults:
    """Switches of a log whose appenders and readers can fail."""

    def __init__(self):
        self.hold = False  # acknowledgements do not come, as with a broker that is away
        self.swallow = False  # nor is anything appended
        self.fail_ack = False
        self.lost = ()  # places whose acknowledgements are lost, and no others
        self.refused = ()  # places that take nothing
        self.fail_append = False
        self.fail_open = False
        self.fail_read = False
        self.opened = 0
        self.closed = 0
        self.polls = []  # seconds of those in vain while acknowledgements are held


class FaultyAppender(MemoryAppender):
    def __init__(self, log, faults):
        super().__init__(log)
        self._faults = faults
        self._held = []
        self._dead = False

    @property
    def broken(self):
        return self._dead

    def append(self, place, items, token, *, urgent=True):
        assert not self._dead
        if self._faults.fail_append:
            self._dead = True
            raise LogUnavailable("append refused")
        if place in self._faults.refused:
            raise LogUnavailable("this place takes nothing")
        if self._faults.swallow:
            self._held.append(Ack(*place, token, 0, None))
        else:
            super().append(place, items, token, urgent=urgent)

    def poll(self, timeout):
        if self._faults.hold or (self._held and not self._faults.fail_ack):
            self._faults.polls.append(timeout)
            time.sleep(timeout)
            return []
        acks = self._held + super().poll(0 if self._held else timeout)
        self._held = []
        acks = [
            failed(ack[:2], ack.token, unproven(ack[:2])) if ack[:2] in self._faults.lost else ack
            for ack in acks
        ]
        if self._faults.fail_ack and acks:
            self._dead = True
            acks = [ack._replace(offset=-1, error=LogUnavailable("fatal: epoch")) for ack in acks]
        return acks

    def close(self):
        self._faults.closed += 1
        super().close()


class FaultyLog(MemoryLog):
    def __init__(self):
        super().__init__()
        self.faults = Faults()

    def appender(self):
        if self.faults.fail_open:
            raise LogUnavailable("no broker")
        self.faults.opened += 1
        return FaultyAppender(self, self.faults)

    def fetch(self, *args):
        if self.faults.fail_read:
            raise LogUnavailable("read failed")
        return super().fetch(*args)


@pytest.fixture
def log(topics):
    log = FaultyLog()
    create_topics(log, topics)
    return log


def test_while_the_broker_is_away_calls_end_at_their_deadlines_and_nothing_else_happens(log, calls):
    log.faults.hold = log.faults.swallow = True
    endless = calls.tell("a/b", "c", b"{}", timeout=10 * LONG)
    with pytest.raises(TimedOut):
        calls.ask("a/b", "c", b"{}", timeout=0.05).result(LONG)
    with pytest.raises(TimedOut, match="may still take effect"):
        calls.tell("a/b", "c", b"{}", timeout=0.1).result(LONG)
    assert not endless.done()
    assert log.faults.opened == 1


def test_waiting_for_a_broker_costs_little(log, calls):
    log.faults.hold = True
    calls.tell("a/b", "c", b"{}")
    eventually(lambda: len(log.faults.polls) > 30)
    assert min(log.faults.polls[10:]) >= 0.004


def test_an_acknowledgement_that_comes_late_still_completes_its_tell(log, calls):
    log.faults.hold = True
    tell = calls.tell("a/b", "c", b"{}")
    eventually(lambda: log.faults.polls)
    assert not tell.done()
    log.faults.hold = False
    assert tell.result(LONG) is None


def test_an_acknowledgement_is_seen_at_once(log, calls):
    log.faults.hold = True
    tell = calls.tell("a/b", "c", b"{}")
    eventually(lambda: len(log.faults.polls) > 30)
    assert max(log.faults.polls) < 0.015
    log.faults.hold = False
    assert tell.result(LONG) is None


def test_new_calls_go_out_while_a_tell_waits(topics, log, calls):
    log.faults.hold = True
    tell = calls.tell("a/b", "c", b"{}")
    eventually(lambda: log.faults.polls)
    with Responder(log, topics, lambda ask: None) as responder:
        calls.ask("a/b", "c", b"{}")
        eventually(lambda: any(message.kind == ASK for message in responder.seen))
    assert not tell.done()


def mailbox(calls, target):
    return calls._route(target)[2]


def of_another_partition(calls, target):
    return next(other for i in range(100) if mailbox(calls, other := f"a/{i}") != mailbox(calls, target))


@pytest.mark.parametrize("fault", ["lost", "refused"])
def test_a_place_that_fails_costs_its_own_tells_and_no_others(log, calls, fault):
    here = "a/b"
    elsewhere = of_another_partition(calls, here)
    setattr(log.faults, fault, (mailbox(calls, here),))
    tells = [calls.tell(target, "c", b"{}") for target in (here, elsewhere, here, elsewhere)]
    for tell in tells[::2]:
        with pytest.raises(LogUnavailable, match="unknown; it may still take effect: look whether it has"):
            tell.result(LONG)
    for tell in tells[1::2]:
        assert tell.result(LONG) is None
    assert log.faults.opened == 1, "the appender still serves the others"
    setattr(log.faults, fault, ())
    assert calls.tell(here, "c", b"{}").result(LONG) is None


def test_after_a_fatal_error_tells_are_told_so_and_calls_go_on_with_a_new_appender(topics, log, calls):
    with Responder(log, topics, lambda ask: None) as responder:
        log.faults.hold = True
        tells = [calls.tell("a/b", "c", b"{}") for _ in range(3)]
        ask = calls.ask("a/b", "c", b"{}")
        eventually(lambda: len(responder.seen) == 4)
        log.faults.fail_ack = True
        log.faults.hold = False
        for tell in tells:
            with pytest.raises(LogUnavailable, match=r"epoch.*unknown.*idempotency key"):
                tell.result(LONG)
        log.faults.fail_ack = False
        assert not ask.done()
        calls.tell("a/b", "c", b"{}").result(LONG)
        [asked] = [message for message in responder.seen if message.kind == ASK]
        responder.answer = lambda _: [reply(asked, b"late"), reply(_, b"soon")]
        assert calls.ask("a/b", "c", b"{}").result(LONG) == b"soon"
        assert ask.result(LONG) == b"late"
    assert calls.appender_failures == 1
    assert log.faults.opened >= 2
    assert log.faults.closed >= 1


def test_an_appender_that_refuses_is_replaced_and_its_tells_fail(log, calls):
    log.faults.fail_append = True
    tell = calls.tell("a/b", "c", b"{}")
    with pytest.raises(LogUnavailable, match="append refused"):
        tell.result(LONG)
    log.faults.fail_append = False
    assert calls.tell("a/b", "c", b"{}").result(LONG) is None


def test_while_no_appender_can_be_had_calls_wait_and_are_sent_in_order_once_it_can(topics, log, calls):
    with Responder(log, topics) as responder:
        log.faults.fail_append = log.faults.fail_open = True
        with pytest.raises(LogUnavailable):
            calls.tell("a/b", "c", b"first").result(LONG)
        gone = calls.tell("a/b", "c", b"gone", timeout=0.05)
        kept = []
        for i in range(10):
            kept.append(calls.tell("a/b", "c", b"%d" % i))
            time.sleep(0.002)  # each in a batch of its own
        asked = calls.ask("a/b", "c", b"asked")
        with pytest.raises(TimedOut):
            gone.result(LONG)
        time.sleep(0.1)
        log.faults.fail_append = log.faults.fail_open = False
        for tell in kept:
            tell.result(LONG)
        assert asked.result(LONG) == b"asked"
    assert [m.payload for m in responder.seen] == [b"%d" % i for i in range(10)] + [b"asked"]


def test_close_is_bounded_while_the_broker_is_away(log, topics):
    calls = Calls(log, topics)
    log.faults.hold = True
    tell = calls.tell("a/b", "c", b"{}", timeout=10 * LONG)
    calls.close(timeout=0.1)
    with pytest.raises(TimedOut, match="closed"):
        tell.result(0)
    assert not [t for t in threading.enumerate() if calls.edge_id in t.name]


def test_a_reader_that_fails_is_opened_again_where_it_was(topics, log, calls):
    with Responder(log, topics) as responder:
        assert calls.ask("a/b", "c", b"1").result(LONG) == b"1"

        def answer(ask):
            log.faults.fail_read = True  # while this reply is on its way, nobody can read
            threading.Timer(0.1, lambda: setattr(log.faults, "fail_read", False)).start()
            return reply(ask, ask.payload)

        responder.answer = answer
        assert calls.ask("a/b", "c", b"2").result(LONG) == b"2"
    assert calls.replies.stale == 0  # the first reply was not read again


def test_a_sink_that_raises_ends_nothing(log, topics, calls, caplog):
    class Broken:
        def deliver(self, done):
            raise RuntimeError("broken sink")

    with Responder(log, topics):
        calls.append(topics.mailbox, 0, [(b"k", b"no envelope")], sink=Broken(), waiter=None)
        calls.submit(1, "a/b", "c", b"{}", 1.0, "", None, Broken(), None)
        time.sleep(0.05)
        assert calls.tell("a/b", "c", b"1").result(LONG) is None


def test_what_piles_up_before_a_broker_that_is_away_is_bounded(log, calls, monkeypatch):
    monkeypatch.setattr(calls_module, "MAX_UNACKNOWLEDGED", 100_000)
    monkeypatch.setattr(calls_module, "MAX_STUCK", 50_000)
    log.faults.swallow = log.faults.hold = True
    for _ in range(15):
        with pytest.raises(TimedOut):
            calls.ask("a/b", "c", b"x" * 7000, timeout=0.005).result(LONG)
    with pytest.raises((Overloaded, LogUnavailable), match="wait for the log"):
        calls.ask("a/b", "c", b"{}")
    log.faults.hold = False
    log.faults.fail_ack = True  # the held acknowledgements come, and let go of the bytes
    eventually(lambda: not calls._sender.unacknowledged)
    log.faults.fail_ack = log.faults.swallow = False
    assert calls.tell("a/b", "c", b"{}").result(LONG) is None


def test_calls_made_while_it_is_closed_are_refused_or_end(topics, log):
    for _ in range(20):
        calls = Calls(log, topics)
        futures = []

        def caller(calls=calls, futures=futures):
            try:
                while True:
                    futures.append(calls.ask("a/b", "c", b"{}"))
            except (LogUnavailable, Overloaded):
                pass

        thread = threading.Thread(target=caller)
        thread.start()
        calls.close(timeout=0.05)
        thread.join(LONG)
        assert not thread.is_alive()
        assert all(future.done() for future in futures)
        assert calls.in_flight == 0


def test_a_call_that_a_close_overtakes_is_refused(log, topics, monkeypatch):
    calls = Calls(log, topics)
    encode = calls_module.encode_envelope

    def slow(envelope):
        calls.close(timeout=0.1)
        return encode(envelope)

    monkeypatch.setattr(calls_module, "encode_envelope", slow)
    with pytest.raises(LogUnavailable, match="closed meanwhile"):
        calls.ask("a/b", "c", b"{}")
    assert calls.in_flight == 0
