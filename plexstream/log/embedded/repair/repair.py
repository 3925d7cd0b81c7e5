"""What is wrong with an embedded log, and how to go on without what is lost, if its owner wants that."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from plexstream.log.base import Item, Place
from plexstream.log.embedded.files import disk, manifest, wal
from plexstream.log.embedded.files import format as form
from plexstream.log.embedded.files.manifest import StoredPartition, StoredTopic
from plexstream.log.embedded.files.partition import Partition
from plexstream.log.embedded.files.segments import Segment, sync
from plexstream.log.embedded.storage import opening
from plexstream.log.embedded.storage.policy import compacts
from plexstream.log.memory.local import Arrivals
from plexstream.model.errors import LogDamaged, LogError

LEAP = 100_000
"""Where the end of the write-ahead log is lost, nobody knows how many offsets were given away; it is put into
segments long before so many can be of one partition. New records begin so far behind what is known: whoever
knows a lost offset (a state store, a position, the receiver of a message) does not take a new record for the
lost one. A compacted topic is read from its beginning: nobody knows its offsets."""

Void = Callable[[str], Item | None]
"""What stands in a topic for a record that is lost and whose offset must not be missing; None: it may be."""


class Examined(NamedTuple):
    """What is wrong with a log, and how much was looked at. What is harmless is mended at the next start."""

    damages: list[disk.Damage]
    harmless: list[disk.Damage]
    files: int
    size: int


class Repaired(NamedTuple):
    """What a repair did."""

    damages: list[disk.Damage]
    copy: Path
    """A folder with every file as it was before."""


def examine(path: Path) -> Examined:
    """Read all of a log, and check it. Changes nothing.

    Raises:
        LogError: it is in use, no log, or cannot be read.
    """
    fd = disk.lock(path)
    try:
        return _examine(path)[0]
    except OSError as error:
        raise disk.refused(f"embedded log {path} cannot be read", error) from error
    finally:
        os.close(fd)


def repair(path: Path, void: Void, proven: Mapping[Place, int] | None = None) -> Repaired:
    """Make a log that can be opened of what is whole. Everything is kept as it was in a folder beside it.

    Parameters:
        void: see `Void`.
        proven: ends that others know, beyond those of the log: no offset before them is given away again.

    Raises:
        LogDamaged: nothing of it can be saved.
        LogError: it is in use, no log, or cannot be read or written.
    """
    fd = disk.lock(path)
    try:
        found, contents, kept = _examine(path)
        if not found.damages and not proven:
            raise LogError(f"embedded log {path} is whole: there is nothing to repair")
        if contents.found is manifest.EMPTY:
            raise LogDamaged(f"{found.damages[0]}. Nothing can be saved: restore the folder from a backup")
        copy = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        shutil.copytree(path, copy, ignore=shutil.ignore_patterns(disk.LOCK))
        damaged = {damage.file for damage in found.damages}
        leap = bool(proven) or any(file.name.startswith(("wal-", wal.SYNCED)) for file in damaged)
        for part, whole in kept.items():
            topic = part.place[0]
            mended = _Mended(part, void(topic))
            mended.take(whole, damaged)
            if leap and not compacts(contents.topics[topic].config):
                ends = contents.known.get(part.place, 0), (proven or {}).get(part.place, 0)
                mended.leap(max(part.end, *ends) + LEAP)
            sync(part.segments.listed)
        _write(path, contents)
        return Repaired(found.damages, copy)
    except OSError as error:
        raise disk.refused(f"embedded log {path} cannot be repaired", error) from error
    finally:
        os.close(fd)


_Kept = dict[Partition, list[list[bytes]]]


def _examine(path: Path) -> tuple[Examined, opening.Contents, _Kept]:
    """What is wrong, what there is, and what is whole of each partition's segments."""
    lock = Arrivals()
    damages: list[disk.Damage] = []

    def make(stored: StoredPartition, name: str, topic: StoredTopic) -> Partition:
        return Partition(path, (name, stored.number), lock, stored, False)

    contents = opening.Contents(make)
    opened = opening.load(path, contents, damages.append, verify=False)
    kept: _Kept = {}
    size = 0
    for parts in contents.parts.values():
        for part in parts:
            whole = kept[part] = []
            for segment in part.segments.listed:
                whole.append([])
                size += segment.length
                part.segments.verify(segment, damages.append, whole[-1])
    files = sum(1 for _ in path.iterdir())
    return Examined(damages, opened.copies, files, size), contents, kept


class _Mended:
    """Makes a partition's segments anew of what is whole, with `void` for what is lost."""

    def __init__(self, part: Partition, void: Item | None) -> None:
        self._part = part
        self._void = void
        self._next = part.start  # the offset that should come
        self._listed: list[Segment] = []

    def take(self, whole: list[list[bytes]], damaged: set[Path]) -> None:
        """All of it: what is whole of each segment, then what the write-ahead log has."""
        segments = self._part.segments
        for segment, chunks in zip(segments.listed, whole, strict=True):
            if segment.path not in damaged:
                self._fill(segment.first)
                self._listed.append(segment)
                self._next = max(self._next, segment.last + 1)
                continue
            made: Segment | None = None
            for chunk in chunks:
                first, last = form.bounds(chunk)
                if made is None or self._fill(first):
                    self._fill(first)
                    made = segments.create(first)
                    self._listed.append(made)
                segments.append(made, chunk, last)
                self._next = max(self._next, last + 1)
        self._fill(self._part.flushed)
        segments.listed = self._listed
        self._part.flush()
        self._next = self._part.end

    def leap(self, end: int) -> None:
        """Have the next record at `end`."""
        self._listed = self._part.segments.listed
        self._fill(end)
        self._part.segments.listed = self._listed
        self._part.end = end

    def _fill(self, end: int) -> bool:
        """Put `void` where records up to `end` should be. Whether any was."""
        first = self._next
        if self._void is None or first >= end:
            return False
        segments = self._part.segments
        made = segments.create(first)
        now = time.time_ns() // 1_000_000
        for begin in range(first, end, 1000):
            count = min(1000, end - begin)
            segments.append(made, form.encode_records(begin, now, [self._void] * count), begin + count - 1)
        self._listed.append(made)
        self._next = end
        return True


def _write(path: Path, contents: opening.Contents) -> None:
    """Have a write-ahead log that begins anew, and a manifest that says so."""
    numbers = [int(file.name[4:]) for file in path.glob("wal-*") if file.name[4:].isdigit()]
    number = max([*numbers, contents.mark.number]) + 1
    mark = wal.begin(path, number, wal.Mark(0, 0, 0))
    wal.write_mark(path, mark)
    contents.mark = mark
    contents.found = contents.stored(contents.found.number + 1, number)
    manifest.write(path, contents.found)
    for left in opening.leftovers(path, contents):
        left.unlink()
