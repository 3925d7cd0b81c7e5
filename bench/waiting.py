"""Handlers that wait, seen from inside. Run as a process; prints JSON.

python -m bench.waiting steps URL PREFIX STATE CALLS              CPU time of a step of a three-step handler
python -m bench.waiting park URL PREFIX STATE HANDLERS UNTIL      so many that sleep until UNTIL (ms since
                                                                  the epoch); killed -9 once all of them do
python -m bench.waiting resume URL PREFIX STATE HANDLERS          and when they have gone on, after UNTIL
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
import sys
import time
from pathlib import Path

from bench.apps import Trip
from bench.drain import append
from bench.inside import Inside
from bench.load import STEPS
from bench.work import PARTITIONS
from plexstream import AsyncClient
from plexstream.log.base import Item
from plexstream.model.messages.address import full, partition_of
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import encode_envelope

WAIT_S = 200.0
LOOK_S = 0.01
CHECKED = 200


def messages(handler: str, payload: bytes, calls: int) -> list[list[Item]]:
    """A message to each of so many actors, by partition."""
    items: list[list[Item]] = [[] for _ in range(PARTITIONS)]
    now = int(time.time() * 1000)
    for number in range(calls):
        target = full(f"trip/{number}")
        envelope = Envelope(TELL, f"bench-{number}", target, handler, payload, time=now)
        items[partition_of(target, PARTITIONS)].append((target.encode(), encode_envelope(envelope)))
    return items


def living(inside: Inside) -> tuple[int, int]:
    """Handlers that wait, and journal records so far."""
    found = [d.processor for d in inside.worker.drivers.values() if d.processor is not None]
    return sum(len(p.invocations.live) for p in found), sum(p.fold.next for p in found)


def until(inside: Inside, waiting: int, records: int, what: str) -> None:
    """Wait until so many handlers wait and there are so many journal records at least."""
    next_look = 0.0

    def reached() -> bool:
        nonlocal next_look
        now = time.perf_counter()
        if now < next_look:
            return False
        next_look = now + LOOK_S
        now_waiting, now_records = living(inside)
        return (
            now_waiting == waiting
            and now_records >= records
            and not any(d.owed for d in inside.worker.drivers.values())
        )

    inside.wait(reached, WAIT_S, what)


def steps(inside: Inside, calls: int) -> dict[str, float]:
    """Three steps of each of so many handlers; CPU time of the whole process for one step."""
    items = messages("steps", b'{"amount":1}', calls)
    inside.start()
    gc.collect()
    began, spent = time.perf_counter(), time.process_time()
    append(inside.log, inside.topics, items)
    until(inside, 0, calls * STEPS, "done")
    spent, took = time.process_time() - spent, time.perf_counter() - began
    return {"rate": calls * STEPS / took, "cpu_us": spent / (calls * STEPS) * 1e6}


def park(inside: Inside, handlers: int, due: int) -> dict[str, float]:
    """Have so many handlers sleep; bytes of memory for each."""
    items = messages("wait", b'{"until":%d}' % due, handlers)
    inside.start()
    gc.collect()
    before = _resident()
    append(inside.log, inside.topics, items)
    began = time.perf_counter()
    until(inside, handlers, handlers, "waiting")
    took = time.perf_counter() - began
    if time.time() * 1000 > due:
        raise RuntimeError(f"{handlers} handlers took {took:.0f} s to begin: the first was due meanwhile")
    gc.collect()
    return {"seconds": took, "bytes": (_resident() - before) / handlers}


def resume(inside: Inside, handlers: int) -> dict[str, float]:
    """Take over, until all have gone on and ended; checks that each has, once."""
    began = time.perf_counter()
    inside.start()
    until(inside, 0, 0, "resumed")
    took = time.perf_counter() - began
    asyncio.run(_check(inside, handlers))
    return {"seconds": took}


async def _check(inside: Inside, handlers: int) -> None:
    async with AsyncClient(log=inside.log, topics=inside.topics) as client:
        for number in range(0, handlers, max(1, handlers // CHECKED)):
            times = await client.ask(f"trip/{number}", "waits")
            if times != 1:
                raise RuntimeError(f"WRONG: trip/{number} has gone on {times} times")


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main() -> None:
    """Do what the command line says."""
    what, url, prefix, state, *numbers = sys.argv[1:]
    with Inside(url, Topics(prefix), Path(state), {"trip": Trip}) as inside:
        if what == "park":
            print(json.dumps(park(inside, int(numbers[0]), int(numbers[1]))), flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
        do = steps if what == "steps" else resume
        print(json.dumps(do(inside, int(numbers[0]))), flush=True)


if __name__ == "__main__":
    main()
