"""What a read of the store costs among so many entries. Run as a process; prints JSON.

python -m bench.together.stored FOLDER ENTRIES READS
"""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.store.rocks import RocksStore

ADDRESS, FIELD = "default/default/plex.space/bench", "tuples"
CHUNK = 20_000


def measure(store: RocksStore, entries: int, reads: int) -> dict[str, float]:
    """Microseconds of CPU time of a get, and of the first ten from anywhere on, both at random."""
    kind, data = Piece.ENTRY.value, b"x" * 60
    for first in range(0, entries, CHUNK):
        keys = [f"{n:09d}" for n in range(first, min(entries, first + CHUNK))]
        store.write({
            (kind, ADDRESS, FIELD, key): Snapshot(kind, ADDRESS, FIELD, key, 1, 1, 1, data) for key in keys
        })  # fmt: skip
    chosen = random.Random(1)
    numbers = [chosen.randrange(entries) for _ in range(reads)]
    found: dict[str, float] = {}
    began = time.thread_time()
    for number in numbers:
        assert store.get((kind, ADDRESS, FIELD, f"{number:09d}")) is not None
    found["get"] = (time.thread_time() - began) / reads * 1e6
    began = time.thread_time()
    for number in numbers:
        assert store.entries(ADDRESS, FIELD, f"{number:09d}", None, 10)
    found["ten"] = (time.thread_time() - began) / reads * 1e6
    return found


def main() -> None:
    """Do what the command line says."""
    folder, entries, reads = sys.argv[1:]
    store = RocksStore(Path(folder))
    found = measure(store, int(entries), int(reads))
    store.close()
    print(json.dumps(found))


if __name__ == "__main__":
    main()
