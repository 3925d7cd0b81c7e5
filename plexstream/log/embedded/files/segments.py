"""Where the records of one partition are kept: segments, each a file of frames ("chunks") of records.

A segment begins with a frame that says whose it is; the manifest knows its length and the checksum of its
last frame, which covers all before. It is verified as a whole when it is first read, and each chunk
whenever it is.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from plexstream.log.base import Place, Record
from plexstream.log.embedded.files import disk
from plexstream.log.embedded.files import format as form
from plexstream.log.embedded.files.manifest import StoredSegment
from plexstream.log.memory.local import Arrivals

SEGMENT_BYTES = 8 << 20
"""A segment is closed at this size. What is trimmed goes by whole segments."""
CHUNK_BYTES = 128 << 10
"""So much is written, checked and read at a time, if no record is larger."""


class Chunk(NamedTuple):
    """Where a chunk lies in its file, and the offset of its first record."""

    first: int
    begin: int
    end: int


class Segment:
    """One file. The log's lock guards all but the path."""

    def __init__(self, path: Path, stored: StoredSegment, chunks: list[Chunk] | None) -> None:
        self.path = path
        self.first = stored.first
        self.last = stored.last
        self.generation = stored.generation
        self.length = stored.length
        self.crc = stored.crc
        self.chunks = chunks  # None: not looked at yet
        self.dirty = False

    def stored(self) -> StoredSegment:
        return StoredSegment(self.first, self.last, self.generation, self.length, self.crc)


def segment_path(folder: Path, topic_id: int, partition: int, first: int, generation: int) -> Path:
    return folder / f"segment-{topic_id}-{partition}-{first:019}-{generation}"


def pieces(data: Iterable[tuple[int, bytes]]) -> Iterator[tuple[int, list[bytes]]]:
    """Encoded records, each with the offset of its last, as chunks: the last offset, and what is in them."""
    some: list[bytes] = []
    size, last = 0, -1
    for at, part in data:
        if some and size + len(part) > CHUNK_BYTES:
            yield last, some
            some, size = [], 0
        some.append(part)
        size += len(part)
        last = at
    if some:
        yield last, some


