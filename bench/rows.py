"""What is measured: rows of tasks. The tasks of a row take turns, so that noise hits all alike."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from bench import asks, coordination, counter, durable, kill, memory, recovery, restate
from bench.contenders import COUNTERS, FED, MAILBOX, STREAMS, Contender
from bench.limits import TASK_S
from bench.load import TALLY, TRIP
from bench.processes import measure

Measured = Mapping[str, float]  # by metric
EMBEDDED = "plexstream, embedded"
WORKERS = (1, 2, 4)
LARGE_S = 700.0
MADE = 25_000
"""Actors that are made in a second, at least, on the machine that the time limits are for."""
FILLED = 5_000
"""Tuples that are written in a second, the same."""


class Sizes(NamedTuple):
    """How much work there is."""

    rounds: int
    keys: int
    warm: int
    compiled: int  # records until a JVM has compiled what it runs
    records: int
    paced_s: float
    ask_s: float
    journal: int
    kill_records: int
    actors: int
    megabytes: int
    peers_killed: bool
    trips: int
    waiting: int
    waiting_s: float  # they must all have begun by then
    states: tuple[int, ...]  # actors that have state
    turns: int
    tuples: int


FULL = Sizes(
    3, 10_000, 50_000, 400_000, 200_000, 5.0, 3.0, 400_000, 100_000, 100_000, 1024, True, 20_000, 10_000, 20,
    (10_000, 100_000, 1_000_000, 10_000_000), 40_000, 1_000_000,
)  # fmt: skip
QUICK = Sizes(
    1, 10_000, 10_000, 10_000, 40_000, 2.0, 1.0, 60_000, 40_000, 20_000, 64, False, 3_000, 2_000, 10,
    (10_000, 100_000), 10_000, 20_000,
)  # fmt: skip


class Task(NamedTuple):
    """One thing to measure; the metrics it gives depend on the row.

    Attributes:
        expected_s: how long its first round takes on a quiet machine, where that is long.
        limit_s: after which it hangs.
    """

    what: str
    run: Callable[[], Measured]
    rounds: int
    expected_s: float = 0.0
    limit_s: float = TASK_S


def counter_row(address: str, peers: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: rate, p50, p99."""

    def on_kafka(who: Contender) -> Callable[[], Measured]:
        warm = s.compiled if who.name == STREAMS else s.warm
        return lambda: counter.count(who, address, s.keys, warm, s.records, s.paced_s)._asdict()

    tasks = [Task(who.name, on_kafka(who), s.rounds) for who in peers]
    embedded = Task(
        EMBEDDED, lambda: {"rate": recovery.counted_embedded(s.keys, s.warm, s.records)}, s.rounds
    )
    return [*tasks, embedded]


