"""One partition of the embedded log: its bounds, and its newest records in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plexstream.log.base import Item, Place
from plexstream.log.embedded.files import format as form
from plexstream.log.embedded.files.manifest import StoredPartition
from plexstream.log.embedded.files.segments import CHUNK_BYTES, Segments, pieces
from plexstream.log.embedded.files.tail import Tail
from plexstream.log.memory.local import Arrivals

COMPACT_EVERY = 10_000
"""Compaction runs after so many appends, or as many as there were records left the last time: each appended
record then costs a bounded share of it."""


class Partition:
    """Bounds and tail of a partition. The log's lock guards it."""

    def __init__(
        self, folder: Path, place: Place, lock: Arrivals, stored: StoredPartition, compacts: bool
    ) -> None:
        self.place = place
        self.topic_id = stored.topic_id
        self.start = stored.start
        self.end = stored.end
        self.segments = Segments(folder, place, stored.topic_id, lock, stored.generation, stored.segments)
        self.tail = Tail(stored.end)
        self._pending: list[tuple[int, bytes]] = []  # not in segments yet: offset of the last record, records
        self._pending_bytes = 0
        self._flushed = stored.end
        self._lock = lock
        self._compacts = compacts
        self._appended = stored.appended
        self._compact_at = max(COMPACT_EVERY, stored.compact_at)

    def encode(self, items: Sequence[Item], now: int) -> bytes:
        """Records to append, as they are stored."""
        return form.encode_records(self.end, now, items)

    def extend(self, count: int, data: bytes) -> None:
        """Show so many records that are in the write-ahead log, or will be."""
        self.tail.add(self.end, data)
        self.take(count, data)
        self.tail.shorten(self._flushed, self.end)

    def take(self, count: int, data: bytes) -> None:
        """Have so many more records, which are not shown before they are flushed."""
        self.end += count
        self._appended += count
        self._pending.append((self.end - 1, data))
        self._pending_bytes += len(data)

    def opened(self) -> None:
        """All has been taken that was there before: show it."""
        self.flush()
        self.tail = Tail(self.end)
        self._flushed = self.end

    def forget(self, before: int) -> None:
        """Move the start to `before`."""
        self.start = before
        self.tail.forget(before, self.end)

    @property
    def flushed(self) -> int:
        """The offset up to which all is in segments."""
        return self._flushed

    @property
    def flush_due(self) -> bool:
        return self._pending_bytes >= CHUNK_BYTES

    def flush(self) -> None:
        """Put into segments what is in memory only. One thread at a time; without the lock, or with it.

        Raises:
            OSError: some of it is in memory still.
        """
        while True:
            with self._lock:
                pending = self._pending
                gone = 0
                while gone < len(pending) and pending[gone][0] < self.start:
                    gone += 1
                self._done(gone)
                last, parts = next(pieces(pending), (-1, []))
                if not parts:
                    break
            self.segments.write(b"".join(parts), last)
            with self._lock:
                self._done(len(parts))
        with self._lock:
            self.tail.shorten(self._flushed, self.end)

    @property
    def compact_due(self) -> bool:
        return self._compacts and self._appended >= self._compact_at

    @property
    def compact_worthwhile(self) -> bool:
        """Whether enough has come that an hourly look should compact it."""
        return self._compacts and 4 * self._appended >= self._compact_at

    def compact_begins(self) -> None:
        self._appended = 0

    def compact_ended(self, left: int) -> None:
        """Compaction has left so many records."""
        self._compact_at = max(COMPACT_EVERY, left)

    def stored(self) -> StoredPartition:
        segments = self.segments
        return StoredPartition(
            self.topic_id, self.place[1], self.start, self.end, segments.generation,
            self._appended, self._compact_at, [segment.stored() for segment in segments.listed],
        )  # fmt: skip

    def _done(self, count: int) -> None:
        """The first `count` of what was pending is in segments, or no longer wanted."""
        if count:
            self._flushed = self._pending[count - 1][0] + 1
            self._pending_bytes -= sum(len(data) for _, data in self._pending[:count])
            del self._pending[:count]
