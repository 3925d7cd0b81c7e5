"""What an embedded log has on disk: a write-ahead log, and segments of each partition. It starts no thread.

A group is shown to readers at once, and is durable when a `sync` that began after it was added has ended.
One write-ahead log for all topics keeps their order: if a journal record survives a power cut, so does the
mailbox message that it answers. What is in it is put into segments, by partition, in the background.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from plexstream.log.base import Item, Place, Record, TopicSpec
from plexstream.log.embedded.files import disk, manifest, wal
from plexstream.log.embedded.files import format as form
from plexstream.log.embedded.files.manifest import StoredPartition, StoredTopic
from plexstream.log.embedded.files.partition import Partition
from plexstream.log.embedded.storage import opening
from plexstream.log.embedded.storage.checkpoints import Checkpoints
from plexstream.log.embedded.storage.outage import Outage
from plexstream.log.embedded.storage.policy import compacts
from plexstream.log.limits.limits import OVERHEAD_BYTES, check_group, check_records, limit_of
from plexstream.log.memory.local import (
    Arrivals,
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

_log = logging.getLogger("plexstream.log")


class Storage:
    """What is in the directory `path`, which is created if it is missing. Thread-safe.

    Parameters:
        judge: what to do about damage.
        wake: called when the disk takes nothing: somebody has to `sync` from now on until it does.

    Attributes:
        changed: the lock, and the readers that wait for records.
        checkpoints: put into segments what is in the write-ahead log.

    Raises:
        LogDamaged: something that was acknowledged is not there, or not as it was written.
        LogError: another process has it open, or it cannot be read or written.
    """

    def __init__(self, path: Path, judge: disk.Judge, wake: Callable[[], None]) -> None:
        self.path = path
        self.changed = Arrivals()
        self.outage = Outage(str(self), self.changed, wake)
        self._closed = False
        self._lock = disk.lock(self.path)
        try:
            self._now = opening.Contents(self._make)
            self._wal = self._open(judge)
        except OSError as error:
            os.close(self._lock)
            raise disk.refused(f"{self} cannot be opened", error) from error
        except BaseException:
            os.close(self._lock)
            raise
        self.checkpoints = Checkpoints(path, self._now, self._wal, self.changed)
        self._limits = {name: limit_of(topic.config) for name, topic in self._now.topics.items()}

    def open_transaction(self, id: str) -> int:
        """Fence the older owners of a transactional id; returns the epoch of this one."""
        with self.changed:
            self.check_usable()
            epoch = self._now.epochs[id] = self._now.epochs.get(id, 0) + 1
            self._wal.add(form.note_entry(transaction=id, epoch=epoch))
        self.sync()
        return epoch

    def create(self, topics: Iterable[TopicSpec]) -> list[str]:
        created = []
        with self.changed:
            self.check_usable()
            there = self._now.topics
            for spec in topics:
                check_new(spec, there)
                if spec.name in there:
                    check_same(spec, there[spec.name].partitions)
                    continue
                new_id = 1 + max((topic.id for topic in there.values()), default=0)
                topic = StoredTopic(new_id, spec.partitions, dict(spec.config), uuid.uuid4().hex)
                self._limits[spec.name] = limit_of(topic.config)
                self._now.add_topic(spec.name, topic)
                self._wal.add(form.note_entry(topic=spec.name, **{"is": topic}))
                created.append(spec.name)
        if created:
            self.sync()
        return created

    def partitions(self, topic: str) -> int | None:
        there = self._now.parts.get(topic)
        return None if there is None else len(there)

    def topics(self) -> dict[str, int]:
        with self.changed:
            return {name: topic.partitions for name, topic in self._now.topics.items()}

    def topic_id(self, topic: str) -> str:
        with self.changed:
            self._check_open()
            there = self._now.topics.get(topic)
            if there is None:
                raise missing((topic, 0), None)
            return there.life

    def prepare(self, topics: Iterable[str]) -> None:
        check_there(topics, self.partitions)

    def range(self, place: Place) -> tuple[int, int]:
        with self.changed:
            partition = self._partition(place)
            return partition.start, partition.end

    def trim(self, place: Place, before: int, end: int) -> None:
        check_trim(place, before, end)
        with self.changed:
            self.check_usable()
            partition = self._partition(place)
            if before > partition.end:
                raise beyond_end(place, before, partition.end)
            if before > partition.start:
                # Not synced: a trim that a power cut takes back only leaves more records.
                self._wal.add(form.note_entry(of=place, start=before))
                partition.forget(before)

    def stop(self) -> bool:
        """Take nothing more; False where that was so already."""
        with self.changed:
            if self._closed:
                return False
            self._closed = True
            self.changed.tell_all()
            return True

    def close(self) -> None:
        """After `stop`: sync what there is, and let go of the directory."""
        with suppress(OSError):
            self._wal.sync()
        self._wal.close()
        os.close(self._lock)

    def append(self, place: Place, items: Sequence[Item]) -> int:
        """Write a group; returns the offset of its last record, which the next `sync` makes durable.

        Call it with the lock, and have acknowledgements in the order of the calls.
        """
        self.check_usable()
        partition = self._partition(place)
        data = partition.encode(items, time.time_ns() // 1_000_000)
        room = self._limits[place[0]] - OVERHEAD_BYTES
        if not items or form.content_bytes(len(items), data) > room:
            check_group(place[0], items, room + OVERHEAD_BYTES)
        self._wal.add(form.records_entry(partition.topic_id, place[1], partition.end, len(items), data))
        self._extend(partition, len(items), data)
        self.changed.tell((place,))
        return partition.end - 1

    def compact_due(self, place: Place) -> bool:
        """Whether a partition has grown so much that it should be compacted soon."""
        return self._partition(place).compact_due

    def commit(
        self, id: str, epoch: int, records: Iterable[TxnRecord], positions: Mapping[Place, int], life: str
    ) -> None:
        """Write records and positions in one frame, synced."""
        with self.changed:
            self.check_usable()
            self._check_epoch(id, epoch)
            records = list(records)
            groups = by_place(records, self.partitions)
            now = time.time_ns() // 1_000_000
            entries: list[bytes] = []
            written: list[tuple[Partition, int, bytes]] = []
            large = False
            for place, items in groups.items():
                partition, count = self._partition(place), len(items)
                data = partition.encode(items, now)
                large = large or form.content_bytes(count, data) > self._limits[place[0]] - OVERHEAD_BYTES
                entries.append(form.records_entry(partition.topic_id, place[1], partition.end, count, data))
                written.append((partition, count, data))
            if large:
                check_records(records, self._limits.__getitem__)
            for place, at in positions.items():
                entries.append(form.note_entry(transaction=id, of=place, position=at, life=life))
            if not entries:
                return
            self._wal.add(b"".join(entries))
            for partition, count, data in written:
                self._extend(partition, count, data)
            for place, at in positions.items():
                self._now.positions[id, *place] = at, life
            self.changed.tell(groups)
        self.sync()

    def position(self, id: str, epoch: int, place: Place, life: str) -> int | None:
        """The position committed last under `id` for `place`; see `Transaction.position`."""
        with self.changed:
            self._check_open()
            self._check_epoch(id, epoch)
            return of_this_life(self._now.positions.get((id, *place)), life)

    def fetch(self, place: Place, offset: int, limit: int, committed: bool) -> tuple[list[Record], int]:
        """Up to `limit` records from `offset` on, and the offset to go on at. For the reader."""
        with self.changed:
            self._check_open()
            partition = self._partition(place)
            if limit <= 0:
                return [], offset
            offset = max(offset, partition.start)
            if offset > partition.end:
                raise beyond_end(place, offset, partition.end)
            if offset == partition.end:
                return [], offset
            upto = partition.tail.first
            groups = partition.tail.groups(offset, limit) if offset >= upto else None
        if groups is not None:
            found: list[Record] = []
            for data in groups:
                found += form.decode_records(place, data, offset, limit - len(found))
            return found, offset + len(found)
        try:
            found = partition.segments.read(offset, limit)
        except OSError as error:
            raise disk.refused(f"{self}: cannot read {place[0]}[{place[1]}] at {offset}", error) from error
        return found, found[-1].offset + 1 if found else upto

    def sync(self) -> None:
        """Have everything on disk that was added before.

        Raises:
            LogUnavailable: it is not yet; the log goes on by itself when it can.
            LogError: it cannot be; from then on the log takes nothing more.
        """
        try:
            if not self._wal.sync():
                return  # whether an outage is over is for those to see who sync the rest
            if self.outage.lasts:
                self.checkpoints.flush()
        except OSError as error:
            raise self._refused(error) from error
        self.outage.over()

    def flush_due(self) -> None:
        """Put into segments what is too much in memory, unless that is being done.

        Raises:
            LogError: as `sync`.
        """
        try:
            self.checkpoints.flush_due()
        except OSError as error:
            raise self._refused(error) from error

    def kept(self) -> list[tuple[Partition, dict[str, str]]]:
        """All partitions, with how their topics are to be kept."""
        now = self._now
        with self.changed:
            return [(part, topic.config) for name, topic in now.topics.items() for part in now.parts[name]]

    def check_usable(self) -> None:
        self._check_open()
        self.outage.check()

    @property
    def closed(self) -> bool:
        return self._closed

    def __str__(self) -> str:
        return f"embedded log {self.path}"

    def _check_epoch(self, id: str, epoch: int) -> None:
        newest = self._now.epochs[id]
        if newest != epoch:
            raise Fenced(f"transaction {id!r} has a newer owner (epoch {newest}, not {epoch})")

    def _check_open(self) -> None:
        if self._closed:
            raise LogError(f"{self} is closed")

    def _partition(self, place: Place) -> Partition:
        there = self._now.parts.get(place[0])
        if there is None or not 0 <= place[1] < len(there):
            raise missing(place, None if there is None else len(there))
        return there[place[1]]

    def _extend(self, partition: Partition, count: int, data: bytes) -> None:
        partition.extend(count, data)
        self.checkpoints.grown(partition)

    def _refused(self, error: OSError) -> LogError:
        if self._closed:
            return LogError(f"{self} was closed meanwhile: {error}")
        return self.outage.refused(error)

    def _make(self, stored: StoredPartition, name: str, topic: StoredTopic) -> Partition:
        return Partition(self.path, (name, stored.number), self.changed, stored, compacts(topic.config))

    def _open(self, judge: disk.Judge) -> wal.Wal:
        now, path = self._now, self.path
        opened = opening.load(path, now, judge)
        if opened.new:
            now.mark = wal.begin(path, 1, wal.Mark(0, 0, 0))
            wal.write_mark(path, now.mark)
            disk.sync(path)
            manifest.write(path, manifest.EMPTY)
        for damage in opened.copies:
            _log.warning("%s; it is written anew", damage)
        if opened.copies:
            manifest.write(path, now.found)
        if opened.torn:
            _log.info("%s: %d bytes of a group that was never acknowledged are dropped", self, opened.torn)
        for left in opening.leftovers(path, now):
            left.unlink()
        made = wal.Wal(path, now.mark, self.changed)
        try:
            for partition, _ in self.kept():
                partition.opened()
        except BaseException:
            made.close()
            raise
        return made
