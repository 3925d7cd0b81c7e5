"""What is pending: the timers of partitions, in the order in which they are due."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from plexstream.inspection.history import Progress, rebuild
from plexstream.log.base import Log
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.journal.timer import decode_timer
from plexstream.model.topics.topics import Topics
from plexstream.store.rocks import RocksStore

_PAGE = 1_000


class Pending(NamedTuple):
    """One timer. `due` is in ms since the epoch; `schedule` says when it comes again, "" for never."""

    due: int
    actor: str
    id: str
    to: str
    handler: str
    schedule: str
    arguments: bytes


def pending(
    log: Log, topics: Topics, partition: int, address: str | None = None, progress: Progress | None = None
) -> Iterator[Pending]:
    """The timers of a partition, or of one of its actors, by due time. Rebuilt on disk: there may be many."""
    with tempfile.TemporaryDirectory(prefix="plexstream-timers-") as folder:
        store = RocksStore(Path(folder))
        try:
            wanted = None if address is None else address.__eq__
            rebuild(log, topics, partition, wanted=wanted, store=store, progress=progress)
            yield from map(_pending, _by_due_time(store))
        finally:
            store.close()


def _by_due_time(store: RocksStore) -> Iterator[Snapshot]:
    after = (-(1 << 63), "", "")
    while page := store.due(after, _PAGE):
        for _, actor, id in page:
            timer = store.get((Piece.TIMER.value, actor, id, None))
            assert timer is not None
            yield timer
        after = page[-1]


def _pending(timer: Snapshot) -> Pending:
    to, handler, schedule, arguments = decode_timer(timer.data)
    return Pending(timer.time, timer.address, timer.name, to, handler, schedule, arguments)
