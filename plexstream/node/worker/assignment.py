"""Which partitions a worker drives: claimed, let go and claimed again as it is told."""

from __future__ import annotations

import time
from collections.abc import Iterable

from plexstream.model.errors import LogError
from plexstream.model.messages.text import said
from plexstream.node.partition.service.driver import RECLAIM_S, Driver, State
from plexstream.node.shared.repeated import Repeated
from plexstream.node.worker.equipment import Equipment
from plexstream.node.worker.health.guard import guard

ALL = -1
"""The number under which the desk is asked about no partition alone."""


class Assignment:
    """The partitions that a worker is to have, and the drivers of those that it has.

    Parameters:
        equipment: what drivers are lent.
        faults: tells what goes wrong again and again.

    Attributes:
        wanted: what it is to have.
        drivers: of these, by partition.
        releasing: of those that it still has, and lets go.
    """

    def __init__(self, equipment: Equipment, faults: Repeated) -> None:
        self._equipment = equipment
        self._faults = faults
        self.wanted: frozenset[int] = frozenset()
        self.drivers: dict[int, Driver] = {}
        self.releasing: dict[int, Driver] = {}
        self._known = False  # whether anybody has said what it is to have, be it nothing
        self._lost_at: dict[int, float] = {}
        self._prepared = False  # nothing that the loop does asks a broker for what a topic is like
        self._prepare_at = 0.0

    # From other threads

    def assign(self, partitions: Iterable[int], known: bool) -> None:
        """What to have from now on. Not `known`: others may come at any time."""
        self._known = known
        self.wanted = frozenset(partitions)

    def why(self) -> list[str]:
        """What lacks until each partition is active."""
        if not self._known:
            return ["no partitions are assigned yet"]
        drivers = dict(self.drivers)
        found = [(p, drivers.get(p)) for p in sorted(self.wanted)]
        return [
            f"partition {p} is {'waiting' if d is None else d.phase}"
            for p, d in found
            if d is None or d.state is not State.ACTIVE
        ]

    # From the worker's own

    def all(self) -> list[Driver]:
        """Every driver."""
        return [*self.drivers.values(), *self.releasing.values()]

    def find(self, partition: int) -> Driver | None:
        """Who has this partition."""
        return self.drivers.get(partition) or self.releasing.get(partition)

    def follow(self, stopping: bool) -> None:
        """Begin and end with partitions; with all of them where the worker is `stopping`."""
        # Whatever the group assigns meanwhile, who stops claims nothing more.
        wanted = frozenset() if stopping else self.wanted
        if wanted and not self._prepared:
            self._prepare()
            wanted = frozenset()
        for partition, driver in list(self.drivers.items()):
            if driver.state is State.LOST:
                del self.drivers[partition]
                self._lost_at[partition] = time.monotonic() + driver.again_s - RECLAIM_S
                self._faults.tell(f"partition {partition}: lost", driver.why)
            elif partition not in wanted:
                guard(driver, driver.release)
                self.releasing[partition] = driver
                del self.drivers[partition]
        for partition, driver in list(self.releasing.items()):
            if _has_released(driver):
                del self.releasing[partition]
        for partition in wanted:
            if self.find(partition) is None:
                self._claim(partition)

    def _claim(self, partition: int) -> None:
        if time.monotonic() - self._lost_at.get(partition, -RECLAIM_S) < RECLAIM_S:
            return
        try:
            self.drivers[partition] = Driver(self._equipment, partition)
        except LogError as error:
            self._faults.tell(f"partition {partition}: the claim could not be sent", error)
            self._lost_at[partition] = time.monotonic()
            self.replace_appender(error)

    def _prepare(self) -> None:
        """Before the first claim: have the log learn what it needs to know of the topics, off this thread."""
        if time.monotonic() < self._prepare_at:
            return
        self._prepare_at = float("inf")
        log, t = self._equipment.log, self._equipment.topics
        names = [t.journal, t.mailbox, t.snapshot, t.reply]
        self._equipment.ask(self, ALL, lambda: log.prepare(names), self._is_prepared)

    def _is_prepared(self, found: object) -> None:
        if isinstance(found, LogError):
            self._faults.tell("no partition is claimed yet", found)
            self._prepare_at = time.monotonic() + RECLAIM_S
        else:
            self._prepared = True

    def replace_appender(self, error: Exception) -> None:
        """It takes nothing more: who had a claim or turns on their way claims anew, others go on."""
        self._faults.tell("the appender failed and is replaced", error)
        for driver in self.all():
            guard(driver, driver.appender_failed, error)
        try:
            self._equipment.replace_appender()
        except Exception as failed:  # the next append fails as well, and asks for another one
            self._faults.tell("there is no other appender yet", said(failed))


def _has_released(driver: Driver) -> bool:
    done = [False]

    def ask() -> None:
        done[0] = driver.released()

    guard(driver, ask)
    return done[0] or driver.state is State.LOST
