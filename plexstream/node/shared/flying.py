"""What the relays of a worker have on their way, within bounds by place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from plexstream.log.base import Item, Place

WINDOW = 1 << 20
"""Bytes of a worker that are on their way to one place, and one group more: two batches of the log's."""
MAX_FLYING = 64 << 20
"""Bytes of a worker on their way to all places together: half of what an appender takes."""


def size_of(items: Sequence[Item]) -> int:
    """The bytes of items."""
    return sum([len(key) + len(value or b"") for key, value in items])


def windows(items: list[Item], size: int) -> Iterator[tuple[list[Item], int]]:
    """Items of `size` bytes in groups of at most a window each, or of one item, with the bytes of each."""
    if size <= WINDOW:
        yield items, size
        return
    begin = held = 0
    for at, item in enumerate(items):
        more = size_of((item,))
        if held and held + more > WINDOW:
            yield items[begin:at], held
            begin, held = at, 0
        held += more
    yield items[begin:], held


class Flying:
    """What a worker's relays have on their way, by place: they share an appender, whose memory is bounded."""

    def __init__(self) -> None:
        self.bytes: Counter[Place] = Counter()
        self.total = 0

    def has_room(self, place: Place) -> bool:
        """Whether more may be handed over."""
        return self.bytes[place] < WINDOW and self.total < MAX_FLYING

    def left(self, flight: Flight) -> None:
        """Something is on its way."""
        self.bytes[flight.place] += flight.size
        self.total += flight.size

    def landed(self, flight: Flight) -> None:
        """It has arrived, or its append has failed."""
        self.total -= flight.size
        self.bytes[flight.place] -= flight.size
        if self.bytes[flight.place] <= 0:
            del self.bytes[flight.place]


class Flight:
    """A group on its way. `first` is the journal offset of its first turn; -1: answers, which have none."""

    __slots__ = ("first", "items", "left_at", "place", "size")

    def __init__(self, place: Place, first: int, items: Sequence[Item], size: int, left_at: float) -> None:
        self.place = place
        self.first = first
        self.items = items  # of answers only, which no journal has
        self.size = size
        self.left_at = left_at
