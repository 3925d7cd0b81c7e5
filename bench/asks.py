"""Asks: how long a call takes, and how many there are in a second, by clients and over HTTP."""

from __future__ import annotations

import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from bench.load import TALLY
from bench.processes import ROOT, Node, measure
from bench.work import PARTITIONS
from plexstream.inspection.kafka.admin import KafkaAdmin
from plexstream.log.open import open_log
from plexstream.testing import free_port

APP = ROOT / "bench" / "apps.py"
ACTORS = "/v1/actors/"
CALLERS = (1, 64, 256, 1000)
OVER_HTTP = {"AsyncClient over HTTP, embedded": "http-async", "Client over HTTP, embedded": "http-threads"}
WAYS = (
    "client, Kafka", "threads, Kafka", "client, embedded", "HTTP, Kafka", "HTTP, embedded", *OVER_HTTP,
)  # fmt: skip
"""`client` is AsyncClient, `threads` is Client, which is measured with one caller; `HTTP` is a load generator
that costs less than a client."""


class Asked(NamedTuple):
    """One level. Latencies in milliseconds; `cpu`: microseconds of the caller's process, for each call."""

    callers: int
    rate: float
    p50: float
    p99: float
    cpu: float


@contextmanager
def kafka_node(address: str, name: str = "bench") -> Iterator[tuple[Node, str, Path]]:
    """A node with one worker and topics of its own; also their prefix, and a folder."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
        node = make_node(address, prefix, Path(folder), name)
        try:
            with node:
                node.wait_ready(PARTITIONS)
                yield node, prefix, Path(folder)
        finally:
            discard(address, prefix)


def make_node(address: str, prefix: str, folder: Path, name: str) -> Node:
    """A node that shares the topics of `prefix`."""
    options = ["--kafka", address, "--workers", "1", "--prefix", prefix, "--node", name]
    options += ["--partitions", str(PARTITIONS)]
    return Node(APP, folder / name, free_port(), options)


def discard(address: str, prefix: str) -> None:
    """Delete the topics of a run."""
    log = open_log(f"kafka://{address}")
    names = [name for name in log.topics() if name.startswith(prefix)]
    log.close()
    KafkaAdmin(address, {}).delete(names)


def asked(work: str, *arguments: str) -> list[Asked]:
    """Measure as `bench.load` is told to."""
    found = measure("load", work, *arguments)["levels"]
    return [Asked(int(f["callers"]), f["rate"], f["p50"], f["p99"], f["cpu"]) for f in found]


def ask(
    way: str, address: str, seconds: float, work: str = TALLY, callers: tuple[int, ...] = CALLERS
) -> list[Asked]:
    """One repetition of one way: every number of callers.

    Parameters:
        way: one of `WAYS`.
        work: as `bench.load` has it.
    """
    numbers = [str(n) for n in callers]
    if way.endswith("Kafka"):
        with kafka_node(address) as (node, prefix, _):
            if way.startswith("HTTP"):
                return asked(work, OVER_HTTP.get(way, "http"), node.url, ACTORS, str(seconds), *numbers)
            kind = "threads" if way.startswith("threads") else "kafka"
            return asked(work, kind, address, prefix, str(seconds), *numbers)
    with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
        if way.startswith("client"):
            return asked(work, "embedded", folder, "-", str(seconds), *numbers)
        options = ["--partitions", str(PARTITIONS)]
        with Node(APP, Path(folder) / "node", free_port(), options, "dev") as node:
            node.wait_ready()
            return asked(work, OVER_HTTP.get(way, "http"), node.url, ACTORS, str(seconds), *numbers)
