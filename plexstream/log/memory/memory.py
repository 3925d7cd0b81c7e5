"""A log in memory, for unit tests and for the simulation. Deterministic, and gone with its process.

What ends in `_now` takes effect at once and is meant for a simulation that decides itself when that is:
its own Appender and Transaction hold records back, lose acknowledgements, or append for a client long dead.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

from plexstream.log.base import Ack, Item, Place, Record, TopicSpec, appended
from plexstream.log.limits.limits import check_group, check_records, limit_of
from plexstream.log.memory.local import (
    Arrivals,
    LocalReader,
    TxnRecord,
    beyond_end,
    by_place,
    check_new,
    check_same,
    check_there,
    check_trim,
    missing,
    of_this_life,
)
from plexstream.model.errors import Fenced, LogError


def _wall_clock() -> int:
    return time.time_ns() // 1_000_000


class _Open:
    """A transaction that writes: where its records begin, and whether it was aborted."""

    __slots__ = ("aborted", "first")

    def __init__(self) -> None:
        self.aborted = False
        self.first: dict[Place, int] = {}


class _Partition:
    __slots__ = ("owners", "slots", "start")

    def __init__(self) -> None:
        self.start = 0
        self.slots: list[Record | None] = []  # None: the marker of a transaction that ended
        self.owners: dict[int, _Open] = {}  # by offset, for records of transactions only

    @property
    def end(self) -> int:
        return self.start + len(self.slots)


class MemoryLog:
    """A `Log` in memory.

    Args:
        clock: gives milliseconds since the Unix epoch; it stamps the records.
        name: what the ids of its topics begin with; by default one that no other log has.
    """

    def __init__(self, clock: Callable[[], int] = _wall_clock, name: str | None = None) -> None:
        self.changed = Arrivals()
        self._clock = clock
        self._name = uuid.uuid4().hex if name is None else name
        self._lives = 0
        self._ids: dict[str, str] = {}
        self._topics: dict[str, list[_Partition]] = {}
        self._limits: dict[str, int] = {}
        self._epochs: dict[str, int] = {}
        self._open: dict[str, _Open] = {}
        self._positions: dict[str, dict[Place, tuple[int, str]]] = {}
        self._closed = False

    def reader(self, *, committed: bool = False) -> LocalReader:
        return LocalReader(self, committed)

    def appender(self) -> MemoryAppender:
        return MemoryAppender(self)

    def transaction(self, id: str, life: str = "", witness: Place | None = None) -> MemoryTransaction:
        return MemoryTransaction(self, id, self.begin_now(id), life)

    def create(self, topics: Iterable[TopicSpec]) -> list[str]:
        created = []
        with self.changed:
            for spec in topics:
                check_new(spec, self._topics)
                if (there := self._topics.get(spec.name)) is not None:
                    check_same(spec, len(there))
                    continue
                self._topics[spec.name] = [_Partition() for _ in range(spec.partitions)]
                self._limits[spec.name] = limit_of(spec.config)
                self._lives += 1
                self._ids[spec.name] = f"{self._name}.{self._lives}"
                created.append(spec.name)
        return created

    def partitions(self, topic: str) -> int | None:
        there = self._topics.get(topic)
        return None if there is None else len(there)

    def topics(self) -> dict[str, int]:
        with self.changed:
            return {name: len(partitions) for name, partitions in self._topics.items()}

    def topic_id(self, topic: str) -> str:
        with self.changed:
            self._check_open()
            if topic not in self._topics:
                raise missing((topic, 0), None)
            return self._ids[topic]

    def prepare(self, topics: Iterable[str]) -> None:
        check_there(topics, self.partitions)

    def range(self, place: Place) -> tuple[int, int]:
        with self.changed:
            partition = self._partition(place)
            return partition.start, partition.end

    def trim(self, place: Place, before: int, end: int) -> None:
        check_trim(place, before, end)
        with self.changed:
            partition = self._partition(place)
            if before > partition.end:
                raise beyond_end(place, before, partition.end)
            count = before - partition.start
            if count > 0:
                del partition.slots[:count]
                partition.start += count
                partition.owners = {k: v for k, v in partition.owners.items() if k >= partition.start}

    def close(self) -> None:
        with self.changed:
            self._closed = True
            self.changed.tell_all()

    # What a simulation calls when it decides that something takes effect.

    def delete_now(self, topic: str) -> None:
        """Delete a topic with its records. Positions of transactions stay, as on Kafka for a while."""
        with self.changed:
            for kept in (self._topics, self._limits, self._ids):
                del kept[topic]
            self.changed.tell_all()

    def grow_now(self, topic: str, partitions: int) -> None:
        """Add partitions to a topic, up to so many."""
        with self.changed:
            there = self._topics[topic]
            there += [_Partition() for _ in range(partitions - len(there))]

    def append_now(self, place: Place, items: Sequence[Item]) -> int:
        """Append a group; returns the offset of its last record.

        Raises:
            LogError: if the topic is missing or a record is too large; then nothing is appended.
        """
        with self.changed:
            self._partition(place)
            check_group(place[0], items, self._limits[place[0]])
            offset = self._put(place, items, None)
            self.changed.tell((place,))
            return offset

    def begin_now(self, id: str) -> int:
        """Fence the owner of transaction `id`: what it has open is aborted. Returns the new owner's epoch."""
        with self.changed:
            self._end(id, aborted=True)
            epoch = self._epochs[id] = self._epochs.get(id, 0) + 1
            self.changed.tell_all()
            return epoch

    def write_now(self, id: str, epoch: int, records: Iterable[TxnRecord]) -> None:
        """Append records of an open transaction, which readers with `committed` do not see yet.

        Raises:
            Fenced: if `epoch` is not the newest of `id`.
            LogError: if a topic is missing or a record is too large; then nothing is appended.
        """
        with self.changed:
            self._check_epoch(id, epoch)
            records = list(records)
            groups = by_place(records, self.partitions)
            for place in groups:
                self._partition(place)
            check_records(records, self._limits.__getitem__)
            owner = self._open.setdefault(id, _Open())
            for place, items in groups.items():
                owner.first.setdefault(place, self._partition(place).end)
                self._put(place, items, owner)
            self.changed.tell_all()

    def end_now(self, id: str, epoch: int, positions: Mapping[Place, int] | None, life: str = "") -> None:
        """Commit what is open under `id` together with `positions`, or abort it where that is None.

        Raises:
            Fenced: if `epoch` is not the newest of `id`.
        """
        with self.changed:
            self._check_epoch(id, epoch)
            self._end(id, aborted=positions is None)
            if positions:
                stored = self._positions.setdefault(id, {})
                stored.update((place, (position, life)) for place, position in positions.items())
            self.changed.tell_all()

    def position_now(self, id: str, place: Place, life: str = "", epoch: int | None = None) -> int | None:
        """The position committed last under `id` for `place`; see `Transaction.position`.

        Raises:
            Fenced: if `epoch` is given, and is not the newest of `id`.
        """
        with self.changed:
            if epoch is not None:
                self._check_epoch(id, epoch)
            return of_this_life(self._positions.get(id, {}).get(place), life)

    def fetch(self, place: Place, offset: int, limit: int, committed: bool) -> tuple[list[Record], int]:
        """Up to `limit` records from `offset` on, and the offset to go on at. For the reader."""
        with self.changed:
            self._check_open()
            partition = self._partition(place)
            offset = max(offset, partition.start)
            end = partition.end
            if offset > end:
                raise beyond_end(place, offset, end)
            if committed:
                for owner in self._open.values():
                    end = min(end, owner.first.get(place, end))
            found: list[Record] = []
            while offset < end and len(found) < limit:
                slot = partition.slots[offset - partition.start]
                if slot is not None:
                    transaction = partition.owners.get(offset)
                    if not (committed and transaction is not None and transaction.aborted):
                        found.append(slot)
                offset += 1
            return found, offset

    def _check_open(self) -> None:
        if self._closed:
            raise LogError("the log is closed")

    def _partition(self, place: Place) -> _Partition:
        there = self._topics.get(place[0])
        if there is None or not 0 <= place[1] < len(there):
            raise missing(place, None if there is None else len(there))
        return there[place[1]]

    def _check_epoch(self, id: str, epoch: int) -> None:
        self._check_open()
        if self._epochs.get(id) != epoch:
            raise Fenced(f"transaction {id!r} has a newer owner (epoch {self._epochs.get(id)}, not {epoch})")

    def _put(self, place: Place, items: Sequence[Item], owner: _Open | None) -> int:
        self._check_open()
        partition = self._partition(place)
        topic, number = place
        now = self._clock()
        offset = partition.end
        for key, value in items:
            if owner is not None:
                partition.owners[offset] = owner
            partition.slots.append(Record(topic, number, offset, key, value, now))
            offset += 1
        return offset - 1

    def _end(self, id: str, aborted: bool) -> None:
        owner = self._open.pop(id, None)
        if owner is None:
            return
        owner.aborted = aborted
        for place in owner.first:
            # As in Kafka, the end of a transaction takes an offset that no reader ever sees.
            self._partition(place).slots.append(None)