class Segments:
    """The segments of a partition, in order. One thread at a time writes; any may read.

    Parameters:
        lock: the log's lock, under which the list and the segments change.
        generation: above that of every file there is: names are not used twice.
    """

    def __init__(
        self,
        folder: Path,
        place: Place,
        topic_id: int,
        lock: Arrivals,
        generation: int = 0,
        stored: Iterable[StoredSegment] = (),
    ) -> None:
        self.folder = folder
        self.place = place
        self.topic_id = topic_id
        self.generation = generation
        self._lock = lock
        self.listed = [Segment(self._path(s.first, s.generation), s, None) for s in stored]
        self._sealed = False
        self._cached: tuple[Segment, Chunk, list[Record]] | None = None

    def write(self, data: bytes, last: int) -> None:
        """Write a chunk, up to the record at `last`. Not synced.

        Raises:
            OSError: nothing of it counts.
        """
        segment = self.listed[-1] if self.listed and not self._sealed else None
        if segment is None or segment.length >= SEGMENT_BYTES:
            with self._lock:
                segment = self.create(form.first_offset(data))
            self.append(segment, data, last)
            with self._lock:
                self.listed = [*self.listed, segment]
                self._sealed = False
        else:
            self.append(segment, data, last)

    def create(self, first: int) -> Segment:
        """A new segment, which is not among the listed ones."""
        self.generation += 1
        path = self._path(first, self.generation)
        return Segment(path, StoredSegment(first, first - 1, self.generation, 0, 0), [])

    def append(self, segment: Segment, data: bytes, last: int) -> None:
        """Write a chunk behind what is in a segment."""
        position, crc, head = segment.length, segment.crc, b""
        if not position:
            whose = {"format": form.FORMAT, "topic": self.place[0], "partition": self.place[1]}
            head, crc = form.frame(0, form.encode_json({**whose, "first": segment.first}))
            segment.path.unlink(missing_ok=True)
        chunk, crc = form.frame(crc, data)
        disk.write_file(segment.path, head + chunk, position)
        begin = position + len(head)
        with self._lock:
            segment.length, segment.crc, segment.last = begin + len(chunk), crc, last
            segment.dirty = True
            if segment.chunks is not None:
                segment.chunks.append(Chunk(form.first_offset(data), begin, segment.length))

    def seal(self) -> list[Segment]:
        """What is there now; nothing more is written to it. With the lock."""
        self._sealed = True
        return self.listed

    def swap(self, old: list[Segment], new: list[Segment]) -> None:
        """Have `new` in the place of `old`, which were the first. With the lock."""
        self.listed = new + self.listed[len(old) :]

    def drop_before(self, offset: int) -> list[Segment]:
        """Take segments from the list that have nothing at `offset` or behind it. With the lock."""
        count = 0
        while count < len(self.listed) and self.listed[count].last < offset:
            count += 1
        dropped, self.listed = self.listed[:count], self.listed[count:]
        return dropped

    def read(self, offset: int, limit: int) -> list[Record]:
        """Some records from `offset` on, at most `limit`; none: no more are here.

        Raises:
            LogDamaged: they are not as they were written.
            OSError: they cannot be read.
        """
        while True:
            with self._lock:
                segment = next((s for s in self._from(offset) if s.last >= offset), None)
            if segment is None:
                return []
            try:
                found = self._read(segment, offset, limit)
            except FileNotFoundError:
                with self._lock:
                    if segment in self.listed:
                        disk.refuse(self.damage(segment, 0, "it is missing", segment.first))
                continue  # compacted or trimmed meanwhile
            if found:
                return found
            offset = segment.last + 1

    def records(self, segment: Segment) -> Iterator[Record]:
        """All records of a segment, in order."""
        for chunk in self._chunks(segment):
            yield from self._decode(segment, chunk)

    def verify(self, segment: Segment, judge: disk.Judge, keep: list[bytes] | None = None) -> list[Chunk]:
        """Read a whole segment and check it; damage goes to `judge`.

        Parameters:
            keep: gets the data of each chunk that is whole, also behind damage.
        """
        with self._lock:
            length, crc, upto = segment.length, segment.crc, segment.last
        data = disk.read_at(segment.path, 0, length)
        chunks: list[Chunk] = []
        head = form.read_frame(data, 0, 0)
        position, previous = (head.end, head.crc) if head else (0, 0)
        last = segment.first - 1
        while position < length:
            found = form.read_frame(data, position, previous if head else None)
            if found is None:
                what = "it ends before its length" if len(data) < length else "a checksum is wrong"
                after = form.next_frame(data, position)
                first = upto + 1 if after is None else form.first_offset(after[1].body)
                judge(self.damage(segment, position, what, last + 1, first - 1))
                if after is None:
                    return chunks
                position, found = after
            first, last = form.bounds(found.body)
            chunks.append(Chunk(first, position, found.end))
            if keep is not None:
                keep.append(found.body)
            position, previous, head = found.end, found.crc, found
        if previous != crc:
            judge(self.damage(segment, position, "its end is not that which was written", last + 1, upto))
        return chunks

    def damage(
        self, segment: Segment, at: int, what: str, first: int, last: int | None = None
    ) -> disk.Damage:
        last = segment.last if last is None else last
        topic, number = self.place
        lost = f"offsets {first} to {last} of {topic}[{number}]" if first <= last else "no record"
        return disk.Damage(segment.path, at, what, lost)

    def _path(self, first: int, generation: int) -> Path:
        return segment_path(self.folder, self.topic_id, self.place[1], first, generation)

    def _from(self, offset: int) -> list[Segment]:
        listed = self.listed
        return listed[max(bisect_right(listed, offset, key=lambda s: s.first) - 1, 0) :]

    def _chunks(self, segment: Segment) -> list[Chunk]:
        while True:
            with self._lock:
                chunks, length = segment.chunks, segment.length
            if chunks is not None:
                return chunks
            chunks = self.verify(segment, disk.refuse)
            with self._lock:
                if segment.length == length:
                    segment.chunks = chunks

    def _read(self, segment: Segment, offset: int, limit: int) -> list[Record]:
        chunks = self._chunks(segment)
        index = max(bisect_right(chunks, offset, key=lambda chunk: chunk.first) - 1, 0)
        for chunk in chunks[index:]:
            cached = self._cached
            if cached is not None and cached[0] is segment and cached[1] is chunk:
                records = cached[2]
            else:
                records = self._decode(segment, chunk)
                self._cached = segment, chunk, records
            if records[-1].offset >= offset:
                at = _index(records, offset)
                return records[at : at + limit]
        return []

    def _decode(self, segment: Segment, chunk: Chunk) -> list[Record]:
        data = disk.read_at(segment.path, chunk.begin, chunk.end - chunk.begin)
        found = form.read_frame(data, 0, None)
        if found is None or form.first_offset(found.body) != chunk.first:
            disk.refuse(self.damage(segment, chunk.begin, "a checksum is wrong", chunk.first))
        return form.decode_records(self.place, found.body)


def _index(records: list[Record], offset: int) -> int:
    """Where the first record at `offset` or behind it is, in a chunk that has one."""
    first = records[0].offset
    if records[-1].offset - first == len(records) - 1:
        return max(offset - first, 0)
    return bisect_right(records, offset - 1, key=lambda record: record.offset)


def remove(segments: Iterable[Segment]) -> None:
    """Delete files that no manifest lists."""
    for segment in segments:
        segment.path.unlink(missing_ok=True)


def sync(segments: Iterable[Segment]) -> None:
    """Have what was written on disk."""
    for segment in segments:
        fd = os.open(segment.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
