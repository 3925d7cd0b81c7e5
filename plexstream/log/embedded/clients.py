"""What an embedded log hands out: appenders and transactions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence

from plexstream.log.base import Ack, Item, Place, appended
from plexstream.log.embedded.storage.storage import Storage
from plexstream.log.embedded.threads.committer import Committer
from plexstream.log.embedded.threads.janitor import Janitor
from plexstream.log.memory.local import TxnRecord
from plexstream.model.errors import LogError


class EmbeddedAppender:
    """An `Appender` of an `EmbeddedLog`."""

    holding = False
    broken = False

    def __init__(self, storage: Storage, committer: Committer, janitor: Janitor) -> None:
        self._storage = storage
        self._committer = committer
        self._janitor = janitor
        self._came = threading.Condition(threading.Lock())
        self._acks: list[Ack] = []
        self._closed = False
        self._announce: Callable[[], None] | None = None

    def announce(self, came: Callable[[], None]) -> bool:
        self._announce = came
        return True

    def append(self, place: Place, items: Sequence[Item], token: object, *, urgent: bool = True) -> None:
        if self._closed:
            raise LogError(f"this appender of {self._storage} is closed: open a new one")
        with self._storage.changed:
            last = self._storage.append(place, items)
            # Within the lock: acknowledgements come in the order of the appends.
            self._committer.add(self.deliver, appended(place, token, last), urgent)
        if self._storage.compact_due(place):
            self._janitor.compact_soon(place)

    def poll(self, timeout: float) -> list[Ack]:
        with self._came:
            if not self._acks and timeout > 0:
                self._came.wait(timeout)
            acks, self._acks = self._acks, []
            return acks

    def close(self) -> None:
        with self._came:
            self._closed = True
            self._acks = []

    def deliver(self, acks: list[Ack]) -> None:
        """For the committer."""
        with self._came:
            if self._closed:
                return
            self._acks += acks
            self._came.notify()
        if self._announce is not None:
            self._announce()


class EmbeddedTransaction:
    """A `Transaction` of an `EmbeddedLog`."""

    def __init__(self, storage: Storage, id: str, life: str) -> None:
        self._storage = storage
        self._life = life
        self._id = id
        self._epoch = storage.open_transaction(id)

    def commit(self, records: Iterable[TxnRecord], positions: Mapping[Place, int]) -> None:
        self._storage.commit(self._id, self._epoch, records, positions, self._life)

    def position(self, place: Place) -> int | None:
        return self._storage.position(self._id, self._epoch, place, self._life)

    def close(self) -> None:
        """Nothing is open between two commits, so there is nothing to abort."""
