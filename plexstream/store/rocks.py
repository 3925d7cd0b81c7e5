"""A store on RocksDB: one folder a partition.

Writes go to RocksDB's log without a sync: they survive the process, and a power cut only costs the
replay of what was lost, since the journal offset stands in the same batch as the data it reflects.
"""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path

from rocksdict import (
    AccessType,
    BlockBasedIndexType,
    BlockBasedOptions,
    Cache,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
    WriteBufferManager,
)

from plexstream.model.errors import PlexstreamError, StoreCorrupt, StoreInUse, StoreUnavailable
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.schema.codec import decode_snapshot, encode_snapshot
from plexstream.store.keys import (
    DUE,
    Due,
    PieceKey,
    after,
    decode_due,
    encode_due,
    encode_key,
    entry_range,
    prefix,
)

_log = logging.getLogger("plexstream.node")

MEMORY_BYTES = 128 * 1024 * 1024
"""What all stores of a process together keep in memory, by default."""
WRITE_BUFFER_BYTES = 16 * 1024 * 1024
"""What one store keeps in memory before it is written to a file."""
_CHUNK = 1000
_FAMILY = "default"  # where all keys are
_TIMER = Piece.TIMER.value
_FORMAT = b"\xf1format"
_FORMAT_IS = b"2"  # with the order in which timers are due
_BEYOND = b"\xff"  # no key begins with it
_TIMERS = b"\xf1timers"  # how many there are


