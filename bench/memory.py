"""Memory of many actors, and a state that is larger than memory."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple

from bench.asks import kafka_node
from bench.contenders import Contender, Job
from bench.counter import wait
from bench.kafka import Observer
from bench.processes import Node, stored
from plexstream import AsyncClient
from plexstream.model.topics.topics import Topics

FEW = 100
VAULTS, ENTRY = 8, 32_768
TELLS = 64
IDLE_S = 1.0


def _used(who: Contender, address: str, keys: int, records: int, env: dict[str, str]) -> int:
    job = Job(who, address, keys, **env)
    observer = Observer(job.run)
    try:
        job.run.fill(records)
        observer.start()
        job.child.start()
        wait(observer, records, job)
        time.sleep(6 * IDLE_S)
        return job.child.memory()
    finally:
        observer.stop()
        job.close()


def per_key(who: Contender, address: str, keys: int, *, idle: bool) -> float:
    """Bytes of memory a key, all processes of the contender together: many keys compared with few.

    Parameters:
        idle: actors leave memory after a second without a message.
    """
    env = {"COUNTER_IDLE_S": str(IDLE_S)} if idle else {}
    few = _used(who, address, FEW, keys, env)
    many = _used(who, address, keys, keys, env)
    return (many - few) / (keys - FEW)


class Large(NamedTuple):
    """A large state: megabytes on disk, and by how many memory grew while it was made."""

    stored: float
    grown: float


def larger_than_memory(address: str, megabytes: int) -> Large:
    """Fill maps entry by entry, check some of the entries."""
    with kafka_node(address) as (node, prefix, folder):
        asyncio.run(_fill(address, prefix, 8))
        time.sleep(2.0)
        before = node.memory()
        number = megabytes * 1_048_576 // ENTRY
        asyncio.run(_fill(address, prefix, number))
        _settle(node)
        grown = node.memory() - before
        state = folder / "bench" / "state"
        return Large(stored(state) / 1e6, grown / 1e6)


async def _fill(address: str, prefix: str, number: int) -> None:
    async with AsyncClient(f"kafka://{address}", topics=Topics(prefix)) as client:
        todo = iter(range(number))

        async def caller() -> None:
            for n in todo:
                await client.ask(f"vault/{n % VAULTS}", "put", number=n, size=ENTRY, timeout=120)

        await asyncio.gather(*(caller() for _ in range(TELLS)))
        for n in range(0, number, max(1, number // 200)):
            if not await client.ask(f"vault/{n % VAULTS}", "check", number=n, size=ENTRY, timeout=120):
                raise RuntimeError(f"WRONG: entry {n} is not what it was")


def _settle(node: Node) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        status = node.status()
        if status is not None and status.get("lag") == 0:
            break
        time.sleep(0.2)
    time.sleep(3.0)
