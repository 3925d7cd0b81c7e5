"""What is measured: rows of tasks. The tasks of a row take turns, so that noise hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from bench import asks, counter, durable, kill, memory, recovery, restate
from bench.contenders import FED, MAILBOX, QUIX, RAW, Contender
from bench.load import TALLY, TRIP

Measured = Mapping[str, float]  # by metric
EMBEDDED = "plexstream, embedded"


class Sizes(NamedTuple):
    """How much work there is."""

    rounds: int
    keys: int
    warm: int
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


FULL = Sizes(3, 10_000, 50_000, 200_000, 5.0, 3.0, 400_000, 100_000, 100_000, 1024, True, 20_000, 10_000, 20)
QUICK = Sizes(1, 10_000, 10_000, 40_000, 2.0, 1.0, 60_000, 40_000, 20_000, 64, False, 3_000, 2_000, 10)


class Task(NamedTuple):
    """One thing to measure; the metrics it gives depend on the row."""

    what: str
    run: Callable[[], Measured]
    rounds: int


def counter_row(address: str, peers: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: rate, p50, p99."""

    def on_kafka(who: Contender) -> Callable[[], Measured]:
        return lambda: counter.count(who, address, s.keys, s.warm, s.records, s.paced_s)._asdict()

    tasks = [Task(who.name, on_kafka(who), s.rounds) for who in peers]
    embedded = Task(
        EMBEDDED, lambda: {"rate": recovery.counted_embedded(s.keys, s.warm, s.records)}, s.rounds
    )
    return [*tasks, embedded]


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
    """Metrics: rate; warm: seconds of a takeover where the store was there; cpu: microseconds a record."""

    def own(where: str) -> Callable[[], Measured]:
        def run() -> Measured:
            found = recovery.recover(where, s.keys, s.journal)
            return {"rate": found.rate, "warm": found.warm_s, "cpu": found.cpu_us}

        return run

    def other(who: Contender) -> Callable[[], Measured]:
        return lambda: {"rate": recovery.rebuilt(who, address, s.keys, s.journal)}

    tasks = [Task(MAILBOX, own(address), s.rounds), Task(EMBEDDED, own(""), s.rounds)]
    return [*tasks, *(Task(who.name, other(who), s.rounds) for who in peers if who.name in (RAW, QUIX))]


def memory_row(address: str, peers: list[Contender], s: Sizes) -> list[Task]:
    """Metrics: bytes; or stored and grown, in megabytes."""

    def per_key(who: Contender, idle: bool) -> Callable[[], Measured]:
        return lambda: {"bytes": memory.per_key(who, address, s.actors, idle=idle)}

    tasks = []
    for who in peers:
        if who.name == MAILBOX:
            tasks.append(Task("plexstream, active", per_key(who, False), 1))
            tasks.append(Task("plexstream, idle", per_key(who, True), 1))
        elif who.name != FED:
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


ROWS: dict[str, Callable[[str, list[Contender], Sizes], list[Task]]] = {
    "counter": counter_row,
    "asks": asks_row,
    "kill": kill_row,
    "recovery": recovery_row,
    "memory": memory_row,
    "durable": durable_row,
}
