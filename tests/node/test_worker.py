from __future__ import annotations

import threading
import time

import pytest
from installation import BANK, PARTITIONS, Installation, wait_until

from plexstream.client import Client
from plexstream.hosts.load import load_actors
from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.waiting.asked.effect import NativeEffect
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.log.memory.memory import MemoryAppender, MemoryLog
from plexstream.model.errors import LogUnavailable, StoreCorrupt
from plexstream.model.messages.address import full, partition_of
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.service import driver as drivers
from plexstream.node.partition.service.driver import Driver, State
from plexstream.node.setup import topology
from plexstream.node.shared import repeated
from plexstream.node.worker import assignment
from plexstream.node.worker import worker as workers
from plexstream.node.worker.worker import IDLE_S, Worker
from plexstream.processor import EffectCall, Settings
from plexstream.sdk.spec import Retry

ALICE = "account/alice"
HOME = partition_of(full(ALICE), PARTITIONS)


class Stepped:
    """A worker that the test drives step by step, by a clock that stands still."""

    def __init__(self, state_dir) -> None:
        self.now = 1_700_000_000.0
        self.log, self.topics = MemoryLog(), Topics("test.")
        topology.apply(self.log, self.topics, PARTITIONS)
        app = load_actors(BANK)
        self.worker = Worker(
            self.log, self.topics, PARTITIONS, NativeHost(app.types, app.version), Settings(), state_dir,
            "test-node", clock=lambda: self.now,
        )  # fmt: skip
        self.waits: list[float] = []
        read = self.worker.equipment.mailbox.read

        def noted(limit, timeout):
            self.waits.append(timeout)
            return read(limit, 0.0)

        self.worker.equipment.mailbox.read = noted
        self.worker.assign(range(PARTITIONS))
        self.until(self.worker.ready)

    def until(self, true) -> None:
        wait_until(lambda: self.worker.step() is None or true())

    def settle(self) -> None:
        """Until nothing is on its way."""
        self.until(lambda: not any(d.busy() or d.has_arrived for d in self.worker.drivers.values()))
        self.worker.step()
        self.waits.clear()

    @property
    def balance(self) -> int:
        core = self.worker.drivers[HOME].processor.pieces.core(full(ALICE))
        return int(core.fields.get("balance", b"0"))


@pytest.fixture
def stepped(tmp_path):
    stepped = Stepped(tmp_path / "state")
    yield stepped
    stepped.worker.close()


@pytest.fixture
def client(stepped):
    with Client(log=stepped.log, topics=stepped.topics) as client:
        yield client


def test_an_idle_worker_waits_no_longer_than_until_the_next_timer(stepped, client):
    client.tell(ALICE, "later", {"amount": 5, "delay": 0.1})
    stepped.until(lambda: stepped.worker.drivers[HOME].processor.timers.next_due() is not None)
    stepped.settle()
    stepped.worker.step()
    assert stepped.waits == [IDLE_S]
    stepped.now += 0.097
    stepped.worker.step()
    assert stepped.waits[1:] == [0.003]
    stepped.now += 0.003
    stepped.until(lambda: stepped.balance == 5)
    stepped.settle()
    stepped.worker.step()
    assert stepped.waits == [IDLE_S]


def test_a_partition_to_which_nothing_comes_is_left_alone_for_a_while(stepped, client, monkeypatch):
    monkeypatch.setattr(drivers, "CALM_S", 3600.0)
    stepped.settle()
    pumped = []
    for partition, each in stepped.worker.drivers.items():
        pump = each.pump
        monkeypatch.setattr(each, "pump", lambda p=partition, pump=pump: (pumped.append(p), pump()))
    client.tell(ALICE, "later", {"amount": 5, "delay": 7200})
    stepped.until(lambda: stepped.worker.drivers[HOME].processor.timers.next_due() is not None)
    stepped.settle()
    assert set(pumped) == {HOME}
    pumped.clear()
    for _ in range(20):
        stepped.worker.step()
    assert pumped == []
    # A timer does not wait for anything to come, nor do those that look after what other threads do.
    stepped.now += 7200
    stepped.until(lambda: stepped.balance == 5)
    monkeypatch.setattr(drivers, "CALM_S", 0.0)
    pumped.clear()
    stepped.worker.step()
    assert set(pumped) == set(range(PARTITIONS))


