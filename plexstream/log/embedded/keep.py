"""What the embedded log forgets: superseded records of compacted topics, and records past their time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING

from plexstream.log.base import Place
from plexstream.log.embedded import format as form
from plexstream.log.embedded.partition import Partition
from plexstream.model.errors import LogError

if TYPE_CHECKING:
    from plexstream.log.embedded.log import EmbeddedLog

_log = logging.getLogger("plexstream.log")

TIDY_EVERY_S = 3600.0
KEEP_TOMBSTONES_MS = 86_400_000
"""Kafka's default of `delete.retention.ms`: a reader that is slower may miss that a key is gone."""

_ERASE_AT_ONCE = 5000


def compacts(config: Mapping[str, str]) -> bool:
    """Whether a topic keeps only the newest record of each key."""
    return "compact" in config.get("cleanup.policy", "")


def expires(config: Mapping[str, str]) -> int | None:
    """For how many milliseconds a topic keeps its records; None: for ever, or nothing is said."""
    if "delete" not in config.get("cleanup.policy", "delete"):
        return None
    retention = int(config.get("retention.ms", -1))
    return retention if retention >= 0 else None


def compact(log: EmbeddedLog, partition: Partition, keep_tombstones_ms: int) -> int:
    """Delete all but the newest record of each key, and old tombstones. Returns how many are left."""
    partition.compact_begins()
    upto = log.fix_end(partition)
    oldest_tombstone = time.time_ns() // 1_000_000 - keep_tombstones_ms
    newest: dict[bytes, int] = {}
    tombstones: dict[bytes, int] = {}
    doomed: list[bytes] = []
    left = 0
    for offset, data in form.scan(log.db, partition.prefix, partition.key(upto), partition.start, None):
        record = form.decode_record(partition.place, offset, data)
        left += 1
        older = newest.get(record.key)
        if older is not None:
            doomed.append(partition.key(older))
        newest[record.key] = offset
        if record.value is None and record.time <= oldest_tombstone:
            tombstones[record.key] = offset
        else:
            tombstones.pop(record.key, None)
    doomed += [partition.key(offset) for offset in tombstones.values()]
    pending = iter(doomed)
    while some := list(islice(pending, _ERASE_AT_ONCE)):
        log.erase(some)
    left -= len(doomed)
    partition.compact_ended(left)
    return left


def expire(log: EmbeddedLog, partition: Partition, retention_ms: int) -> None:
    """Trim the records that are older than `retention_ms`."""
    oldest = time.time_ns() // 1_000_000 - retention_ms
    start, end = log.range(partition.place)
    for offset, data in form.scan(log.db, partition.prefix, partition.key(end), start, None):
        if form.decode_record(partition.place, offset, data).time >= oldest:
            log.trim(partition.place, offset, end)
            return
    log.trim(partition.place, end, end)


class Janitor:
    """A thread that tidies up: all at the start and every hour, a compacted partition when it has grown."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
        self._due = threading.Condition()
        self._places: set[Place] = set()
        self._stopped = False
        self._working = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="plexstream-log-janitor", daemon=True)
        self._thread.start()

    def compact_soon(self, place: Place) -> None:
        with self._due:
            self._places.add(place)
            self._due.notify()

    def tidy(self, only: set[Place] | None = None) -> None:
        """Compact and expire now, everything or only the given partitions.

        Raises:
            LogError: if the log cannot be written.
        """
        with self._working:
            for partition, config in self._log.kept():
                if self._stopped:
                    return
                if only is not None and partition.place not in only:
                    continue
                if compacts(config):
                    compact(self._log, partition, int(config.get("delete.retention.ms", KEEP_TOMBSTONES_MS)))
                retention = expires(config)
                if retention is not None:
                    expire(self._log, partition, retention)

    def stop(self) -> None:
        with self._due:
            self._stopped = True
            self._due.notify()
        self._thread.join()
        with self._working:  # another thread's `tidy` ends at its next partition
            pass

    def _run(self) -> None:
        only: set[Place] | None = None
        while True:
            try:
                self.tidy(only)
            except LogError:
                return  # said where it happened; the log takes nothing more
            except Exception:
                _log.exception("%s: tidying up failed; the next attempt is in an hour", self._log)
            until = time.monotonic() + TIDY_EVERY_S
            with self._due:
                while not self._stopped and not self._places and (left := until - time.monotonic()) > 0:
                    self._due.wait(left)
                if self._stopped:
                    return
                only = self._places or None
                self._places = set()
