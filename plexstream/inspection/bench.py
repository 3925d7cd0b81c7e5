"""A small benchmark of an installation: calls to a counter, through edge, log and worker of one process."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from plexstream import actor, handler, state
from plexstream.edge.calls.calls import Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.hosts.native import NativeHost
from plexstream.log.base import Log
from plexstream.model.errors import LogUnavailable
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology
from plexstream.node.worker.worker import Worker
from plexstream.processor import Settings

ACTORS = 1_000
_READY_S = 60.0


@actor(name="bench")
class Counter:
    """What is called."""

    count: int = state(default=0)

    @handler("add")
    def add(self, amount: int) -> int:
        """Count up."""
        self.count += amount
        return self.count

    @handler("get", read_only=True)
    def get(self) -> int:
        """Look."""
        return self.count


class Measured(NamedTuple):
    """One row. Latencies are in milliseconds, of each call from its start to its result."""

    what: str
    callers: int
    calls: int
    seconds: float
    p50: float
    p99: float
    worst: float

    @property
    def rate(self) -> float:
        """Calls in a second."""
        return self.calls / self.seconds


def prefix() -> str:
    """A prefix for topics of one run only."""
    return f"plex-bench-{uuid.uuid4().hex[:8]}."


def bench(
    log: Log, topics: Topics, partitions: int, state_dir: Path, callers: int, seconds: float,
    report: Callable[[Measured], None],
) -> None:  # fmt: skip
    """Measure asks by one caller and by many, reads, and tells; each result is reported as it comes.

    Raises:
        LogUnavailable: the partitions cannot be claimed in time.
    """
    partitions = topology.apply(log, topics, partitions)
    host = NativeHost({"bench": Counter.__plexstream__})  # type: ignore[attr-defined]
    worker = Worker(log, topics, partitions, host, Settings(), state_dir, "bench")
    thread = threading.Thread(target=worker.run, name="bench-worker", daemon=True)
    thread.start()
    worker.assign(range(partitions))
    try:
        end = time.monotonic() + _READY_S
        while not worker.ready() or not worker.drivers:
            if time.monotonic() > end or not thread.is_alive():
                raise LogUnavailable(f"the {partitions} partitions were not claimed within {_READY_S:.0f} s")
            time.sleep(0.01)
        calls = Calls(log, topics)
        try:
            asyncio.run(_measure(calls, callers, seconds, report))
        finally:
            calls.close()
    finally:
        worker.stop()
        thread.join(30)


async def _measure(calls: Calls, callers: int, seconds: float, report: Callable[[Measured], None]) -> None:
    on_loop = LoopCalls(calls)
    await _run(on_loop, "warm-up", "add", callers, min(1.0, seconds))
    report(await _run(on_loop, "ask", "add", 1, seconds))
    report(await _run(on_loop, "ask", "add", callers, seconds))
    report(await _run(on_loop, "ask, read-only", "get", callers, seconds))
    report(await _run(on_loop, "tell", "add", callers, seconds))


async def _run(on_loop: LoopCalls, what: str, name: str, callers: int, seconds: float) -> Measured:
    payload = b'{"amount":1}' if name == "add" else b"{}"
    took: list[float] = []
    began = time.perf_counter()
    end = began + seconds

    async def caller(number: int) -> None:
        turn = number
        while (start := time.perf_counter()) < end:
            target = f"default/default/bench/{turn % ACTORS}"
            turn += callers
            if what == "tell":
                await on_loop.tell(target, name, payload)[1]
            else:
                await on_loop.ask(target, name, payload)
            took.append(time.perf_counter() - start)

    await asyncio.gather(*(caller(n) for n in range(callers)))
    spent = time.perf_counter() - began
    took.sort()
    at = [took[min(len(took) - 1, int(len(took) * q))] * 1000 for q in (0.5, 0.99, 1.0)]
    return Measured(what, callers, len(took), spent, *at)
