"""One partition of the embedded log: its bounds, and its newest records in memory."""

from __future__ import annotations

from collections.abc import Sequence

from rocksdict import WriteBatch

from plexstream.log.base import Item, Place, Record
from plexstream.log.embedded import format as form

TAIL_RECORDS = 4096
"""So many of the newest records are kept in memory, about 250 bytes each beside their contents: a reader that
keeps up never touches RocksDB."""

TAIL_BYTES = 1 << 20
"""And no more than so many bytes of keys and values."""

COMPACT_EVERY = 10_000
"""Compaction runs after so many appends, or as many as there were records left the last time: each appended
record then costs a bounded share of it."""


class Partition:
    """Bounds and tail of a partition. The log's lock guards it."""

    def __init__(self, place: Place, topic_id: int, start: int, end: int, compacts: bool) -> None:
        self.place = place
        self.prefix = form.records_prefix(topic_id, place[1])
        self.bounds = form.bounds_key(topic_id, place[1])
        self.start = start
        self.end = end
        self.erased = start
        self.tail: list[Record] = []
        self.tail_first = end  # the offset of tail[0]: no offset is missing from there on
        self._tail_bytes = 0
        self._compacts = compacts
        self._appended = 0
        self._compact_at = COMPACT_EVERY

    def key(self, offset: int) -> bytes:
        return self.prefix + form.pack_offset(offset)

    def put(self, batch: WriteBatch, items: Sequence[Item], now: int) -> list[Record]:
        """Add records to a batch; returns them as they will be read."""
        topic, number = self.place
        prefix, offset = self.prefix, self.end
        pack, encode, put = form.pack_offset, form.encode_record, batch.put
        records = []
        for item in items:
            put(prefix + pack(offset), encode(now, item))
            records.append(Record(topic, number, offset, item[0], item[1], now))
            offset += 1
        return records

    def extend(self, records: list[Record]) -> None:
        """Show records that have been written."""
        self.tail += records
        self.end += len(records)
        self._appended += len(records)
        for record in records:
            self._tail_bytes += len(record.key) + len(record.value or b"")
        # Halved when twice as long as wanted, so that shortening it costs each record only once.
        if len(self.tail) > 2 * TAIL_RECORDS:
            self._shorten(len(self.tail) - TAIL_RECORDS)
        while self._tail_bytes > 2 * TAIL_BYTES and self.tail:
            self._shorten((len(self.tail) + 1) // 2)

    def forget(self, before: int) -> None:
        """Move the start to `before`."""
        self.start = before
        if before > self.tail_first:
            self._shorten(before - self.tail_first)

    @property
    def compact_due(self) -> bool:
        return self._compacts and self._appended >= self._compact_at

    def compact_begins(self) -> None:
        self._appended = 0

    def compact_ended(self, left: int) -> None:
        """Compaction has left so many records."""
        self._compact_at = max(COMPACT_EVERY, left)

    def _shorten(self, count: int) -> None:
        for record in self.tail[:count]:
            self._tail_bytes -= len(record.key) + len(record.value or b"")
        del self.tail[:count]
        self.tail_first += count
