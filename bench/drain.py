"""A worker on mailboxes that were filled before. Run as a process; prints JSON.

python -m bench.drain count URL PREFIX STATE KEYS WARM RECORDS     turns and outputs a second
python -m bench.drain keep URL PREFIX STATE KEYS WARM RECORDS      the same, and no snapshots
python -m bench.drain take URL PREFIX STATE KEYS WARM RECORDS      take over what `keep` has left
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path

os.environ["PEER_MAILBOX"] = "1"

from bench.inside import KEEP_ALL, Inside
from bench.peers.plexstream.app import Counter
from bench.work import PARTITIONS, Work, mail, wrong
from plexstream.log.base import Item, Log
from plexstream.model.topics.topics import Topics
from plexstream.node.setup import topology
from plexstream.processor import Settings

GROUP = 2_000
LOOK_S = 0.02
DRAIN_S = 180.0


def fill(log: Log, topics: Topics, work: Work, records: int) -> None:
    """Put so many messages into the mailboxes."""
    items: list[list[Item]] = [[] for _ in range(PARTITIONS)]
    now = int(time.time() * 1000)
    for number in range(records):
        key, _, value = work.next()
        address, envelope, partition = mail(key, value, number, now)
        items[partition].append((address, envelope))
    append(log, topics, items)


def append(log: Log, topics: Topics, items: list[list[Item]]) -> None:
    """Put messages into the mailboxes, by partition."""
    appender = log.appender()
    open_groups = 0
    for partition, some in enumerate(items):
        for begin in range(0, len(some), GROUP):
            appender.append((topics.mailbox, partition), some[begin : begin + GROUP], None)
            open_groups += 1 - len(appender.poll(0.0))
    while open_groups:
        acks = appender.poll(1.0)
        assert all(ack.error is None for ack in acks)
        open_groups -= len(acks)
    appender.close()


def outputs(log: Log, topics: Topics, count: int) -> list[bytes]:
    """The output records, as a read_committed reader sees them."""
    reader = log.reader(committed=True)
    found: list[bytes] = []
    for p in range(PARTITIONS):
        reader.assign((topics.out("counts"), p), 0)
    end = time.monotonic() + DRAIN_S
    while len(found) < count and time.monotonic() < end:
        found.extend(r.value or b"" for r in reader.read(10_000, 0.2))
    found.extend(r.value or b"" for r in reader.read(10_000, 0.2))
    reader.close()
    return found


def count(inside: Inside, work: Work, warm: int, records: int) -> dict[str, float]:
    """Fill, drain, check."""
    log, topics, total = inside.log, inside.topics, warm + records
    log.create([topology.output(topics.out("counts"), PARTITIONS)])
    fill(log, topics, work, total)
    gc.collect()
    inside.start()
    worker, ends = inside.worker, [(topics.out("counts"), p) for p in range(PARTITIONS)]
    seen = base = 0
    began = ended = time.perf_counter()
    next_look = 0.0

    def all_out() -> bool:
        nonlocal seen, base, began, ended, next_look
        now = time.perf_counter()
        if now < next_look:
            return False
        next_look = now + LOOK_S
        seen, ended = sum(log.range(place)[1] for place in ends), now
        if not base and seen >= warm:
            base, began = seen, now
        # On Kafka the markers of transactions count too.
        done = sum(d.processor.fold.next for d in worker.drivers.values() if d.processor)
        return seen >= total and done >= total and not any(d.owed for d in worker.drivers.values())

    inside.wait(all_out, DRAIN_S, "drained")
    fault = wrong(outputs(log, topics, total), work.sent)
    if fault:
        raise RuntimeError(f"WRONG: {fault}")
    return {"rate": (total - base) / (ended - began)}


def take(inside: Inside, work: Work, total: int) -> dict[str, float]:
    """Take over, and check every count."""
    for _ in range(total):
        work.next()
    spent = time.thread_time()
    seconds = inside.start()
    spent = time.thread_time() - spent
    folded = 0
    counts: dict[str, int] = {}
    for driver in inside.worker.drivers.values():
        restore, p = driver.takeover.restore, driver.processor
        assert restore is not None
        assert p is not None
        folded += driver.takeover.claim - restore.begin + 1
        for key in work.sent:
            fields = p.pieces.core(f"default/default/counter/{key}").fields
            if fields:
                counts[key] = int(fields["count"])
    if counts != work.sent:
        raise RuntimeError("WRONG: the counts are not those of the journal")
    return {"seconds": seconds, "folded": folded, "rate": folded / seconds, "cpu_us": spent / folded * 1e6}


def main() -> None:
    """Do what the command line says."""
    what, url, prefix, state = sys.argv[1:5]
    keys, warm, records = (int(n) for n in sys.argv[5:8])
    settings = Settings() if what == "count" else KEEP_ALL
    with Inside(url, Topics(prefix), Path(state), {"counter": Counter}, settings, threaded=False) as inside:
        work = Work(keys)
        found = take(inside, work, warm + records) if what == "take" else count(inside, work, warm, records)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
