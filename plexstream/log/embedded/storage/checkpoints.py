"""How what is in the write-ahead log comes into segments, and what then may be deleted."""

from __future__ import annotations

import threading
from pathlib import Path

from plexstream.log.embedded.files import disk, manifest, segments, wal
from plexstream.log.embedded.files.manifest import Manifest
from plexstream.log.embedded.files.partition import Partition
from plexstream.log.embedded.storage import opening
from plexstream.log.memory.local import Arrivals

WAL_BYTES = 16 << 20
"""A write-ahead log of this size is put into segments: so much is read again when the log is opened."""


class Checkpoints:
    """Puts records into segments. Thread-safe.

    Parameters:
        path: the log's directory.
        now: what is in the log.
        log: its write-ahead log.
        changed: the log's lock.
    """

    def __init__(self, path: Path, now: opening.Contents, log: wal.Wal, changed: Arrivals) -> None:
        self._path = path
        self._now = now
        self._wal = log
        self._changed = changed
        self._flushing = threading.Lock()
        self._full: dict[Partition, None] = {}  # whose newest records should be put into segments
        self._garbage: list[segments.Segment] = []  # files that the manifest lists, and the log does not

    def grown(self, partition: Partition) -> None:
        """It has got records. With the lock."""
        if partition.flush_due:
            self._full[partition] = None

    def flush_due(self) -> None:
        """Put into segments what is too much in memory, unless that is being done. Raises OSError."""
        if not self._full or not self._flushing.acquire(blocking=False):
            return
        try:
            while self._full:
                with self._changed:
                    partition, _ = self._full.popitem()
                try:
                    partition.flush()
                except OSError:
                    with self._changed:
                        self._full[partition] = None
                    raise
        finally:
            self._flushing.release()

    def flush(self) -> None:
        """Put all into segments that is not. Raises OSError."""
        with self._flushing:
            for partition in self._partitions():
                partition.flush()

    def run(self) -> None:
        """Put all into segments, and begin a new write-ahead log. For the janitor alone.

        Raises:
            OSError: the old one goes on.
        """
        with self._flushing:
            for partition in self._partitions():
                partition.flush()
            captured, dirty = self._wal.roll(self._capture)
        try:
            segments.sync(dirty)
            disk.sync(self._path)
            manifest.write(self._path, captured)
        except BaseException:
            for segment in dirty:
                segment.dirty = True
            raise
        garbage, self._garbage = self._garbage, []
        segments.remove(garbage)
        for number in range(self._now.found.wal, captured.wal):
            wal.wal_path(self._path, number).unlink(missing_ok=True)
        self._now.found = captured

    @property
    def due(self) -> bool:
        """Whether the write-ahead log is so long that it should be put into segments."""
        return self._wal.size >= WAL_BYTES

    def seal(self, partition: Partition) -> list[segments.Segment]:
        """All segments of a partition, with all records; nothing more is written to them. Raises OSError."""
        with self._flushing:
            partition.flush()
            with self._changed:
                partition.compact_begins()
                return partition.segments.seal()

    def discard(self, old: list[segments.Segment]) -> None:
        """Delete segments that are no longer listed, when no manifest lists them either."""
        with self._changed:
            self._garbage += old

    def _capture(self, number: int) -> tuple[Manifest, list[segments.Segment]]:
        """What the manifest will tell, with the log number `number` behind it. With the lock."""
        dirty: list[segments.Segment] = []
        for parts in self._now.parts.values():
            for part in parts:
                part.flush()
                self._garbage += part.segments.drop_before(part.start)
                dirty += (segment for segment in part.segments.listed if segment.dirty)
        for segment in dirty:
            segment.dirty = False  # what comes from now on is the next checkpoint's to sync
        self._full.clear()
        return self._now.stored(self._now.found.number + 1, number), dirty

    def _partitions(self) -> list[Partition]:
        with self._changed:
            return [part for parts in self._now.parts.values() for part in parts]
