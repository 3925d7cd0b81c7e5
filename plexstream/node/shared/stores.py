"""State stores of a worker's partitions: opened, emptied and closed beside its thread.

Each of these syncs files, and closing writes what is in memory. A slow disk stalls the partition whose store
it is, and no other. (rocksdict 0.3.29 lets no thread of the process go on while it opens a database; it does
while it closes one, and while a folder is deleted.)
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from pathlib import Path

from plexstream.model.errors import StoreUnavailable
from plexstream.node.shared.desk import Answer, Desk
from plexstream.node.shared.leftovers import store_path
from plexstream.node.shared.services import Opened, WipeableStore, Wiped
from plexstream.store.rocks import open_or_rebuild

_log = logging.getLogger("plexstream.node")

CLOSE_S = 10.0
"""How long a worker that ends waits for its stores to be closed. What is not written by then stands in
RocksDB's own log."""


class Stores:
    """At most one for each partition. What is asked of one is done in turn.

    Parameters:
        folder: where they are.
        memory: bytes that all of them have together.
        wake: called on any thread when an answer has come.
    """

    def __init__(self, folder: Path, memory: int, wake: Callable[[], None]) -> None:
        self._folder = folder
        self._memory = memory
        self._desk = Desk(wake, "disk")
        self._open: dict[int, WipeableStore] = {}  # each entry is touched by its partition's thread alone

    def open(self, owner: object, partition: int, then: Callable[[Opened], None]) -> None:
        """Open one; `take` hands out the store, or why there is none for now. Whatever comes, `close` it."""
        self._desk.ask(owner, partition, partial(self._opened, partition), then)

    def wipe(self, owner: object, partition: int, then: Callable[[Wiped], None]) -> None:
        """Empty the one that is open, which nobody may use meanwhile."""
        self._desk.ask(owner, partition, partial(self._wiped, partition), then)

    def close(self, partition: int, wipe: bool = False) -> None:
        """Close what is open, or about to be, `wipe` it before that; nobody may use it any more."""
        self._desk.do(partition, partial(self._closed, partition, wipe))

    def in_use(self) -> set[int]:
        """The partitions whose stores are open, or are opened or closed just now."""
        return {*self._desk.busy(), *tuple(self._open)}

    def take(self) -> list[Answer]:
        """Answers that have come."""
        return self._desk.take()

    def end(self) -> None:
        """Open nothing more, and wait for those that are being closed."""
        self._desk.close(CLOSE_S)

    # On the threads of the desk

    def _opened(self, partition: int) -> Opened:
        assert partition not in self._open, f"the store of partition {partition} was not closed"
        try:
            store, why = open_or_rebuild(store_path(self._folder, partition), self._memory)
        except StoreUnavailable as error:
            return error
        if why:
            _log.warning("partition %d: the state store is rebuilt: %s", partition, why)
        self._open[partition] = store
        return store

    def _wiped(self, partition: int) -> Wiped:
        try:
            self._open[partition].wipe()
        except StoreUnavailable as error:
            return error
        return None

    def _closed(self, partition: int, wipe: bool) -> None:
        store = self._open.pop(partition, None)
        if store is None:
            return
        try:
            if wipe:
                store.wipe()
        finally:
            store.close()
