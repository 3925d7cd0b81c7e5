"""How the embedded log lays out topics in RocksDB. Numbers are big-endian, so that keys sort as they count.

| key | value |
|---|---|
| `r` topic id (4) partition (4) offset (8) | time (8) key length (4) key, then `1` value, or `0`: tombstone |
| `b` topic id (4) partition (4) | start offset (8) floor of the end offset (8) |
| `t` topic name | JSON: id, partitions, config, life |
| `e` transaction id | epoch (8) |
| `p` JSON [transaction id, topic, partition] | position (8) life of the topic |
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice
from struct import Struct
from typing import NamedTuple

from rocksdict import Rdict, ReadOptions

from plexstream.log.base import Item, Place, Record

FORMAT_KEY = b"format"
FORMAT = b"plexstream log 1"
TOPICS = b"t"
EPOCHS = b"e"
POSITIONS = b"p"

_PREFIX = Struct(">cII")
_HEAD = Struct(">qI")
_HEAD_SIZE = _HEAD.size
_OFFSET = Struct(">q")
_BOUNDS = Struct(">qq")
_LAST_OFFSET = b"\xff" * 8

pack_offset = _OFFSET.pack


class StoredTopic(NamedTuple):
    """What is stored of a topic."""

    id: int
    partitions: int
    config: dict[str, str]
    life: str = ""  # as `Log.topic_id` tells it; an old log gets it when it is opened

    def encode(self) -> bytes:
        return json.dumps(self._asdict()).encode()

    @classmethod
    def decode(cls, data: bytes) -> StoredTopic:
        return cls(**json.loads(data))


def records_prefix(topic_id: int, partition: int) -> bytes:
    return _PREFIX.pack(b"r", topic_id, partition)


def records_end(topic_id: int, partition: int) -> bytes:
    """The key just after the last that a record of the partition can have."""
    return _PREFIX.pack(b"r", topic_id, partition + 1)


def bounds_key(topic_id: int, partition: int) -> bytes:
    return _PREFIX.pack(b"b", topic_id, partition)


def encode_bounds(start: int, floor: int) -> bytes:
    return _BOUNDS.pack(start, floor)


def decode_bounds(data: bytes | None) -> tuple[int, int]:
    """Start offset and floor of the end offset; both zero where nothing is stored yet."""
    if data is None:
        return 0, 0
    start, floor = _BOUNDS.unpack(data)
    return start, floor


def encode_record(time: int, item: Item) -> bytes:
    key, value = item
    head = _HEAD.pack(time, len(key))
    return head + key + b"0" if value is None else head + key + b"1" + value


def decode_record(place: Place, offset: int, data: bytes) -> Record:
    time, size = _HEAD.unpack_from(data)
    split = _HEAD_SIZE + size
    value = data[split + 1 :] if data[split] == 0x31 else None
    return Record(place[0], place[1], offset, data[_HEAD_SIZE:split], value, time)


def decode_offset(data: bytes) -> int:
    offset: int = _OFFSET.unpack(data)[0]
    return offset


def encode_position(position: int, life: str) -> bytes:
    return _OFFSET.pack(position) + life.encode()


def decode_position(data: bytes) -> tuple[int, str]:
    """Position and life; an old one has no life."""
    return _OFFSET.unpack_from(data)[0], data[_OFFSET.size :].decode()


def position_key(id: str, place: Place) -> bytes:
    return POSITIONS + json.dumps([id, *place]).encode()


def epoch_key(id: str) -> bytes:
    return EPOCHS + id.encode()


def _items(
    db: Rdict, from_key: bytes, options: ReadOptions | None = None, backwards: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    # In raw mode keys are bytes, which the stubs do not know. No iterator may outlive its use: it would keep
    # the directory locked after close().
    return db.items(backwards, from_key, options)  # type: ignore[return-value]


def holds_something(db: Rdict) -> bool:
    return any(True for _ in _items(db, b""))


def stored_topics(db: Rdict) -> list[tuple[str, StoredTopic]]:
    found = []
    for key, data in _items(db, TOPICS):
        if not key.startswith(TOPICS):
            break
        found.append((key[len(TOPICS) :].decode(), StoredTopic.decode(data)))
    return found


def scan(db: Rdict, prefix: bytes, end: bytes, start: int, limit: int | None) -> Iterator[tuple[int, bytes]]:
    """Offset and stored form of up to `limit` records from offset `start` on; all where limit is None."""
    options = ReadOptions()
    options.set_iterate_upper_bound(end)
    size = len(prefix)
    unpack = _OFFSET.unpack_from
    for key, data in islice(_items(db, prefix + pack_offset(start), options), limit):
        yield unpack(key, size)[0], data


def last_offset(db: Rdict, prefix: bytes) -> int | None:
    """The offset of the last record that is there."""
    for key, _ in _items(db, prefix + _LAST_OFFSET, backwards=True):
        return decode_offset(key[len(prefix) :]) if key.startswith(prefix) else None
    return None
