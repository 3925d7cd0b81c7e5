"""A node: workers and an edge under one command."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plexstream.blobs.objects import Objects
from plexstream.edge.calls.calls import Calls
from plexstream.edge.http.front import app as http_app
from plexstream.edge.http.guard import Guard
from plexstream.edge.http.routes.metrics import Collectors
from plexstream.edge.http.serving.server import HttpServer
from plexstream.hosts.load import load_actors
from plexstream.log.base import Log
from plexstream.log.installation import entries
from plexstream.log.open import open_log
from plexstream.model.errors import ConfigError
from plexstream.model.process.threads import unwell
from plexstream.model.topics.topics import Topics
from plexstream.node.ingest.spaces import Fed
from plexstream.node.partition.takeover.losses import proven
from plexstream.node.running.lags import Lags
from plexstream.node.running.metrics import NodeMetrics
from plexstream.node.running.processes.ending import Ending
from plexstream.node.setup import topology
from plexstream.node.setup.config import Config
from plexstream.node.setup.folder import Folder
from plexstream.node.setup.manifest import Deployment, load_manifest
from plexstream.node.worker.unit import Unit
from plexstream.sdk.spec import ActorType

if TYPE_CHECKING:  # a node on the embedded log starts without Kafka's client
    from plexstream.node.running.processes.supervisor import Supervisor

_log = logging.getLogger("plexstream.node")

CLOSE_S = 0.5
"""How long tells are given at the end to become durable, whose callers have had their answer by then."""
LOOK_S = 0.25
"""How often is looked whether the worker goes on, where it is in this process."""


class Node:
    """Workers and an edge, started and stopped together.

    Parameters:
        config: where the log is, and everything else.
        edge_only: no workers: an edge alone.

    Raises:
        ConfigError: no actor file, or one that cannot be loaded; a manifest that is wrong; a data folder
            that cannot be made or is another node's; a number of partitions that is not that of the topics;
            a topic's setting by which Kafka would delete what is needed; an address that cannot be
            listened on.
        LogUnavailable: the log cannot be reached.
        LogDamaged: the embedded log lacks what was acknowledged.
    """

    def __init__(self, config: Config, *, edge_only: bool = False) -> None:
        self.config = config
        self.topics = config.topics()
        self._unit: Unit | None = None
        self._supervisor: Supervisor | None = None
        app_file = None if edge_only else _app_file(config)
        app = None if app_file is None else load_actors(app_file, strict=config.strict)
        manifest = None
        if config.manifest is not None and app is not None:
            manifest = load_manifest(config.manifest, app.types)
        self._folder = Folder(config.data)
        if config.kafka and app is not None:
            self._folder.hold()  # the embedded log has a lock of its own
        self.log: Log = _open(config)
        self.partitions = topology.apply(
            self.log, self.topics, config.partitions, config.asked_partitions()
        )
        if config.kafka:
            _check_retention(self.log, self.topics, config.max_message)
        self._control = entries(self.log, self.topics)
        if app is not None and app_file is not None:
            if not config.kafka:
                proven.check(self.log, self.topics, config.state_dir)
            if config.kafka:
                self._supervisor = self._supervised(app_file)
            else:
                self._unit = Unit(
                    self.log, self.topics, self.partitions, app, config.settings(), config.state_dir,
                    config.node, config.max_message, self._unit_ended, None, config.long_handler / 1000,
                    config.stuck_handler / 1000, _fed(config), config.blobs(),
                )  # fmt: skip
        self.types = {} if app is None else app.types
        self.calls = Calls(
            self.log, self.topics, max_payload=config.max_message, partitions=self.partitions
        )
        self._deployment = None if manifest is None else Deployment(self.calls, manifest)
        sources = _sources(self.types) | (set() if app is None else {fed.topic for fed in _fed(config)})
        self._lags = Lags(self.log, self.topics.mailbox, self.partitions, sources)
        self.refresh = self._lags.fresh
        """Has the lags of a status be those of now: done when they are known, or cannot be."""
        registry = Collectors()
        registry.register(NodeMetrics(self.status))
        self.server = HttpServer(
            http_app(
                self.calls, log=self.log, topics=self.topics, status=self.status, metrics_registry=registry,
                max_body=config.max_message,
                sources=[*config.http_topics, *sources],
                refresh=self.refresh,
                guard=Guard(config.http_host, config.http_hosts, config.http_origins),
                blobs=Objects(config.blobs()),
            ),
            config.http_host,
            config.http_port,
            limits=config.http_limits(),
            failed=self._unit_ended,
        )  # fmt: skip
        self._ended = threading.Event()
        self._stopping = False
        self.failed = False

    def _supervised(self, app_file: Path) -> Supervisor:
        from plexstream.node.running.processes.process import WorkerSpec
        from plexstream.node.running.processes.supervisor import Supervisor

        c = self.config
        specs = [
            WorkerSpec(
                app_file, c.kafka, c.kafka_settings, c.replication(), self.topics, self.partitions,
                c.settings(), c.state_dir / f"worker-{number}", c.node, c.member_id(number), c.max_message,
                logging.root.level, self._control, c.long_handler / 1000, c.stuck_handler / 1000, _fed(c),
                c.blobs(),
            )
            for number in range(c.workers)
        ]  # fmt: skip
        return Supervisor(specs)

    def _unit_ended(self, error: BaseException | None) -> None:
        if error is not None:
            self.failed = True
            self._ended.set()

    def start(self) -> None:
        """Start the workers, and the edge on a thread of its own."""
        if self._unit is not None:
            self._unit.start()
            self._unit.assign(range(self.partitions))
        if self._supervisor is not None:
            self._supervisor.start()
        self._lags.start()
        if self._deployment is not None:
            self._deployment.start()
        self.server.start()

    def wait(self, until: Callable[[], bool] | None = None) -> None:
        """Wait until the node fails, or `until` says so."""
        look_at = 0.0
        while not self._ended.wait(0.1):
            if until is not None and until():
                return
            if self._unit is not None and (now := time.monotonic()) >= look_at:
                look_at = now + LOOK_S
                self._unit.look()

    def stop(self) -> None:
        """Take no new calls, finish those under way, hand over every partition, end."""
        if self._deployment is not None:
            self._deployment.stop()
        self._stopping = True
        self.server.stop()
        if self._unit is not None:
            self._unit.stop()
        if self._supervisor is not None:
            self._supervisor.stop()
        self._lags.stop()
        self.calls.close(CLOSE_S)
        self.log.close()
        self._folder.release()

    def status(self) -> dict[str, Any]:
        """How the node is: its workers, their partitions, and how far behind each is. Does not block.

        `refused` says why a node that starts now would be: somebody has added partitions to a topic. `why`
        says what it lacks to be ready.
        """
        if self._unit is not None:
            workers = [{"worker": self.config.node, **self._unit.status()}]
        elif self._supervisor is not None:
            workers = self._supervisor.status()
        else:
            workers = []
        why = [f"{w['worker']}: {reason}" for w in workers for reason in w.get("why", ())] + self._own_why()
        ready = not why and all(w.get("ready") for w in workers)
        rows = [dict(row, worker=w["worker"]) for w in workers for row in w.get("partitions", ())]
        sources = {(topic, q): next for w in workers for topic, q, next in w.get("sources", ())}
        subscribed = {topic for w in workers for topic in w.get("subscribed", ())}
        for row in rows:
            row["mailbox_lag"] = self._lags.behind((self.topics.mailbox, row["partition"]), row["position"])
            row["ingest_lag"] = self._ingest_lag(row["partition"], subscribed, sources)
        lag = None
        lags = [r[name] for r in rows for name in ("mailbox_lag", "ingest_lag", "owed", "waiting")]
        if ready and None not in lags:
            lag = sum(lags)
        return {
            "node": self.config.node,
            "log": self.config.kafka or "embedded",
            "ready": ready,
            "why": why,
            "lag": lag,
            "refused": self.calls.growth.why,
            "partition_count": self.partitions,
            "partitions": sorted(rows, key=lambda r: r["partition"]),
            "running": [dict(w["running"], worker=w["worker"]) for w in workers if w.get("running")],
            "effects": [dict(row, worker=w["worker"]) for w in workers for row in w.get("effects", ())],
            "workers": [
                {"worker": w["worker"], "pid": w.get("pid"), "ready": bool(w.get("ready"))} for w in workers
            ],
        }

    def _own_why(self) -> list[str]:
        """What this process itself lacks for the node to be ready."""
        threads = [*self.calls.threads, self._lags.thread]
        parts = self._supervisor, self._deployment, self.server
        threads += [part.thread for part in parts if part is not None and part.thread is not None]
        found = [f"thread {name} fails" for name in unwell(threads)]
        if self._stopping:
            found.append("it is being stopped")
        if lost := self._lags.lost_s():
            found.append(f"the log has not answered for {lost:.0f} s: are its brokers up?")
        return found

    def _ingest_lag(
        self, partition: int, subscribed: set[str], sources: dict[tuple[str, int], int]
    ) -> int | None:
        """Records of subscribed topics that this partition's worker has to feed.

        None while the position or the end of one is not known: ingest may not have begun with it.
        """
        lag = 0
        for topic in sorted(subscribed):
            count = self._lags.counts.get(topic)
            if count is None:
                return None
            for q in range(partition, count, self.partitions):
                next = sources.get((topic, q))
                behind = self._lags.behind((topic, q), next) if next is not None else None
                if behind is None:
                    return None
                lag += behind
        return lag


def _sources(types: Mapping[str, ActorType]) -> set[str]:
    """The topics that actors subscribe to."""
    return {subscription.topic for spec in types.values() for subscription in spec.subscriptions}


def _fed(config: Config) -> tuple[Fed, ...]:
    """What topics feed: spaces, queues and channels."""
    return tuple(
        Fed(name, fed.topic, getattr(fed, "ttl", None), table)
        for table, named in config.fed().items()
        for name, fed in named.items()
    )


def _open(config: Config) -> Log:
    if not config.kafka:
        return open_log(config.log_url())
    from plexstream.log.kafka.log import KafkaLog

    return KafkaLog(config.kafka, config.kafka_settings, config.replication())


def _check_retention(log: Log, topics: Topics, max_message: int) -> None:
    from plexstream.log.kafka.log import KafkaLog
    from plexstream.node.setup import retention

    assert isinstance(log, KafkaLog)
    retention.check(log, topics, max_message)


def _app_file(config: Config) -> Path:
    if config.app is None:
        raise ConfigError(
            "no actor file: name one, as in `plexstream dev bank.py`, or set app in plexstream.toml"
        )
    return config.app


def run_node(config: Config, started: Callable[[Node], None] = lambda _: None) -> int:
    """Run a node until SIGTERM or SIGINT; returns the process's exit code: 0 after a clean end."""
    return _run(lambda: Node(config), started)


def run_edge(config: Config, started: Callable[[Node], None] = lambda _: None) -> int:
    """Run an edge alone until SIGTERM or SIGINT; returns the process's exit code."""
    return _run(lambda: Node(config, edge_only=True), started)


def _run(make: Callable[[], Node], started: Callable[[Node], None]) -> int:
    ending = Ending()
    node = make()
    if not ending.told.is_set():
        node.start()
        started(node)
        node.wait(ending.told.is_set)
    began = time.monotonic()
    node.stop()
    _log.info("stopped in %.1f s", time.monotonic() - began)
    return 1 if node.failed else 0
