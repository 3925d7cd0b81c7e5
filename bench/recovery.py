"""How fast a partition's state is rebuilt from its journal, and taken over where the store is still there."""

from __future__ import annotations

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


def rebuilt(who: Contender, address: str, keys: int, records: int) -> float:
    """A peer that has lost its store: changelog records a second.

    From how much longer it takes to its next output without the store than with it.
    """
    job = Job(who, address, keys)
    observer = Observer(job.run)
    try:
        job.run.fill(records)
        observer.start()
        job.child.start()
        wait(observer, records, job)
        with_store = _next_output(job, observer)
        without = _next_output(job, observer, lose=True)
        job.check(observer.outputs())
        return records / max(0.05, without - with_store)
    finally:
        observer.stop()
        job.close()


def _next_output(job: Job, observer: Observer, *, lose: bool = False) -> float:
    """Stop in good order, start again with work in each partition; seconds until all of it is done."""
    time.sleep(1.0)
    job.child.stop()
    if lose:
        shutil.rmtree(job.state)
        job.state.mkdir()
    for _ in range(100):
        job.run.offer()
    job.run.flush()
    before, began = observer.total, time.perf_counter()
    job.child.start()
    wait(observer, before + 100, job)
    return time.perf_counter() - began
