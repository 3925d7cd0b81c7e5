"""What a node shows to Prometheus, made from its status when it is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prometheus_client.core import Metric

_GAUGES = {
    "position": ("plexstream_mailbox_position", "next mailbox offset"),
    "journal": ("plexstream_journal_position", "next journal offset that is acknowledged"),
    "turns": ("plexstream_turns", "records handed to the journal in this reign"),
    "active": ("plexstream_active_actors", "actors in memory"),
    "waiting": ("plexstream_waiting_messages", "messages held for busy actors"),
    "owed": ("plexstream_owed_turns", "turns whose mails or outputs are on their way"),
    "timers": ("plexstream_timers", "pending timers"),
    "stuck": ("plexstream_stuck_handlers", "waiting handlers whose code does not fit their steps"),
    "mailbox_lag": ("plexstream_mailbox_lag", "mailbox records not handled yet"),
    "ingest_lag": ("plexstream_ingest_lag", "records of subscribed topics not in mailboxes yet"),
}

_EFFECTS = {
    "running": ("plexstream_effects_running", "side effects that run"),
    "waiting": ("plexstream_effects_waiting", "side effects that wait for a thread of their type"),
    "oldest_s": ("plexstream_effects_oldest_seconds", "how long the oldest of them has been running"),
}


_RUNNING = ("plexstream_handler_seconds", "how long a handler has been running, where that is over a second")


class NodeMetrics:
    """Collects the node's gauges by partition and worker, those of side effects by type and worker."""

    def __init__(self, status: Callable[[], dict[str, Any]]) -> None:
        self._status = status

    def collect(self) -> Iterable[Metric]:
        from prometheus_client.core import GaugeMetricFamily

        status = self._status()
        rows = status["partitions"]
        for field, (name, text) in _GAUGES.items():
            family = GaugeMetricFamily(name, text, labels=["partition", "worker"])
            for row in rows:
                if row.get(field) is not None:
                    family.add_metric([str(row["partition"]), row["worker"]], row[field])
            yield family
        active = GaugeMetricFamily(
            "plexstream_partition_active",
            "1 while the partition is in service",
            labels=["partition", "worker"],
        )
        for row in rows:
            active.add_metric(
                [str(row["partition"]), row["worker"]], 1.0 if row["phase"] == "active" else 0.0
            )
        yield active
        running = GaugeMetricFamily(*_RUNNING, labels=["type", "handler", "worker"])
        for row in status.get("running", ()):
            running.add_metric([row["address"].split("/")[-2], row["handler"], row["worker"]], row["seconds"])
        yield running
        yield GaugeMetricFamily(
            "plexstream_ready", "1 while the node is ready", value=1.0 if status.get("ready") else 0.0
        )
        for field, (name, text) in _EFFECTS.items():
            family = GaugeMetricFamily(name, text, labels=["type", "worker"])
            for row in status.get("effects", ()):
                family.add_metric([row["type"], row["worker"]], row[field])
            yield family
