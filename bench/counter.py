"""The durable counter: records a second with one worker process, and from produce to visible output."""

from __future__ import annotations

import time
from typing import NamedTuple

from bench.contenders import Contender, Job
from bench.kafka import Observer
from bench.processes import cpu_seconds

START_S = 90.0
PACE = 1000


class Counted(NamedTuple):
    """What one repetition gave. Latencies are in milliseconds, -1 if not measured."""

    rate: float
    p50: float
    p99: float


def percentile(values: list[float], q: float) -> float:
    """In milliseconds, of seconds; -1 of nothing."""
    return sorted(values)[min(len(values) - 1, int(len(values) * q))] * 1e3 if values else -1.0


def wait(observer: Observer, total: int, job: Job) -> None:
    """Until `total` outputs are visible."""
    last, since, limit = observer.total, time.monotonic(), START_S
    if last:
        limit = job.who.stall_s
    while observer.total < total:
        time.sleep(0.02)
        if observer.total != last:
            last, since, limit = observer.total, time.monotonic(), job.who.stall_s
        so_far = f"after {observer.total} of {total} outputs:\n{job.child.tail()}"
        if not job.child.alive():
            raise RuntimeError(f"{job.who.name} ended {so_far}")
        if time.monotonic() - since > limit:
            raise RuntimeError(f"{job.who.name} stalled {so_far}")


def count(who: Contender, address: str, keys: int, warm: int, records: int, paced_s: float) -> Counted:
    """One repetition. Raises RuntimeError where the contender fails, or its counts are wrong."""
    job = Job(who, address, keys)
    observer = Observer(job.run)
    try:
        job.run.fill(warm + records)
        observer.start()
        job.child.start()
        wait(observer, warm + records, job)
        rate = observer.rate(warm)
        time.sleep(1.0)
        since = len(observer.chunks)
        sent = pace(job, paced_s)
        wait(observer, warm + records + len(sent), job)
        time.sleep(0.5)  # an output too many would still come
        observer.stop()
        job.check(observer.outputs())
        late = observer.delays(since, sent)
        return Counted(rate, percentile(late, 0.5), percentile(late, 0.99))
    finally:
        observer.stop()
        job.close()


class Scaled(NamedTuple):
    """Records a second, and CPU microseconds of all processes of the contender for each of them."""

    rate: float
    cpu: float


def scaled(who: Contender, address: str, keys: int, warm: int, records: int, workers: int) -> Scaled:
    """One repetition with so many worker processes. Raises RuntimeError as `count`."""
    job = Job(who, address, keys, PEER_WORKERS=str(workers))
    observer = Observer(job.run)
    try:
        job.run.fill(warm + records)
        observer.start()
        job.child.start()
        wait(observer, warm, job)
        done, spent = observer.total, cpu_seconds(job.child.pid)
        wait(observer, warm + records, job)
        spent = cpu_seconds(job.child.pid) - spent
        job.check(observer.outputs())
        return Scaled(observer.rate(warm), spent / max(1, observer.total - done) * 1e6)
    finally:
        observer.stop()
        job.close()


def pace(job: Job, seconds: float) -> dict[tuple[str, int], float]:
    """Offer `PACE` records a second; returns when each was sent."""
    sent: dict[tuple[str, int], float] = {}
    began = time.perf_counter()
    for i in range(int(PACE * seconds)):
        due = began + i / PACE
        while (now := time.perf_counter()) < due:
            time.sleep(min(due - now, 0.001))
        sent[job.run.offer()] = now
    job.run.flush()
    return sent
