"""The thread of an embedded log that tidies up."""

from __future__ import annotations

import logging
import threading
import time

from plexstream.log.base import Place
from plexstream.log.embedded.storage.policy import compacts, expires, tombstones_ms
from plexstream.log.embedded.storage.storage import Storage
from plexstream.log.embedded.threads.keep import compact, expire
from plexstream.model.errors import LogDamaged, LogError
from plexstream.model.process.threads import Lasting

_log = logging.getLogger("plexstream.log")

TIDY_EVERY_S = 3600.0
RETRY_S = 5.0


class Janitor:
    """A thread that tidies up: every hour, a compacted partition that has grown, a long write-ahead log."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._due = threading.Condition()
        self._places: set[Place] = set()
        self._checkpoint = False
        self._stopped = False
        self._working = threading.Lock()
        self._over = False
        self.thread = Lasting("log-janitor", self._run, lambda: self._over)
        self.thread.start()

    def compact_soon(self, place: Place) -> None:
        with self._due:
            self._places.add(place)
            self._due.notify()

    def checkpoint_soon(self) -> None:
        with self._due:
            if not self._checkpoint:
                self._checkpoint = True
                self._due.notify()

    def tidy(self, only: set[Place] | None = None) -> None:
        """Compact and expire now, everything or only the given partitions, and put all into segments.

        Raises:
            LogError: if the log cannot be written.
            OSError: the same.
        """
        with self._working:
            compacted = False
            for partition, config in self._storage.kept():
                if self._stopped:
                    return
                if only is not None and partition.place not in only:
                    continue
                try:
                    if compacts(config):
                        compact(self._storage, partition, tombstones_ms(config))
                        compacted = True
                    retention = expires(config)
                    if retention is not None:
                        expire(self._storage, partition, retention)
                except LogDamaged as error:
                    _log.error("%s: %s[%d] is not tidied: %s", self._storage, *partition.place, error)
            if compacted or only is None or self._storage.checkpoints.due:
                self._storage.checkpoints.run()

    def stop(self) -> None:
        with self._due:
            self._stopped = True
            self._due.notify()
        self.thread.join()
        with self._working:  # another thread's `tidy` ends at its next partition
            pass

    def _worthwhile(self) -> set[Place]:
        return {
            partition.place
            for partition, config in self._storage.kept()
            if partition.compact_worthwhile or expires(config) is not None
        }

    def _run(self) -> None:
        self._tidy_up()
        self._over = True

    def _tidy_up(self) -> None:
        wait_s = TIDY_EVERY_S
        only = self._worthwhile()
        while True:
            try:
                self.tidy(only)
                wait_s = TIDY_EVERY_S
            except (LogError, OSError) as error:
                if self._storage.closed or self._storage.outage.broken:
                    return  # said where it happened; the log takes nothing more
                wait_s = RETRY_S
                _log.error(
                    "%s: tidying up failed, and is tried again in %.0f s: %s", self._storage, wait_s, error
                )
            except Exception:
                _log.exception("%s: tidying up failed; the next attempt is in an hour", self._storage)
            until = time.monotonic() + wait_s
            with self._due:
                while not self._stopped and (left := until - time.monotonic()) > 0:
                    if wait_s == TIDY_EVERY_S and (self._places or self._checkpoint):
                        break
                    self._due.wait(left)
                if self._stopped:
                    return
                only = self._places
                hourly = time.monotonic() >= until
                self._places, self._checkpoint = set(), False
            if hourly:
                only = only | self._worthwhile()
