"""Starts plexstream the way a user would, as processes of its command line, and talks to it over HTTP."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import httpx

from plexstream.testing import free_port

APP = Path(__file__).with_name("actors.py")
READERS = 8  # reports read at the same time: with more the client itself takes longer
NDJSON = {"content-type": "application/x-ndjson"}
PAGE = 10_000  # records read at a time
START = 60.0  # seconds within which a node must be ready

Record = dict[str, Any]


class Node:
    """One process of `plexstream`, with its output in a file and its HTTP interface on a free port."""

    def __init__(self, command: Sequence[str], data: Path, env: dict[str, str]) -> None:
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = [*command, "--data", str(data), "--port", str(self.port)]
        self._env = {**os.environ, **env}
        self._log = data.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._http = httpx.Client(base_url=self.url, timeout=1.0)

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._env, stdout=log, stderr=log, start_new_session=True
            )

    def wait_ready(self) -> None:
        deadline = time.monotonic() + START
        while not (self.status() or {}).get("ready"):
            code = None if self._process is None else self._process.poll()
            if code is not None or time.monotonic() > deadline:
                what = "was not ready in time" if code is None else f"ended with exit code {code}"
                tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
                raise RuntimeError(f"{' '.join(self._command)} {what}:\n{tail}")
            time.sleep(0.1)

    def status(self) -> dict[str, Any] | None:
        """What the node says about its partitions; None while it does not answer."""
        try:
            response = self._http.get("/v1/status")
        except httpx.TransportError:
            return None
        return response.json() if response.is_success else None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process and to whatever it has started."""
        if self._process is not None and self._process.poll() is None:
            os.killpg(self._process.pid, number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self._process is not None:
            self._process.wait()

    def stop(self) -> None:
        self.signal(signal.SIGTERM)
        try:
            if self._process is not None:
                self._process.wait(30)
        except subprocess.TimeoutExpired:
            self.kill()

    def close(self) -> None:
        """End it for good."""
        self.kill()
        self._http.close()


class Topics(Protocol):
    """Where flights are published and alerts are read."""

    def publish(self, flights: Sequence[Record]) -> None:
        """Write the flights to the topic in this order; returns when they are durable."""

    def alerts(self) -> Iterable[tuple[str, Record]]:
        """All records of the output topic `delays` so far: key and value."""

    def discard(self) -> None:
        """Delete the topics of this run."""


class Cluster:
    """Some nodes and their topics. Use it as a context manager."""

    def __init__(self, nodes: list[Node], topics: Topics) -> None:
        self.nodes = nodes
        self.topics = topics
        self._partitions: set[int] = set()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_ready()

    def backlog(self) -> tuple[int, int] | None:
        """How many flights and how many messages between actors are still to be handled.

        None while some partition is on its way from one node to another, or a node does not know yet.
        """
        flights: dict[int, int] = {}
        messages: dict[int, int] = {}
        for node in self.nodes:
            for row in (node.status() or {}).get("partitions", ()):
                place = row["partition"]  # where two nodes claim one, the slower counts
                if row["ingest_lag"] is None or row["mailbox_lag"] is None:
                    return None
                flights[place] = max(flights.get(place, 0), row["ingest_lag"])
                messages[place] = max(messages.get(place, 0), row["mailbox_lag"])
        self._partitions |= flights.keys()
        if not flights or flights.keys() < self._partitions:
            return None
        return sum(flights.values()), sum(messages.values())

    def orphans(self, nodes: Iterable[Node]) -> set[int]:
        """The partitions that none of these nodes owns."""
        rows = [row for node in nodes for row in (node.status() or {}).get("partitions", ())]
        return self._partitions - {row["partition"] for row in rows}

    def reports(self, addresses: Iterable[str]) -> dict[str, Any]:
        """What each of these actors reports."""
        return asyncio.run(self._reports(list(addresses)))

    async def _reports(self, addresses: list[str]) -> dict[str, Any]:
        todo = iter(addresses)
        found: dict[str, Any] = {}

        async def read(client: httpx.AsyncClient) -> None:
            for address in todo:
                response = await client.get(f"/v1/actors/{address}/report")
                found[address] = response.raise_for_status().json()

        clients = [httpx.AsyncClient(base_url=node.url, timeout=60.0) for node in self.nodes]
        try:
            await asyncio.gather(*(read(clients[i % len(clients)]) for i in range(READERS)))
        finally:
            for client in clients:
                await client.aclose()
        return found

    def rebuild(self) -> None:
        """Stop every node, delete its state store, and start it again: the journal alone must do."""
        for node in self.nodes:
            node.stop()
        for node in self.nodes:
            shutil.rmtree(node.data / "state")
        self.start()

    def _close(self) -> None:
        for node in self.nodes:
            node.close()


def embedded(data: Path) -> Cluster:
    """One node on the embedded log, which needs no broker: log and state are below `data`."""
    node = Node(["plexstream", "dev", str(APP)], data / "node", {})
    return Cluster([node], _HttpTopics(node))


def kafka(address: str, workers: int, data: Path) -> Cluster:
    """Some single-worker nodes on a Kafka broker, with topics of its own for this run."""
    from kafka_topics import KafkaTopics

    run = f"flights-{os.urandom(4).hex()}"
    topics = KafkaTopics(address, source=run, prefix=f"{run}.")
    command = ["plexstream", "run", str(APP), "--kafka", address, "--workers", "1", "--prefix", topics.prefix]
    nodes = [
        Node(command, data / f"node-{number}", {"FLIGHTS_TOPIC": topics.source})
        for number in range(1, workers + 1)
    ]
    return Cluster(nodes, topics)


class _HttpTopics:
    """The topics of the embedded log, which live inside the node."""

    def __init__(self, node: Node) -> None:
        self._client = httpx.Client(base_url=node.url, timeout=60.0)

    def publish(self, flights: Sequence[Record]) -> None:
        lines = (json.dumps({"key": flight["tailnum"], "value": flight}) for flight in flights)
        response = self._client.post("/v1/topics/flights", content="\n".join(lines), headers=NDJSON)
        if response.raise_for_status().json()["count"] != len(flights):
            raise RuntimeError(f"not every flight was taken: {response.text}")

    def alerts(self) -> Iterator[tuple[str, Record]]:
        partition = offset = 0
        while (page := self._page(partition, offset)) is not None:
            for record in page:
                yield record["key"], record["value"]
                offset = record["offset"] + 1
            if not page:
                partition, offset = partition + 1, 0

    def _page(self, partition: int, offset: int) -> list[Record] | None:
        """The next records of a partition, none at its end; None where there is no such partition."""
        response = self._client.get(
            "/v1/topics/plex.out.delays", params={"partition": partition, "from": offset, "limit": PAGE}
        )
        if response.status_code == httpx.codes.NOT_FOUND:
            return None
        return [json.loads(line) for line in response.raise_for_status().iter_lines()]

    def discard(self) -> None:
        """They go with the node's folder."""
        self._client.close()
