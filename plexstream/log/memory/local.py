"""What the logs of one process, `memory` and `embedded`, have in common: topics by name, and their reader."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Container, Iterable
from operator import itemgetter
from typing import Protocol

from plexstream.log.base import Item, Place, Record, TopicSpec
from plexstream.log.memory.compiled import RECORDS
from plexstream.model.errors import LogError, Refused, Shortened, TopicMissing
from plexstream.model.messages.address import murmur2

TxnRecord = tuple[str, int | None, bytes, bytes | None]  # topic, partition or None, key, value
_topic = itemgetter(0)


class Arrivals:
    """The lock of a log, and the readers that wait for its records. All methods want the lock held.

    A reader is woken only for places that it reads: with one condition for all, each append woke every thread
    that reads anything, and each of them waited for the interpreter to find nothing.

    Attributes:
        count: of appends, so that a reader can tell whether it missed one between looking and waiting.
    """

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.RLock()
        self._waiting: list[tuple[Container[Place], threading.Condition]] = []

    def condition(self) -> threading.Condition:
        """For one reader to wait with; it has the log's lock."""
        return threading.Condition(self._lock)

    def wait(self, places: Container[Place], came: threading.Condition, seconds: float) -> None:
        """Wait until records of one of the places come."""
        waiting = places, came
        self._waiting.append(waiting)
        try:
            came.wait(seconds)
        finally:
            self._waiting.remove(waiting)

    def tell(self, places: Collection[Place]) -> None:
        """There are new records."""
        self.count += 1
        for wanted, came in self._waiting:
            for place in places:
                if place in wanted:
                    came.notify()
                    break

    def tell_all(self) -> None:
        """Every reader has to look: what it may see has changed."""
        self.count += 1
        for _, came in self._waiting:
            came.notify()

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class Source(Protocol):
    """What a `LocalReader` reads from."""

    changed: Arrivals

    def fetch(self, place: Place, offset: int, limit: int, committed: bool) -> tuple[list[Record], int]:
        """Up to `limit` records of `place` from `offset` on, and the offset to go on at."""


class LocalReader:
    """A `Reader` over a log in the same process."""

    def __init__(self, source: Source, committed: bool) -> None:
        self._source = source
        self._committed = committed
        self._positions: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._order: list[Place] = []
        self._turn = 0
        self._problem: Shortened | None = None
        self._woken = False
        self._came = source.changed.condition()

    def assign(self, place: Place, offset: int) -> None:
        # Looks the place up now, so that a wrong name or number is an error here and not silence later.
        self._source.fetch(place, 0, 0, False)
        self._positions[place] = max(offset, 0)
        self._reorder()

    def release(self, place: Place) -> None:
        self._positions.pop(place, None)
        self._paused.discard(place)
        self._reorder()

    def pause(self, place: Place) -> None:
        self._paused.add(place)
        self._reorder()

    def resume(self, place: Place) -> None:
        self._paused.discard(place)
        self._reorder()

    def read(self, limit: int, timeout: float) -> list[Record]:
        source = self._source
        deadline = 0.0
        while True:
            seen = source.changed.count
            found = self._collect(limit)
            if not found and self._problem is not None:
                problem, self._problem = self._problem, None
                raise problem
            if found or self._woken or timeout <= 0:
                self._woken = False
                return found
            now = time.monotonic()
            deadline = deadline or now + timeout
            with source.changed:
                if source.changed.count == seen and not self._woken:
                    if now >= deadline:
                        return found
                    source.changed.wait(self._positions, self._came, deadline - now)

    def wake(self) -> None:
        with self._source.changed:
            self._woken = True
            self._came.notify()

    def close(self) -> None:
        self._positions.clear()
        self._reorder()

    def _reorder(self) -> None:
        self._order = [place for place in self._positions if place not in self._paused]

    def _collect(self, limit: int) -> list[Record]:
        places = self._order
        count = len(places)
        if not count:
            return []
        # Another partition comes first each time, so that a busy one does not starve the others.
        self._turn = (self._turn + 1) % count
        positions = self._positions
        fetch = self._source.fetch
        found: list[Record] = []
        for place in places[self._turn :] + places[: self._turn]:
            records: list[Record] = []
            before, after = -1, positions[place]
            # It may pass a hole, which compaction or an aborted transaction left, and come back with nothing.
            while not records and after != before:
                before = after
                try:
                    records, after = fetch(place, before, limit - len(found), self._committed)
                except Shortened as error:
                    # The others' records, which this reader has passed, come first.
                    self.release(place)
                    self._problem = error
                    break
            if place not in positions:
                continue
            positions[place] = after
            if records:
                found = found + records if found else records
                if len(found) >= limit:
                    break
        return found


