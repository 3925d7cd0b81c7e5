"""A worker: one thread that drives the partitions it has been assigned."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from plexstream.log.base import Ack, Appender, Log, Reader, Record
from plexstream.log.installation import Control
from plexstream.log.limits import RecordTooLarge
from plexstream.model.errors import HistoryGone, LogError, StoreCorrupt, StoreUnavailable, Unreadable
from plexstream.model.host import ActorHost
from plexstream.model.text import said
from plexstream.model.threads import Lasting
from plexstream.model.topics import Topics
from plexstream.node.lanes.lanes import Lane, Lanes
from plexstream.node.partition.driver import RECLAIM_S, Driver, State
from plexstream.node.partition.effects import Effects
from plexstream.node.shared.clocks import Clocks
from plexstream.node.shared.desk import Desk
from plexstream.node.shared.flying import Flight, Flying
from plexstream.node.shared.leftovers import Leftovers, delete
from plexstream.node.shared.repeated import Repeated
from plexstream.node.shared.services import Opened, Wiped
from plexstream.node.shared.stores import Stores
from plexstream.processor import EffectCall, Settings
from plexstream.sdk.current import current

_log = logging.getLogger("plexstream.node")
P = ParamSpec("P")
T = TypeVar("T")
_partition = attrgetter("partition")

_ALL = -1
"""The number under which the desk is asked about no partition alone."""
READ_LIMIT = 500
"""Mailbox records taken at once: 8 ms of work for handlers that take no time."""
REPLAY_LIMIT = 500
"""Of journal and snapshots: as many as stay in the cache of a core between reading and folding."""
IDLE_S = 0.02
"""How long an idle worker waits for a record at most."""
GONE_S = 60.0
"""The same where its state cannot be told from the log: somebody has to do something about that."""
EFFECT_S = 0.001
"""How long a worker waits for a short effect before it looks for records again. To wait for records instead
would be for 20 ms: nothing interrupts librdkafka's poll."""
ACK_S = 0.002
"""How long it waits for an acknowledgement before it looks for records again."""
EFFECT_THREADS = 64
"""Plain functions of one type that may block at the same time; ``async def`` ones are not limited."""
MAX_BACK_MS = 5_000
"""How far the clock may be set back before partitions are claimed anew; meanwhile no timer fires."""
SHARE_S = 0.05
"""How long partitions that restore may keep others waiting in one round, where those take as long."""
READ_AGAIN_S = 0.01
"""A pause after an error of reading, so that one that lasts is no loop without a pause."""
STORE_S = 2.0
"""How soon a partition whose state store could not be used is claimed again."""
TOO_LARGE_S = 5.0
"""The same where the journal takes no record of the size of a turn: somebody has to raise its limit."""
PEACE_S = 0.5
"""How long a worker that could not let go waits for its last words to arrive."""
RELEASE_S = 4.0
"""How long letting go in good order may take before it is done the hard way."""


class PartitionStatus(NamedTuple):
    """One partition, for people and metrics."""

    partition: int
    phase: str
    position: int  # next mailbox offset
    journal: int  # next journal offset that is acknowledged
    claim: int
    turns: int
    active: int  # actors in memory
    waiting: int  # messages held for busy actors
    owed: int  # turns whose mails or outputs are on their way
    timers: int
    stuck: int = 0  # handlers whose code does not fit what is recorded of them


