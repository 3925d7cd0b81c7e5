"""From samples to the table: medians, ratios to the peers, targets."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import NamedTuple

from bench import asks, durable
from bench.contenders import FED, MAILBOX, QUIX, RAW
from bench.load import TALLY, TRIP
from bench.restate import PYTHON_SDK, TYPESCRIPT_SDK
from bench.rows import EMBEDDED

Samples = dict[tuple[str, str, str], list[float]]  # row, what, metric -> values


class Target(NamedTuple):
    """What is to be reached: at least, or at most, so much."""

    least: bool
    bound: float
    said: str


class Line(NamedTuple):
    """One line. A ratio is this line's figure divided by the peer's."""

    row: str
    what: str
    unit: str
    figure: float
    values: list[float]
    ratios: dict[str, float]
    targets: list[Target]

    def verdict(self) -> str:
        """Whether the targets are met; if not, by what they are missed. "" without a target."""
        if not self.targets:
            return ""
        missed = [t for t in self.targets if (self.figure < t.bound if t.least else self.figure > t.bound)]
        if not missed:
            return "yes: " + ", ".join(t.said for t in self.targets)
        return "NO: " + ", ".join(f"{t.said} missed by {self._by(t)}" for t in missed)

    def _by(self, target: Target) -> str:
        short = abs(target.bound - self.figure)
        return f"{show(short, self.unit)} ({short / target.bound:.0%})"


def show(figure: float, unit: str) -> str:
    """A figure with as many digits as mean something."""
    digits = 0 if abs(figure) >= 100 else 1 if abs(figure) >= 10 else 2
    return f"{figure:,.{digits}f} {unit}"


def lines(samples: Samples) -> list[Line]:
    """All lines that there are samples for."""
    made = [
        *_counter(samples), *_asks(samples), *_kill(samples), *_recovery(samples), *_memory(samples),
        *_durable(samples),
    ]  # fmt: skip
    return [line for line in made if line is not None]


def _median(samples: Samples, row: str, what: str, metric: str) -> float | None:
    values = samples.get((row, what, metric))
    return statistics.median(values) if values else None


def _line(
    samples: Samples, row: str, what: str, metric: str, label: str, unit: str,
    compare: tuple[str, str] | None = None, targets: list[Target] | None = None,
    peers: tuple[str, ...] = (RAW, QUIX),
) -> Line | None:  # fmt: skip
    """A line; `compare`: the row and metric that the peers are compared by."""
    figure = _median(samples, row, what, metric)
    if figure is None:
        return None
    ratios: dict[str, float] = {}
    if compare is not None and what not in peers:
        for peer in peers:
            other = _median(samples, compare[0], peer, compare[1])
            if other:
                ratios[peer] = figure / other
    return Line(row, label, unit, figure, samples[row, what, metric], ratios, targets or [])


def _counter(samples: Samples) -> list[Line | None]:
    bounds = []
    for peer, times, said in ((QUIX, 2.0, "≥ 2 × Quix"), (RAW, 0.5, "≥ half of by hand")):
        rate = _median(samples, "counter", peer, "rate")
        if rate:
            bounds.append(Target(True, times * rate, said))
    who = {
        MAILBOX: "plexstream, Kafka, from the mailbox", FED: "plexstream, Kafka, fed from a plain topic",
        EMBEDDED: "plexstream, embedded, from the mailbox", RAW: "by hand, exactly once, RocksDB",
        QUIX: "Quix Streams, exactly once",
    }  # fmt: skip
    found: list[Line | None] = []
    for what, label in who.items():
        targets = bounds if what in (MAILBOX, FED) else []
        found.append(
            _line(samples, "counter", what, "rate", label, "records/s", ("counter", "rate"), targets)
        )
    for what, label in who.items():
        for metric in ("p50", "p99"):
            text = f"{label}: to visible output, {metric}"
            found.append(_line(samples, "counter", what, metric, text, "ms", ("counter", metric)))
    return found


def _asks(samples: Samples) -> list[Line | None]:
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
                # The peers have no calls: theirs is the time from produce to visible output.
                compare = ("counter", metric) if callers == 1 and metric != "rate" else None
                found.append(
                    _line(samples, "asks", way, f"{metric} {callers}", label, unit, compare, targets)
                )
    return found


_ask_metrics = {"rate": "", "p50": ": p50", "p99": ": p99", "cpu": ": CPU time of the callers, an ask"}


def _ask_targets(way: str, callers: int, metric: str, p50: float | None) -> list[Target]:
    direct = way in ("client, Kafka", "threads, Kafka")
    if callers == 1 and metric == "p50" and (direct or way == "client, embedded"):
        bound, said = (1.5, "≤ 1.5 ms") if direct else (1.0, "< 1 ms")
        return [Target(False, bound, said)]
    if callers == 1 and metric == "p99" and p50 and (direct or way == "client, embedded"):
        return [Target(False, 10 * p50, "< 10 × p50")]
    if callers == 256 and metric == "rate" and way == "client, Kafka":
        return [Target(True, 20_000, "≥ 20,000/s")]
    if way in asks.OVER_HTTP and metric == "cpu":
        return [Target(False, 150, "≤ 150 µs")]
    if way in asks.OVER_HTTP and metric == "rate" and callers == 256:
        return [Target(True, 8_000, "≥ 8,000/s")]
    return []


def _kill(samples: Samples) -> list[Line | None]:
    def line(what: str, label: str, targets: list[Target] | None = None) -> Line | None:
        return _line(
            samples, "kill", what, "seconds", f"kill -9, to go on: {label}", "s", ("kill", "seconds"), targets
        )

    return [
        line("worker under its node", "worker that its node restarts, calls", [Target(False, 1.0, "≤ 1 s")]),
        line("node of two, for good", "one of two nodes for good, calls", [Target(False, 6.0, "≤ 6 s")]),
        line(MAILBOX, "started again by hand, plexstream, from the mailbox"),
        line(FED, "started again by hand, plexstream, fed"),
        line(RAW, "started again by hand, by hand"),
        line(QUIX, "started again by hand, Quix Streams"),
    ]


def _recovery(samples: Samples) -> list[Line | None]:
    def line(what: str, label: str, targets: list[Target] | None = None) -> Line | None:
        text = f"recovery, store lost: {label}"
        return _line(samples, "recovery", what, "rate", text, "records/s", ("recovery", "rate"), targets)

    found = [
        line(MAILBOX, "plexstream, Kafka", [Target(True, 200_000, "≥ 200,000/s")]),
        line(EMBEDDED, "plexstream, embedded"),
        line(RAW, "by hand, from the changelog"),
        line(QUIX, "Quix Streams, from the changelog"),
    ]
    for what, label in ((MAILBOX, "Kafka"), (EMBEDDED, "embedded")):
        text = f"recovery, store lost: CPU time of the worker's thread a record, {label}"
        found.append(_line(samples, "recovery", what, "cpu", text, "µs"))
        found.append(
            _line(samples, "recovery", what, "warm", f"takeover, store there: plexstream, {label}", "s")
        )
    return found


def _memory(samples: Samples) -> list[Line | None]:
    found: list[Line | None] = []
    for what, label in (
        ("plexstream, active", "an active actor"), ("plexstream, idle", "an idle actor"),
        (RAW, "a key, by hand"), (QUIX, "a key, Quix Streams"),
    ):  # fmt: skip
        found.append(
            _line(samples, "memory", what, "bytes", f"memory of {label}", "bytes", ("memory", "bytes"))
        )
    stored = _line(samples, "memory", "large state", "stored", "large state: on disk", "MB")
    targets = [Target(False, stored.figure / 3, "a third of the state")] if stored else []
    grown = _line(
        samples, "memory", "large state", "grown", "large state: memory grew by", "MB", None, targets
    )
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
                    other = _median(samples, "durable", PYTHON_SDK, name)
                    targets = _durable_targets(metric, other) if way not in sdks else []
                    found.append(
                        _line(
                            samples, "durable", way, name, label, unit, ("durable", name), targets, sdks
                        )
                    )
    for log in ("Kafka", "embedded"):
        steps, resumed = f"steps, {log}", f"resumed, {log}"
        cpu, go_on = f"CPU time of a step, {log}", f"waiting handlers go on after kill -9, {log}"
        cores = [Target(False, 50.0, "≥ 20,000 steps/s per core")]
        soon = [Target(False, 5.0, "< 5 s")]
        found += [
            _line(samples, "durable", steps, "rate", steps, "steps/s"),
            _line(samples, "durable", steps, "cpu_us", cpu, "µs", None, cores),
            _line(samples, "durable", resumed, "seconds", go_on, "s", None, soon),
        ]
    found.append(
        _line(samples, "durable", "waiting", "bytes", "memory of a waiting handler, embedded", "bytes")
    )
    return found


def _durable_targets(metric: str, other: float | None) -> list[Target]:
    if other is None or metric == "p99":
        return []
    if metric == "rate":
        return [Target(True, 10 * other, "≥ 10 × Restate, Python")]
    return [Target(False, other, "< Restate, Python")]


def markdown(found: list[Line], about: Mapping[str, str], faults: list[str]) -> str:
    """The table as a page."""
    text = [f"# Benchmarks of {about['when']}", ""]
    text += [f"- {name}: {value}" for name, value in about.items() if name != "when"]
    text += [
        "",
        "A ratio is the line's figure divided by the peer's of the same run. See `bench/README.md`.",
        "",
    ]
    text += ["| what | figure | ratio to peers | target met |", "|---|--:|---|---|"]
    for line in found:
        text.append("| " + " | ".join(cells(line)) + " |")
    if faults:
        text += ["", "Not measured:", "", *(f"- {fault}" for fault in faults)]
    return "\n".join(text) + "\n"


def cells(line: Line) -> list[str]:
    """The texts of a line: what, figure, ratios, verdict."""
    ratios = ", ".join(f"{ratio:.2g} × {peer}" for peer, ratio in line.ratios.items())
    return [line.what, show(line.figure, line.unit), ratios, line.verdict()]
