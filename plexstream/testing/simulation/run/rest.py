"""How a simulated installation comes to rest once nothing befalls it any more."""

from __future__ import annotations

from collections import Counter
from typing import Any

from plexstream.log.base import Place, Record
from plexstream.model.journal.journal import Mark
from plexstream.processor.waiting.events.deadlock import FOUND, PROBE
from plexstream.schema.codec import decode_journal
from plexstream.testing.simulation.checks import liveness
from plexstream.testing.simulation.checks.checks import envelope
from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.process.process import PHASES
from plexstream.testing.simulation.run.world import World

_ROUNDS = 3000  # in which everything must come to rest once the faults have stopped
_ROUND = 15
_PATIENT = 600_000
"""Milliseconds that pass between two rounds: a few, and ever more while nothing happens."""
_SOON = 30_000
"""After so many ms without faults, and when nothing happens any more, whoever has its answer has gone on."""
_QUIET = 60
"""Rounds without a record after which nothing happens any more."""
_LOOKS_FOR_PAUSED = 20
"""Rounds without a record after which somebody looks for handlers that are still paused."""


class Rest:
    """Goes on without faults until there is nothing left to do."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._seen: Counter[Place] = Counter()
        self._awaited: list[tuple[str, int] | None] = []

    def come(self, when: str) -> None:
        """Run without faults until nothing is left to do; it must not take for ever.

        What is left after a while waits for its time. It must not wait for anything else, and then has it.
        """
        began, quiet, pause, looked = self._world.now, 0, _ROUND, False
        for client in self._world.clients:
            client.repeats = True
        for _ in range(_ROUNDS):
            self._round(pause)
            if self._at_rest():
                return
            quiet = 0 if self._moved() else quiet + 1
            if quiet % _LOOKS_FOR_PAUSED == 1:
                self._resume_paused()
            # Of leases many end one after the other, long after the rest.
            patience, more = (3, 16) if looked and self._world.plan.coordinated else (10, 2)
            pause = min(more * pause, _PATIENT if looked else 1000) if quiet > patience else _ROUND
            if self._world.now - began > _SOON and not looked:
                for client in self._world.clients:
                    client.repeats = False
                if quiet > _QUIET:
                    liveness.check(self._world.checks(), self._world.now)
                    self._world.hits["waits for its time alone"] += 1
                    looked = True
        raise Violation(f"{when} nothing comes to rest: {self._restless()}")

    def _resume_paused(self) -> None:
        """Let go on what is still paused: a resume that named nobody may have meant another handler."""
        for process in self._world.processes:
            for found in process.drivers.values() if process.alive else ():
                live = found.processor.invocations.live if found.processor is not None else {}
                for inv in (inv for of in live.values() for inv in of.values() if inv.paused):
                    self._world.clients[0].resume(inv.address, inv.number, self._world.step)
                    self._world.hits["resumed by its number"] += 1

    def _round(self, pause: int) -> None:
        self._world.step += 1
        self._world.now += pause
        self._world.network.end_late()
        for flow in self._world.network.ready():
            self._world.network.deliver(flow, 100)
        for process in self._world.processes:
            for phase in PHASES:
                if process.alive:
                    process.step(phase)
            if not process.alive and process.restart_at <= self._world.now:
                process.start()
            if self._world.feeding is not None:
                self._world.feeding.step(process)
        for client in self._world.clients:
            client.step(self._world.step)
            if self._world.plan.coordinated and client.repeats:
                client.go_on(self._world.step)

    def _moved(self) -> bool:
        """Whether the log has got something since the last call, other than marks and looks for circles.

        Or somebody has come further in a journal that has to be read before the rest goes on.
        """
        history, log, topics = self._world.network.history, self._world.network.log, self._world.topics
        awaited = [d.awaited() for process in self._world.processes for d in process.drivers.values()]
        moved = any(awaited) and awaited != self._awaited
        self._awaited = awaited
        for topic, partitions in log.topics().items():
            if topic not in (topics.journal, topics.mailbox):
                end = sum(log.range((topic, partition))[1] for partition in range(partitions))
                moved = moved or end != self._seen[topic, -1]
                self._seen[topic, -1] = end
        for partition in range(self._world.plan.partitions):
            for topic, counts in ((topics.journal, _is_work), (topics.mailbox, _is_message)):
                records = history.get((topic, partition), [])
                for record in records[self._seen[topic, partition] :]:
                    moved = moved or counts(record)
                self._seen[topic, partition] = len(records)
        return moved

    def _at_rest(self) -> bool:
        if any(flow.groups for flow in self._world.network.flows):
            return False
        if not all(client.idle() for client in self._world.clients):
            return False
        if self._world.feeding is not None and not self._world.feeding.idle(self._world.processes):
            return False
        return all(process.alive and process.idle() for process in self._world.processes)

    def _restless(self) -> str:
        flows = [(f.sender.name, f.place, len(f.groups)) for f in self._world.network.flows if f.groups]
        clients = [(c.name, [call.op for call in c.open]) for c in self._world.clients if not c.idle()]
        drivers: list[Any] = [
            (p.node, d.partition, d.phase, d.why, d.owed, d.reads_journal)
            for p in self._world.processes
            if not p.idle()
            for d in [*p.drivers.values(), *p.leaving.values()]
        ]
        waits: list[Any] = [
            (i.reference(), i.begin.handler, i.outstanding, i.paused, i.stuck, i.task is not None, i.steps)
            for p in self._world.processes
            for d in p.drivers.values()
            for found in (d.processor.invocations.live.values() if d.processor else ())
            for i in found.values()
        ]
        return f"flows {flows}, clients {clients}, drivers {drivers}, handlers {waits}"


def _is_work(record: Record) -> bool:
    """Whether a journal record is of something that ran, or is tried next."""
    found = decode_journal(record.value or b"")
    return type(found) is not Mark or found.attempt >= 0 or bool(found.timer)


def _is_message(record: Record) -> bool:
    """Whether a mailbox record is none of those that look for circles, again and again."""
    e = envelope(record)
    return e is None or e.handler not in (PROBE, FOUND)
