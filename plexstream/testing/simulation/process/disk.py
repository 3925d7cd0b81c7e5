"""The state stores of a simulated process: each takes its time, and a full disk takes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import ClassVar, TypeVar, cast

from plexstream.model.errors import LogError, StoreCorrupt, StoreUnavailable
from plexstream.node.partition.service.driver import Driver, State
from plexstream.node.shared.services import Opened, Wiped
from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.process.stores import CrashStore

T = TypeVar("T")

_Asked = tuple[int, Callable[[], object], object, Callable[[object], None]]
"""Partition, what is to be done, and who hears of it."""


class Disk:
    """One machine's disk. What is on it survives the process.

    Parameters:
        name: of the process; decides what comes late.
        node: says which life the process is in.

    Attributes:
        stores: by partition.
        odds_late: that what is to be done with a state store is not done in a round.
    """

    odds_late: ClassVar[float] = 0.0  # a test sets it: it leaves other schedules as they are

    def __init__(self, name: str, node: Callable[[], str], hits: Counter[str]) -> None:
        self.stores: dict[int, CrashStore] = {}
        self._node = node
        self._hits = hits
        self._random = Random(f"disk of {name}")
        self._asked: list[_Asked] = []
        self._opened: set[int] = set()
        self.full = False

    @property
    def busy(self) -> bool:
        """Whether something is still to be done."""
        return bool(self._asked)

    def process_ended(self) -> None:
        """Nobody has a store open any more, and nobody waits for one."""
        self._asked, self._opened = [], set()

    def lose(self, what: str, random: Random) -> None:
        """A power cut: "nothing" is lost of the stores, "something" or "everything"."""
        for store in self.stores.values():
            if what == "something" and store.writes:
                store.lose(random.randrange(store.writes + 1))
            elif what == "everything":
                store.clear()

    def open(self, owner: object, partition: int, then: Callable[[Opened], None]) -> None:
        """Open the store of a partition."""
        if partition not in self.stores:
            self.stores[partition] = CrashStore()
        self._do(partition, partial(self._open, partition), owner, then)

    def wipe(self, owner: object, partition: int, then: Callable[[Wiped], None]) -> None:
        """Empty the store of a partition."""
        self._do(partition, partial(self._wipe, partition), owner, then)

    def close(self, partition: int) -> None:
        """Close the store of a partition."""
        self._do(partition, partial(self._close, partition))

    def _open(self, partition: int) -> Opened:
        if partition in self._opened:
            raise Violation(
                f"{self._node()}: the store of partition {partition} is opened, and was not closed"
            )
        if self.full:
            return StoreUnavailable("there are no more file descriptors")
        self._opened.add(partition)
        return self.stores[partition]

    def _wipe(self, partition: int) -> Wiped:
        try:
            self.stores[partition].wipe()
        except StoreUnavailable as error:
            return error
        return None

    def _close(self, partition: int) -> None:
        self._opened.discard(partition)

    def _do(
        self,
        partition: int,
        work: Callable[[], T],
        owner: object = None,
        then: Callable[[T], None] = lambda _: None,
    ) -> None:
        if not self.odds_late and not self._asked:
            then(work())
        else:
            self._asked.append((partition, work, owner, cast("Callable[[object], None]", then)))

    def step(self) -> None:
        """What is done with each store is done in turn, and takes a while."""
        begun = set()
        for asked in list(self._asked):
            partition, work, owner, then = asked
            if partition in begun:
                continue
            begun.add(partition)
            if self._random.random() < self.odds_late:
                continue
            self._asked.remove(asked)
            result = work()
            if owner is None:
                continue
            assert type(owner) is Driver
            if owner.state in (State.LOST, State.CLOSED):
                self._hits["a store too late"] += 1
            try:
                owner.answered(then, result)
            except (StoreCorrupt, StoreUnavailable, LogError) as error:
                owner.lose(str(error))

    def fill(self, full: bool) -> None:
        """Its disk is full, or has room again: no state store can be opened or written."""
        self.full = full
        for store in self.stores.values():
            store.full = full
