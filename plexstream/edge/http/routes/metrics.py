"""Counts of calls for Prometheus, kept as plain numbers and turned into metrics when they are scraped.

Counting a call costs 0.3 µs. prometheus_client's own Counter and Histogram take 1 µs for the same, and a
look-up of the labels beside: a lock each, and a search through the buckets in Python.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from plexstream.edge.calls.calls import Calls

if TYPE_CHECKING:
    from prometheus_client.core import Metric

BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds in seconds."""


class Collects(Protocol):
    """What has metrics, as prometheus_client has it."""

    def collect(self) -> Iterable[Metric]:
        """All of them, as they are now."""


class Registry(Protocol):
    """What is shown to Prometheus: a `CollectorRegistry`, or `Collectors`."""

    def register(self, collector: Any) -> None:
        """Show what it collects, too."""

    def collect(self) -> Iterable[Metric]:
        """All metrics, as they are now."""


class Collectors:
    """The same without prometheus_client, which is not loaded before somebody asks: with what it needs
    alone, it is 31 modules of a node's start."""

    def __init__(self) -> None:
        self._all: list[Collects] = []

    def register(self, collector: Collects) -> None:
        """Show what it collects, too."""
        self._all.append(collector)

    def collect(self) -> Iterable[Metric]:
        """All metrics, as they are now."""
        for collector in self._all:
            yield from collector.collect()


class _Kind:
    __slots__ = ("buckets", "outcomes", "sum")

    def __init__(self) -> None:
        self.outcomes: dict[str, int] = {}
        self.buckets = [0] * (len(BUCKETS) + 1)
        self.sum = 0.0


class CallMetrics:
    """What the HTTP edge counts. `observe` belongs to one thread, the event loop's; scraping to any."""

    def __init__(self, calls: Calls | None = None, registry: Registry | None = None) -> None:
        self._calls = calls
        kinds = ("ask", "tell", "read", "control", "look", "operation", "blob")
        self._kinds = {kind: _Kind() for kind in kinds}
        self._published = 0
        if registry is not None:
            registry.register(self)

    def observe(self, kind: str, outcome: str, seconds: float) -> None:
        """Count one call. `kind` is one of the six there are; `outcome` is ok or an error's code."""
        of_kind = self._kinds[kind]
        outcomes = of_kind.outcomes
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
        of_kind.buckets[bisect_left(BUCKETS, seconds)] += 1
        of_kind.sum += seconds

    def published(self, count: int) -> None:
        """Count records that were appended to ordinary topics."""
        self._published += count

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        total = CounterMetricFamily(
            "plexstream_calls", "Calls over HTTP, by kind and outcome", labels=["kind", "outcome"]
        )
        seconds = HistogramMetricFamily(
            "plexstream_call_seconds", "Duration of calls over HTTP in seconds", labels=["kind"]
        )
        for name, kind in self._kinds.items():
            for outcome, count in kind.outcomes.copy().items():
                total.add_metric([name, outcome], count)
            seconds.add_metric([name], _cumulative(kind.buckets), kind.sum)
        yield total
        yield seconds
        yield CounterMetricFamily(
            "plexstream_published_records", "Records appended to topics over HTTP", value=self._published
        )
        if self._calls is not None:
            yield from _of_calls(self._calls)


def _cumulative(buckets: list[int]) -> list[tuple[str, float]]:
    result = []
    sum = 0
    for bound, count in zip([*map(str, BUCKETS), "+Inf"], buckets, strict=True):
        sum += count
        result.append((bound, float(sum)))
    return result


def _of_calls(calls: Calls) -> Iterable[Metric]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    yield GaugeMetricFamily("plexstream_calls_in_flight", "Calls that wait now", value=calls.in_flight)
    ignored = CounterMetricFamily(
        "plexstream_replies_ignored", "Replies that completed no call, by reason", labels=["reason"]
    )
    ignored.add_metric(["foreign"], calls.replies.foreign)
    ignored.add_metric(["stale"], calls.replies.stale)
    ignored.add_metric(["malformed"], calls.replies.malformed)
    yield ignored
    yield CounterMetricFamily(
        "plexstream_edge_appender_failures", "Appenders that were replaced", value=calls.appender_failures
    )
