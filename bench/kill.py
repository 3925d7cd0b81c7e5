"""kill -9: how long until calls, or outputs, go on."""

from __future__ import annotations

import asyncio
import os
import signal
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from bench.asks import discard, kafka_node, make_node
from bench.contenders import Contender, Job
from bench.counter import wait
from bench.kafka import Observer
from bench.processes import Node
from bench.work import PARTITIONS
from plexstream import AsyncClient
from plexstream.model.messages.address import full, partition_of
from plexstream.model.topics.topics import Topics

AFTER_S = 1.0  # calls before and after the kill
GIVE_UP_S = 40.0


def worker_killed(address: str) -> float:
    """The worker process under a node that starts it again: the longest time between two replies."""
    with kafka_node(address) as (node, prefix, _):
        time.sleep(1.0)
        pid = node.worker_pid()
        actors = [f"tally/{n}" for n in range(100)]
        return asyncio.run(_gap(address, prefix, actors, lambda: os.kill(pid, signal.SIGKILL)))


def node_lost(address: str) -> float:
    """One of two nodes, for good: the longest time between two replies of its actors."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
        try:
            one, two = (make_node(address, prefix, Path(folder), name) for name in ("one", "two"))
            with one, two:
                one.wait_ready()
                _share(one, two)
                status = one.status()
                assert status is not None
                own = {row["partition"] for row in status["partitions"]}
                actors = [a for n in range(400) if partition_of(full(a := f"tally/{n}"), PARTITIONS) in own]
                return asyncio.run(_gap(address, prefix, actors[:100], one.kill))
        finally:
            discard(address, prefix)


def _share(*nodes: Node) -> None:
    """Wait until each of the nodes has its part of the partitions."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        counts = []
        for node in nodes:
            status = node.status()
            counts.append(len(status["partitions"]) if status is not None and status["ready"] else 0)
        if all(counts) and sum(counts) == PARTITIONS:
            time.sleep(1.0)
            return
        time.sleep(0.1)
    raise RuntimeError(f"two nodes did not share {PARTITIONS} partitions within 60 s")


async def _gap(address: str, prefix: str, actors: list[str], kill: Callable[[], None]) -> float:
    """Ask in a loop, kill, ask on; each actor's answers are checked."""
    counts: dict[str, int] = {}
    replied = [time.perf_counter()]
    async with AsyncClient(f"kafka://{address}", topics=Topics(prefix)) as client:
        turn = 0

        async def ask(seconds: float) -> None:
            nonlocal turn
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                target = actors[turn % len(actors)]
                turn += 1
                answer = await client.ask(target, "add", timeout=GIVE_UP_S, amount=1)
                counts[target] = counts.get(target, 0) + 1
                if answer != counts[target]:
                    raise RuntimeError(f"{target} answered {answer} to call number {counts[target]}")
                replied.append(time.perf_counter())

        await ask(AFTER_S)
        begin = len(replied) - 1
        kill()
        await ask(AFTER_S)
    return max(b - a for a, b in zip(replied[begin:], replied[begin + 1 :], strict=False))


def restarted(who: Contender, address: str, keys: int, records: int) -> float:
    """A process that is killed half-way and started again over the same state: seconds to an output."""
    job = Job(who, address, keys)
    observer = Observer(job.run)
    try:
        job.run.fill(records)
        observer.start()
        job.child.start()
        wait(observer, records // 2, job)
        job.child.kill()
        time.sleep(0.5)
        mark, began = observer.total, time.perf_counter()
        job.child.start()
        wait(observer, mark + 1, job)
        took = time.perf_counter() - began
        wait(observer, records, job)
        time.sleep(2.0)  # repeated outputs come late
        observer.stop()
        job.check(observer.outputs())
        return took
    finally:
        observer.stop()
        job.close()
