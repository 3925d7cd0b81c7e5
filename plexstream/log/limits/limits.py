"""How big a record may be. The same on every backend, so that what works on one works on the others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from plexstream.log.base import Item
from plexstream.model.errors import LogError, LogUnavailable, Refused
from plexstream.model.process.compiled import WANTED

try:
    if not WANTED:
        raise ImportError
    from plexstream.log.limits import _sizes
except ImportError:
    COMPILED = False
else:
    COMPILED = True

DEFAULT_MAX_BYTES = 1_048_588
"""Kafka's default of `max.message.bytes`, which every topic without a setting of its own has."""

OVERHEAD_BYTES = 128
"""Room left for what Kafka adds around one record: 61 bytes of batch header, at most 36 of record header."""


class RecordTooLarge(Refused):
    """A record is over its topic's limit. Nothing was appended; handing it over again will not help."""


class RefusedForSize(LogUnavailable):
    """Brokers have refused records for their size: the limit was lowered a moment ago. Nothing is known of
    others that were on their way.

    Attributes:
        refused: the very items that were handed over, each with the reason. They are not on the log.
    """

    def __init__(self, said: str, refused: Sequence[tuple[Item, str]]) -> None:
        super().__init__(said)
        self.refused = refused

    def why(self, item: Item) -> str:
        """Why this very item was refused; empty if it was not."""
        return next((why for other, why in self.refused if other is item), "")


def limit_of(config: Mapping[str, str]) -> int:
    """The most bytes that a record of a topic with this configuration may have."""
    return int(config.get("max.message.bytes", DEFAULT_MAX_BYTES))


def check_group(topic: str, items: Sequence[Item], limit: int) -> int:
    """Refuse a group that is empty or has a record that is too large, before anything of it is taken.

    Returns how many bytes the keys and values have.

    Raises:
        LogError: if there is no record: no offset could acknowledge it.
        RecordTooLarge: if key and value of a record, with what Kafka adds, are over `limit` bytes.
    """
    if not items:
        raise LogError(f"an empty group for topic {topic!r}: hand over one record at least")
    room = limit - OVERHEAD_BYTES
    total = size_of_items(items)
    if total <= room:
        return total
    sizes = [len(key) + len(value or b"") for key, value in items]
    found = {
        index: f"a record of {size} bytes for topic {topic!r} is over the limit of {room} (max.message.bytes "
        f"{limit} less {OVERHEAD_BYTES}): make the message or the state smaller, or raise the topic's "
        f"max.message.bytes; key {key[:60]!r}"
        for index, (size, (key, _)) in enumerate(zip(sizes, items, strict=True))
        if size > room
    }
    if found:
        raise RecordTooLarge(next(iter(found.values())), records=found)
    return total


def size_of_items(items: Sequence[Item]) -> int:
    """How many bytes the keys and values have."""
    if COMPILED:
        return _sizes.size(items)
    return sum([len(key) + len(value or b"") for key, value in items])


def check_records(
    records: list[tuple[str, int | None, bytes, bytes | None]], limit: Callable[[str], int]
) -> None:
    """Refuse the records of a transaction that are over the `limit` of their topic, all of them by name.

    Raises:
        RecordTooLarge: at least one is.
    """
    if COMPILED and all(
        size <= limit(topic) - OVERHEAD_BYTES for topic, size in _sizes.largest(records).items()
    ):
        return
    found: dict[int, str] = {}
    limits: dict[str, int] = {}
    for index, (topic, _, key, value) in enumerate(records):
        most = limits.get(topic)
        if most is None:
            most = limits[topic] = limit(topic)
        size = len(key) + len(value or b"")
        if size > most - OVERHEAD_BYTES:
            found[index] = (
                f"{size} bytes are over the limit of topic {topic!r}, {most - OVERHEAD_BYTES} "
                f"(max.message.bytes {most} less {OVERHEAD_BYTES}): send less, or raise the topic's "
                "max.message.bytes"
            )
    if found:
        raise RecordTooLarge("; ".join(list(found.values())[:3]), records=found)
