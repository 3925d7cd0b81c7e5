"""A worker process without threads: the real drivers, takeovers, upkeeps and lanes, stepped by the scheduler.

What `plexstream.node.worker.worker` does in one round of its loop is cut into phases here, so that anything
may happen between any two of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import ClassVar, TypeVar, cast

from plexstream.log.base import Ack, Appender, Log, Reader, Record
from plexstream.log.installation import Control
from plexstream.model.errors import HistoryGone, LogError, LogUnavailable, StoreCorrupt, StoreUnavailable
from plexstream.model.host import ActorHost
from plexstream.model.topics import Topics
from plexstream.node.lanes.lanes import Lane, Way
from plexstream.node.lanes.leaving import Saved
from plexstream.node.partition.driver import Driver, State
from plexstream.node.partition.takeover.takeover import Phase
from plexstream.node.shared.clocks import Clocks
from plexstream.node.shared.flying import Flight, Flying
from plexstream.node.shared.services import Opened, Wiped
from plexstream.processor import EffectCall, Settings
from plexstream.testing.simulation.errors import Killed, Violation
from plexstream.testing.simulation.network import Network, SimLog, SimProducer
from plexstream.testing.simulation.stores import CrashStore
from plexstream.testing.simulation.waited import Pending

T = TypeVar("T")

PHASES = ("receive", "replay", "pump", "acks", "lanes", "follow", "desk")
RECLAIM_MS = 40


_OnDisk = tuple[int, Callable[[], object], object, Callable[[object], None]]
"""Partition, what is to be done, and who hears of it."""


class SimProcess:
    """One worker process. It satisfies `Services`; it may be paused, and killed at any phase.

    Attributes:
        wanted: the partitions that it believes it has been assigned.
        skew: by how many ms its clock is wrong.
        paused_until: it does nothing before; what it sent goes on.
        doomed: how often it will die again soon.
        stopping: it lets go of everything in good order, and begins anew.
        stores: survive the process, by partition.
        hits: what happened how often, for the coverage.
        found: in each takeover, of which partition, with which claim: the handlers that wait.
        odds_slow_disk: that what is to be done with a state store is not done in a round.
    """

    odds_slow_disk: ClassVar[float] = 0.0  # a test sets it: it leaves other schedules as they are

    def __init__(
        self, name: str, network: Network, topics: Topics, partitions: int, host: ActorHost,
        settings: Settings, clock: Callable[[], int], random: Random, hits: Counter[str],
        note: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.name = name
        self.network = network
        self.topics = topics
        self.partitions = partitions
        self.host = host
        self.settings = settings
        self.random = random
        self.hits = hits
        self.note = note
        self.log: Log = SimLog(network)
        self.control = Control(self.log, topics, {}, watch=False)
        self.node = self.process = name
        self.stores: dict[int, CrashStore] = {}
        self.strange: set[int] = set()  # partitions whose store is of another history, until it is taken over
        self.wanted: frozenset[int] = frozenset()
        self.skew = 0
        self.paused_until = 0
        self.alive = False
        self.restart_at = 0
        self.doomed = 0
        self.stopping = False
        self.lives = 0
        self.found: list[tuple[int, int, Pending]] = []
        self._clock = clock
        self.drivers: dict[int, Driver] = {}
        self.leaving: dict[int, Driver] = {}
        self._lanes: list[Lane] = []
        self._unanswered: dict[Way, list[Saved]] = {}
        self._lost_at: dict[int, int] = {}
        self._effects: list[tuple[Driver, EffectCall]] = []
        self._questions: list[_Question] = []
        self._disk: list[_OnDisk] = []
        self._opened: set[int] = set()
        self.slow_disk = Random(f"disk of {name}")
        self.full = False
        self._executed: dict[Driver, int] = {}  # turns made by those who let go, as of then
        self.sender: SimProducer
        self.appender: Appender
        self.mailbox: Reader
        self.journal: Reader
        self.snapshots: Reader
        self.flying: Flying
        self.start()

    # Life

    def start(self) -> None:
        """A new process on the same machine: the same stores, nothing else."""
        self.lives += 1
        self.alive, self.stopping = True, False
        self.node = self.process = f"{self.name}.{self.lives}"
        self._new_appender()
        self.mailbox = self.log.reader()
        self.journal = self.log.reader()
        self.snapshots = self.log.reader(committed=True)
        self.flying = Flying()
        self.clocks = Clocks(self.node)
        self.drivers, self.leaving, self._lanes, self._lost_at = {}, {}, [], {}
        self._effects, self._questions, self._unanswered = [], [], {}
        self._disk, self._opened = [], set()

    def crash(self, lose: str, longest: int, restart_at: int) -> None:
        """The process is gone. `lose`: of its stores "nothing", "something" or "everything"."""
        self.note(f"{self.node} dies; its stores lose {lose}")
        self.alive = False
        self.restart_at = restart_at
        self.sender.die(longest)
        self.drivers, self.leaving, self._lanes, self._effects = {}, {}, [], []
        self._questions, self._unanswered = [], {}  # nobody asks them any more
        self._disk, self._opened = [], set()
        for store in self.stores.values():
            if lose == "something" and store.writes:
                store.lose(self.random.randrange(store.writes + 1))
            elif lose == "everything":
                store.pieces.clear()
                store._undo.clear()

    # What drivers use

    def now(self) -> int:
        return self._clock() + self.skew

    def elapsed(self) -> float:
        # Time stands still while a process acts: how much is handled at once is the plan's.
        return self._clock() / 1000

    def open_store(self, owner: object, partition: int, then: Callable[[Opened], None]) -> None:
        store = self.stores.get(partition)
        if store is None:
            self.stores[partition] = CrashStore()
        self._on_disk(partition, partial(self._open_store, partition), owner, then)

    def wipe_store(self, owner: object, partition: int, then: Callable[[Wiped], None]) -> None:
        self._on_disk(partition, partial(self._wipe_store, partition), owner, then)

    def close_store(self, partition: int, wipe: bool = False) -> None:
        self._on_disk(partition, partial(self._close_store, partition))

    def _open_store(self, partition: int) -> Opened:
        if partition in self._opened:
            raise Violation(f"{self.node}: the store of partition {partition} is opened, and was not closed")
        if self.full:
            return StoreUnavailable("there are no more file descriptors")
        self._opened.add(partition)
        return self.stores[partition]

    def _wipe_store(self, partition: int) -> Wiped:
        try:
            self.stores[partition].wipe()
        except StoreUnavailable as error:
            return error
        return None

    def _close_store(self, partition: int) -> None:
        self._opened.discard(partition)

    def _on_disk(
        self,
        partition: int,
        work: Callable[[], T],
        owner: object = None,
        then: Callable[[T], None] = lambda _: None,
    ) -> None:
        if not self.odds_slow_disk and not self._disk:
            then(work())
        else:
            self._disk.append((partition, work, owner, cast("Callable[[object], None]", then)))

    def _do_disk(self) -> None:
        """What is done with each store is done in turn, and takes a while."""
        begun = set()
        for asked in list(self._disk):
            partition, work, owner, then = asked
            if partition in begun:
                continue
            begun.add(partition)
            if self.slow_disk.random() < self.odds_slow_disk:
                continue
            self._disk.remove(asked)
            result = work()
            if owner is None:
                continue
            assert type(owner) is Driver
            if owner.state in (State.LOST, State.CLOSED):
                self.hits["a store too late"] += 1
            try:
                owner.answered(then, result)
            except (StoreCorrupt, StoreUnavailable, LogError) as error:
                owner.lose(str(error))

    def fill_disk(self, full: bool) -> None:
        """Its disk is full, or has room again: no state store can be opened or written."""
        self.full = full
        for store in self.stores.values():
            store.full = full

    def open_lane(self, partition: int) -> Lane:
        lane = Lane(partition, self.log, self.topics)
        self._lanes.append(lane)
        return lane

    def close_lane(self, lane: Lane) -> None:
        lane.closed = True

    def kick_lanes(self) -> None:
        """The scheduler looks by itself."""

    def run_effect(self, driver: object, call: EffectCall) -> None:
        assert type(driver) is Driver
        self._effects.append((driver, call))

    def ask(
        self, owner: object, partition: int, question: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None:
        assert type(owner) is Driver
        asked = _Question(owner, question, cast("Callable[[object], None]", then))
        asked.due = self._clock()
        self._questions.append(asked)

    # One round in phases

    def step(self, phase: str) -> None:
        """Do one phase. A handler may kill the process in it."""
        try:
            getattr(self, f"_do_{phase}")()
        except Killed as killed:
            self.hits["killed by a handler"] += 1
            self.note(f"{self.node}: a handler kills the process: {killed}")
            self.crash("nothing", 50, self._clock() + 20)

    def _do_receive(self) -> None:
        for partition, records in _by_partition(self.mailbox.read(500, 0)).items():
            self._guard(partition, "receive", records)

    def _do_replay(self) -> None:
        for partition, records in _by_partition(self.journal.read(500, 0)).items():
            self._guard(partition, "replay", records)
        for partition, records in _by_partition(self.snapshots.read(500, 0)).items():
            self._guard(partition, "load", records)

    def _do_pump(self) -> None:
        for partition in sorted({*self.drivers, *self.leaving}):
            self._guard(partition, "pump", None)

    def _finish_effect(self) -> None:
        """One effect comes to its end, in any order."""
        if self._effects:
            driver, call = self._effects.pop(self.random.randrange(len(self._effects)))
            result = call.effect.run(call.attempt, call.spent)
            self.hits["effect done" if result.retry_after < 0 else "effect to be tried again"] += 1
            driver.effect_done(call, result)

    def _do_acks(self) -> None:
        self._finish_effect()
        failed: Exception | None = None
        for ack in self.appender.poll(0):
            driver, kind, batch = _owner(ack)
            if type(batch) is Flight:
                self.flying.landed(batch)
            if ack.error is not None:
                failed = ack.error
                self.hits["appending failed" if self.sender.broken else "unknown offset"] += 1
            try:
                driver.acknowledged(kind, ack, batch)
            except (StoreCorrupt, StoreUnavailable, LogError) as error:
                driver.lose(str(error))
            except Exception as error:
                raise Violation(f"{self.node}: an acknowledgement failed: {error!r}") from error
            if driver._gap is not None:
                self.hits["gap"] += 1
        if failed is not None and self.sender.broken:
            self.replace_appender(failed)

    def _step_lane(self, lane: Lane) -> None:
        if lane.closed:
            self._lanes.remove(lane)
            for way in lane.ways:
                self._unanswered.pop(way, None)
            lane.close()
            return
        for way in lane.ways:
            self._step_way(lane, way)

    def _step_way(self, lane: Lane, way: Way) -> None:
        if way in self._unanswered:
            if self.network.apart.random() < 0.2:
                lane.done.extend(self._unanswered.pop(way))
        elif way.work():
            before = len(lane.done)
            try:
                lane.step(way)
            except LogError as error:
                self.hits["lane failed"] += 1
                self.note(f"{self.node} lane {lane.partition}: {error}")
            if len(lane.done) > before and self.network.apart.random() < self.network.odds_late_answer:
                # Everybody sees what is committed, and the lane's thread still waits for the answer.
                self.hits["commit answered late"] += 1
                self._unanswered[way] = [lane.done.pop() for _ in range(len(lane.done) - before)][::-1]
            if lane.fenced:
                self.hits["lane fenced"] += 1
                self.note(f"{self.node} lane {lane.partition} is fenced")

    def _do_lanes(self) -> None:
        for lane in list(self._lanes):
            if self.random.random() < 0.7:
                self._step_lane(lane)

    def _do_desk(self) -> None:
        """Questions are asked, and answered later: often too late, sometimes by an error, done or not."""
        self._do_disk()
        random, odds = self.random, self.network.odds_answer
        for question in list(self._questions):
            if question.due > self._clock():
                continue
            question.due += random.choice((0, 5, 20, 20, 300)) if odds else 0
            if not question.asked:
                question.ask(random.random() < odds, random.random() < 0.5)
            else:
                self._questions.remove(question)
                if isinstance(question.result, LogError):
                    self.hits["no answer from the log"] += 1
                if question.owner.state in (State.LOST, State.CLOSED):
                    self.hits["an answer too late"] += 1
                try:
                    question.owner.answered(question.then, question.result)
                except HistoryGone as error:
                    raise Violation(f"{self.node}: turns are lost: {error}") from None
                except (StoreCorrupt, StoreUnavailable, LogError) as error:
                    question.owner.lose(str(error))
                except Exception as error:
                    raise Violation(f"{self.node}: an answer of the log failed: {error!r}") from error

    def _do_follow(self) -> None:
        now = self._clock()
        wanted = frozenset() if self.stopping else self.wanted
        for partition, driver in list(self.drivers.items()):
            if driver.state is State.LOST:
                self._lost(partition, driver)
                del self.drivers[partition]
            elif partition not in wanted:
                driver.release()
                self._executed[driver] = _executed(driver)
                self.leaving[partition] = driver
                del self.drivers[partition]
        for partition, driver in list(self.leaving.items()):
            if driver.state is State.LOST:
                self._lost(partition, driver)
            if driver.released():
                if driver.state is State.CLOSED:
                    self.hits["released"] += 1
                del self.leaving[partition]
        for partition in sorted(wanted):
            if partition not in self.drivers and partition not in self.leaving:
                if now - self._lost_at.get(partition, -RECLAIM_MS) < RECLAIM_MS:
                    continue
                try:
                    self.drivers[partition] = Driver(self, partition)
                    self.hits["takeover"] += 1
                    self.note(f"{self.node} claims {partition}")
                except LogError as error:
                    self._lost_at[partition] = now
                    self.replace_appender(error)
        if self.stopping and not self.drivers and not self.leaving:
            self.hits["orderly restart"] += 1
            self.sender.close()
            self.start()
            self.note(f"{self.node} starts, after an orderly end")

    def _lost(self, partition: int, driver: Driver) -> None:
        self._lost_at[partition] = self._clock()
        what = "fenced" if "claimed by" in driver.why else "lost"
        self.hits[what] += 1
        self.note(f"{self.node}: {what}: {driver.why}")

    def replace_appender(self, error: Exception) -> None:
        """It takes nothing more: who had a claim or turns on their way claims anew."""
        self.hits["appender failed"] += 1
        self.note(f"{self.node}: appender replaced: {error}")
        for driver in [*self.leaving.values(), *self.drivers.values()]:
            driver.appender_failed(error)
        self.flying = Flying()
        self.appender.close()
        self._new_appender()

    def _new_appender(self) -> None:
        self.sender = SimProducer(self.network, self.node)
        self.appender = self.sender.paced()

    def _guard(self, partition: int, what: str, records: list[Record] | None) -> None:
        driver = self.drivers.get(partition) or self.leaving.get(partition)
        if driver is None:
            return
        if driver in self._executed and _executed(driver) > self._executed[driver]:
            raise Violation(f"{self.node}, partition {partition}: a turn is made after it was let go")
        before = driver.state
        phase = driver.takeover.phase
        try:
            if records is None:
                driver.pump()
            else:
                getattr(driver, what)(records)
        except HistoryGone as error:
            raise Violation(f"{self.node}, partition {partition}: turns are lost: {error}") from None
        except (StoreCorrupt, StoreUnavailable, LogError) as error:
            driver.lose(str(error))
        except Exception as error:
            raise Violation(f"{self.node}, partition {partition}: {what} failed: {error!r}") from error
        refused = driver.state is State.TAKEOVER and driver.takeover.phase is Phase.REFUSED
        if refused and partition not in self.strange:
            raise Violation(f"{self.node}: partition {partition} is refused, though nothing is lost")
        if before is State.TAKEOVER and driver.state is State.ACTIVE:
            self._activated(partition, driver, phase)
        if driver._paused:
            self.hits["reading paused"] += 1

    def _activated(self, partition: int, driver: Driver, phase: Phase) -> None:
        p, restore = driver.processor, driver.takeover.restore
        assert p is not None
        assert restore is not None
        self.strange.discard(partition)
        self.hits["active from the store" if restore.exact else "active from snapshots"] += 1
        if driver.upkeep is not None and driver.upkeep.catching_up:
            self.hits["catching up"] += 1
        if p.fold.crashes >= 2:
            self.hits["careful"] += 1
        if not restore.exact and restore.start:
            self.hits["active from a snapshot that has something"] += 1
        histories = p.pieces.histories
        waiting = {
            (address, number): len(histories.read(address, number))
            for address, some in histories.pending.items() for number in some
        }  # fmt: skip
        self.found.append((partition, p.claim, waiting))
        if waiting:
            self.hits["took over handlers that wait"] += 1
        self.note(f"{self.node} active on {partition}, claim {p.claim}, mailbox from {p.position}")

    def serves(self) -> bool:
        """Whether it has taken over any partition."""
        return any(driver.state is State.ACTIVE for driver in self.drivers.values())

    def idle(self) -> bool:
        """Whether nothing is under way here."""
        if set(self.drivers) != set(self.wanted) or self.leaving or self._questions or self._disk:
            return False
        if self.sender.pending or self.appender.holding:
            return False
        for driver in self.drivers.values():
            p = driver.processor
            if driver.state is not State.ACTIVE or p is None or driver.owed or driver.reads_journal:
                return False
            if p.in_flight or p.ledger.pending or p.ledger.pending_answers or p.answers:
                return False
            if p.inbox.waiting or len(p.timers) or p.invocations.live:
                return False
            if p.position < self.log.range((self.topics.mailbox, driver.partition))[1]:
                return False
        return not self._unanswered and not any(lane.work() for lane in self._lanes)


class _Question:
    """What a driver has asked the log; once it is asked, what came of it."""

    def __init__(self, owner: Driver, ask: Callable[[], object], then: Callable[[object], None]) -> None:
        self.owner = owner
        self.then = then
        self._ask = ask
        self.asked = False
        self.due = 0  # when what comes next happens to it
        self.result: object = None

    def ask(self, fails: bool, in_vain: bool) -> None:
        """The log is asked. Where that `fails`, it may have done what it should, or not (`in_vain`)."""
        self.asked = True
        try:
            self.result = LogUnavailable("nobody answers") if fails and in_vain else self._ask()
        except LogError as error:
            self.result = error
        if fails:
            self.result = LogUnavailable("the answer is lost")


def _executed(driver: Driver) -> int:
    """Turns of this reign so far."""
    p = driver.processor
    return 0 if p is None else p.fold.turns + p.running_ahead


def _owner(ack: Ack) -> tuple[Driver, str, object]:
    return ack.token  # type: ignore[return-value]


def _by_partition(records: list[Record]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(record.partition, []).append(record)
    return found
