"""One seed, one schedule: the random order of everything that happens, and every fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from plexstream.store.memory import MemoryStore
from plexstream.testing.simulation.cast import waiting
from plexstream.testing.simulation.cast.coordinated import LONG
from plexstream.testing.simulation.checks.checks import Checks, Stored, stored_offset
from plexstream.testing.simulation.plan.plan import draw
from plexstream.testing.simulation.plan.shrink import shrunk
from plexstream.testing.simulation.process.feeding import Feeding
from plexstream.testing.simulation.process.lives import Mixer
from plexstream.testing.simulation.process.process import PHASES
from plexstream.testing.simulation.run.faults import Faults
from plexstream.testing.simulation.run.rest import Rest
from plexstream.testing.simulation.run.world import START, World

STEPS = 260
"""Steps of a schedule before its faults stop."""


class Simulation:
    """Everything of one seed.

    Parameters:
        seed: decides everything.
        steps: how long the faults last.
        tell: gets each line of the trace; None: no trace.
        change: parts of the plan that are not left to the seed.

    Attributes:
        world: the installation that is simulated, with what its log has.
    """

    def __init__(
        self, seed: int, steps: int = STEPS, tell: Callable[[str], None] | None = None,
        change: dict[str, Any] | None = None,
    ) -> None:  # fmt: skip
        drawn = draw(seed, steps, change or {})
        self.seed = seed
        self.world = World(seed, drawn, tell)
        self._faults = Faults(self.world, Mixer(drawn.lives))
        self._rest = Rest(self.world)

    def run(self) -> Counter[str]:
        """Run the whole schedule and check it; returns what happened how often.

        Raises:
            Violation: a promise was broken.
        """
        self.world.note(f"seed {self.seed}: {self.world.plan}")
        waiting.world.begin()
        compiled = self.world.host.plain_turns
        with shrunk(self.world.plan):
            self._faults.assign()
            if self.world.plan.workers:
                self.world.clients[0].plant(self.world.step)
            for _ in range(self.world.plan.steps):
                self.world.step += 1
                self.world.now += self.world.random.choice((0, 0, 1, 1, 2, 5, 12))
                self._faults.happen()
                self._something()
                if self.world.feeding is not None:
                    self._feed(self.world.feeding)
            self._faults.end()
            self._rest.come("after the faults")
            stores = self._stores()
            processes = self.world.processes
            self._rebuild(stores)
            checks = self.world.checks()
            checks.run(stores)
            if self.world.plan.coordinated:
                held, gave_up = checks.histories(START + 1000 * LONG)
                self.world.hits["histories checked"] += held
                if gave_up:
                    self.world.hits["histories that took too long"] += gave_up
            if self.world.feeding is not None:
                checks.fed(self.world.feeding.ops)
                self.world.hits["records of a source"] += len(self.world.feeding.ops)
            for process in (*processes, *self.world.processes):
                checks.takeovers(process.watch.found)
            self._count(checks)
        if compiled != self.world.host.plain_turns:
            self.world.hits["compiled turns"] += self.world.host.plain_turns - compiled
        return self.world.hits

    def _count(self, checks: Checks) -> None:
        """What only the log tells of."""
        if checks.judge.restarts:
            self.world.hits["a child restarted"] += checks.judge.restarts
        if checks.judge.gave_up:
            self.world.hits["a supervisor gave up"] += checks.judge.gave_up
        for partition, model in enumerate(checks.models):
            if model.waits.parked:
                self.world.hits["parked behind a handler"] += model.waits.parked
            if model.attempts.parked:
                self.world.hits["parked for a retry"] += model.attempts.parked
            if model.waits.beside:
                self.world.hits["a handler waited beside others"] += model.waits.beside
            if model.waits.cancelled:
                self.world.hits["a handler cancelled"] += model.waits.cancelled
            if any("deadlock" in map(_last, twin.got) for t in model.waits.ended.values() for twin in t):
                self.world.hits["a circle found"] += 1
            self.world.hits.update(model.coordinated.hits)
            if model.voided:
                self.world.hits["records of zombies"] += model.voided
            if model.again:
                self.world.hits["appended again"] += model.again
            if model.behind:
                self.world.hits["behind a missing record"] += model.behind
            if model.cells.codes.get("poisoned"):
                self.world.hits["poison put aside"] += 1
            if self.world.network.log.range((self.world.topics.journal, partition))[0]:
                self.world.hits["journal trimmed"] += 1
            if self.world.network.log.range((self.world.topics.snapshot, partition))[1] > 2:
                self.world.hits["snapshots taken"] += 1

    def _something(self) -> None:
        """One thing goes on, whichever."""
        random = self.world.random
        roll = random.random()
        if roll < 0.25:
            self._deliver()
        elif roll < 0.4:
            client = random.choice(self.world.clients)
            if self.world.plan.plain and random.random() < 0.2:
                client.flood(self.world.step)
                self.world.hits["many plain turns"] += 1
            elif self.world.plan.coordinated:
                client.step(self.world.step)
                client.go_on(self.world.step)
            elif random.random() < 0.6:
                call = client.new_call(self.world.step)
                self.world.note(f"{call.op} ({call.mode}): {call.envelope.handler} to {call.envelope.target}")
            else:
                client.step(self.world.step)
        else:
            process = random.choice(self.world.processes)
            if not process.alive:
                if process.restart_at <= self.world.now:
                    process.start()
                    self.world.note(f"{process.node} starts")
            elif process.paused_until <= self.world.now:
                if random.random() < 0.5:
                    for phase in PHASES:
                        if process.alive:
                            process.step(phase)
                else:
                    process.step(random.choice(PHASES))

    def _feed(self, feeding: Feeding) -> None:
        """A record comes to the source, some process goes on with its ingest."""
        if feeding.random.random() < self.world.plan.fed:
            feeding.record()
        process = feeding.random.choice(self.world.processes)
        if process.paused_until <= self.world.now and feeding.random.random() < 0.5:
            feeding.step(process)

    def _deliver(self) -> None:
        random = self.world.random
        self.world.network.end_late()
        if self.world.network.stalled or random.random() < self.world.plan.slow:
            return
        for flow in self.world.network.ready():
            if random.random() < 0.6:
                orphan = flow.sender.ended
                topic, partition = flow.place
                self.world.network.deliver(flow, random.randint(1, 3))
                if orphan:
                    self.world.hits["appended for a dead sender"] += 1
                    of = f"{flow.sender.name}, which has ended"
                    self.world.note(f"{topic}[{partition}] gets records of {of}")

    def _stores(self) -> list[list[Stored]]:
        """Copies of all stores, by partition, with the journal offset that each reflects."""
        found: list[list[Stored]] = [[] for _ in range(self.world.plan.partitions)]
        for process in self.world.processes:
            for driver_ in process.drivers.values():
                if driver_.service is not None:
                    driver_.service.upkeep.flush(process.now())
            for partition, store in process.disk.stores.items():
                offset = stored_offset(store)
                if offset is not None and partition not in process.watch.strange:
                    copy = MemoryStore()
                    copy.pieces = dict(store.pieces)
                    found[partition].append((offset, copy, f"the store of {process.name}"))
        return found

    def _rebuild(self, stores: list[list[Stored]]) -> None:
        """Delete every store and let a new process take over: it must come to the same state."""
        self.world.note("every store is deleted")
        for process in self.world.processes:
            process.crash("everything", 0, 1 << 62)
        fresh = self.world.process("new")
        fresh.wanted = frozenset(range(self.world.plan.partitions))
        self.world.processes = [fresh]
        self._rest.come("after the stores were deleted")
        for driver_ in fresh.drivers.values():
            assert driver_.service is not None
            driver_.service.upkeep.flush(fresh.now())
        for partition, store in fresh.disk.stores.items():
            stores[partition].append((stored_offset(store) or 0, store, "a rebuilt store"))


def _last(came_to: list[Any]) -> Any:
    return came_to[-1]
