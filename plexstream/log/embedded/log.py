"""A durable log in one directory, for one process: topics in RocksDB, with fsync by group.

A group is written to the write-ahead log and shown to readers at once; it is acknowledged when a sync that
began after the write has ended. One write-ahead log for all topics keeps their order: if a journal record
survives a power cut, so does the mailbox message that it answers.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rocksdict import DBCompressionType, DBRecoveryMode, Options, Rdict, WriteBatch

from plexstream.log.base import Item, Place, Record, TopicSpec, appended, failed
from plexstream.log.embedded import format as form
from plexstream.log.embedded.clients import Committer, EmbeddedAppender, EmbeddedTransaction
from plexstream.log.embedded.keep import Janitor, compacts
from plexstream.log.embedded.partition import Partition
from plexstream.log.limits import check_group, limit_of
from plexstream.log.local import (
    Arrivals,
    LocalReader,
    TxnRecord,
    beyond_end,
    by_place,
    check_new,
    check_same,
    check_trim,
    missing,
    of_this_life,
)
from plexstream.model.errors import Fenced, LogError

_log = logging.getLogger("plexstream.log")

ERASE_RECORDS = 1000
"""Trimmed records are erased by so many at a time: each time leaves a range tombstone for reads to pass."""


class EmbeddedLog:
    """A `Log` in the directory `path`, which is created if it is missing.

    Raises:
        LogError: if another process has it open, or it cannot be read.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.changed = Arrivals()
        self.db = self._open_db()
        self._topics: dict[str, form.StoredTopic] = {}
        self._parts: dict[str, list[Partition]] = {}
        self._limits: dict[str, int] = {}
        self._epochs: dict[str, int] = {}
        self._broken: LogError | None = None
        self._closed = False
        try:
            self._load()
        except BaseException:
            self.db.close()
            raise
        self._committer = Committer(self)
        self.janitor = Janitor(self)

    # What a Log can do.

    def reader(self, *, committed: bool = False) -> LocalReader:
        return LocalReader(self, committed)

    def appender(self) -> EmbeddedAppender:
        return EmbeddedAppender(self)

    def transaction(self, id: str, life: str = "") -> EmbeddedTransaction:
        with self.changed:
            self.check_usable()
            epoch = self._epochs.get(id)
            if epoch is None:
                stored = self.db.get(form.epoch_key(id))
                epoch = 0 if stored is None else form.decode_offset(stored)
            epoch += 1
            batch = WriteBatch(raw_mode=True)
            batch.put(form.epoch_key(id), form.pack_offset(epoch))
            self._write(batch)
            self._epochs[id] = epoch
        self.sync()
        return EmbeddedTransaction(self, id, epoch, life)

    def create(self, topics: Iterable[TopicSpec]) -> list[str]:
        created = []
        with self.changed:
            self.check_usable()
            for spec in topics:
                check_new(spec)
                there = self._topics.get(spec.name)
                if there is not None:
                    check_same(spec, there.partitions)
                    continue
                new_id = 1 + max((topic.id for topic in self._topics.values()), default=0)
                topic = form.StoredTopic(new_id, spec.partitions, dict(spec.config), uuid.uuid4().hex)
                batch = WriteBatch(raw_mode=True)
                batch.put(form.TOPICS + spec.name.encode(), topic.encode())
                self._write(batch)
                self._add(spec.name, topic, [(0, 0)] * spec.partitions)
                created.append(spec.name)
        if created:
            self.sync()
        return created

    def partitions(self, topic: str) -> int | None:
        there = self._parts.get(topic)
        return None if there is None else len(there)

    def topics(self) -> dict[str, int]:
        with self.changed:
            return {name: topic.partitions for name, topic in self._topics.items()}

    def topic_id(self, topic: str) -> str:
        with self.changed:
            self._check_open()
            there = self._topics.get(topic)
            if there is None:
                raise missing((topic, 0), None)
            return there.life

    def prepare(self, topics: Iterable[str]) -> None:
        for topic in topics:
            if self.partitions(topic) is None:
                raise missing((topic, 0), None)

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
            if before <= partition.start:
                return
            batch = WriteBatch(raw_mode=True)
            erase = before - partition.erased >= ERASE_RECORDS
            if erase:
                batch.delete_range(partition.key(partition.erased), partition.key(before))
            batch.put(partition.bounds, form.encode_bounds(before, partition.end))
            # Not synced: a trim that a power cut takes back only leaves more records.
            self._write(batch)
            partition.forget(before)
            if erase:
                partition.erased = before

    def close(self) -> None:
        with self.changed:
            if self._closed:
                return
            self._closed = True
            self.changed.tell_all()
        self.janitor.stop()
        self._committer.stop()
        self.db.close()

    # What its clients, in their own modules, are made of.

    def append(self, appender: EmbeddedAppender, place: Place, items: Sequence[Item], token: object) -> None:
        """Write a group, and have it acknowledged to `appender` once it is on disk."""
        with self.changed:
            self.check_usable()
            partition = self._partition(place)
            check_group(place[0], items, self._limits[place[0]])
            batch = WriteBatch(raw_mode=True)
            records = partition.put(batch, items, time.time_ns() // 1_000_000)
            try:
                self._write(batch)
            except LogError as error:
                # Not raised: part of it may be in the file, so that the outcome is unknown.
                self._committer.add(appender, failed(place, token, error))
                return
            partition.extend(records)
            self.changed.tell((place,))
            # Within the lock: acknowledgements come in the order of the appends.
            self._committer.add(appender, appended(place, token, records[-1].offset))
        if partition.compact_due:
            self.janitor.compact_soon(place)

    def commit(
        self, id: str, epoch: int, records: Iterable[TxnRecord], positions: Mapping[Place, int], life: str
    ) -> None:
        """Write records and positions in one batch, synced."""
        with self.changed:
            self.check_usable()
            if self._epochs[id] != epoch:
                raise Fenced(f"transaction {id!r} has a newer owner (epoch {self._epochs[id]}, not {epoch})")
            groups = by_place(records, self.partitions)
            now = time.time_ns() // 1_000_000
            batch = WriteBatch(raw_mode=True)
            written: list[tuple[Partition, list[Record]]] = []
            for place, items in groups.items():
                partition = self._partition(place)
                check_group(place[0], items, self._limits[place[0]])
                written.append((partition, partition.put(batch, items, now)))
            for place, position in positions.items():
                batch.put(form.position_key(id, place), form.encode_position(position, life))
            self._write(batch)
            for partition, made in written:
                partition.extend(made)
            self.changed.tell(groups)
        self.sync()

    def position(self, id: str, place: Place, life: str) -> int | None:
        """The position committed last under `id` for `place`; see `Transaction.position`."""
        self._check_open()
        stored = self.db.get(form.position_key(id, place))
        return of_this_life(None if stored is None else form.decode_position(stored), life)

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
            if offset >= partition.tail_first:
                index = offset - partition.tail_first
                found = partition.tail[index : index + limit]
                return found, offset + len(found)
            upto = partition.tail_first
        try:
            stored = form.scan(self.db, partition.prefix, partition.key(upto), offset, limit)
            found = [form.decode_record(place, at, data) for at, data in stored]
        except Exception as error:
            raise LogError(f"{self}: cannot read {place[0]}[{place[1]}] at {offset}: {error}") from error
        # Compaction leaves holes: fewer than asked for means that there are no more before `upto`.
        return found, upto if len(found) < limit else found[-1].offset + 1

    def sync(self) -> None:
        """Have everything on disk that was written before.

        Raises:
            LogError: if it cannot be; from then on the log takes nothing more.
        """
        # 250 µs, as long as a write with the sync option; but that one holds the GIL (another thread ran at
        # 47 % of its speed), and this does not (97 %).
        try:
            self.db.flush_wal(True)
        except Exception as error:
            raise self._break(error) from error

    def erase(self, keys: Iterable[bytes]) -> None:
        """Delete single records, for compaction."""
        batch = WriteBatch(raw_mode=True)
        for key in keys:
            batch.delete(key)
        self._write(batch)

    def fix_end(self, partition: Partition) -> int:
        """Store the end offset, because the record that it is known by may go. Returns it."""
        with self.changed:
            batch = WriteBatch(raw_mode=True)
            batch.put(partition.bounds, form.encode_bounds(partition.start, partition.end))
            self._write(batch)
            return partition.end

    def kept(self) -> list[tuple[Partition, dict[str, str]]]:
        """All partitions, with how their topics are to be kept."""
        with self.changed:
            return [
                (part, topic.config) for name, topic in self._topics.items() for part in self._parts[name]
            ]

    def check_usable(self) -> None:
        self._check_open()
        if self._broken is not None:
            raise LogError(str(self._broken)) from self._broken

    @property
    def closed(self) -> bool:
        return self._closed

    def __str__(self) -> str:
        return f"embedded log {self.path}"

    def _check_open(self) -> None:
        if self._closed:
            raise LogError(f"{self} is closed")

    def _partition(self, place: Place) -> Partition:
        there = self._parts.get(place[0])
        if there is None or not 0 <= place[1] < len(there):
            raise missing(place, None if there is None else len(there))
        return there[place[1]]

    def _write(self, batch: WriteBatch) -> None:
        try:
            self.db.write(batch)
        except Exception as error:
            raise self._break(error) from error

    def _break(self, error: Exception) -> LogError:
        if self._closed:
            return LogError(f"{self} was closed meanwhile: {error}")
        # For good: after a failed write or sync nobody can tell what the next one would make durable.
        broken = LogError(
            f"{self} cannot be written: {error}. Free disk space or check the disk, then restart"
        )
        with self.changed:
            if self._broken is None:
                self._broken = broken
                _log.error("%s", broken)
        return broken

    def _open_db(self) -> Rdict:
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        # The write-ahead log counts up to its first torn record, and not beyond: what survives is a prefix.
        options.set_wal_recovery_mode(DBRecoveryMode.point_in_time())
        options.set_compression_type(DBCompressionType.lz4())
        options.set_max_log_file_size(1 << 20)
        options.set_keep_log_file_num(2)
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            return Rdict(str(self.path), options)
        except Exception as error:
            text = str(error)
            if "lock" in text.lower():
                raise LogError(
                    f"{self} is held by another process: only one can have it open. Stop that one, "
                    f"or give this one another directory ({text})"
                ) from error
            raise LogError(f"{self} cannot be opened: {text}") from error

    def _load(self) -> None:
        marker = self.db.get(form.FORMAT_KEY)
        if marker is None:
            if form.holds_something(self.db):
                raise LogError(f"{self}: the directory holds another database; choose an empty one")
            self.db[form.FORMAT_KEY] = form.FORMAT
        elif marker != form.FORMAT:
            raise LogError(
                f"{self} has the format {marker!r}, this version reads {form.FORMAT!r}: upgrade it"
            )
        for name, topic in self._with_lives(form.stored_topics(self.db)):
            ranges = []
            for number in range(topic.partitions):
                prefix = form.records_prefix(topic.id, number)
                start, floor = form.decode_bounds(self.db.get(form.bounds_key(topic.id, number)))
                last = form.last_offset(self.db, prefix)
                # From the data, which a crash leaves as a prefix of what was written.
                end = floor if last is None else max(floor, last + 1)
                if start:
                    self.db.delete_range(prefix, prefix + form.pack_offset(start))
                ranges.append((start, end))
            self._add(name, topic, ranges)

    def _with_lives(self, stored: list[tuple[str, form.StoredTopic]]) -> list[tuple[str, form.StoredTopic]]:
        """Give an id to each topic that was made before topics had one."""
        batch = WriteBatch(raw_mode=True)
        named = []
        for name, topic in stored:
            if not topic.life:
                topic = topic._replace(life=uuid.uuid4().hex)
                batch.put(form.TOPICS + name.encode(), topic.encode())
            named.append((name, topic))
        if not batch.is_empty():
            self._write(batch)
            self.sync()
        return named

    def _add(self, name: str, topic: form.StoredTopic, ranges: Sequence[tuple[int, int]]) -> None:
        config = topic.config
        self._parts[name] = [
            Partition((name, number), topic.id, start, end, compacts(config))
            for number, (start, end) in enumerate(ranges)
        ]
        self._limits[name] = limit_of(config)
        self._topics[name] = topic
