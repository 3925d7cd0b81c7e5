"""A worker over a log in memory, and a client: calls are real, time is short."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plexstream.client import Client
from plexstream.hosts.load import load_actors
from plexstream.hosts.native import NativeHost
from plexstream.log.base import Log
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology
from plexstream.node.worker.worker import Worker
from plexstream.processor import Settings

BANK = Path(__file__).parent.parent / "cli" / "bank.py"
WAITING = Path(__file__).with_name("waiting.py")
PARTITIONS = 2


class Installation:
    in_service: Callable[[Worker], bool] = staticmethod(lambda worker: worker.ready())

    def __init__(
        self, log: Log, state_dir: Path, settings: Settings | None = None, app: Path = BANK,
        prefix: str = "test.",
    ) -> None:  # fmt: skip
        self.app = app
        self.log = log
        self.topics = Topics(prefix)
        self.state_dir = state_dir
        self.settings = settings or Settings()
        topology.apply(log, self.topics, PARTITIONS)

    def __enter__(self) -> Installation:
        app = load_actors(self.app)
        host = NativeHost(app.types, app.version)
        self.worker = Worker(
            self.log, self.topics, PARTITIONS, host, self.settings, self.state_dir, "test-node"
        )  # fmt: skip
        self._thread = threading.Thread(target=self.worker.run, daemon=True)
        self._thread.start()
        self.worker.assign(range(PARTITIONS))
        wait_until(lambda: bool(self.worker.drivers) and self.in_service(self.worker))
        self.client = Client(log=self.log, topics=self.topics)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.close()
        self.worker.stop()
        self._thread.join(20)

    def ask(self, target: str, handler: str, **arguments: Any) -> Any:
        return self.client.ask(target, handler, arguments, timeout=10.0)

    def end(self, partition: int) -> int:
        return self.log.range((self.topics.journal, partition))[1]


def wait_until(true: Callable[[], bool], timeout: float = 20.0) -> None:
    end = time.monotonic() + timeout
    while not true():
        assert time.monotonic() < end, "it did not become true in time"
        time.sleep(0.01)
