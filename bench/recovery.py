"""How fast a partition's state is rebuilt from its journal, and taken over where the store is still there."""

from __future__ import annotations

import json
import shutil
import tempfile
import time
import uuid
from pathlib import Path
from typing import NamedTuple

from bench.asks import discard
from bench.contenders import Contender, Job
from bench.counter import wait
from bench.kafka import Observer
from bench.processes import measure


class Recovered(NamedTuple):
    """Records a second where the stores were lost, seconds where they were there.

    `cpu_us`: CPU time of the worker's thread for a record, in microseconds.
    """

    rate: float
    warm_s: float
    cpu_us: float


def counted_embedded(keys: int, warm: int, records: int) -> float:
    """The durable counter on the embedded log: outputs a second."""
    with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
        arguments = (f"embedded:{folder}/log", "plex.", f"{folder}/state", str(keys), str(warm), str(records))
        rate: float = measure("drain", "count", *arguments)["rate"]
        return rate


def recover(address: str, keys: int, records: int) -> Recovered:
    """One repetition, on Kafka or (no address) on the embedded log."""
    with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
        prefix = f"bench-{uuid.uuid4().hex[:8]}."
        url = f"kafka://{address}" if address else f"embedded:{folder}/log"
        state = Path(folder) / "state"
        arguments = (url, prefix, str(state), str(keys), "1000", str(records - 1000))
        try:
            measure("drain", "keep", *arguments)
            shutil.rmtree(state)
            cold = measure("drain", "take", *arguments)
            if cold["folded"] < records:
                raise RuntimeError(f"only {cold['folded']} records were folded, not all of {records}")
            warm = measure("drain", "take", *arguments)
            return Recovered(cold["rate"], warm["seconds"], cold["cpu_us"])
        finally:
            if address:
                discard(address, prefix)


class Rebuilt(NamedTuple):
    """A peer that has lost its store, by its own word.

    Attributes:
        rate: changelog records a second.
        records: how many there were: less than were counted where it writes only the last of a transaction.
        seconds: from the start of its process to the first new output of each partition.
    """

    rate: float
    records: float
    seconds: float


def rebuilt(who: Contender, address: str, keys: int, records: int) -> Rebuilt:
    """One repetition: count, stop in good order, delete the store, start again with work to do."""
    job = Job(who, address, keys)
    observer = Observer(job.run)
    try:
        job.run.fill(records)
        observer.start()
        job.child.start()
        wait(observer, records, job)
        time.sleep(1.0)
        job.child.stop()
        shutil.rmtree(job.state)
        job.state.mkdir()
        for _ in range(100):
            job.run.offer()
        job.run.flush()
        said, began = job.child.log.stat().st_size, time.perf_counter()
        job.child.start()
        wait(observer, records + 100, job)
        seconds = time.perf_counter() - began
        job.check(observer.outputs())
        rate, restored = _restored(job.child.log.read_bytes()[said:].decode(errors="replace"))
        return Rebuilt(rate, restored, seconds)
    finally:
        observer.stop()
        job.close()


def _restored(said: str) -> tuple[float, float]:
    """Records a second, and how many, from the lines in which a peer tells of its restores."""
    found = [json.loads(line[9:]) for line in said.splitlines() if line.startswith("restored {")]
    some = [one for one in found if one["records"]]
    if not some:
        raise RuntimeError("it lost its store, and says of no restore")
    records = sum(one["records"] for one in some)
    took = max(one["ended"] for one in some) - min(one["began"] for one in some)
    return records / max(1, took) * 1000, records
