"""The thread of an embedded log that syncs, and acknowledges what a sync has made durable."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from plexstream.log.base import Ack, failed
from plexstream.log.embedded.storage.storage import Storage
from plexstream.model.errors import LogError
from plexstream.model.process.threads import Lasting

Deliver = Callable[[list[Ack]], None]

RETRY_S = 0.2
"""How long a disk that takes nothing is left alone."""
PATIENCE_S = 0.01
"""How long what is not urgent waits for a sync that comes anyway, about."""


class Committer:
    """A thread that syncs while something waits for it, and then acknowledges all that was added before.

    Parameters:
        checkpoint: called when the write-ahead log is so long that a checkpoint is due.
    """

    def __init__(self, storage: Storage, checkpoint: Callable[[], None]) -> None:
        self._storage = storage
        self._checkpoint = checkpoint
        self._due = threading.Condition(threading.Lock())
        self._waiting: list[tuple[Deliver, Ack]] = []
        self._urgent = False
        self._idle = False  # it waits until it is told
        self._stopped = False
        self._over = False
        self.thread = Lasting("log-committer", self._run, lambda: self._over)
        self.thread.start()

    def add(self, deliver: Deliver, ack: Ack, urgent: bool) -> None:
        """Acknowledge after the next sync: `deliver` gets this, with others that are its own.

        Not `urgent`: there is no sync for its sake before `PATIENCE_S`. Each would hold up that of what is.
        """
        with self._due:
            self._waiting.append((deliver, ack))
            if urgent and not self._urgent:
                self._urgent = True
                self._due.notify()
            elif self._idle:
                self._due.notify()

    def wake(self) -> None:
        """The log owes something to the disk: try again until it takes it."""
        with self._due:
            self._due.notify()

    def stop(self) -> None:
        """Acknowledge what waits, and end."""
        with self._due:
            self._stopped = True
            self._due.notify()
        self.thread.join()

    def _told(self) -> bool:
        return self._stopped or self._urgent or self._storage.outage.lasts

    def _run(self) -> None:
        storage = self._storage
        while True:
            with self._due:
                while not self._urgent and not self._stopped:
                    if storage.outage.lasts:
                        self._due.wait(RETRY_S)
                        break
                    # Soon after a sync, what is not urgent need not wake this thread.
                    if self._due.wait(PATIENCE_S):
                        continue
                    if self._waiting:
                        break
                    if self._told():
                        continue  # just as the time had run out
                    self._idle = True
                    self._due.wait()
                    self._idle = False
                waiting, self._waiting = self._waiting, []
                self._urgent = False
                stopped = self._stopped
            if waiting or storage.outage.lasts:
                self._sync(waiting)
            if stopped and not self._waiting:
                self._over = True
                return

    def _sync(self, waiting: list[tuple[Deliver, Ack]]) -> None:
        error: LogError | None = None
        try:
            self._storage.sync()
        except BaseException as refused:  # LogError, and what should not be: who waits must hear of it
            error = refused if isinstance(refused, LogError) else LogError(f"syncing failed: {refused!r}")
            with self._due:  # what was handed over meanwhile fails with it: from now on nothing is taken
                waiting += self._waiting
                self._waiting = []
        acks: dict[Deliver, list[Ack]] = {}
        for deliver, ack in waiting:
            if error is not None:
                # What became of it is unknown: a disk that has room again will have it.
                ack = failed((ack.topic, ack.partition), ack.token, error)
            acks.setdefault(deliver, []).append(ack)
        for deliver, some in acks.items():
            deliver(some)
        if error is None:
            with suppress(LogError):  # told there; appends are refused from then on
                self._storage.flush_due()
            if self._storage.checkpoints.due:
                self._checkpoint()
