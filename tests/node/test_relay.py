"""One partition of the mailbox takes nothing: what else a worker has to do goes on, in bounded memory."""

from __future__ import annotations

import pytest
from installation import PARTITIONS, Installation, wait_until

from plexstream.log.memory.memory import MemoryAppender, MemoryLog
from plexstream.model.errors import LogUnavailable
from plexstream.model.messages.address import full, partition_of
from plexstream.node.partition.incoming import arrived
from plexstream.node.partition.outgoing import appends, relay
from plexstream.node.partition.service import driver as drivers
from plexstream.node.partition.service.driver import State
from plexstream.node.shared import flying
from plexstream.node.worker import worker as workers
from plexstream.processor.journal import restore

APP = '''
from plexstream import actor, handler, host, state

@actor
class A:
    n: int = state(default=0)
    seen: list = state(default_factory=list)

    @handler("inc")
    def inc(self) -> int:
        self.n += 1
        return self.n

    @handler("tellto")
    def tellto(self, to: str, number: int, size: int) -> int:
        self.n += 1
        host.tell(to, "sink", {"number": number, "blob": "z" * size})
        return self.n

    @handler("sink")
    def sink(self, number: int, blob: str) -> None:
        self.seen = [*self.seen, number]

    @handler("look", read_only=True)
    def look(self) -> list:
        return self.seen
'''


class Appender(MemoryAppender):
    def __init__(self, log):
        super().__init__(log)
        self.kept = []

    def append(self, place, items, token, *, urgent=True):
        if place in self._log.stuck or any(place == kept[0] for kept in self.kept):
            self.kept.append((place, items, token))
        else:
            super().append(place, items, token, urgent=urgent)

    def poll(self, timeout):
        kept, self.kept = self.kept, []
        for append in kept:
            self.append(*append)
        acks = super().poll(timeout)
        fails, self._log.fails = self._log.fails, None
        if fails is not None:
            lost = [kept for kept in self.kept if kept[0] == fails]
            self.kept = [kept for kept in self.kept if kept[0] != fails]
            acks += [self._log.failure(place, token) for place, _, token in lost]
        return acks


class StuckLog(MemoryLog):
    """Some places take nothing; what is on its way to one of them can be made to fail."""

    def __init__(self):
        super().__init__()
        self.stuck = set()
        self.fails = None
        self.appenders = []

    def appender(self):
        self.appenders.append(Appender(self))
        return self.appenders[-1]

    def failure(self, place, token):
        from plexstream.log.base import failed

        return failed(place, token, LogUnavailable("nobody knows"))

    def with_appenders(self, place):
        return sum(
            len(value) for a in self.appenders for at, items, _ in a.kept if at == place for _, value in items
        )  # fmt: skip


def actor(partition, name):
    names = (f"a/{name}{n}" for n in range(99))
    return next(name for name in names if partition_of(full(name), PARTITIONS) == partition)


HERE, OTHER, THERE = actor(0, "x"), actor(0, "other"), actor(1, "y")
COUNT, SIZE = 60, 20_000


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(flying, "WINDOW", 50_000)
    monkeypatch.setattr(relay, "KEPT", 100_000)
    monkeypatch.setattr(relay, "AGAIN_S", 0.05)


@pytest.fixture
def installed(tmp_path, small):
    (tmp_path / "app.py").write_text(APP)
    log = StuckLog()
    return log, Installation(log, tmp_path / "state", None, tmp_path / "app.py")


def in_memory(i):
    relay = i.worker.drivers[0].service.relay
    return sum(way.waiting_bytes for way in relay._ways.values())


def test_all_but_the_messages_to_it_goes_on_and_they_arrive_once_in_order(installed):
    log, installation = installed
    with installation as i:
        there = (i.topics.mailbox, 1)
        i.ask(THERE, "inc")
        log.stuck.add(there)
        for n in range(COUNT):
            i.ask(HERE, "tellto", to=THERE, number=n, size=SIZE)  # its reply needs another place
        assert i.ask(OTHER, "inc") == 1
        # With the appender as much as a window, in memory as much as is kept, the rest in the journal.
        assert log.with_appenders(there) < 50_000 + 2 * SIZE
        assert in_memory(i) < 100_000 + 2 * SIZE
        relayed = i.worker.drivers[0].processor.outbox.mails._done
        assert relayed <= i.end(0) - COUNT  # not beyond what has arrived
        log.stuck.clear()
        wait_until(lambda: i.ask(THERE, "look") == list(range(COUNT)))
        assert i.worker.drivers[0].state is State.ACTIVE
        wait_until(lambda: i.worker.drivers[0].owed == 0)


def test_what_is_acknowledged_at_once_leaves_in_windows(installed, monkeypatch):
    monkeypatch.setattr(appends, "MAX_GROUPS", 1)
    log, installation = installed
    with installation as i:
        there, driver = (i.topics.mailbox, 1), i.worker.drivers[0]
        log.stuck |= {there, (i.topics.journal, 0)}
        for n in range(COUNT):
            i.client._calls.tell(
                full(HERE), "tellto", b'{"to":"%b","number":%d,"size":%d}' % (full(THERE).encode(), n, SIZE)
            ).result(20)
        wait_until(lambda: driver.processor.running_ahead >= COUNT)
        log.stuck.remove((i.topics.journal, 0))
        wait_until(lambda: driver.processor.running_ahead == 0 and log.with_appenders(there))
        assert 0 < log.with_appenders(there) < 2 * 50_000 + SIZE
        log.stuck.clear()
        wait_until(lambda: i.ask(THERE, "look") == list(range(COUNT)))
        wait_until(lambda: driver.owed == 0)