class Worker:
    """Drives partitions of the mailbox until it is stopped.

    Parameters:
        log: an open log; the worker makes its own clients of it.
        partitions: of the mailbox.
        host: runs the handlers, on the worker's thread.
        state_dir: where the state stores are.
        node: the name in claims.
        control: what the installation says of itself; by default it is asked now.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        log: Log,
        topics: Topics,
        partitions: int,
        host: ActorHost,
        settings: Settings,
        state_dir: Path,
        node: str,
        *,
        control: Control | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.log = log
        self.topics = topics
        self.partitions = partitions
        self.host = host
        self.settings = settings
        self.node = node
        self.process = uuid.uuid4().hex
        self._clock = clock
        self._leftovers = Leftovers(state_dir, settings.store_keep)
        self._now = round(clock() * 1000)
        self.appender: Appender = log.appender()
        self.mailbox: Reader = log.reader()
        self.journal: Reader = log.reader()
        self.snapshots: Reader = log.reader(committed=True)
        self.flying = Flying()
        self.clocks = Clocks(node)
        self.drivers: dict[int, Driver] = {}
        self._releasing: dict[int, Driver] = {}
        self._wanted: frozenset[int] = frozenset()
        self._assigned = False  # whether anybody has said what it is to have, be it nothing
        self._lost_at: dict[int, float] = {}
        self._stores = Stores(state_dir, settings.store_memory, self.mailbox.wake)
        self._lanes = Lanes(log, topics, self.mailbox.wake)
        self._effects = Effects(EFFECT_THREADS, self.mailbox.wake)
        self.control = control or Control(log, topics)
        if control is None:
            with suppress(LogError):  # asked again by who needs it
                self.control.read()
        self._desk = Desk(self.mailbox.wake)
        self._stop = threading.Event()
        self.failed: BaseException | None = None
        self._faults = Repeated()
        self._handled_s = 0.0
        self.rounds = 0
        self._current: Mapping[str, Any] = {}
        self._prepared = False  # nothing that the loop does asks a broker for what a topic is like
        self._prepare_at = 0.0

    # What drivers use

    def now(self) -> int:
        """Milliseconds since the epoch, as of this round of the loop."""
        return self._now

    def elapsed(self) -> float:
        """Seconds of a clock that only goes forward."""
        return time.monotonic()

    def open_store(self, owner: object, partition: int, then: Callable[[Opened], None]) -> None:
        self._stores.open(owner, partition, then)

    def wipe_store(self, owner: object, partition: int, then: Callable[[Wiped], None]) -> None:
        self._stores.wipe(owner, partition, then)

    def close_store(self, partition: int, wipe: bool = False) -> None:
        self._stores.close(partition, wipe)

    def open_lane(self, partition: int) -> Lane:
        return self._lanes.open(partition)

    def close_lane(self, lane: Lane) -> None:
        self._lanes.close_lane(lane)

    def kick_lanes(self) -> None:
        self._lanes.kick()

    def run_effect(self, driver: object, call: EffectCall) -> None:
        self._effects.run(driver, call)

    def ask(
        self, owner: object, partition: int, question: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None:
        self._desk.ask(owner, partition, question, then)

    # From other threads

    def assign(self, partitions: Iterable[int], known: bool = True) -> None:
        """The partitions to have from now on. Not `known`: others may come at any time."""
        self._assigned = known
        self._wanted = frozenset(partitions)
        self.mailbox.wake()

    def stop(self) -> None:
        """Let go of everything in good order and end."""
        self._stop.set()
        self.mailbox.wake()

    def status(self) -> list[PartitionStatus]:
        """Every partition that this worker has or is about to have."""
        return [_status(d) for d in [*self.drivers.values(), *self._releasing.values()]]

    def effects(self) -> list[dict[str, Any]]:
        """Side effects that run or wait for a thread, by type of actor."""
        return self._effects.status()

    def has_let_go(self, partition: int) -> bool:
        """Whether nothing works on the partition here."""
        return partition not in self.drivers and partition not in self._releasing

    def turn(self) -> Any:
        """The turn that is executed now; None between two. Any thread."""
        return self._current.get("turn")

    def ready(self) -> bool:
        """Whether it has been assigned its partitions, and every one is active."""
        return not self.why()

    def why(self) -> list[str]:
        """What it lacks to be ready. Any thread."""
        if not self._assigned:
            return ["no partitions are assigned yet"]
        drivers = dict(self.drivers)
        found = [(p, drivers.get(p)) for p in sorted(self._wanted)]
        return [
            f"partition {p} is {'waiting' if d is None else d.phase}"
            for p, d in found
            if d is None or d.state is not State.ACTIVE
        ]

    def threads(self) -> list[Lasting]:
        """Those of the lanes."""
        return self._lanes.threads()

    # The loop

    def run(self) -> None:
        """Drive until `stop`."""
        self._current = current.__dict__  # of this thread: others can see what it does
        try:
            while not self._stop.is_set():
                self.step()
            end = time.monotonic() + RELEASE_S
            while (self.drivers or self._releasing) and time.monotonic() < end:
                self.step()
            for driver in [*self._releasing.values(), *self.drivers.values()]:
                _log.warning(
                    "partition %d: not released in %.0f s; the next owner sorts it out",
                    driver.partition,
                    RELEASE_S,
                )
                driver.lose("the worker stops")
            self._end_in_peace()
        except BaseException as error:
            self.failed = error
            _log.exception("the worker ends")
            raise
        finally:
            self.close()

    def _end_in_peace(self) -> None:
        """The last that the log is given says that this process lives: that should arrive, if it can."""
        end = time.monotonic() + PEACE_S
        while self.drivers and time.monotonic() < end:
            for ack in self.appender.poll(0.1):
                driver, kind, _ = cast("tuple[Driver, str, object]", ack.token)
                if kind == "alive":
                    self.drivers.pop(driver.partition, None)

    def close(self) -> None:
        """Release the log's clients."""
        self._lanes.close()
        self._effects.close()
        self._desk.close()
        self._stores.end()
        for client in (self.mailbox, self.journal, self.snapshots, self.appender):
            client.close()

    def _look_at_the_clock(self) -> None:
        """A processor's time never goes back: where the clock was set back by much, each one begins anew."""
        now = round(self._clock() * 1000)
        if now < self._now - MAX_BACK_MS:
            back = (self._now - now) / 1000
            _log.warning("the clock was set back by %.1f s: every partition is claimed anew", back)
            for driver in self.drivers.values():
                driver.lose(f"the clock was set back by {back:.1f} s")
        self._now = now

    def step(self) -> bool:
        """One round: read, execute, append, acknowledge. Returns whether anything happened."""
        self.rounds += 1
        self._look_at_the_clock()
        self._follow_assignment()
        self._delete_leftovers()
        restoring = arrived = False
        for driver in self.drivers.values():
            arrived = arrived or driver.has_arrived
            restoring = restoring or driver.state is State.TAKEOVER or driver.reads_journal
        for driver in self._releasing.values():
            restoring = restoring or driver.reads_journal
        at_once = restoring or arrived or self._awaits_acks()
        if not at_once and self._effects.short():
            self._effects.wait(EFFECT_S)
            at_once = True
        records = self._read(self.mailbox, READ_LIMIT, 0.0 if at_once else self._idle_s())
        if records:
            self._now = round(self._clock() * 1000)
            for driver, some in self._by_driver(records):
                self._guard(driver, driver.receive, some)
        for done in self._effects.take():
            assert type(done.owner) is Driver
            self._guard(done.owner, done.owner.effect_done, done.call, done.result)
        for answer in [*self._desk.take(), *self._stores.take()]:
            if answer.owner is self:
                answer.then(answer.result)
                continue
            assert type(answer.owner) is Driver
            self._guard(answer.owner, answer.owner.answered, answer.then, answer.result)
        if restoring:
            self._read_back()
        began = time.monotonic()
        for driver in [*self.drivers.values(), *self._releasing.values()]:
            self._guard(driver, driver.pump)
        self._handled_s = time.monotonic() - began
        acks = self.appender.poll(0.0 if records or arrived or not self._awaits_acks() else ACK_S)
        if acks:
            # What they release leaves at once: the next read may wait.
            for driver in self._take_acks(acks):
                self._guard(driver, driver.pump)
        return bool(records or acks)

    def _awaits_acks(self) -> bool:
        drivers = self.drivers, self._releasing
        return self.appender.holding or any(driver.busy() for some in drivers for driver in some.values())

    def _idle_s(self) -> float:
        """How long to wait for a record: no longer than until the first timer or retry is due."""
        due = [when for d in self.drivers.values() if (when := d.next_wake()) is not None]
        return max(0.001, min([IDLE_S, *((when - self._now) / 1000 for when in due)]))

    def _read_back(self) -> None:
        """Fold a slice, and more of them for as long as the handlers of others took in the last round."""
        end = time.monotonic() + min(self._handled_s, SHARE_S)
        while True:
            journal = self._read(self.journal, REPLAY_LIMIT, 0.001)
            for driver, some in self._by_driver(journal):
                self._guard(driver, driver.replay, some)
            snapshots = self._read(self.snapshots, REPLAY_LIMIT, 0.0)
            for driver, some in self._by_driver(snapshots):
                self._guard(driver, driver.load, some)
            if time.monotonic() >= end or not (journal or snapshots):
                return

    def _read(self, reader: Reader, limit: int, timeout: float) -> list[Record]:
        """Read; a partition that cannot be read costs its driver its reign, and nobody else."""
        try:
            return reader.read(limit, timeout)
        except Unreadable as error:
            driver = self.drivers.get(error.partition) or self._releasing.get(error.partition)
            if driver is not None:
                driver.lose(str(error))
            return []
        except LogError as error:  # of no partition that it names: others may go on, and so may this one
            self._faults.tell("reading goes on, though", error)
            time.sleep(READ_AGAIN_S)
            return []

    def _by_driver(self, records: list[Record]) -> Iterator[tuple[Driver, list[Record]]]:
        for partition, some in groupby(records, _partition):
            driver = self.drivers.get(partition) or self._releasing.get(partition)
            if driver is not None:
                yield driver, list(some)

    def _guard(self, driver: Driver, call: Callable[P, None], *args: P.args, **named: P.kwargs) -> None:
        """Call a driver; what goes wrong there costs that partition its reign, and nothing else."""
        try:
            call(*args, **named)
        except Exception as error:
            try:
                _give_up(driver, getattr(call, "__name__", "a call"), error)
            except Exception:  # nothing that goes wrong with an error may end the worker
                _log.exception("partition %d: giving it up failed", driver.partition)
                driver.lose(said(error))

    def _delete_leftovers(self) -> None:
        if self._stop.is_set() or not self._leftovers.due(self._wanted):
            return
        aside = self._leftovers.set_aside({*self.drivers, *self._releasing, *self._stores.in_use()})
        if aside:
            self._desk.ask(self, _ALL, lambda: delete(aside), lambda _: None)

    def _prepare(self) -> None:
        """Before the first claim: have the log learn what it needs to know of the topics, off this thread."""
        if time.monotonic() < self._prepare_at:
            return
        self._prepare_at = float("inf")
        t = self.topics
        names = [t.journal, t.mailbox, t.snapshot, t.reply]
        self._desk.ask(self, _ALL, lambda: self.log.prepare(names), self._is_prepared)

    def _is_prepared(self, found: object) -> None:
        if isinstance(found, LogError):
            self._faults.tell("no partition is claimed yet", found)
            self._prepare_at = time.monotonic() + RECLAIM_S
        else:
            self._prepared = True

    def _has_released(self, driver: Driver) -> bool:
        done = [False]

        def ask() -> None:
            done[0] = driver.released()

        self._guard(driver, ask)
        return done[0] or driver.state is State.LOST

    def _take_acks(self, acks: list[Ack]) -> set[Driver]:
        touched: set[Driver] = set()
        failed: Exception | None = None
        for ack in acks:
            driver, kind, batch = cast("tuple[Driver, str, object]", ack.token)
            if type(batch) is Flight:
                self.flying.landed(batch)
            touched.add(driver)
            failed = failed or ack.error
            self._guard(driver, driver.acknowledged, kind, ack, batch)
        if failed is not None and self.appender.broken:
            self._replace_appender(failed)
        return touched

    def _replace_appender(self, error: Exception) -> None:
        """It takes nothing more: who had a claim or turns on their way claims anew, others go on."""
        self._faults.tell("the appender failed and is replaced", error)
        for driver in [*self.drivers.values(), *self._releasing.values()]:
            self._guard(driver, driver.appender_failed, error)
        self.flying = Flying()
        try:
            self.appender.close()
            self.appender = self.log.appender()
        except Exception as failed:  # the next append fails as well, and asks for another one
            self._faults.tell("there is no other appender yet", said(failed))

    def _follow_assignment(self) -> None:
        self._faults.look()
        # Whatever the group assigns meanwhile, who stops claims nothing more.
        wanted = frozenset() if self._stop.is_set() else self._wanted
        if wanted and not self._prepared:
            self._prepare()
            wanted = frozenset()
        for partition, driver in list(self.drivers.items()):
            if driver.state is State.LOST:
                del self.drivers[partition]
                self._lost_at[partition] = time.monotonic() + driver.again_s - RECLAIM_S
                self._faults.tell(f"partition {partition}: lost", driver.why)
            elif partition not in wanted:
                self._guard(driver, driver.release)
                self._releasing[partition] = driver
                del self.drivers[partition]
        for partition, driver in list(self._releasing.items()):
            if self._has_released(driver):
                del self._releasing[partition]
        for partition in wanted:
            if partition in self.drivers or partition in self._releasing:
                continue
            if time.monotonic() - self._lost_at.get(partition, -RECLAIM_S) >= RECLAIM_S:
                try:
                    self.drivers[partition] = Driver(self, partition)
                except LogError as error:
                    self._faults.tell(f"partition {partition}: the claim could not be sent", error)
                    self._lost_at[partition] = time.monotonic()
                    self._replace_appender(error)


