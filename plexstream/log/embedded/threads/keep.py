"""What the embedded log forgets: superseded records of compacted topics, and records past their time."""

from __future__ import annotations

import time

from plexstream.log.embedded.files import format as form
from plexstream.log.embedded.files import segments
from plexstream.log.embedded.files.partition import Partition
from plexstream.log.embedded.storage.storage import Storage


def compact(storage: Storage, partition: Partition, keep_tombstones_ms: int) -> None:
    """Write segments anew with only the newest record of each key, and no old tombstones.

    Raises:
        OSError: all is as it was.
    """
    kept = partition.segments
    old = storage.checkpoints.seal(partition)
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
            with storage.changed:
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
    with storage.changed:
        kept.swap(old, new)
        partition.compact_ended(left)
    storage.checkpoints.discard(old)


def expire(storage: Storage, partition: Partition, retention_ms: int) -> None:
    """Trim the records that are older than `retention_ms`."""
    oldest = time.time_ns() // 1_000_000 - retention_ms
    start, end = storage.range(partition.place)
    offset = start
    while offset < end:
        found, after = storage.fetch(partition.place, offset, 1000, False)
        for record in found:
            if record.time >= oldest:
                storage.trim(partition.place, record.offset, end)
                return
        if after == offset:
            break
        offset = after
    storage.trim(partition.place, end, end)