def scaling_row(address: str, peers: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: rate; cpu: microseconds of all processes, a record."""
    own = next(who for who in peers if who.name == MAILBOX)

    def by(workers: int) -> Callable[[], Measured]:
        return lambda: counter.scaled(own, address, s.keys, s.warm, s.records, workers)._asdict()

    return [Task(f"{workers}", by(workers), s.rounds) for workers in WORKERS]


def size_row(address: str, _: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: rate; cpu: microseconds a turn; made: actors a second; memory and stored, in megabytes."""

    def at(actors: int) -> Callable[[], Measured]:
        def run() -> Measured:
            with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
                arguments = (f"embedded:{folder}/log", "plex.", f"{folder}/state", str(actors), str(s.turns))
                return measure("size", *arguments, timeout=LARGE_S)

        return run

    return [
        Task(f"{n}", at(n), s.rounds if n <= 100_000 else 1, n / MADE, LARGE_S if n > 1_000_000 else TASK_S)
        for n in s.states
    ]


def asks_row(address: str, _: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: rate, p50, p99 and cpu by number of callers, as in "p50 64"."""

    def by(way: str) -> Callable[[], Measured]:
        def run() -> Measured:
            found: dict[str, float] = {}
            for level in asks.ask(way, address, s.ask_s):
                found |= {f"{m} {level.callers}": getattr(level, m) for m in ("rate", "p50", "p99", "cpu")}
            return found

        return run

    return [Task(way, by(way), s.rounds) for way in asks.WAYS]


def kill_row(address: str, peers: list[Contender], s: Sizes) -> list[Task]:
    """Metric: seconds."""

    def restarted(who: Contender) -> Callable[[], Measured]:
        return lambda: {"seconds": kill.restarted(who, address, s.keys, s.kill_records)}

    tasks = [
        Task("worker under its node", lambda: {"seconds": kill.worker_killed(address)}, s.rounds),
        Task("node of two, for good", lambda: {"seconds": kill.node_lost(address)}, s.rounds),
    ]
    for who in peers:
        if who.name in (MAILBOX, FED):
            tasks.append(Task(who.name, restarted(who), s.rounds))
        elif s.peers_killed:
            tasks.append(Task(who.name, restarted(who), 1))
    return tasks


def recovery_row(address: str, peers: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: rate; warm: seconds of a takeover where the store was there; cpu: microseconds a record.

    Of peers: rate and records by their own word; seconds to their next output.
    """

    def own(where: str) -> Callable[[], Measured]:
        def run() -> Measured:
            found = recovery.recover(where, s.keys, s.journal)
            return {"rate": found.rate, "warm": found.warm_s, "cpu": found.cpu_us}

        return run

    def other(who: Contender) -> Callable[[], Measured]:
        return lambda: recovery.rebuilt(who, address, s.keys, s.journal)._asdict()

    tasks = [Task(MAILBOX, own(address), s.rounds), Task(EMBEDDED, own(""), s.rounds)]
    return [*tasks, *(Task(who.name, other(who), s.rounds) for who in peers if who.name in COUNTERS)]


def memory_row(address: str, peers: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: bytes; or stored and grown, in megabytes."""

    def per_key(who: Contender, idle: bool) -> Callable[[], Measured]:
        return lambda: {"bytes": memory.per_key(who, address, s.actors, idle=idle)}

    tasks = []
    for who in peers:
        if who.name == MAILBOX:
            tasks.append(Task("plexstream, active", per_key(who, False), 1))
            tasks.append(Task("plexstream, idle", per_key(who, True), 1))
        elif who.name not in (FED, STREAMS):  # a JVM's heap is as large as it likes, with few keys, too
            tasks.append(Task(who.name, per_key(who, False), 1))
    return [*tasks, Task("large state", lambda: memory.larger_than_memory(address, s.megabytes)._asdict(), 1)]


def durable_row(address: str, _: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: as `asks_row`, after the work; rate and cpu of a step; seconds to resume; bytes."""

    def both(ask: Callable[[str], list[asks.Asked]]) -> Callable[[], Measured]:
        def run() -> Measured:
            return {
                f"{work} {metric} {level.callers}": getattr(level, metric)
                for work in (TALLY, TRIP)
                for level in ask(work)
                for metric in ("rate", "p50", "p99")
            }

        return run

    def own(way: str) -> Task:
        return Task(way, both(lambda work: durable.called(way, address, s.ask_s, work)), s.rounds)

    def other(sdk: str) -> Task:
        def ask(work: str) -> list[asks.Asked]:
            return durable.called_restate(restate.find(), sdk, s.ask_s, work)

        return Task(sdk, both(ask), s.rounds)

    tasks = [own(way) for way in durable.WAYS]
    tasks += [other(sdk) for sdk in (restate.PYTHON_SDK, restate.TYPESCRIPT_SDK)]
    for where, log in ((address, "Kafka"), ("", "embedded")):
        tasks.append(Task(f"steps, {log}", partial(durable.steps, where, s.trips), s.rounds))
        resumed = partial(durable.resumed, where, s.waiting, s.waiting_s)
        tasks.append(Task(f"resumed, {log}", resumed, s.rounds))
    return [*tasks, Task("waiting", partial(durable.memory, "", s.actors), 1)]


def coordination_row(address: str, _: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: as `together.works` names them; grown, in megabytes; of the store, microseconds."""

    def by(way: str, tuples: int) -> Callable[[], Measured]:
        return lambda: coordination.works(way, address, s.ask_s, tuples)

    tasks = [Task(way, by(way, 0), s.rounds, limit_s=LARGE_S) for way in coordination.WAYS]
    filling, large = s.tuples / FILLED, coordination.large
    tasks += [
        Task(large(way, s.tuples), by(way, s.tuples), 1, filling, LARGE_S) for way in coordination.WAYS
    ]
    return [*tasks, Task(f"store, {s.tuples:,} entries", partial(coordination.stored, s.tuples, s.turns), 1)]


ROWS: dict[str, Callable[[str, list[Contender], Sizes], list[Task]]] = {
    "counter": counter_row,
    "asks": asks_row,
    "kill": kill_row,
    "recovery": recovery_row,
    "memory": memory_row,
    "durable": durable_row,
    "scaling": scaling_row,
    "size": size_row,
    "coordination": coordination_row,
}