def test_all_goes_on_where_only_what_comes_is_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(drivers, "CALM_S", 3600.0)
    with Installation(MemoryLog(), tmp_path / "state") as i:
        for amount in range(1, 6):
            assert i.ask(ALICE, "deposit", amount=1) == {"balance": amount}
        i.ask(ALICE, "later", amount=5, delay=0.02)
        wait_until(lambda: i.ask(ALICE, "balance") == 10)
        outs = i.topics.out("deposits")
        wait_until(lambda: sum(i.log.range((outs, p))[1] for p in range(i.log.partitions(outs) or 0)) >= 5)
        wait_until(lambda: not any(d.owed or d.service.lane.done for d in i.worker.drivers.values()))


def test_an_acknowledgement_ends_the_wait_for_records(tmp_path, monkeypatch):
    log = EmbeddedLog(tmp_path / "log")
    with Installation(log, tmp_path / "state") as i:
        monkeypatch.setattr(workers, "IDLE_S", 3600.0)
        timeouts = []
        appender = i.worker.equipment.appender
        poll = appender.poll
        monkeypatch.setattr(appender, "poll", lambda timeout: (timeouts.append(timeout), poll(timeout))[1])
        for amount in range(1, 4):
            assert i.ask(ALICE, "deposit", amount=1) == {"balance": amount}
        assert set(timeouts) == {0.0}
        monkeypatch.setattr(workers, "IDLE_S", IDLE_S)
    log.close()


def test_a_clock_that_is_set_back_does_not_hold_up_timers(stepped, client):
    stepped.now += 86_400  # wrong by a day
    client.tell(ALICE, "later", {"amount": 1, "delay": 0})
    stepped.until(lambda: stepped.balance == 1)
    first = stepped.worker.drivers[HOME]
    stepped.now -= 1  # which is as good as nothing
    stepped.settle()
    assert stepped.worker.drivers[HOME] is first
    stepped.now -= 86_399
    stepped.until(lambda: first.state is State.LOST)
    assert "set back by 86399.0 s" in first.why
    stepped.until(stepped.worker.ready)
    client.tell(ALICE, "later", {"amount": 2, "delay": 10})
    stepped.until(lambda: stepped.worker.drivers[HOME].processor.timers.next_due() is not None)
    stepped.settle()
    assert stepped.balance == 1
    stepped.now += 10
    stepped.until(lambda: stepped.balance == 3)


def test_a_clock_that_is_set_forward_fires_each_timer_once(stepped, client):
    for amount in (1, 2, 4):
        client.tell(ALICE, "later", {"amount": amount, "delay": 3600 * amount})
    stepped.settle()
    stepped.now += 86_400
    stepped.until(lambda: stepped.balance == 7)
    stepped.now -= 86_400
    stepped.until(stepped.worker.ready)
    stepped.now += 86_400
    stepped.settle()
    assert stepped.balance == 7


@pytest.mark.parametrize("method", ["receive", "pump", "acknowledged"])
@pytest.mark.parametrize("error", [StoreCorrupt("torn"), LogUnavailable("away"), ZeroDivisionError("a bug")])
def test_an_error_in_one_partition_costs_that_partition_its_reign(
    stepped, client, monkeypatch, method, error
):
    real, failed = getattr(Driver, method), []
    wiped: list[int] = []
    for partition, driver in stepped.worker.drivers.items():
        monkeypatch.setattr(driver.takeover.store, "wipe", lambda p=partition: wiped.append(p))

    def broken(driver, *arguments):
        if driver.partition == HOME and not failed:
            failed.append(driver)
            raise error
        real(driver, *arguments)

    broken.__name__ = method
    before = dict(stepped.worker.drivers)
    monkeypatch.setattr(Driver, method, broken)
    client.tell(ALICE, "deposit", {"amount": 5})
    stepped.until(lambda: before[HOME].state is State.LOST)
    assert failed == [before[HOME]]
    assert str(error) in before[HOME].why
    due = [HOME] if type(error) is StoreCorrupt else []
    stepped.until(lambda: wiped == due)
    stepped.until(lambda: stepped.worker.drivers.get(HOME) not in (None, before[HOME]))
    stepped.until(lambda: stepped.worker.ready() and stepped.balance == 5)  # claimed anew, nothing lost
    other = 1 - HOME
    assert stepped.worker.drivers[other] is before[other]


def test_a_worker_does_not_wait_for_records_while_a_short_effect_runs(stepped):
    """Nothing interrupts a Kafka reader that waits: each step of a handler took 20 ms."""
    stepped.settle()
    go = threading.Event()
    effect = NativeEffect(go.wait, (30.0,), Retry(attempts=1), "a/1.b, step 'c'", 1000)
    stepped.worker.equipment.run_effect(None, EffectCall("a/1", 1, 0, effect))
    try:
        stepped.worker.equipment.effects._begun = time.monotonic() + 3600
        stepped.worker.step()
        assert stepped.waits == [0.0]
        stepped.worker.equipment.effects._begun -= 7200  # it is not a short one
        stepped.worker.step()
        assert stepped.waits == [0.0, IDLE_S]
    finally:
        go.set()