def check_same(spec: TopicSpec, partitions: int) -> None:
    """Raises TopicMissing if a topic that is there has another number of partitions than the one wanted."""
    if spec.partitions != partitions:
        raise TopicMissing(
            f"topic {spec.name!r} has {partitions} partitions, {spec.partitions} are wanted: "
            f"the number is fixed at creation; use {partitions}, or another prefix"
        )


_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")


def check_new(spec: TopicSpec, there: Collection[str]) -> None:
    """Look whether a topic may be created: the same on every log, so that what works on one works on Kafka.

    Raises:
        Refused: it has a name that Kafka does not take, beside the topics that are `there`.
        LogError: it cannot be created as it is described.
    """
    if not _NAME.fullmatch(spec.name) or spec.name in (".", ".."):
        why = f"{spec.name!r} is no topic's name: at most 249 letters, digits, '.', '_' and '-'"
        raise Refused(why, topics={spec.name: why})
    # Kafka makes names of metrics of them, with '_' for '.'.
    plain = spec.name.replace(".", "_")
    others = [name for name in there if name != spec.name and name.replace(".", "_") == plain]
    if others and spec.name not in there:
        why = f"topic {spec.name!r} collides with {others[0]!r}: to Kafka '.' and '_' are the same in a name"
        raise Refused(why, topics={spec.name: why})
    if not spec.name or spec.partitions < 1:
        raise LogError(
            f"topic {spec.name!r} cannot have {spec.partitions} partitions: give a name, and 1 or more"
        )


def check_trim(place: Place, before: int, end: int) -> None:
    """Raises ValueError where a trim would delete more than its caller has proven."""
    if not 0 <= before <= end:
        raise ValueError(
            f"{place[0]}[{place[1]}] cannot be trimmed to offset {before}: its proven end is {end}, "
            "and offsets begin at 0"
        )


def missing(place: Place, partitions: int | None) -> TopicMissing:
    """The error for a topic or a partition that is not there."""
    topic, partition = place
    if partitions is None:
        return TopicMissing(f"there is no topic {topic!r}: create it with `plexstream topics apply`")
    return TopicMissing(f"topic {topic!r} has no partition {partition}: it has {partitions}, from 0 on")


def check_there(topics: Iterable[str], partitions: Callable[[str], int | None]) -> None:
    """Raises TopicMissing for the first topic that has no number of partitions."""
    for topic in topics:
        if partitions(topic) is None:
            raise missing((topic, 0), None)


def beyond_end(place: Place, offset: int, end: int) -> Shortened:
    """The error for an offset after the end, which happens only if records were lost."""
    return Shortened(*place, offset, end)


def of_this_life(stored: tuple[int, str] | None, life: str) -> int | None:
    """A stored position, unless it belongs to another life than `life`; "" is whatever life it was."""
    if stored is None:
        return None
    position, then = stored
    return None if then and life and then != life else position


def partition_of_key(key: bytes, partitions: int) -> int:
    """The partition of a record key, as Java clients compute it."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions


def by_place(
    records: list[TxnRecord], partitions: Callable[[str], int | None]
) -> dict[Place, list[Item]]:
    """The records of a transaction by their partition, in order.

    Raises:
        TopicMissing: if a topic is not there.
    """
    counts = {topic: partitions(topic) for topic in dict.fromkeys(map(_topic, records))}
    if RECORDS is not None:
        found: dict[Place, list[Item]] | None = RECORDS.by_place(records, counts)
        if found is not None:
            return found
    groups: dict[Place, list[Item]] = {}
    for topic, partition, key, value in records:
        if partition is None:
            count = counts[topic]
            if count is None:
                raise missing((topic, 0), None)
            partition = partition_of_key(key, count)
        groups.setdefault((topic, partition), []).append((key, value))
    return groups
