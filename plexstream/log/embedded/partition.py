"""One partition of the embedded log: its bounds, and its newest records in memory."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plexstream.log.base import Item, Place, Record
from plexstream.log.embedded import format as form
from plexstream.log.embedded.manifest import StoredPartition
from plexstream.log.embedded.segments import CHUNK_BYTES, Segments, pieces
from plexstream.log.local import Arrivals

TAIL_RECORDS = 4096
"""So many of the newest records are kept in memory, about 250 bytes each beside their contents: a reader that
keeps up never touches the disk."""

TAIL_BYTES = 1 << 20
"""And no more than so many bytes of keys and values."""

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
        self.tail: list[Record] = []
        self.tail_first = stored.end  # the offset of tail[0]: no offset is missing from there on
        self._tail_bytes = 0
        self._pending: list[tuple[int, bytes]] = []  # not in segments yet: offset of the last record, records
        self._pending_bytes = 0
        self._flushed = stored.end
        self._lock = lock
        self._compacts = compacts
        self._appended = stored.appended
        self._compact_at = max(COMPACT_EVERY, stored.compact_at)

    def make(self, items: Sequence[Item], now: int) -> tuple[list[Record], bytes]:
        """Records to append, as they will be read and as they are stored."""
        topic, number = self.place
        offset = self.end
        data = form.encode_records(offset, now, items)
        if len(items) == 1:
            ((key, value),) = items
            return [Record(topic, number, offset, key, value, now)], data
        return [Record(topic, number, offset + n, *item, now) for n, item in enumerate(items)], data

    def extend(self, records: list[Record], data: bytes) -> None:
        """Show records that are in the write-ahead log, or will be."""
        self.tail += records
        self._tail_bytes += len(data)
        self.take(len(records), data)
        if len(self.tail) > 2 * TAIL_RECORDS or self._tail_bytes > 2 * TAIL_BYTES:
            self._shorten()

    def take(self, count: int, data: bytes) -> None:
        """Have so many more records, which are not shown before they are flushed."""
        self.end += count
        self._appended += count
        self._pending.append((self.end - 1, data))
        self._pending_bytes += len(data)

    def opened(self) -> None:
        """All has been taken that was there before: show it."""
        self.flush()
        self.tail_first = self._flushed = self.end

    def forget(self, before: int) -> None:
        """Move the start to `before`."""
        self.start = before
        self._cut(before - self.tail_first)

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
            self._shorten()

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

    def _shorten(self) -> None:
        # Halved when twice as long as wanted, so that shortening it costs each record only once.
        if len(self.tail) > 2 * TAIL_RECORDS:
            self._cut(min(len(self.tail) - TAIL_RECORDS, self._flushed - self.tail_first))
        while self._tail_bytes > 2 * TAIL_BYTES and self.tail:
            count = min((len(self.tail) + 1) // 2, self._flushed - self.tail_first)
            if count <= 0:
                break
            self._cut(count)

    def _cut(self, count: int) -> None:
        if count <= 0:
            return
        for record in self.tail[:count]:
            self._tail_bytes -= form.RECORD_BYTES + len(record.key) + len(record.value or b"")
        del self.tail[:count]
        self.tail_first += count
