"""The way to each partition: what waits for it, what is with the appender, how long it has taken nothing."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from plexstream.log.base import Item, Place

WINDOW = 1 << 20
"""Bytes of a partition that are with the appender at once, and one record more: two of librdkafka's batches,
so that one fills while the other is sent. What is beyond waits here, where it is dropped at its deadline."""
MAX_WAY = 16 << 20
"""Bytes of one partition that wait here or are with the appender, before more are refused."""
MAX_STUCK = 2 << 20
"""The same for a partition that has acknowledged nothing for `STUCK_S`."""
LARGE = 256 << 10
"""A record of more bytes may be refused alone, where somebody lowers its topic's limit while it is sent."""
STUCK_S = 0.5
"""A partition that has acknowledged nothing for so long is taken to be out of order: ten times as long as the
thread may take to look for acknowledgements."""


class Sending(NamedTuple):
    """Records for one partition."""

    place: Place
    items: Sequence[Item]
    id: str
    waits: bool  # for the acknowledgement
    deadline: float  # on time.monotonic(): beyond it nothing of this is sent that was not sent before
    since: float  # when it was handed over here


class Group(NamedTuple):
    """Sendings that were handed to the appender together."""

    way: Way
    ids: list[str]  # of those that wait
    large: list[tuple[Item, str]]  # records that brokers may refuse alone, with the ids of their sendings
    size: int
    since: float


class Way:
    """What is to be appended to one partition, in order. Written by the sender's thread only.

    Attributes:
        bytes: of all that is waiting or with the appender.
        since: when the oldest of it was handed over here; 0: there is nothing.
    """

    __slots__ = ("bytes", "flying", "flying_bytes", "place", "since", "waiting")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.waiting: deque[tuple[int, Sending]] = deque()  # with their sizes
        self.flying: deque[Group] = deque()
        self.flying_bytes = 0
        self.bytes = 0
        self.since = 0.0

    def stuck(self, now: float) -> float:
        """For how many seconds it has acknowledged nothing, where that is too long; else 0. Any thread."""
        since = self.since
        return now - since if since and now - since >= STUCK_S else 0.0
