"""How much of mailbox and journal stays on a broker's disk after many turns: ``python -m bench.disk``.

Brokers free whole segments only. What is trimmed is therefore not free at once, and how much remains is a
matter of the topics' `segment.bytes` and `segment.ms`.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import threading
import time
from pathlib import Path
from typing import NamedTuple

from plexstream.edge.calls.calls import Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.hosts.native import NativeHost
from plexstream.inspection.bench import ACTORS, Counter
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology
from plexstream.node.worker.worker import Worker
from plexstream.processor import Settings
from plexstream.testing.kafka.broker import LocalBroker

SOON = {
    "log.initial.task.delay.ms": "1000",
    "log.retention.check.interval.ms": "2000",
    "log.segment.delete.delay.ms": "1000",
}
"""What brokers do within minutes by default, so that it can be waited for."""
CALLERS = 256
QUIET_S = 15.0
"""How long nothing more must become free before that is the end."""


class Disk(NamedTuple):
    """What was found. All in bytes, on the disk; `most`: while it ran."""

    turns: int
    seconds: float
    written: int
    most: int
    left: int


def measure(turns: int, partitions: int = 8) -> Disk:
    """Run a worker on a broker of its own, and look at the broker's folder."""
    topics = Topics("plex.")
    with tempfile.TemporaryDirectory() as name, LocalBroker(Path(name) / "kafka", settings=SOON) as broker:
        folder, data = Path(name), Path(name) / "kafka"
        log = KafkaLog(broker.address)
        topology.apply(log, topics, partitions)
        host = NativeHost({"bench": Counter.__plexstream__})  # type: ignore[attr-defined]
        settings = Settings(snapshot_interval=2_000, snapshot_lag=20_000)
        worker = Worker(log, topics, partitions, host, settings, folder / "state", "disk")
        thread = threading.Thread(target=worker.run, name="disk-worker", daemon=True)
        thread.start()
        worker.assign(range(partitions))
        calls = Calls(log, topics, max_in_flight=1 << 20)
        began = time.monotonic()
        try:
            most = asyncio.run(_drive(calls, turns, data))
            while any(_behind(log, topics, p, worker) for p in range(partitions)):
                most = max(most, on_disk(data))
                time.sleep(0.5)
            seconds = time.monotonic() - began
            written = sum(_written(log, topics, p) for p in range(partitions))
            left = on_disk(data)
            quiet = time.monotonic()
            while time.monotonic() - quiet < QUIET_S:
                time.sleep(1.0)
                now = on_disk(data)
                if now < left:
                    left, quiet = now, time.monotonic()
        finally:
            calls.close()
            worker.stop()
            thread.join(30)
            log.close()
        return Disk(turns, seconds, written, most, left)


async def _drive(calls: Calls, turns: int, data: Path) -> int:
    on_loop: LoopCalls = LoopCalls(calls)
    numbers = iter(range(turns))
    most = 0

    async def caller() -> None:
        for number in numbers:
            target = f"default/default/bench/{number % ACTORS}"
            await on_loop.tell(target, "add", b'{"amount":1}', timeout=120)[1]

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, await asyncio.to_thread(on_disk, data))
            await asyncio.sleep(2.0)

    looking = asyncio.create_task(look())
    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    looking.cancel()
    return most


def _behind(log: KafkaLog, topics: Topics, partition: int, worker: Worker) -> int:
    end = log.range((topics.mailbox, partition))[1]
    return end - next(s.position for s in worker.status() if s.partition == partition)


def _written(log: KafkaLog, topics: Topics, partition: int) -> int:
    return log.range((topics.journal, partition))[1]


def on_disk(data: Path) -> int:
    """Bytes that the partitions of mailbox and journal take, with what waits to be deleted."""
    total = 0
    for pattern in ("plex.mailbox-*", "plex.journal-*"):
        for folder in data.rglob(pattern):
            for file in folder.iterdir():
                try:
                    total += file.stat().st_blocks * 512
                except OSError:  # deleted meanwhile
                    continue
    return total


def main() -> None:
    """Measure, and say it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=2_000_000)
    parser.add_argument("--partitions", type=int, default=8)
    given = parser.parse_args()
    found = measure(given.turns, given.partitions)
    print(f"{found.turns:,} turns in {found.seconds:.0f} s, {found.written:,} journal records")
    print(f"on disk at most {found.most / 2**20:,.0f} MiB, at the end {found.left / 2**20:,.0f} MiB")


if __name__ == "__main__":
    main()
