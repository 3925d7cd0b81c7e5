"""What the embedded log forgets: superseded records of compacted topics, and records past their time."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from plexstream.log.base import Place
from plexstream.log.embedded import format as form
from plexstream.log.embedded import segments
from plexstream.log.embedded.partition import Partition
from plexstream.model.errors import LogDamaged, LogError
from plexstream.model.threads import Lasting

if TYPE_CHECKING:
    from plexstream.log.embedded.log import EmbeddedLog

_log = logging.getLogger("plexstream.log")

TIDY_EVERY_S = 3600.0
RETRY_S = 5.0
KEEP_TOMBSTONES_MS = 86_400_000
"""Kafka's default of `delete.retention.ms`: a reader that is slower may miss that a key is gone."""


def compacts(config: Mapping[str, str]) -> bool:
    """Whether a topic keeps only the newest record of each key."""
    return "compact" in config.get("cleanup.policy", "")


def expires(config: Mapping[str, str]) -> int | None:
    """For how many milliseconds a topic keeps its records; None: for ever, or nothing is said."""
    if "delete" not in config.get("cleanup.policy", "delete"):
        return None
    retention = int(config.get("retention.ms", -1))
    return retention if retention >= 0 else None


def compact(log: EmbeddedLog, partition: Partition, keep_tombstones_ms: int) -> None:
    """Write segments anew with only the newest record of each key, and no old tombstones.

    Raises:
        OSError: all is as it was.
    """
    kept = partition.segments
    old = log.seal(partition)
    start = partition.start
    oldest_tombstone = time.time_ns() // 1_000_000 - keep_tombstones_ms
    newest: dict[bytes, int] = {}
    for segment in old:
        for record in kept.records(segment):
            newest[record.key] = record.offset
    new: list[segments.Segment] = []
    left = 0

    def put(last: int, parts: list[bytes]) -> None:
        if not new or new[-1].length >= segments.SEGMENT_BYTES:
            with log.changed:
                new.append(kept.create(form.first_offset(parts[0])))
        kept.append(new[-1], b"".join(parts), last)

    try:
        some: list[tuple[int, bytes]] = []
        size = 0
        for segment in old:
            for record in kept.records(segment):
                gone = record.value is None and record.time <= oldest_tombstone
                if gone or record.offset < start or newest[record.key] != record.offset:
                    continue
                data = form.encode_record(record)
                some.append((record.offset, data))
                left += 1
                size += len(data)
                if size >= segments.CHUNK_BYTES:
                    put(record.offset, [part for _, part in some])
                    some, size = [], 0
        if some:
            put(some[-1][0], [part for _, part in some])
    except BaseException:
        segments.remove(new)
        raise
    with log.changed:
        kept.swap(old, new)
        partition.compact_ended(left)
    log.discard(old)


def expire(log: EmbeddedLog, partition: Partition, retention_ms: int) -> None:
    """Trim the records that are older than `retention_ms`."""
    oldest = time.time_ns() // 1_000_000 - retention_ms
    start, end = log.range(partition.place)
    offset = start
    while offset < end:
        found, after = log.fetch(partition.place, offset, 1000, False)
        for record in found:
            if record.time >= oldest:
                log.trim(partition.place, record.offset, end)
                return
        if after == offset:
            break
        offset = after
    log.trim(partition.place, end, end)


class Janitor:
    """A thread that tidies up: every hour, a compacted partition that has grown, a long write-ahead log."""

    def __init__(self, log: EmbeddedLog) -> None:
        self._log = log
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
            for partition, config in self._log.kept():
                if self._stopped:
                    return
                if only is not None and partition.place not in only:
                    continue
                try:
                    if compacts(config):
                        keep = int(config.get("delete.retention.ms", KEEP_TOMBSTONES_MS))
                        compact(self._log, partition, keep)
                        compacted = True
                    retention = expires(config)
                    if retention is not None:
                        expire(self._log, partition, retention)
                except LogDamaged as error:
                    _log.error("%s: %s[%d] is not tidied: %s", self._log, *partition.place, error)
            if compacted or only is None or self._log.checkpoint_due:
                self._log.checkpoint()

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
            for partition, config in self._log.kept()
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
                if self._log.closed or self._log.outage.broken:
                    return  # said where it happened; the log takes nothing more
                wait_s = RETRY_S
                _log.error(
                    "%s: tidying up failed, and is tried again in %.0f s: %s", self._log, wait_s, error
                )
            except Exception:
                _log.exception("%s: tidying up failed; the next attempt is in an hour", self._log)
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
