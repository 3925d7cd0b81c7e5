"""Blocking forms of what a log does, for tests."""

import time
from collections.abc import Sequence

from plexstream.log.base import Ack, Appender, Item, Log, Place, Reader, Record

PATIENCE_S = 20.0


def items(*values: bytes | None, key: bytes = b"k") -> list[Item]:
    return [(key, value) for value in values]


def acks(appender: Appender, count: int) -> list[Ack]:
    """The next `count` acknowledgements."""
    found: list[Ack] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < deadline:
        found += appender.poll(0.2)
    assert len(found) == count, f"{len(found)} acknowledgements of {count}"
    return found


def append(appender: Appender, place: Place, group: Sequence[Item]) -> int:
    """Append a group and wait; the offset of its last record."""
    appender.append(place, group, "token")
    (ack,) = acks(appender, 1)
    assert ack.error is None
    assert (ack.topic, ack.partition, ack.token) == (*place, "token")
    return ack.offset


def fill(log: Log, place: Place, *values: bytes | None) -> int:
    appender = log.appender()
    try:
        return append(appender, place, items(*values))
    finally:
        appender.close()


def take(reader: Reader, count: int) -> list[Record]:
    """The next `count` records."""
    found: list[Record] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count and time.monotonic() < deadline:
        found += reader.read(count - len(found), 0.2)
    assert len(found) == count, f"{len(found)} records of {count}"
    return found


def read_all(log: Log, place: Place, count: int, *, offset: int = 0, committed: bool = False) -> list[Record]:
    """`count` records of a partition; and then there are no more."""
    reader = log.reader(committed=committed)
    try:
        reader.assign(place, offset)
        found = take(reader, count)
        assert reader.read(1, 0.3) == []
        return found
    finally:
        reader.close()