class MemoryAppender:
    """Appends at once; the acknowledgement waits for `poll`."""

    holding = False
    broken = False

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._acks: list[Ack] = []

    def announce(self, came: Callable[[], None]) -> bool:
        return False

    def append(self, place: Place, items: Sequence[Item], token: object, *, urgent: bool = True) -> None:
        self._acks.append(appended(place, token, self._log.append_now(place, items)))

    def poll(self, timeout: float) -> list[Ack]:
        if not self._acks and timeout > 0:
            time.sleep(timeout)  # nothing can come: the one thread that could append is here
        acks, self._acks = self._acks, []
        return acks

    def close(self) -> None:
        self._acks = []


class MemoryTransaction:
    """A `Transaction` of a `MemoryLog`."""

    def __init__(self, log: MemoryLog, id: str, epoch: int, life: str) -> None:
        self._log = log
        self._life = life
        self._id = id
        self._epoch = epoch

    def commit(self, records: Iterable[TxnRecord], positions: Mapping[Place, int]) -> None:
        log = self._log
        with log.changed:
            log.write_now(self._id, self._epoch, records)
            log.end_now(self._id, self._epoch, positions, self._life)

    def position(self, place: Place) -> int | None:
        return self._log.position_now(self._id, place, self._life, self._epoch)

    def close(self) -> None:
        """Nothing is open between two commits, so there is nothing to abort."""
