"""From samples to the table: medians, ratios to the peers, targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from bench import asks, coordination, durable
from bench.contenders import COUNTERS, FED, MAILBOX, QUIX, RAW, STREAMS
from bench.load import TALLY, TRIP
from bench.restate import PYTHON_SDK, TYPESCRIPT_SDK
from bench.rows import EMBEDDED, FULL, QUICK, WORKERS
from bench.together.works import CALLERS, FEW, FILLERS, SPACES, WAITERS

Samples = dict[tuple[str, str, str], dict[int, float]]  # row, what, metric -> the value of each round


class Target(NamedTuple):
    """What is to be reached: at least, or at most, so much; as a ratio to `peer`, where one is named."""

    least: bool
    bound: float
    said: str
    peer: str = ""


class Ratio(NamedTuple):
    """A line's figure divided by a peer's, round by round: median, least, most, of how many rounds."""

    median: float
    low: float
    high: float
    rounds: int

    def __str__(self) -> str:
        spread = "" if self.rounds == 1 else f" ({self.low:.2g}–{self.high:.2g})"
        return f"{self.median:.2g}{spread}"


class Line(NamedTuple):
    """One line: the median of the rounds, the values of each, and its ratios to the peers."""

    row: str
    what: str
    unit: str
    figure: float
    values: list[float]
    ratios: dict[str, Ratio]
    targets: list[Target]

    def verdict(self) -> str:
        """Whether the targets are met; if not, by what they are missed. "" without a target."""
        judged = [t for t in self.targets if not t.peer or t.peer in self.ratios]
        if not judged:
            return ""
        missed = [t for t in judged if (self._of(t) < t.bound if t.least else self._of(t) > t.bound)]
        if not missed:
            return "yes: " + ", ".join(t.said for t in judged)
        return "NO: " + ", ".join(f"{t.said} missed by {self._by(t)}" for t in missed)

    def _of(self, target: Target) -> float:
        return self.ratios[target.peer].median if target.peer else self.figure

    def _by(self, target: Target) -> str:
        short = abs(target.bound - self._of(target))
        amount = f"{short:.2g}" if target.peer else show(short, self.unit)
        return f"{amount} ({short / target.bound:.0%})"


def show(figure: float, unit: str) -> str:
    """A figure with as many digits as mean something."""
    return f"{_digits(figure)} {unit}"


def _digits(figure: float) -> str:
    digits = 0 if abs(figure) >= 100 else 1 if abs(figure) >= 10 else 2
    return f"{figure:,.{digits}f}"


def lines(samples: Samples) -> list[Line]:
    """All lines that there are samples for."""
    made = [
        *_counter(samples), *_asks(samples), *_kill(samples), *_recovery(samples), *_memory(samples),
        *_durable(samples), *_scaling(samples), *_size(samples), *_coordination(samples),
    ]  # fmt: skip
    return [line for line in made if line is not None]


def _median(samples: Samples, row: str, what: str, metric: str) -> float | None:
    values = samples.get((row, what, metric))
    return statistics.median(values.values()) if values else None


def _ratio(mine: Mapping[int, float], other: Mapping[int, float]) -> Ratio | None:
    """Of the rounds that both have: what disturbs a round disturbs both."""
    found = [mine[n] / other[n] for n in sorted(mine.keys() & other.keys()) if other[n]]
    return Ratio(statistics.median(found), min(found), max(found), len(found)) if found else None


def _line(
    samples: Samples, row: str, what: str, metric: str, label: str, unit: str,
    targets: list[Target] | None = None, peers: tuple[str, ...] = (),
) -> Line | None:  # fmt: skip
    """A line; `peers`: who did the same work in this row, and is compared by the same metric."""
    values = samples.get((row, what, metric))
    if not values:
        return None
    ratios: dict[str, Ratio] = {}
    for peer in peers:
        ratio = _ratio(values, samples.get((row, peer, metric), {})) if what not in peers else None
        if ratio is not None:
            ratios[peer] = ratio
    figure, each = statistics.median(values.values()), list(values.values())
    return Line(row, label, unit, figure, each, ratios, targets or [])


def _counter(samples: Samples) -> list[Line | None]:
    bounds = {
        MAILBOX: [(RAW, 1.0), (QUIX, 3.0), (STREAMS, 1.0)], FED: [(RAW, 0.7), (QUIX, 2.0)],
    }  # fmt: skip
    who = {
        MAILBOX: "plexstream, Kafka, from the mailbox", FED: "plexstream, Kafka, fed from a plain topic",
        EMBEDDED: "plexstream, embedded, from the mailbox", RAW: "by hand, exactly once, RocksDB",
        QUIX: "Quix Streams, exactly once", STREAMS: "Kafka Streams, exactly once",
    }  # fmt: skip
    found: list[Line | None] = []
    for what, label in who.items():
        targets = [Target(True, bound, f"≥ {bound:g} × {peer}", peer) for peer, bound in bounds.get(what, ())]
        if what == EMBEDDED:
            targets = [Target(True, 90_000, "≥ 90,000/s")]
        # The embedded log syncs to the disk, and has no broker: nobody else's work.
        peers = () if what == EMBEDDED else COUNTERS
        found.append(_line(samples, "counter", what, "rate", label, "records/s", targets, peers))
    for what, label in who.items():
        for metric in ("p50", "p99"):
            text = f"{label}: to visible output, {metric}"
            found.append(_line(samples, "counter", what, metric, text, "ms", None, COUNTERS))
    return found


def _asks(samples: Samples) -> list[Line | None]:
    # The peers have no calls: nothing of theirs is what an ask is, and no ratio says anything.
    found: list[Line | None] = []
    for way in asks.WAYS:
        for callers in asks.CALLERS:
            p50 = _median(samples, "asks", way, f"p50 {callers}")
            metrics = {"rate": "asks/s", "p50": "ms", "p99": "ms"}
            if way in asks.OVER_HTTP:
                metrics["cpu"] = "µs"
            for metric, unit in metrics.items():
                targets = _ask_targets(way, callers, metric, p50)
                label = f"{way}, {callers:,} caller{'s' * (callers > 1)}" + _ask_metrics[metric]
                found.append(_line(samples, "asks", way, f"{metric} {callers}", label, unit, targets))
    return found


_ask_metrics = {"rate": "", "p50": ": p50", "p99": ": p99", "cpu": ": CPU time of the callers, an ask"}


def _ask_targets(way: str, callers: int, metric: str, p50: float | None) -> list[Target]:
    direct = way in ("client, Kafka", "threads, Kafka")
    if callers == 1 and metric == "p50" and (direct or way == "client, embedded"):
        bound = 0.85 if direct else 0.45
        return [Target(False, bound, f"≤ {bound:g} ms")]
    if callers == 1 and metric == "p99" and p50 and (direct or way == "client, embedded"):
        return [Target(False, 10 * p50, "< 10 × p50")]
    if way in asks.OVER_HTTP and metric == "cpu":
        return [Target(False, 150, "≤ 150 µs")]
    rates = {"client, Kafka": 45_000, "HTTP, Kafka": 20_000, "HTTP, embedded": 20_000}
    rates |= dict.fromkeys(asks.OVER_HTTP, 8_000)
    if callers == 256 and metric == "rate" and way in rates:
        return [Target(True, rates[way], f"≥ {rates[way]:,}/s")]
    return []


def _kill(samples: Samples) -> list[Line | None]:
    def line(what: str, label: str, targets: list[Target] | None = None) -> Line | None:
        text = f"kill -9, to go on: {label}"
        return _line(samples, "kill", what, "seconds", text, "s", targets, COUNTERS)

    return [
        line("worker under its node", "worker that its node restarts, calls", [Target(False, 1.0, "≤ 1 s")]),
        line("node of two, for good", "one of two nodes for good, calls", [Target(False, 6.0, "≤ 6 s")]),
        line(MAILBOX, "started again by hand, plexstream, from the mailbox"),
        line(FED, "started again by hand, plexstream, fed"),
        line(RAW, "started again by hand, by hand"),
        line(QUIX, "started again by hand, Quix Streams"),
        line(STREAMS, "started again by hand, Kafka Streams"),
    ]


def _recovery(samples: Samples) -> list[Line | None]:
    def line(what: str, label: str, targets: list[Target] | None = None) -> Line | None:
        text = f"recovery, store lost: {label}"
        peers = () if what == EMBEDDED else COUNTERS
        return _line(samples, "recovery", what, "rate", text, "records/s", targets, peers)

    found = [
        line(MAILBOX, "plexstream, Kafka", [Target(True, 800_000, "≥ 800,000/s")]),
        line(EMBEDDED, "plexstream, embedded"),
        line(RAW, "by hand, from the changelog"),
        line(QUIX, "Quix Streams, from the changelog"),
        line(STREAMS, "Kafka Streams, from the changelog"),
    ]
    for what in COUNTERS:
        text = f"store lost: from the start to the next output, {what}"
        found.append(_line(samples, "recovery", what, "seconds", text, "s"))
    for what, label in ((MAILBOX, "Kafka"), (EMBEDDED, "embedded")):
        text = f"recovery, store lost: CPU time of the worker's thread a record, {label}"
        found.append(_line(samples, "recovery", what, "cpu", text, "µs"))
        found.append(
            _line(samples, "recovery", what, "warm", f"takeover, store there: plexstream, {label}", "s")
        )
    return found


def _memory(samples: Samples) -> list[Line | None]:
    found: list[Line | None] = []
    for what, label, bound in (
        ("plexstream, active", "an active actor", 1_200), ("plexstream, idle", "an idle actor", 1_000),
        (RAW, "a key, by hand", 0), (QUIX, "a key, Quix Streams", 0),
    ):  # fmt: skip
        targets = [Target(False, bound, f"≤ {bound:,} bytes")] if bound else []
        text = f"memory of {label}"
        found.append(_line(samples, "memory", what, "bytes", text, "bytes", targets, COUNTERS))
    stored = _line(samples, "memory", "large state", "stored", "large state: on disk", "MB")
    targets = [Target(False, stored.figure / 3, "a third of the state")] if stored else []
    grown = _line(samples, "memory", "large state", "grown", "large state: memory grew by", "MB", targets)
    return [*found, stored, grown]


def _durable(samples: Samples) -> list[Line | None]:
    found: list[Line | None] = []
    sdks = (PYTHON_SDK, TYPESCRIPT_SDK)
    for work, said in ((TALLY, "counter"), (TRIP, "three steps")):
        for way in (*durable.WAYS, *sdks):
            for callers in durable.CALLERS:
                for metric, unit in (("rate", "calls/s"), ("p50", "ms"), ("p99", "ms")):
                    name = f"{work} {metric} {callers}"
                    label = f"{said}, {way}, {callers} caller{'s' * (callers > 1)}" + (
                        "" if metric == "rate" else f": {metric}"
                    )
                    targets = _durable_targets(metric, callers) if way not in sdks else []
                    found.append(_line(samples, "durable", way, name, label, unit, targets, sdks))
    for log in ("Kafka", "embedded"):
        steps, resumed = f"steps, {log}", f"resumed, {log}"
        cpu, go_on = f"CPU time of a step, {log}", f"waiting handlers go on after kill -9, {log}"
        cores = [Target(False, 30.0, "≤ 30 µs")]
        soon = [Target(False, 5.0, "< 5 s")]
        found += [
            _line(samples, "durable", steps, "rate", steps, "steps/s"),
            _line(samples, "durable", steps, "cpu_us", cpu, "µs", cores),
            _line(samples, "durable", resumed, "seconds", go_on, "s", soon),
        ]
    found.append(
        _line(samples, "durable", "waiting", "bytes", "memory of a waiting handler, embedded", "bytes")
    )
    return found


def _durable_targets(metric: str, callers: int) -> list[Target]:
    if metric == "rate":
        times = {1: 4, 64: 10, 256: 20}.get(callers)
        return [Target(True, times, f"≥ {times} × Restate, Python", PYTHON_SDK)] if times else []
    return [Target(False, 1.0, "< Restate, Python", PYTHON_SDK)] if metric == "p50" else []


def _scaling(samples: Samples) -> list[Line | None]:
    found: list[Line | None] = []
    cpu = ": CPU time of all processes, a record"
    for metric, unit, said in (("rate", "records/s", ""), ("cpu", "µs", cpu)):
        for workers in WORKERS:
            label = f"counter, Kafka, {workers} worker process{'es' * (workers > 1)}{said}"
            found.append(_line(samples, "scaling", f"{workers}", metric, label, unit, None, ("1",)))
    return found


def _size(samples: Samples) -> list[Line | None]:
    found: list[Line | None] = []
    for metric, unit, said in (
        ("rate", "turns/s", "turns"), ("cpu", "µs", "CPU time of a turn"), ("made", "actors/s", "made"),
        ("memory", "MB", "memory of the process, most"), ("stored", "MB", "state stores on disk"),
    ):  # fmt: skip
        for actors in FULL.states:
            label = f"{actors:,} actors have state, embedded: {said}"
            few = f"{FULL.states[0]}"
            found.append(_line(samples, "size", f"{actors}", metric, label, unit, None, (few,)))
    return found


def _coordination(samples: Samples) -> list[Line | None]:
    return [*_coordinated(samples, FULL.tuples, True), *_coordinated(samples, QUICK.tuples, False)]


def _coordinated(samples: Samples, many: int, full: bool) -> list[Line | None]:
    """`many`: how many tuples the large space has; `full`: with the lines that have nothing to do with it."""
    found: list[Line | None] = []
    for large, work, callers, text, what in (
        (False, "pairs", 1, f"write and take, one space of {FEW:,}", "pairs"),
        (False, "pairs", CALLERS, f"write and take, one space of {FEW:,}", "pairs"),
        (True, "pairs", 1, f"write and take, one space of {many:,}", "pairs"),
        (True, "pairs", CALLERS, f"write and take, one space of {many:,}", "pairs"),
        (False, "spread", CALLERS, f"write and take, {SPACES} spaces of {FEW:,}", "pairs"),
        (True, "takes", CALLERS, f"take, one space of {many:,}", "takes"),
        (False, "takes", CALLERS, f"take, {SPACES} spaces of {FEW:,}", "takes"),
        (False, "wake", 1, "wake-up of a waiting take", ""),
        (False, "lock", WAITERS, "a lock is handed over", "times"),
        (False, "queue", 1, "queue: send, receive, ack", "messages"),
        (False, "queue", CALLERS, "queue: send, receive, ack", "messages"),
        (False, "put", 1, "kv: put", "puts"), (False, "put", CALLERS, "kv: put", "puts"),
        (False, "get", 1, "kv: get", "gets"), (False, "get", CALLERS, "kv: get", "gets"),
    ):  # fmt: skip
        for metric, unit in (("rate", f"{what}/s"), ("p50", "ms"), ("p99", "ms"), ("cpu", "µs")):
            for way in coordination.WAYS if large or full else ():
                said = {"rate": "", "cpu": ": CPU time of the server, each"}.get(metric, f": {metric}")
                label = f"{text}, {way}, {callers} caller{'s' * (callers > 1)}{said}"
                where = coordination.large(way, many) if large else way
                peer = coordination.large(coordination.REDIS, many) if large else coordination.REDIS
                targets = _coordination_targets(way, large, work, metric)
                # Embedded, the clients are in the server's process.
                peers = () if metric == "cpu" else (peer,)
                name = f"{work} {metric} {callers}"
                found.append(_line(samples, "coordination", where, name, label, unit, targets, peers))
    for way in coordination.WAYS:
        label, where = f"one space of {many:,}, {way}", coordination.large(way, many)
        filled = f"fill rate {FILLERS}"
        found.append(_line(samples, "coordination", where, filled, f"{label}: filled", "tuples/s"))
        found.append(_line(samples, "coordination", where, "grown", f"{label}: memory grew by", "MB"))
    reads = [Target(False, 15.0, "≤ 15 µs")]
    label = f"store, {many:,} entries"
    found.append(_line(samples, "coordination", label, "get", f"{label}: a read", "µs", reads))
    found.append(_line(samples, "coordination", label, "ten", f"{label}: the next ten", "µs"))
    return found


def _coordination_targets(way: str, large: bool, work: str, metric: str) -> list[Target]:
    if way == coordination.REDIS:
        return []
    if work == "takes" and metric == "rate":
        least = 10_000 if large else 20_000
        return [Target(True, least, f"≥ {least:,}/s")]
    if work == "wake" and metric == "p50":
        most = 3.0 if way == coordination.KAFKA else 1.5
        return [Target(False, most, f"< {most:g} ms")]
    return []


def markdown(found: list[Line], about: Mapping[str, str], faults: list[str]) -> str:
    """The table as a page."""
    text = [f"# Benchmarks of {about['when']}", ""]
    text += [f"- {name}: {value}" for name, value in about.items() if name != "when"]
    text += [
        "",
        "Medians of the rounds, least and most in brackets. A ratio is the median of the rounds' ratios, the",
        "line's figure divided by the peer's of that round. See `bench/README.md`.",
        "",
    ]
    text += ["| what | figure | ratio to peers | target met |", "|---|--:|---|---|"]
    for line in found:
        text.append("| " + " | ".join(cells(line)) + " |")
    if faults:
        text += ["", "Not measured:", "", *(f"- {fault}" for fault in faults)]
    return "\n".join(text) + "\n"


def cells(line: Line) -> list[str]:
    """The texts of a line: what, figure with its spread, ratios, verdict."""
    names = {"1": "one worker", f"{FULL.states[0]}": f"{FULL.states[0]:,} actors"}
    names |= {coordination.large(coordination.REDIS, s.tuples): coordination.REDIS for s in (FULL, QUICK)}
    ratios = ", ".join(f"{ratio} × {names.get(peer, peer)}" for peer, ratio in line.ratios.items())
    spread = "" if len(line.values) < 2 else f" ({_digits(min(line.values))}–{_digits(max(line.values))})"
    return [line.what, f"{show(line.figure, line.unit)}{spread}", ratios, line.verdict()]