def test_nothing_is_claimed_after_stop(stepped):
    stepped.worker.assign([HOME])
    stepped.until(lambda: stepped.worker.has_let_go(1 - HOME))
    ends = [stepped.log.range((stepped.topics.journal, p))[1] for p in range(PARTITIONS)]
    stepped.worker.stop()
    stepped.worker.assign(range(PARTITIONS))  # the group has not heard of it yet
    stepped.until(lambda: stepped.worker.has_let_go(HOME))
    for _ in range(20):
        stepped.worker.step()
    assert not stepped.worker.drivers
    after = [stepped.log.range((stepped.topics.journal, p))[1] for p in range(PARTITIONS)]
    assert after[1 - HOME] == ends[1 - HOME]  # no claim


def test_a_partition_with_steady_timers_is_handed_over(tmp_path):
    (tmp_path / "app.py").write_text(TICKS)
    log = MemoryLog()
    with Installation(log, tmp_path / "state", None, tmp_path / "app.py") as i:
        for n in range(50):
            i.client.tell(f"t/{n}", "go", {"ms": 1})
        wait_until(lambda: i.end(0) > 100)
        i.worker.assign([])
        wait_until(lambda: i.worker.has_let_go(0) and i.worker.has_let_go(1))


TICKS = """
from plexstream import actor, handler, host, state

@actor
class T:
    n: int = state(default=0)

    @handler("go")
    def go(self, ms: int) -> None:
        self.n += 1
        host.emit("ticks", self.n)
        host.send_after(ms / 1000, "go", {"ms": ms})
"""


def test_an_error_of_reading_that_names_no_partition_ends_nothing(tmp_path, monkeypatch, caplog):
    with Installation(MemoryLog(), tmp_path / "state") as i:
        i.ask(ALICE, "deposit", amount=1)
        read, failed = i.worker.equipment.mailbox.read, []

        def fails(limit, timeout):
            failed.append(1)
            if len(failed) < 20:
                raise LogUnavailable("no broker tells why")
            return read(limit, timeout)

        monkeypatch.setattr(i.worker.equipment.mailbox, "read", fails)
        wait_until(lambda: len(failed) > 20)
        assert i.ask(ALICE, "deposit", amount=1) == {"balance": 2}
        assert i.worker.failed is None
        assert len([r for r in caplog.records if "no broker tells why" in r.message]) == 1


def test_a_log_that_takes_nothing_is_told_now_and_then(tmp_path, monkeypatch, caplog):
    class Full(MemoryAppender):
        def append(self, place, items, token, *, urgent=True):
            if place[0] == "test.journal" and log.tried < 50:
                log.tried += 1
                raise LogUnavailable("the disk is full")
            super().append(place, items, token, urgent=urgent)

    monkeypatch.setattr(assignment, "RECLAIM_S", 0.001)
    monkeypatch.setattr(repeated, "FIRST_S", 1_000.0)
    log = MemoryLog()
    log.tried = 0
    log.appender = lambda: Full(log)
    with Installation(log, tmp_path / "state") as i:
        assert i.ask(ALICE, "deposit", amount=1) == {"balance": 1}
    assert log.tried == 50
    # What came of each partition, and of the appender that they share.
    assert len([r for r in caplog.records if "the disk is full" in r.message]) == PARTITIONS + 1


def test_what_the_loop_needs_to_know_of_topics_is_asked_off_its_thread_before_the_first_claim(tmp_path):
    class Asked(MemoryLog):
        fails = 3

        def prepare(self, topics):
            assert threading.current_thread().name != "MainThread"
            assert self.range(("test.journal", 0)) == (0, 0)
            self.fails -= 1
            if self.fails > 0:
                raise LogUnavailable("the brokers are away")
            self.known = list(topics)

    log = Asked()
    topics = Topics("test.")
    topology.apply(log, topics, PARTITIONS)
    app = load_actors(BANK)
    host = NativeHost(app.types, app.version)
    worker = Worker(log, topics, PARTITIONS, host, Settings(), tmp_path / "state", "test-node")
    try:
        worker.assign(range(PARTITIONS))
        wait_until(lambda: worker.step() is None or worker.ready())
        assert log.known == [topics.journal, topics.mailbox, topics.snapshot, topics.reply]
    finally:
        worker.close()
