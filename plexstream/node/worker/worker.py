"""A worker: one thread that drives the partitions it has been assigned."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, cast

from plexstream.log.base import Ack, Log, Reader, Record
from plexstream.log.installation import Control
from plexstream.model.errors import LogError, Unreadable
from plexstream.model.host import ActorHost
from plexstream.model.process.threads import Lasting
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.service.driver import Driver, State
from plexstream.node.shared.flying import Flight
from plexstream.node.shared.leftovers import Leftovers, delete
from plexstream.node.shared.repeated import Repeated
from plexstream.node.worker.assignment import ALL, Assignment
from plexstream.node.worker.equipment import Equipment
from plexstream.node.worker.health.guard import guard
from plexstream.node.worker.health.status import PartitionStatus, status_of
from plexstream.processor import Settings
from plexstream.sdk.running.current import current

_log = logging.getLogger("plexstream.node")

_partition = itemgetter(Record._fields.index("partition"))  # half the time of the attribute

READ_LIMIT = 500
"""Mailbox records taken at once: 8 ms of work for handlers that take no time."""
REPLAY_LIMIT = 500
"""Of journal and snapshots: as many as stay in the cache of a core between reading and folding."""
IDLE_S = 0.02
"""How long an idle worker waits for a record at most."""
EFFECT_S = 0.001
"""How long a worker waits for a short effect before it looks for records again. To wait for records instead
would be for 20 ms: nothing interrupts librdkafka's poll."""
ACK_S = 0.002
"""How long it waits for an acknowledgement before it looks for records again."""
MAX_BACK_MS = 5_000
"""How far the clock may be set back before partitions are claimed anew; meanwhile no timer fires."""
SHARE_S = 0.05
"""How long partitions that restore may keep others waiting in one round, where those take as long."""
ALONE_S = 0.01
"""How long they fold in a round where all restore: what is acknowledged and answered meanwhile waits."""
READ_AGAIN_S = 0.01
"""A pause after an error of reading, so that one that lasts is no loop without a pause."""
PEACE_S = 0.5
"""How long a worker that could not let go waits for its last words to arrive."""
RELEASE_S = 4.0
"""How long letting go in good order may take before it is done the hard way."""


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

    Attributes:
        equipment: what it lends to its drivers.
        failed: what has ended it; None while nothing has.
        rounds: of its loop so far.
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
        self.equipment = Equipment(log, topics, partitions, host, settings, state_dir, node, control, clock)
        self._faults = Repeated()
        self._assignment = Assignment(self.equipment, self._faults)
        self._leftovers = Leftovers(state_dir, settings.store_keep)
        self._stop = threading.Event()
        self.failed: BaseException | None = None
        self._handled_s = 0.0
        self.rounds = 0
        self._current: Mapping[str, Any] = {}

    # From other threads

    @property
    def drivers(self) -> dict[int, Driver]:
        """Of the partitions that it is to have, by their numbers."""
        return self._assignment.drivers

    def assign(self, partitions: Iterable[int], known: bool = True) -> None:
        """The partitions to have from now on. Not `known`: others may come at any time."""
        self._assignment.assign(partitions, known)
        self.equipment.mailbox.wake()

    def stop(self) -> None:
        """Let go of everything in good order and end."""
        self._stop.set()
        self.equipment.mailbox.wake()

    def status(self) -> list[PartitionStatus]:
        """Every partition that this worker has or is about to have."""
        return [status_of(driver) for driver in self._assignment.all()]

    def effects(self) -> list[dict[str, Any]]:
        """Side effects that run or wait for a thread, by type of actor."""
        return self.equipment.effects.status()

    def has_let_go(self, partition: int) -> bool:
        """Whether nothing works on the partition here."""
        return self._assignment.find(partition) is None

    def turn(self) -> Any:
        """The turn that is executed now; None between two. Any thread."""
        return self._current.get("turn")

    def ready(self) -> bool:
        """Whether it has been assigned its partitions, and every one is active."""
        return not self.why()

    def why(self) -> list[str]:
        """What it lacks to be ready. Any thread."""
        return self._assignment.why()

    def threads(self) -> list[Lasting]:
        """Those of the lanes."""
        return self.equipment.lanes.threads()

    # The loop

    def run(self) -> None:
        """Drive until `stop`."""
        self._current = current.__dict__  # of this thread: others can see what it does
        try:
            while not self._stop.is_set():
                self.step()
            end = time.monotonic() + RELEASE_S
            while self._assignment.all() and time.monotonic() < end:
                self.step()
            for driver in self._assignment.all():
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
            for ack in self.equipment.appender.poll(0.1):
                driver, kind, _ = cast("tuple[Driver, str, object]", ack.token)
                if kind == "alive":
                    self.drivers.pop(driver.partition, None)

    def close(self) -> None:
        """Release the log's clients."""
        self.equipment.close()

    def _look_at_the_clock(self) -> None:
        """A processor's time never goes back: where the clock was set back by much, each one begins anew."""
        passed = self.equipment.look_at_the_clock()
        if passed < -MAX_BACK_MS:
            back = -passed / 1000
            _log.warning("the clock was set back by %.1f s: every partition is claimed anew", back)
            for driver in self.drivers.values():
                driver.lose(f"the clock was set back by {back:.1f} s")

    def step(self) -> bool:
        """One round: read, execute, append, acknowledge. Returns whether anything happened."""
        self.rounds += 1
        equipment, assignment = self.equipment, self._assignment
        self._look_at_the_clock()
        self._faults.look()
        assignment.follow(self._stop.is_set())
        self._delete_leftovers()
        restoring = arrived = False
        alone = True
        for driver in assignment.drivers.values():
            arrived = arrived or driver.has_arrived
            alone = alone and driver.state is State.TAKEOVER
            restoring = restoring or driver.state is State.TAKEOVER or driver.reads_journal
        for driver in assignment.releasing.values():
            restoring = restoring or driver.reads_journal
        at_once = restoring or arrived or self._must_poll()
        if not at_once and equipment.effects.short():
            equipment.effects.wait(EFFECT_S)
            at_once = True
        records = self._read(equipment.mailbox, READ_LIMIT, 0.0 if at_once else self._idle_s())
        if records:
            equipment.look_at_the_clock()
            for driver, some in self._by_driver(records):
                guard(driver, driver.receive, some)
        self._take_what_came()
        if restoring:
            self._read_back(alone)
        began = time.monotonic()
        for driver in assignment.all():
            if not driver.calm():
                guard(driver, driver.pump)
        self._handled_s = time.monotonic() - began
        acks = equipment.appender.poll(0.0 if records or arrived or not self._must_poll() else ACK_S)
        if acks:
            # What they release leaves at once: the next read may wait.
            for driver in self._take_acks(acks):
                guard(driver, driver.pump)
        return bool(records or acks)

    def _take_what_came(self) -> None:
        """From other threads: results of effects, answers of the log and of state stores."""
        for owner, done in self.equipment.effects.take().items():
            assert type(owner) is Driver
            guard(owner, owner.effects_done, done)
        for answer in [*self.equipment.desk.take(), *self.equipment.stores.take()]:
            if type(answer.owner) is Driver:
                guard(answer.owner, answer.owner.answered, answer.then, answer.result)
            else:
                answer.then(answer.result)

    def _must_poll(self) -> bool:
        """Whether acknowledgements are due that nobody announces."""
        equipment = self.equipment
        return not equipment.announced and (
            equipment.appender.holding or any(d.busy() for d in self._assignment.all())
        )

    def _idle_s(self) -> float:
        """How long to wait for a record: no longer than until the first timer or retry is due."""
        due = [when for d in self.drivers.values() if (when := d.next_wake()) is not None]
        now = self.equipment.now()
        return max(0.001, min([IDLE_S, *((when - now) / 1000 for when in due)]))

    def _read_back(self, alone: bool) -> None:
        """Fold a slice, and more of them for as long as the handlers of others took in the last round.

        `alone`: there are no others.
        """
        end = time.monotonic() + (ALONE_S if alone else min(self._handled_s, SHARE_S))
        while True:
            journal = self._read(self.equipment.journal, REPLAY_LIMIT, 0.001)
            for driver, some in self._by_driver(journal):
                guard(driver, driver.replay, some)
            snapshots = self._read(self.equipment.snapshots, REPLAY_LIMIT, 0.0)
            for driver, some in self._by_driver(snapshots):
                guard(driver, driver.load, some)
            if time.monotonic() >= end or not (journal or snapshots):
                return

    def _read(self, reader: Reader, limit: int, timeout: float) -> list[Record]:
        """Read; a partition that cannot be read costs its driver its reign, and nobody else."""
        try:
            return reader.read(limit, timeout)
        except Unreadable as error:
            driver = self._assignment.find(error.partition)
            if driver is not None:
                driver.lose(str(error))
            return []
        except LogError as error:  # of no partition that it names: others may go on, and so may this one
            self._faults.tell("reading goes on, though", error)
            time.sleep(READ_AGAIN_S)
            return []

    def _by_driver(self, records: list[Record]) -> Iterator[tuple[Driver, list[Record]]]:
        for partition, some in groupby(records, _partition):
            driver = self._assignment.find(partition)
            if driver is not None:
                yield driver, list(some)

    def _delete_leftovers(self) -> None:
        assignment, stores = self._assignment, self.equipment.stores
        if self._stop.is_set() or not self._leftovers.due(assignment.wanted):
            return
        used = {*assignment.drivers, *assignment.releasing, *stores.in_use()}
        if aside := self._leftovers.set_aside(used):
            self.equipment.ask(self, ALL, lambda: delete(aside), lambda _: None)

    def _take_acks(self, acks: list[Ack]) -> set[Driver]:
        touched: set[Driver] = set()
        failed: Exception | None = None
        for ack in acks:
            driver, kind, batch = cast("tuple[Driver, str, object]", ack.token)
            if type(batch) is Flight:
                self.equipment.flying.landed(batch)
            touched.add(driver)
            failed = failed or ack.error
            guard(driver, driver.acknowledged, kind, ack, batch)
        if failed is not None and self.equipment.appender.broken:
            self._assignment.replace_appender(failed)
        return touched
