"""A worker process without threads: the real drivers, takeovers, upkeeps and lanes, stepped by the scheduler.

What `plexstream.node.worker.worker` does in one round of its loop is cut into phases here, so that anything
may happen between any two of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TypeVar

from plexstream.log.base import Ack, Appender, Log, Reader, Record
from plexstream.log.installation import Control
from plexstream.model.errors import HistoryGone, LogError, StoreCorrupt, StoreUnavailable
from plexstream.model.host import ActorHost
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.lanes import Lane
from plexstream.node.partition.service.driver import Driver, State
from plexstream.node.shared.clocks import Clocks
from plexstream.node.shared.flying import Flight, Flying
from plexstream.node.shared.services import Opened, Wiped
from plexstream.processor import EffectCall, Settings
from plexstream.testing.simulation.errors import Killed, Violation
from plexstream.testing.simulation.network.desk import Desk
from plexstream.testing.simulation.network.lanes import Lanes
from plexstream.testing.simulation.network.log import SimLog
from plexstream.testing.simulation.network.network import Network, SimProducer
from plexstream.testing.simulation.process.disk import Disk
from plexstream.testing.simulation.process.watch import Watch

T = TypeVar("T")

PHASES = ("receive", "replay", "pump", "acks", "lanes", "follow", "desk")
RECLAIM_MS = 40


class SimProcess:
    """One worker process. It satisfies `Services`; it may be paused, and killed at any phase.

    Attributes:
        wanted: the partitions that it believes it has been assigned.
        skew: by how many ms its clock is wrong.
        paused_until: it does nothing before; what it sent goes on.
        doomed: how often it will die again soon.
        stopping: it lets go of everything in good order, and begins anew.
        disk: survives the process.
        hits: what happened how often, for the coverage.
        watch: has looked at what its drivers did.
    """

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
        self.wanted: frozenset[int] = frozenset()
        self.skew = 0
        self.paused_until = 0
        self.alive = False
        self.restart_at = 0
        self.doomed = 0
        self.stopping = False
        self.lives = 0
        self._clock = clock
        self.drivers: dict[int, Driver] = {}
        self.leaving: dict[int, Driver] = {}
        self._lost_at: dict[int, int] = {}
        self._effects: list[tuple[Driver, EffectCall]] = []
        self.disk = Disk(name, lambda: self.node, hits)
        self.lanes = Lanes(network, self.log, topics, random, lambda: self.node, hits, note)
        self.desk = Desk(network, random, lambda: self.node, clock, hits)
        self.watch = Watch(lambda: self.node, hits, note)
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
        self._lost_at = {}
        self._process_ended()

    def crash(self, lose: str, longest: int, restart_at: int) -> None:
        """The process is gone. `lose`: of its stores "nothing", "something" or "everything"."""
        self.note(f"{self.node} dies; its stores lose {lose}")
        self.alive = False
        self.restart_at = restart_at
        self.sender.die(longest)
        self._process_ended()
        self.disk.lose(lose, self.random)

    def _process_ended(self) -> None:
        """Nothing is left of what was in its memory."""
        self.drivers, self.leaving, self._effects = {}, {}, []
        self.disk.process_ended()
        self.lanes.process_ended()
        self.desk.process_ended()

    # What drivers use

    def now(self) -> int:
        return self._clock() + self.skew

    def elapsed(self) -> float:
        # Time stands still while a process acts: how much is handled at once is the plan's.
        return self._clock() / 1000

    def open_store(self, owner: object, partition: int, then: Callable[[Opened], None]) -> None:
        self.disk.open(owner, partition, then)

    def wipe_store(self, owner: object, partition: int, then: Callable[[Wiped], None]) -> None:
        self.disk.wipe(owner, partition, then)

    def close_store(self, partition: int, wipe: bool = False) -> None:
        self.disk.close(partition)

    def open_lane(self, partition: int) -> Lane:
        return self.lanes.open(partition)

    def close_lane(self, lane: Lane) -> None:
        self.lanes.close(lane)

    def ask(
        self, owner: object, partition: int, question: Callable[[], T], then: Callable[[T | LogError], None]
    ) -> None:
        self.desk.ask(owner, partition, question, then)

    def kick_lanes(self) -> None:
        """The scheduler looks by itself."""

    def run_effect(self, driver: object, call: EffectCall) -> None:
        assert type(driver) is Driver
        self._effects.append((driver, call))

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

    def _do_lanes(self) -> None:
        self.lanes.step()

    def _do_desk(self) -> None:
        self.disk.step()
        self.desk.step()

    def _finish_effect(self) -> None:
        """One effect comes to its end, in any order."""
        if self._effects:
            driver, call = self._effects.pop(self.random.randrange(len(self._effects)))
            result = call.effect.run(call.attempt, call.spent)
            self.hits["effect done" if result.retry_after < 0 else "effect to be tried again"] += 1
            driver.effects_done([(call, result)])

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
            if driver.service is not None and driver.service.appends.gap is not None:
                self.hits["gap"] += 1
        if failed is not None and self.sender.broken:
            self.replace_appender(failed)

    def _do_follow(self) -> None:
        now = self._clock()
        wanted = frozenset() if self.stopping else self.wanted
        for partition, driver in list(self.drivers.items()):
            if driver.state is State.LOST:
                self._lost(partition, driver)
                del self.drivers[partition]
            elif partition not in wanted:
                driver.release()
                self.watch.let_go(driver)
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
        self.watch.before(driver)
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
        self.watch.after(driver, before, phase)

    def serves(self) -> bool:
        """Whether it has taken over any partition."""
        return any(driver.state is State.ACTIVE for driver in self.drivers.values())

    def idle(self) -> bool:
        """Whether nothing is under way here."""
        if set(self.drivers) != set(self.wanted) or self.leaving or self.desk.busy or self.disk.busy:
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
        return not self.lanes.busy


def _owner(ack: Ack) -> tuple[Driver, str, object]:
    return ack.token  # type: ignore[return-value]


def _by_partition(records: list[Record]) -> dict[int, list[Record]]:
    found: dict[int, list[Record]] = {}
    for record in records:
        found.setdefault(record.partition, []).append(record)
    return found
