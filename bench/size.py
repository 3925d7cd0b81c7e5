"""What a turn costs while so many actors have state. Run as a process; prints JSON.

python -m bench.size URL PREFIX STATE ACTORS TURNS
"""

from __future__ import annotations

import gc
import json
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from bench.apps import Tally
from bench.drain import append
from bench.inside import Inside
from bench.processes import stored
from bench.work import PARTITIONS
from plexstream.log.base import Item
from plexstream.model.messages.address import full, partition_of
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.topics.topics import Topics
from plexstream.schema.codec import encode_envelope

CHUNK = 100_000
WAIT_S = 300.0
CHECKED = 500


def messages(actors: Iterable[int]) -> list[list[Item]]:
    """A message to each of these, by partition."""
    items: list[list[Item]] = [[] for _ in range(PARTITIONS)]
    now = int(time.time() * 1000)
    for number in actors:
        target = full(f"tally/{number}")
        envelope = Envelope(TELL, f"bench-{number}", target, "add", b'{"amount":1}', time=now)
        items[partition_of(target, PARTITIONS)].append((target.encode(), encode_envelope(envelope)))
    return items


def drain(inside: Inside, actors: Iterable[int]) -> tuple[float, float]:
    """Have these actors called once each; seconds, and CPU seconds of all threads."""
    append(inside.log, inside.topics, messages(actors))
    ends = [inside.log.range((inside.topics.mailbox, p))[1] for p in range(PARTITIONS)]
    gc.collect()

    def done() -> bool:
        found = [inside.worker.drivers[p] for p in range(PARTITIONS)]
        return all(
            p is not None and p.position >= end and not p.in_flight and not p.ledger.pending
            for p, end in zip((d.processor for d in found), ends, strict=True)
        )

    began, spent = time.perf_counter(), time.process_time()
    inside.wait(done, WAIT_S, "drained")
    return time.perf_counter() - began, time.process_time() - spent


def measure(inside: Inside, actors: int, turns: int) -> dict[str, float]:
    """Make so many actors, then call some of them at random."""
    inside.start()
    made = 0.0
    for first in range(0, actors, CHUNK):
        made += drain(inside, range(first, min(actors, first + CHUNK)))[0]
    chosen = random.Random(1)
    called = [chosen.randrange(actors) for _ in range(turns)]
    seconds, spent = drain(inside, called)
    _check(inside, Counter(called))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return {"rate": turns / seconds, "cpu": spent / turns * 1e6, "made": actors / made, "memory": peak / 1e6}


def _check(inside: Inside, called: Counter[int]) -> None:
    """Each of some actors has the count that it must have."""
    for number in list(called)[:CHECKED]:
        address = full(f"tally/{number}")
        p = inside.worker.drivers[partition_of(address, PARTITIONS)].processor
        assert p is not None
        fields = p.pieces.core(address).fields
        if not fields or int(fields["count"]) != 1 + called[number]:
            raise RuntimeError(f"WRONG: {address} has {fields}, and was called {1 + called[number]} times")


def main() -> None:
    """Do what the command line says."""
    url, prefix, state = sys.argv[1:4]
    actors, turns = (int(n) for n in sys.argv[4:6])
    with Inside(url, Topics(prefix), Path(state), {"tally": Tally}, threaded=False) as inside:
        found = measure(inside, actors, turns)
    print(json.dumps({**found, "stored": stored(Path(state)) / 1e6}), flush=True)


if __name__ == "__main__":
    main()
