"""The bytes of the embedded log: records, and the checked frames that every one of its files is made of.

Numbers are big-endian. A frame is

    magic (4)  length of the body (4)  checksum of the frame before (4)  checksum (4)  body

Its checksum (CRC-32) is of all but itself, so of its predecessor's too: a frame that is gone, garbled,
repeated or out of its place breaks the chain. A record is

    offset (8)  time (8)  length of the key (4)  length of the value (4), -1 for a tombstone  key  value
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any, NamedTuple
from zlib import crc32

from plexstream.log.base import Item, Place, Record
from plexstream.log.memory.compiled import RECORDS

FORMAT = "plexstream log 2"
ALL = sys.maxsize
MAGIC = b"\xf5plx"
HEAD_BYTES = 16
RECORD_BYTES = 24
_RECORDS, _NOTED = 0x72, 0x6E  # r, n: what an entry of the write-ahead log begins with

_HEAD = Struct(">4sII")
_FRAME = Struct(">4sIII")
_CRC = Struct(">I")
_RECORD = Struct(">qqIi")
_ENTRY = Struct(">BIIqII")  # kind, topic, partition, first offset, number of records, bytes
_NOTE = Struct(">BI")


class Frame(NamedTuple):
    """A frame that was found to be whole. `end` is the position just after it."""

    end: int
    crc: int
    body: bytes


class RecordsEntry(NamedTuple):
    """Records of one partition, as the write-ahead log has them."""

    topic_id: int
    partition: int
    first: int
    records: int
    data: bytes


def frame(previous: int, body: bytes) -> tuple[bytes, int]:
    """A frame behind the one whose checksum is `previous`, and its own checksum."""
    head = _HEAD.pack(MAGIC, len(body), previous)
    crc = crc32(body, crc32(head))
    return head + _CRC.pack(crc) + body, crc


def read_frame(data: bytes, position: int, previous: int | None) -> Frame | None:
    """The frame at `position`; None if there is none, if it is not whole, or if its predecessor is another.

    `previous` None: whatever its predecessor is.
    """
    begin = position + HEAD_BYTES
    if begin > len(data):
        return None
    magic, size, before, crc = _FRAME.unpack_from(data, position)
    end = begin + size
    if magic != MAGIC or end > len(data) or (previous is not None and before != previous):
        return None
    body = data[begin:end]
    if crc32(body, crc32(data[position : position + 12])) != crc:
        return None
    return Frame(end, crc, body)


def next_frame(data: bytes, position: int) -> tuple[int, Frame] | None:
    """The first whole frame at or behind `position`, wherever it begins."""
    while (position := data.find(MAGIC, position)) >= 0:
        found = read_frame(data, position, None)
        if found is not None:
            return position, found
        position += 1
    return None


def frame_crc(data: bytes) -> int:
    """The checksum that a frame carries."""
    crc: int = _CRC.unpack_from(data, 12)[0]
    return crc


def encode_records(first: int, time: int, items: Sequence[Item]) -> bytes:
    """Records with the offsets from `first` on."""
    if RECORDS is not None:
        data: bytes | None = RECORDS.encode(first, time, items)
        if data is not None:
            return data
    parts: list[bytes] = []
    pack = _RECORD.pack
    for key, value in items:
        if value is None:
            parts += (pack(first, time, len(key), -1), key)
        else:
            parts += (pack(first, time, len(key), len(value)), key, value)
        first += 1
    return b"".join(parts)


def content_bytes(count: int, data: bytes) -> int:
    """How many bytes the keys and values of so many records have."""
    return len(data) - count * RECORD_BYTES


def encode_record(record: Record) -> bytes:
    """One record with its own offset and time."""
    return encode_records(record.offset, record.time, [(record.key, record.value)])


def decode_records(place: Place, data: bytes, begin: int = 0, limit: int = ALL) -> list[Record]:
    """Records of `data`, which a checksum has vouched for: those from offset `begin` on, at most `limit`."""
    topic, partition = place
    if RECORDS is not None:
        done: list[Record] | None = RECORDS.decode(Record, topic, partition, data, begin, limit)
        if done is not None:
            return done
    found: list[Record] = []
    unpack, position, size = _RECORD.unpack_from, 0, len(data)
    while position < size and len(found) < limit:
        offset, time, key_size, value_size = unpack(data, position)
        key_begin = position + RECORD_BYTES
        key_end = key_begin + key_size
        position = key_end + max(value_size, 0)
        if offset >= begin:
            value = None if value_size < 0 else data[key_end:position]
            found.append(Record(topic, partition, offset, data[key_begin:key_end], value, time))
    return found


def bounds(data: bytes) -> tuple[int, int]:
    """The offsets of the first and the last record of `data`."""
    first: int = _RECORD.unpack_from(data)[0]
    offset, position, size = first, 0, len(data)
    while position < size:
        offset, _, key_size, value_size = _RECORD.unpack_from(data, position)
        position += 24 + key_size + max(value_size, 0)
    return first, offset


def first_offset(data: bytes) -> int:
    """The offset of the first record of `data`."""
    first: int = _RECORD.unpack_from(data)[0]
    return first


def records_entry(topic_id: int, partition: int, first: int, count: int, data: bytes) -> bytes:
    """An entry of the write-ahead log: records of one partition."""
    return _ENTRY.pack(_RECORDS, topic_id, partition, first, count, len(data)) + data


def note_entry(**note: Any) -> bytes:
    """An entry of the write-ahead log about anything but records."""
    data = encode_json(note)
    return _NOTE.pack(_NOTED, len(data)) + data


def entries(body: bytes) -> Iterator[RecordsEntry | dict[str, Any]]:
    """What a frame of the write-ahead log holds; nothing from an entry on that is none."""
    position = 0
    while position < len(body):
        if body[position] == _RECORDS:
            _, topic, partition, first, count, size = _ENTRY.unpack_from(body, position)
            begin = position + _ENTRY.size
            position = begin + size
            yield RecordsEntry(topic, partition, first, count, body[begin:position])
        elif body[position] == _NOTED:
            _, size = _NOTE.unpack_from(body, position)
            begin = position + _NOTE.size
            position = begin + size
            yield decode_object(body[begin:position])
        else:
            return


def decode_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a frame; empty where it holds anything else, as in a file of another kind."""
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def encode_json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()
