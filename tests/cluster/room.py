"""Two nodes on three brokers, and what can be seen of them from outside."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
from callers import ACCOUNTS, BAGS, BOOKS, CLOCKS, ROWS, SINKS, Callers, away
from load import committed
from serving import PARTITIONS, Served, until
from tap import Tap

from plexstream import AsyncClient
from plexstream.log.base import TopicSpec
from plexstream.log.open import open_log
from plexstream.model.topics.topics import Topics
from plexstream.testing.errors import KafkaUnavailableError
from plexstream.testing.kafka.cluster import LocalCluster

APP = Path(__file__).with_name("bankers.py")
HEARD_S = 20.0


class Installation:
    """Two nodes with a worker each, topics of their own with three replicas, and a source topic."""

    def __init__(self, brokers: LocalCluster, folder: Path, prefix: str) -> None:
        self.brokers = brokers
        self.topics = Topics(prefix)
        self.log = open_log(f"kafka://{brokers.address}")
        self.source = f"{prefix}source"
        self.log.create([TopicSpec(self.source, 2)])
        self.tap: Tap | None = None
        self._paid = folder / "paid.txt"
        self._paid.touch()
        env = {
            "CLUSTER_SOURCE": self.source,
            "CLUSTER_PAID": str(self._paid),
            # Snapshots and trims are to happen amid the faults.
            "PLEXSTREAM_SNAPSHOT_INTERVAL": "3s",
        }
        self.nodes = [
            Served(
                folder / name, "run", "--kafka", brokers.address, "--prefix", prefix,
                "--partitions", str(PARTITIONS), "--replication-factor", "3", "--min-insync-replicas", "2",
                "--node", name, app=APP, env=env,
            )
            for name in ("first", "second")
        ]  # fmt: skip
        for node in self.nodes:
            node.start()

    def ready(self) -> None:
        """Wait until all partitions are in service, on two nodes."""
        for node in self.nodes:
            node.ready()
        until(
            "both nodes serve",
            lambda: sum(n.active() for n in self.nodes) == PARTITIONS and all(n.active() for n in self.nodes),
            90,
        )

    def callers(self, name: str) -> Callers:
        if self.tap is None:
            self.tap = Tap(self.log, [self.topics.mailbox, self.topics.journal])
        self.tap.clear()
        straight: Callable[[], AsyncClient] = lambda: AsyncClient(log=self.log, topics=self.topics)  # noqa: E731
        ways = {
            f"node {i}": (lambda node=node: AsyncClient(node.url)) for i, node in enumerate(self.nodes, 1)
        }
        return Callers(name, {**ways, "kafka": straight}, self.brokers.address, self.source)

    def reports(self, name: str) -> dict[str, Any]:
        """What each actor of a test reports."""
        numbers = {
            "account": ACCOUNTS,
            "bag": BAGS,
            "row": ROWS,
            "book": BOOKS,
            "clock": CLOCKS,
            "sink": SINKS,
        }
        addresses = [f"{kind}/{name}-{i}" for kind, number in numbers.items() for i in range(number)]
        return {address: self._report(address) for address in (*addresses, away(name))}

    def _report(self, address: str) -> Any:
        end = time.monotonic() + 90
        while True:
            for node in self.nodes:
                with suppress(httpx.TransportError):
                    answer = node.ask(address, "report", timeout=5)
                    if answer.status_code == 200:
                        return answer.json()
                    assert time.monotonic() < end, f"{address} reports nothing: {answer.text}"

    def outputs(self) -> list[dict[str, Any]]:
        """The committed records of the output, in the order of their partitions."""
        return [json.loads(value) for value in committed(self.log, self.topics.out("rows"))]

    def paid(self) -> list[tuple[str, str]]:
        lines = self._paid.read_text().splitlines()
        return [(order, token) for order, token in (line.split() for line in lines)]

    def close(self) -> None:
        if self.tap is not None:
            self.tap.close()
        for node in self.nodes:
            node.end()
        self.log.close()


class Room:
    """The installation of all tests, which has to live with what each does; a new one after a failure."""

    def __init__(self, brokers: LocalCluster, folder: Path) -> None:
        self._brokers = brokers
        self._folder = folder
        self._number = 0
        self.installation: Installation | None = None

    def give(self, note: Callable[[str], object]) -> Installation:
        """Where all is well again.

        A replica may stay out of sync when the network is whole again (seen twice, once for six minutes, and
        not explained); as an operator would, all brokers are restarted then.

        Parameters:
            note: is told if that was so.
        """
        try:
            self._brokers.restore()
        except KafkaUnavailableError as error:
            note(f"brokers were restarted before this: {error}")
            self._brokers.start()
            self._brokers.roll()
            self._brokers.restore()
        if self.installation is None:
            self._number += 1
            folder = self._folder / str(self._number)
            folder.mkdir()
            self.installation = Installation(self._brokers, folder, f"cluster{self._number}.")
        self.installation.ready()
        return self.installation

    def close(self) -> None:
        if self.installation is not None:
            self.installation.close()
            self.installation = None
