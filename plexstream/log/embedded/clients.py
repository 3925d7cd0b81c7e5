"""What an embedded log hands out: appenders and transactions; and the thread that acknowledges."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from plexstream.log.base import Ack, Item, Place, failed
from plexstream.log.local import TxnRecord
from plexstream.model.errors import LogError
from plexstream.model.threads import Lasting

if TYPE_CHECKING:
    from plexstream.log.embedded.log import EmbeddedLog


RETRY_S = 0.2
"""How long a disk that takes nothing is left alone."""


class Committer:
    """A thread that syncs while something waits for it, and then acknowledges all that was added before."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self._due = threading.Condition(threading.Lock())
        self._waiting: list[tuple[EmbeddedAppender, Ack]] = []
        self._idle = False
        self._stopped = False
        self._over = False
        self.thread = Lasting("log-committer", self._run, lambda: self._over)
        self.thread.start()

    def add(self, appender: EmbeddedAppender, ack: Ack) -> None:
        """Acknowledge after the next sync."""
        with self._due:
            self._waiting.append((appender, ack))
            if self._idle:
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

    def _run(self) -> None:
        log = self._log
        while True:
            with self._due:
                while not self._waiting and not self._stopped:
                    self._idle = True
                    self._due.wait(RETRY_S if log.outage.lasts else None)
                    self._idle = False
                    if log.outage.lasts:
                        break
                waiting, self._waiting = self._waiting, []
                stopped = self._stopped
            if waiting or log.outage.lasts:
                self._sync(waiting)
            if stopped and not self._waiting:
                self._over = True
                return

    def _sync(self, waiting: list[tuple[EmbeddedAppender, Ack]]) -> None:
        error: LogError | None = None
        try:
            self._log.sync()
        except BaseException as refused:  # LogError, and what should not be: who waits must hear of it
            error = refused if isinstance(refused, LogError) else LogError(f"syncing failed: {refused!r}")
            with self._due:  # what was handed over meanwhile fails with it: from now on nothing is taken
                waiting += self._waiting
                self._waiting = []
        by_appender: dict[EmbeddedAppender, list[Ack]] = {}
        for appender, ack in waiting:
            if error is not None:
                # What became of it is unknown: a disk that has room again will have it.
                ack = failed((ack.topic, ack.partition), ack.token, error)
            by_appender.setdefault(appender, []).append(ack)
        for appender, acks in by_appender.items():
            appender.deliver(acks)
        if error is None:
            with suppress(LogError):  # told there; appends are refused from then on
                self._log.flush_due()
            if self._log.checkpoint_due:
                self._log.janitor.checkpoint_soon()


class EmbeddedAppender:
    """An `Appender` of an `EmbeddedLog`."""

    holding = False
    broken = False

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self._came = threading.Condition(threading.Lock())
        self._acks: list[Ack] = []
        self._closed = False

    def append(self, place: Place, items: Sequence[Item], token: object) -> None:
        if self._closed:
            raise LogError(f"this appender of {self._log} is closed: open a new one")
        self._log.append(self, place, items, token)

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
            if not self._closed:
                self._acks += acks
                self._came.notify()


class EmbeddedTransaction:
    """A `Transaction` of an `EmbeddedLog`."""

    def __init__(self, log: EmbeddedLog, id: str, epoch: int, life: str) -> None:
        self._log = log
        self._life = life
        self._id = id
        self._epoch = epoch

    def commit(self, records: Iterable[TxnRecord], positions: Mapping[Place, int]) -> None:
        self._log.commit(self._id, self._epoch, records, positions, self._life)

    def position(self, place: Place) -> int | None:
        return self._log.position(self._id, place, self._life)

    def close(self) -> None:
        """Nothing is open between two commits, so there is nothing to abort."""