def _give_up(driver: Driver, what: str, error: Exception) -> None:
    """The partition's reign is over because of an error, which says how soon to claim it again."""
    if isinstance(error, HistoryGone):
        _log.error("partition %d stays out of service: %s", driver.partition, error)
        driver.again_s = GONE_S
    elif isinstance(error, RecordTooLarge):
        _log.error("partition %d waits until its journal takes this turn: %s", driver.partition, error)
        driver.again_s = TOO_LARGE_S
    elif isinstance(error, StoreUnavailable):
        _log.error("partition %d waits for its state store: %s", driver.partition, error)
        driver.again_s = STORE_S
    elif isinstance(error, StoreCorrupt):
        _log.warning("partition %d: the state store is rebuilt: %s", driver.partition, error)
        driver.s.close_store(driver.partition, wipe=True)
    elif not isinstance(error, LogError):
        _log.error("partition %d: %s failed", driver.partition, what, exc_info=error)
        error = RuntimeError(said(error))
    driver.lose(str(error))


def _status(driver: Driver) -> PartitionStatus:
    p = driver.processor
    if p is None:
        return PartitionStatus(
            driver.partition, driver.phase, 0, 0, driver.takeover.claim, driver.turns, 0, 0, 0, 0
        )
    return PartitionStatus(
        driver.partition, driver.phase, p.position, p.fold.next, p.claim, driver.turns, len(p.actors.active),
        len(p.inbox.waiting), driver.owed, len(p.timers), p.invocations.stuck,
    )  # fmt: skip
