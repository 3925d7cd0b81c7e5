"""The embedded log as it was before it had files of its own: in RocksDB. Only to turn it into one of today.

| key | value |
|---|---|
| `r` topic id (4) partition (4) offset (8) | time (8) key length (4) key, then `1` value, or `0`: tombstone |
| `b` topic id (4) partition (4) | start offset (8) floor of the end offset (8) |
| `t` topic name | JSON: id, partitions, config, and perhaps life |
| `e` transaction id | epoch (8) |
| `p` JSON [transaction id, topic, partition] | position (8) life of the topic |
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import NamedTuple

from rocksdict import DBRecoveryMode, Options, Rdict, ReadOptions

from plexstream.log.base import Place, Record
from plexstream.log.embedded.files import disk, manifest, wal
from plexstream.log.embedded.files import format as form
from plexstream.log.embedded.files.manifest import Manifest, StoredPartition, StoredTopic
from plexstream.log.embedded.files.segments import Segments, pieces, sync
from plexstream.log.embedded.storage import opening
from plexstream.log.embedded.storage.policy import compacts
from plexstream.log.memory.local import Arrivals
from plexstream.model.errors import LogError

_MARKER = (b"format", b"plexstream log 1")
_PREFIX = Struct(">cII")
_HEAD = Struct(">qI")
_OFFSET = Struct(">q")
_BOUNDS = Struct(">qq")
_OURS = ("manifest-", "wal-", "segment-", wal.SYNCED, disk.LOCK)


class Converted(NamedTuple):
    """What was turned into a log of today."""

    topics: int
    records: int
    old: Path
    """Where the files of RocksDB are now."""


def convert(path: Path, judge: disk.Judge = disk.refuse) -> Converted:
    """Turn the log in the folder `path` into one of today: offsets, ids of topics and positions stay.

    Its old files are kept beside it. Until the new ones are complete the folder is the old log.

    Parameters:
        judge: what to do about offsets that are missing.

    Raises:
        LogDamaged: RocksDB has lost something, and `judge` does not accept it.
        LogError: it is no such log, is in use, or cannot be read.
    """
    if not (path / opening.OLD).exists() or any((path / name).exists() for name in manifest.NAMES):
        raise LogError(f"{path} holds no log of a plexstream before this one: there is nothing to convert")
    db = _open(path)
    try:
        if db.get(_MARKER[0]) != _MARKER[1]:
            raise LogError(f"{path} holds another database than a log of plexstream: it is left as it is")
        for file in path.iterdir():  # of an attempt that was cut short
            if file.name.startswith(_OURS) and file.name != disk.LOCK:
                file.unlink()
        found, records = _copy(db, path, judge)
    except LogError:
        raise
    except OSError as error:
        raise disk.refused(f"{path} cannot be converted", error) from error
    except Exception as error:  # rocksdict raises plain Exception
        raise LogError(f"{path} cannot be read: {error}") from error
    finally:
        db.close()
    mark = wal.begin(path, 1, wal.Mark(0, 0, 0))
    wal.write_mark(path, mark)
    manifest.write(path, found)  # from here on it is the new log
    old = path.with_name(f"{path.name}.old-{time.strftime('%Y%m%d-%H%M%S')}")
    old.mkdir()
    for file in path.iterdir():
        if not file.name.startswith(_OURS):
            file.rename(old / file.name)
    disk.sync(old)
    disk.sync(path)
    return Converted(len(found.topics), records, old)


def _open(path: Path) -> Rdict:
    options = Options(raw_mode=True)
    options.create_if_missing(False)
    options.set_paranoid_checks(True)
    # Damage within the write-ahead log is an error; a torn end is not.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    try:
        return Rdict(str(path), options)
    except Exception as error:
        text = str(error)
        if "lock" in text.lower():
            raise LogError(f"{path} is held by another process (lock): stop that one first") from error
        raise LogError(f"{path} cannot be opened: {text}. Restore it from a backup") from error


def _rows(db: Rdict, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
    """All keys that begin with `prefix`, without it, and their values."""
    options = ReadOptions()
    options.set_iterate_upper_bound((int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big"))
    rows = db.iter(options)
    rows.seek(prefix + start)
    while rows.valid():
        yield rows.key()[len(prefix) :], rows.value()
        rows.next()
    rows.status()


def _topics(db: Rdict) -> dict[str, StoredTopic]:
    found = {}
    for name, data in _rows(db, b"t"):
        stored = json.loads(data)
        life = stored.get("life") or uuid.uuid4().hex
        found[name.decode()] = StoredTopic(stored["id"], stored["partitions"], stored["config"], life)
    return found


def _copy(db: Rdict, path: Path, judge: disk.Judge) -> tuple[Manifest, int]:
    topics = _topics(db)
    partitions: list[StoredPartition] = []
    records = 0
    for name, topic in topics.items():
        for number in range(topic.partitions):
            stored, count = _copy_partition(db, path, (name, number), topic, judge)
            partitions.append(stored)
            records += count
    epochs = {id.decode(): _OFFSET.unpack(data)[0] for id, data in _rows(db, b"e")}
    positions = []
    for key, data in _rows(db, b"p"):
        id, of, number = json.loads(key)
        positions.append((id, of, number, _OFFSET.unpack_from(data)[0], data[_OFFSET.size :].decode()))
    return Manifest(1, 1, topics, partitions, epochs, positions), records


def _copy_partition(
    db: Rdict, path: Path, place: Place, topic: StoredTopic, judge: disk.Judge
) -> tuple[StoredPartition, int]:
    bounds = db.get(_PREFIX.pack(b"b", topic.id, place[1]))
    start, end = _BOUNDS.unpack(bounds) if bounds is not None else (0, 0)
    segments = Segments(path, place, topic.id, Arrivals())
    prefix = _PREFIX.pack(b"r", topic.id, place[1])
    copied = 0
    holes = compacts(topic.config)

    def encoded() -> Iterator[tuple[int, bytes]]:
        nonlocal end, copied
        wanted = start
        for key, data in _rows(db, prefix, _OFFSET.pack(start)):
            record = _decode(place, _OFFSET.unpack(key)[0], data)
            if record.offset != wanted and not holes:
                judge(_missing(path, place, wanted, record.offset))
            wanted = record.offset + 1
            end = max(end, wanted)
            copied += 1
            yield record.offset, form.encode_record(record)
        if wanted < end and not holes:
            judge(_missing(path, place, wanted, end))

    for last, parts in pieces(encoded()):
        segments.write(b"".join(parts), last)
    sync(segments.listed)
    listed = [segment.stored() for segment in segments.listed]
    generation = segments.generation
    return StoredPartition(topic.id, place[1], start, end, generation, copied, 0, listed), copied


def _missing(path: Path, place: Place, first: int, end: int) -> disk.Damage:
    lost = f"offsets {first} to {end - 1} of {place[0]}[{place[1]}]"
    return disk.Damage(path, 0, "RocksDB has lost records", lost)


def _decode(place: Place, offset: int, data: bytes) -> Record:
    time, size = _HEAD.unpack_from(data)
    split = _HEAD.size + size
    value = data[split + 1 :] if data[split] == 0x31 else None
    return Record(place[0], place[1], offset, data[_HEAD.size : split], value, time)
