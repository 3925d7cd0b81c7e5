"""Publishes the flights, watches them being handled, and strikes the cluster with faults on the way."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Event
from typing import Any

from cluster import Cluster, Node

BATCH = 2_000  # flights published at a time
AHEAD = 0.2  # how far publishing may run ahead of a fault, so that the fault meets work both done and to do
POLL = 0.25  # seconds between two looks at the backlog
QUIET = 8  # empty looks in a row after which everything counts as handled: a lag may be 0.5 s old
STALLED = 120.0  # seconds without progress after which the run has failed
TURNS = 4  # of each flight: its aircraft's, and those of the three actors that the aircraft tells

PAUSE = 9.0  # seconds; a worker's session ends after 6
TAKEOVER = 30.0  # seconds within which the others must own the partitions of a node that is stopped


@dataclass(frozen=True)
class Fault:
    at: float  # when this share of the flights has been handled
    strike: Callable[[], None]
    story: str


def kill(node: Node) -> None:
    """Kill a node with SIGKILL, and start it again."""
    node.kill()
    node.start()
    node.wait_ready()


def pause(cluster: Cluster, node: Node) -> None:
    """Stop a node past its session timeout, until the others own all partitions, and let it go on."""
    others = [other for other in cluster.nodes if other is not node]
    node.signal(signal.SIGSTOP)
    try:
        time.sleep(PAUSE)
        deadline = time.monotonic() + TAKEOVER
        while orphans := cluster.orphans(others):
            if time.monotonic() > deadline:
                raise RuntimeError(f"nobody took over the partitions {sorted(orphans)} of the stopped node")
            time.sleep(POLL)
    finally:
        node.signal(signal.SIGCONT)


def faults(cluster: Cluster) -> list[Fault]:
    """What a cluster of several nodes must bear."""
    first, second = cluster.nodes[0], cluster.nodes[1]
    return [
        Fault(0.35, lambda: kill(first), "node 1 was killed with SIGKILL and started again"),
        Fault(
            0.60, lambda: pause(cluster, second), "node 2 was stopped past its session timeout, and continued"
        ),
    ]


def feed(
    cluster: Cluster,
    flights: Sequence[dict[str, Any]],
    faults: Sequence[Fault],
    progress: Callable[[float], None],
    tell: Callable[[str], None],
) -> None:
    """Publish all flights, and return when every message they caused has been handled.

    Args:
        cluster: whose topic is published to, and whose backlog is watched.
        flights: the records.
        faults: strike in this order.
        progress: told how many flights have been handled.
        tell: told what happens otherwise.

    Raises:
        RuntimeError: nothing moved for a long time, or a fault did not do what it should.
    """
    total = len(flights)
    published = 0
    pending = list(faults)
    given_up = Event()

    def publish() -> None:
        nonlocal published
        for start in range(0, total, BATCH):
            while pending and start > (pending[0].at + AHEAD) * total and not given_up.wait(POLL):
                pass
            if given_up.is_set():
                return
            cluster.topics.publish(flights[start : start + BATCH])
            published = min(start + BATCH, total)

    with ThreadPoolExecutor(2) as pool:
        publishing = pool.submit(publish)
        striking: Future[None] | None = None
        handled = 0.0
        quiet = 0
        moved = time.monotonic()
        try:
            while quiet < QUIET or pending:
                time.sleep(POLL)
                if publishing.done():
                    publishing.result()
                if striking is not None and striking.done():
                    striking.result()
                    tell(pending.pop(0).story)
                    striking = None

                before = published
                backlog = cluster.backlog()
                if backlog is not None:
                    now_handled = before - backlog[0] - backlog[1] / TURNS
                    quiet = quiet + 1 if before == total and not any(backlog) else 0
                    if now_handled > handled or quiet:
                        handled, moved = max(handled, now_handled), time.monotonic()
                        progress(handled)
                if pending and striking is None and handled >= pending[0].at * total:
                    striking = pool.submit(pending[0].strike)
                if time.monotonic() - moved > STALLED:
                    raise RuntimeError(f"nothing has moved for {STALLED:.0f} s; backlog: {backlog}")
        finally:
            given_up.set()
