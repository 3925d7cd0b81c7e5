"""What is looked at while a driver runs: no turn once it was let go, nobody refused without a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from plexstream.node.partition.service.driver import Driver, State
from plexstream.node.partition.takeover.ground import Phase
from plexstream.testing.simulation.cast.waited import Pending
from plexstream.testing.simulation.errors import Violation


class Watch:
    """Looks at the drivers of one process, in one life after the other.

    Parameters:
        node: says which life the process is in.

    Attributes:
        found: in each takeover, of which partition, with which claim: the handlers that wait.
        strange: partitions whose store is of another history, until they are taken over.
    """

    def __init__(self, node: Callable[[], str], hits: Counter[str], note: Callable[[str], None]) -> None:
        self._node = node
        self._hits = hits
        self._note = note
        self.found: list[tuple[int, int, Pending]] = []
        self.strange: set[int] = set()
        self._executed: dict[Driver, int] = {}  # turns made by those who let go, as of then

    def let_go(self, driver: Driver) -> None:
        """It has released its partition, and makes no turn from here on."""
        self._executed[driver] = _executed(driver)

    def before(self, driver: Driver) -> None:
        """It is about to do something. Raises Violation."""
        if driver in self._executed and _executed(driver) > self._executed[driver]:
            where = f"{self._node()}, partition {driver.partition}"
            raise Violation(f"{where}: a turn is made after it was let go")

    def after(self, driver: Driver, state: State, phase: Phase) -> None:
        """It has done something; `state` and `phase` of its takeover are those before. Raises Violation."""
        partition = driver.partition
        refused = driver.state is State.TAKEOVER and driver.takeover.phase is Phase.REFUSED
        if refused and partition not in self.strange:
            raise Violation(f"{self._node()}: partition {partition} is refused, though nothing is lost")
        if state is State.TAKEOVER and driver.state is State.ACTIVE:
            self._activated(partition, driver, phase)
        if driver.service is not None and driver.service.flow.paused:
            self._hits["reading paused"] += 1

    def _activated(self, partition: int, driver: Driver, phase: Phase) -> None:
        service, restore = driver.service, driver.takeover.restore
        assert service is not None
        assert restore is not None
        self.strange.discard(partition)
        self._hits["active from the store" if restore.exact else "active from snapshots"] += 1
        p = service.processor
        if service.upkeep.catching_up:
            self._hits["catching up"] += 1
        if p.fold.crashes >= 2:
            self._hits["careful"] += 1
        if not restore.exact and restore.start:
            self._hits["active from a snapshot that has something"] += 1
        histories = p.pieces.histories
        waiting = {
            (address, number): len(histories.read(address, number))
            for address, some in histories.pending.items() for number in some
        }  # fmt: skip
        self.found.append((partition, p.claim, waiting))
        if waiting:
            self._hits["took over handlers that wait"] += 1
        self._note(f"{self._node()} active on {partition}, claim {p.claim}, mailbox from {p.position}")


def _executed(driver: Driver) -> int:
    """Turns of this reign so far."""
    p = driver.processor
    return 0 if p is None else p.fold.turns + p.running_ahead