@cache
def _shared(memory: int) -> tuple[Cache, WriteBufferManager]:
    """Blocks that were read, and what is not written to files yet, at most half of it: once a process."""
    blocks = Cache(memory)
    return blocks, WriteBufferManager.new_write_buffer_manager_with_cache(memory // 2, False, blocks)


def _options(memory: int) -> Options:
    blocks, buffers = _shared(memory)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_write_buffer_number(3)
    options.set_write_buffer_manager(buffers)
    options.set_keep_log_file_num(2)
    options.set_max_open_files(256)
    table = BlockBasedOptions()
    table.set_block_cache(blocks)
    table.set_cache_index_and_filter_blocks(True)  # else they grow with the state, beside the cache
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    table.set_bloom_filter(10, False)
    # Whole, those of a large file fill a shard of the cache (1/64 of it): they throw out one another, and are
    # read again for each key. In parts, a key costs one part of each, and only what names the parts stays.
    table.set_index_type(BlockBasedIndexType.two_level_index_search())
    table.set_partition_filters(True)
    table.set_metadata_block_size(4096)
    table.set_pin_top_level_index_and_filter(True)
    options.set_block_based_table_factory(table)
    return options


def _rows(db: Rdict, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    """Up to `limit` keys and values from `start` to before `end`. Fewer mean that there are no more.

    RocksDB's iterators end at a damaged block as they do at the last key: only their status tells, which
    `items()` and `keys()` never look at.
    """
    options = ReadOptions()
    # Never its set_iterate_lower_bound: in rocksdict 0.3 that sets this one, too.
    options.set_iterate_upper_bound(end)
    found: list[tuple[bytes, bytes]] = []
    rows = db.iter(options)  # no longer than this call: it would hold RocksDB's lock after a close
    rows.seek(start)
    while len(found) < limit and rows.valid():
        found.append((rows.key(), rows.value()))  # raw mode: bytes
        rows.next()
    rows.status()
    return found


def _last_rows(db: Rdict, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
    """The same from before `end` down to `start`.

    Without a bound, since rocksdict 0.3 has none below: keys are compared.
    """
    found: list[tuple[bytes, bytes]] = []
    rows = db.iter(ReadOptions())
    rows.seek_for_prev(end)
    if rows.valid() and rows.key() >= end:
        rows.prev()
    while len(found) < limit and rows.valid() and rows.key() >= start:
        found.append((rows.key(), rows.value()))
        rows.prev()
    rows.status()
    return found


_ADVICE = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "make room on the disk, or raise the quota",
    errno.EFBIG: "raise the limit of a file's size (ulimit -f)",
    errno.EMFILE: "raise the limit of open files (ulimit -n, LimitNOFILE)",
    errno.ENFILE: "raise the system's limit of open files (fs.file-max)",
    errno.ENOMEM: "give the machine memory",
    errno.EIO: "look at the disk and the system's log",
    errno.EROFS: "mount the disk for writing, or name another folder with --data",
    errno.EACCES: "make the folder writable for this user",
    errno.EPERM: "make the folder writable for this user",
}
"""What is wrong with the machine and not with the store, and what to do about it. RocksDB gives the number as
text, sometimes behind the word corruption."""


def _failure(path: Path, doing: str, error: Exception) -> PlexstreamError:
    """The error of the tree for one of RocksDB's, which rocksdict raises as a plain Exception with its text.

    A store is corrupt where its bytes are not what they should be, or a file of it is missing. Whatever else
    the system refuses passes, and costs no store.
    """
    if isinstance(error, StoreUnavailable):
        return error
    text = str(error)
    if "lock file" in text or "lock hold" in text:
        return StoreInUse(
            f"{path} is open in another process: give each node a data folder of its own (--data), "
            "or stop the other one"
        )
    for number, advice in _ADVICE.items():
        if os.strerror(number) in text or (isinstance(error, OSError) and error.errno == number):
            return StoreUnavailable(f"{path} cannot be {doing}: {text}: {advice}")
    missing = os.strerror(errno.ENOENT) in text
    if text.startswith("IO error") and not missing:
        return StoreUnavailable(f"{path} cannot be {doing}: {text}: look at the disk and the system's log")
    return StoreCorrupt(f"{path} cannot be {doing}: {text}")


class RocksStore:
    """Pieces of one partition in the folder `path`.

    Parameters:
        memory: bytes that all stores of the process which are opened with this number have together.

    Raises:
        StoreInUse: another process has it open.
        StoreUnavailable: the system refuses (disk full, no more files); nothing is wrong with it.
        StoreCorrupt: RocksDB cannot open it. `wipe` makes a new one.

    Every method may raise StoreUnavailable. After a failed write RocksDB takes no more until it is opened
    again, which the next call does.
    """

    def __init__(self, path: Path, memory: int = MEMORY_BYTES) -> None:
        self.path = path
        self._memory = memory
        self._db: Rdict | None = None
        self._timers = 0
        self._new = False  # nothing was written to it yet
        self._closed = False
        try:
            self._open()
        except Exception as error:  # rocksdict raises plain Exception
            self._release()
            raise _failure(path, "opened", error) from error

    def _begin(self, db: Rdict) -> None:
        found = db.get(_FORMAT)
        if found is None and not _rows(db, b"", _BEYOND, 1):
            db[_FORMAT] = _FORMAT_IS
            self._new = True
        elif found != _FORMAT_IS:
            raise StoreCorrupt("it was written by another version")
        self._timers = int(db.get(_TIMERS) or 0)

    def _open(self) -> Rdict:
        """The database, opened again where it was let go because of an error."""
        if self._db is None:
            assert not self._closed, f"{self.path} is closed"
            self.path.mkdir(parents=True, exist_ok=True)
            options = _options(self._memory)
            # Named, since a database that is there is else opened with what it was made with last: without
            # the cache of all, and without its filters.
            self._db = Rdict(str(self.path), options, column_families={_FAMILY: options})
            try:
                self._begin(self._db)
            except Exception:
                self._release()
                raise
        return self._db

    def _release(self) -> None:
        """Let go of the database; not even an error of that is in anybody's way."""
        db, self._db = self._db, None
        if db is not None:
            try:
                db.close()
            except Exception as error:
                _log.warning("%s was not closed in good order: %s", self.path, error)

    def get(self, key: PieceKey) -> Snapshot | None:
        """The piece, or None. Raises StoreCorrupt."""
        encoded = encode_key(key)  # what cannot be encoded is no fault of the store
        try:
            data = self._open().get(encoded)
            return None if data is None else decode_snapshot(data)
        except Exception as error:
            raise _failure(self.path, "read", error) from error

    def scan(self, kind: int, address: str | None = None, name: str | None = None) -> Iterator[Snapshot]:
        """All pieces of a kind, of an address, of a name, by key. Raises StoreCorrupt."""
        start = prefix(kind, address, name)
        end = after(start)
        while True:
            try:
                chunk = _rows(self._open(), start, end, _CHUNK)
                pieces = [decode_snapshot(value) for _, value in chunk]
            except Exception as error:
                raise _failure(self.path, "read", error) from error
            yield from pieces
            if len(chunk) < _CHUNK:
                return
            start = chunk[-1][0] + b"\0"

    def entries(
        self, address: str, name: str, start: str, stop: str | None, limit: int, reverse: bool = False
    ) -> list[Snapshot]:
        """The first, or last, `limit` entries from `start` to before `stop`. Raises StoreCorrupt."""
        low, high = entry_range(address, name, start, stop)
        try:
            rows = (_last_rows if reverse else _rows)(self._open(), low, high, limit)
            return [decode_snapshot(value) for _, value in rows]
        except Exception as error:
            raise _failure(self.path, "read", error) from error

    def write(self, pieces: Mapping[PieceKey, Snapshot | None]) -> None:
        """Put and delete pieces, all or none. Raises StoreCorrupt.

        What came and went between two writes is none that is deleted: each scan would read what says so.
        """
        self._new = False
        batch = WriteBatch(raw_mode=True)
        timers = self._timers
        encoded_pieces = [
            (key, piece, encode_key(key), None if piece is None else encode_snapshot(piece))
            for key, piece in pieces.items()
        ]  # what cannot be encoded is no fault of the store
        try:
            db = self._open()
            for key, piece, encoded, data in encoded_pieces:
                if key[0] == _TIMER:
                    timers += self._order(batch, key, piece)
                if data is not None:
                    batch.put(encoded, data)
                elif db.key_may_exist(encoded):  # by what is in memory: filters, and what is in no file yet
                    batch.delete(encoded)
            if timers != self._timers:
                batch.put(_TIMERS, b"%d" % timers)
            db.write(batch)
        except Exception as error:
            self._release()
            raise _failure(self.path, "written", error) from error
        self._timers = timers

    def _order(self, batch: WriteBatch, key: PieceKey, timer: Snapshot | None) -> int:
        """Keep the order in which timers are due; returns how many more there are."""
        before = self.get(key)
        if before is not None:
            batch.delete(encode_due((before.time, key[1], key[2])))
        if timer is not None:
            batch.put(encode_due((timer.time, key[1], key[2])), b"")
        return (timer is not None) - (before is not None)

    def due(self, after: Due, limit: int) -> list[Due]:
        """The first `limit` timers behind `after`, by due time, actor and id. Raises StoreCorrupt."""
        try:
            rows = _rows(self._open(), encode_due(after) + b"\0", bytes((DUE[0] + 1,)), limit)
            return [decode_due(key) for key, _ in rows]
        except Exception as error:
            raise _failure(self.path, "read", error) from error

    def timers(self) -> int:
        """How many timers there are."""
        return self._timers

    def close(self) -> None:
        """Release the folder. Raises nothing."""
        self._closed = True
        self._release()

    def wipe(self) -> None:
        """Begin with an empty folder."""
        if self._new:  # to make another one takes up to 0.1 s
            return
        self._release()
        try:
            _remove(self.path)
            self._open()
        except Exception as error:
            raise _failure(self.path, "emptied", error) from error


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def peek(path: Path, keys: Iterable[PieceKey]) -> list[Snapshot | None]:
    """Pieces of a store, which is neither changed nor locked. Raises StoreCorrupt."""
    options = Options(raw_mode=True)
    options.create_if_missing(False)
    options.set_max_open_files(16)
    try:
        db = Rdict(str(path), options, access_type=AccessType.read_only())
        try:
            found = [db.get(encode_key(key)) for key in keys]
        finally:
            db.close()
        return [None if data is None else decode_snapshot(data) for data in found]
    except Exception as error:  # rocksdict raises plain Exception
        raise StoreCorrupt(f"{path} cannot be read: {error}") from error


def open_or_rebuild(path: Path, memory: int = MEMORY_BYTES) -> tuple[RocksStore, str]:
    """Open a store; where it is corrupt begin with an empty one, and tell why. The log fills it again.

    Raises:
        StoreUnavailable: it cannot be opened now; nothing of it was deleted.
    """
    try:
        return RocksStore(path, memory), ""
    except StoreCorrupt as error:
        why = str(error)
    try:
        _remove(path)
    except OSError as error:
        raise StoreUnavailable(f"{path} is corrupt ({why}) and cannot be deleted: {error}") from error
    return RocksStore(path, memory), why