def test_what_an_append_that_failed_left_open_is_sent_again_by_the_same_reign(installed):
    log, installation = installed
    with installation as i:
        there = (i.topics.mailbox, 1)
        log.stuck.add(there)
        for n in range(10):
            i.ask(HERE, "tellto", to=THERE, number=n, size=10)
        claims = [d.processor.claim for d in i.worker.drivers.values()]
        wait_until(lambda: log.with_appenders(there) > 0)
        log.fails = there
        wait_until(lambda: log.fails is None)
        log.stuck.clear()
        wait_until(lambda: i.ask(THERE, "look") == list(range(10)))
        assert [d.processor.claim for d in i.worker.drivers.values()] == claims


def test_a_worker_that_starts_meanwhile_serves_and_sends_what_is_owed_later(installed, tmp_path):
    log, installation = installed
    with installation as i:
        there = (i.topics.mailbox, 1)
        log.stuck.add(there)
        for n in range(COUNT):
            i.ask(HERE, "tellto", to=THERE, number=n, size=SIZE)
        i.worker.assign([])
        wait_until(lambda: i.worker.has_let_go(0))  # though it still owes
    with Installation(log, tmp_path / "state", None, tmp_path / "app.py") as again:
        assert again.ask(OTHER, "inc") == 1
        log.stuck.clear()
        wait_until(lambda: again.ask(THERE, "look") == list(range(COUNT)))


def test_it_holds_little_of_what_is_owed_meanwhile(installed, tmp_path, monkeypatch):
    log, installation = installed
    with installation as i:
        there = (i.topics.mailbox, 1)
        log.stuck.add(there)
        for n in range(COUNT):
            i.ask(HERE, "tellto", to=THERE, number=n, size=SIZE)
        i.worker.assign([])
        wait_until(lambda: i.worker.has_let_go(0))
    before = log.with_appenders(there)
    monkeypatch.setattr(restore, "OWED", 50_000)
    held = []
    take, activate = restore.Restore.take, drivers.Driver._activate

    def taken(self, offset, data):
        found = take(self, offset, data)
        held.append(sum(len(kept) for kept in [*(data for _, data in self._mails), *self._others]))
        return found

    def activated(self):
        activate(self)
        queues = [lane.queue for lane in self.processor.outbox.lanes]
        held.append(sum(len(out.payload) for queue in queues for _, turn in queue for out in turn.outs))

    monkeypatch.setattr(restore.Restore, "take", taken)
    monkeypatch.setattr(drivers.Driver, "_activate", activated)
    with Installation(log, tmp_path / "state", None, tmp_path / "app.py") as again:
        assert again.ask(OTHER, "inc") == 1
        again.ask(HERE, "tellto", to=THERE, number=COUNT, size=1)  # does not overtake
        wait_until(lambda: again.worker.drivers[0].service.relay.unseen < 0)
        assert in_memory(again) < 100_000 + 2 * SIZE
        assert 0 < log.with_appenders(there) - before < 50_000 + 2 * SIZE
        assert 0 < max(held) < 50_000 + 2 * SIZE
        log.stuck.clear()
        wait_until(lambda: again.ask(THERE, "look") == list(range(COUNT + 1)))
        wait_until(lambda: again.worker.drivers[0].owed == 0)


def test_a_journal_that_takes_nothing_holds_up_its_own_partition_only(installed):
    log, installation = installed
    with installation as i:
        log.stuck.add((i.topics.journal, 1))
        asked = i.client._calls.ask(full(THERE), "inc", b"{}", timeout=60.0)
        for n in range(20):
            assert i.ask(HERE, "inc") == n + 1
        assert not asked.done()
        log.stuck.clear()
        assert asked.result(20) == b"1"


def test_what_arrives_and_runs_ahead_of_a_journal_that_takes_nothing_is_bounded_in_bytes(
    installed, monkeypatch
):
    monkeypatch.setattr(appends, "MAX_AHEAD_BYTES", 400_000)
    monkeypatch.setattr(arrived, "MAX_BYTES", 200_000)
    monkeypatch.setattr(arrived, "SLICE_BYTES", 10_000)
    monkeypatch.setattr(arrived, "MAX_SLICE", 64)
    monkeypatch.setattr(appends, "MAX_GROUPS", 2)
    monkeypatch.setattr(workers, "READ_LIMIT", 5)
    log, installation = installed
    with installation as i:
        log.stuck.add((i.topics.journal, 0))
        tell, there = i.client._calls.tell, full(THERE).encode()
        driver = i.worker.drivers[0]
        while len(driver.processor.in_flight) < 2:  # from then on nothing more is handed to the journal
            tell(full(HERE), "inc", b"{}").result(20)
        assert driver.service.appends.ahead_bytes < 100_000
        for n in range(4 * COUNT):  # large turns
            tell(full(HERE), "tellto", b'{"to":"%b","number":%d,"size":%d}' % (there, n, SIZE)).result(20)
        for n in range(COUNT):  # large messages
            tell(full(OTHER), "sink", b'{"number":%d,"blob":"%b"}' % (n, b"x" * SIZE)).result(20)
        # So what has arrived is full: all else has a bound before that.
        wait_until(lambda: driver.service.flow.paused)
        assert i.ask(THERE, "inc") == 1
        assert 200_000 <= driver.service.arrived.size < 200_000 + 6 * (SIZE + 100)
        held = driver.service.appends.ahead_bytes + driver.processor.pending_bytes()
        assert 400_000 <= held < 400_000 + 64 * SIZE  # a slice more, of 64 small messages
        log.stuck.clear()
        wait_until(lambda: len(i.ask(OTHER, "look")) == COUNT)
        wait_until(lambda: i.ask(THERE, "look") == list(range(4 * COUNT)))
        wait_until(lambda: driver.service.arrived.size == driver.service.appends.ahead_bytes == 0)
