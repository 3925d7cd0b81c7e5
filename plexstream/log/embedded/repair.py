"""What is wrong with an embedded log, and how to go on without what is lost, if its owner wants that."""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from plexstream.log.embedded import disk, manifest, opening, wal
from plexstream.log.embedded import format as form
from plexstream.log.embedded.log import lock
from plexstream.log.embedded.manifest import StoredPartition, StoredTopic
from plexstream.log.embedded.partition import Partition
from plexstream.log.embedded.segments import Segment, sync
from plexstream.log.local import Arrivals
from plexstream.model.errors import LogDamaged, LogError

LEAP = 1_000_000
"""Where the end of the write-ahead log is lost, nobody knows how many offsets were given away. New records
begin so far behind what is left: whoever knows a lost offset (a state store, a position, the receiver of a
message) does not take a new record for the lost one."""


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
    fd = lock(path)
    try:
        return _examine(path)[0]
    except OSError as error:
        raise disk.refused(f"embedded log {path} cannot be read", error) from error
    finally:
        os.close(fd)


def repair(path: Path) -> Repaired:
    """Make a log that can be opened of what is whole. Everything is kept as it was in a folder beside it.

    Raises:
        LogDamaged: nothing of it can be saved.
        LogError: it is in use, no log, or cannot be read or written.
    """
    fd = lock(path)
    try:
        found, contents, kept = _examine(path)
        if not found.damages:
            raise LogError(f"embedded log {path} is whole: there is nothing to repair")
        if contents.found is manifest.EMPTY:
            raise LogDamaged(f"{found.damages[0]}. Nothing can be saved: restore the folder from a backup")
        copy = path.with_name(f"{path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}")
        shutil.copytree(path, copy, ignore=shutil.ignore_patterns(opening.LOCK))
        _write(path, contents, kept, {damage.file for damage in found.damages})
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


def _write(path: Path, contents: opening.Contents, kept: _Kept, damaged: set[Path]) -> None:
    """Have the contents in segments, with a write-ahead log that begins anew, and a manifest that says so."""
    leap = any(file.name.startswith(("wal-", wal.SYNCED)) for file in damaged)
    for part, whole in kept.items():
        segments = part.segments
        listed: list[Segment] = []
        for segment, chunks in zip(segments.listed, whole, strict=True):
            if segment.path in damaged:
                segment = segments.create(segment.first)
                for chunk in chunks:
                    segments.append(segment, chunk, form.bounds(chunk)[1])
            if segment.length:
                listed.append(segment)
        segments.listed = listed
        part.flush()
        sync(segments.listed)
        if leap:
            part.end += LEAP
    numbers = [int(file.name[4:]) for file in path.glob("wal-*") if file.name[4:].isdigit()]
    number = max([*numbers, contents.mark.number]) + 1
    mark = wal.begin(path, number, wal.Mark(0, 0, 0))
    wal.write_mark(path, mark)
    contents.mark = mark
    contents.found = contents.stored(contents.found.number + 1, number)
    manifest.write(path, contents.found)
    for left in opening.leftovers(path, contents):
        left.unlink()
