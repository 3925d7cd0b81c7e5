"""The write-ahead log: every append, of all topics, in one file after another, in the order of the appends.

`synced` is its second place: after each sync, and before anything is acknowledged, it is told how far that
reached. So a torn end, which a crash leaves behind what was synced, is told from damage to what was
acknowledged. It has two slots, written in turn; it is itself synced once a second, and when a new file is
begun: a power cut may leave it behind the log, never before it.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from struct import Struct
from typing import NamedTuple, TypeVar
from zlib import crc32

from plexstream.log.embedded.files import disk
from plexstream.log.embedded.files import format as form
from plexstream.log.memory.local import Arrivals

T = TypeVar("T")

SYNCED = "synced"
MARK_EVERY_S = 1.0
AHEAD_BYTES = 256 << 10
"""So many zeros are written behind what is small, now and then: where a file does not grow, the file system
has nothing to note of that, which takes as long as to sync what is in it."""
SMALL_BYTES = 16 << 10
"""Where more is synced at once, that matters less, and zeros would be much."""
_SLOT = Struct(">4sQQII")
_INVERTED = 0xFFFFFFFF
"""What goes before a header is inverted in it: a header has no place among the frames of appends."""
_SLOT_AT = (0, 512)  # in two sectors: a torn write of one leaves the other


class Mark(NamedTuple):
    """How far the write-ahead log is synced: file, position in it, checksum of the last frame before that."""

    number: int
    position: int
    crc: int


def wal_path(folder: Path, number: int) -> Path:
    return folder / f"wal-{number:010}"


def encode_mark(mark: Mark) -> bytes:
    number, position, crc = mark
    slot = _SLOT.pack(form.MAGIC, number, position, crc, 0)
    return slot[:-4] + crc32(slot[:-4]).to_bytes(4, "big")


def read_mark(folder: Path) -> Mark | None:
    """The newer slot that is whole."""
    try:
        data = disk.read_at(folder / SYNCED, 0, 1024)
    except FileNotFoundError:
        return None
    found: list[Mark] = []
    for at in _SLOT_AT:
        slot = data[at : at + _SLOT.size]
        if len(slot) == _SLOT.size:
            magic, number, position, crc, check = _SLOT.unpack(slot)
            if magic == form.MAGIC and check == crc32(slot[:-4]):
                found.append(Mark(number, position, crc))
    return max(found, default=None)


def write_mark(folder: Path, mark: Mark) -> None:
    """Have `synced` on disk, with `mark` in both slots."""
    for at in _SLOT_AT:
        disk.write_file(folder / SYNCED, encode_mark(mark), at)
        disk.sync(folder / SYNCED)


def begin(folder: Path, number: int, after: Mark) -> Mark:
    """Make the file `number`, which goes on behind `after`; the end of its header."""
    path = wal_path(folder, number)
    path.unlink(missing_ok=True)
    body = form.encode_json({"format": form.FORMAT, "wal": number, "after": after.position})
    head, _ = form.frame(after.crc ^ _INVERTED, body)
    try:
        disk.write_file(path, head)
        disk.sync(path)
        disk.sync(folder)
    except OSError:
        with suppress(OSError):
            path.unlink(missing_ok=True)
        raise
    return Mark(number, len(head), after.crc)  # the chain of what was appended passes headers by


class Header(NamedTuple):
    """The header of a file: where it ends, the checksum that goes before, and where the file before ended."""

    end: int
    crc: int
    number: int
    after: int


def read_header(data: bytes) -> Header | None:
    found = form.read_frame(data, 0, None)
    if found is None:
        return None
    head = form.decode_object(found.body)
    if not head.keys() >= {"wal", "after"}:
        return None
    return Header(found.end, int.from_bytes(data[8:12], "big") ^ _INVERTED, head["wal"], head["after"])


class Wal:
    """The file that is being written.

    Parameters:
        mark: where it ends, all of it synced.
        lock: the log's lock, under which `add` is called.

    Attributes:
        size: bytes in it, with those that are not written yet.
    """

    def __init__(self, folder: Path, mark: Mark, lock: Arrivals) -> None:
        self._folder = folder
        self._lock = lock
        self._mark = mark
        self._crc = mark.crc
        self._queue: deque[bytes] = deque()
        self._pending: list[bytes] = []  # taken from the queue, not synced yet
        self._syncing = threading.Lock()
        self._added = self._synced = 0  # bytes since it was opened
        self._turn = 0
        self._mark_synced = time.monotonic()
        self.size = mark.position
        self._reaches = mark.position  # the file, with zeros behind its end
        self._ahead = True  # zeros are written; no more of them to a file whose disk had no room for some
        self._file = os.open(wal_path(folder, mark.number), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.ftruncate(self._file, mark.position)
            os.fsync(self._file)
            write_mark(folder, mark)
            self._marks = os.open(folder / SYNCED, os.O_WRONLY | os.O_CLOEXEC)
        except BaseException:
            os.close(self._file)
            raise

    @property
    def mark(self) -> Mark:
        return self._mark

    @property
    def owes(self) -> bool:
        """Whether something was added that is not synced."""
        return bool(self._pending or self._queue)

    def add(self, body: bytes) -> None:
        """Add a frame. It is in order behind those before, and on disk after the next `sync`."""
        data, self._crc = form.frame(self._crc, body)
        self._queue.append(data)
        self._added += len(data)
        self.size += len(data)

    def sync(self) -> bool:
        """Have everything on disk that was added before.

        Who comes while others sync waits for one sync more, however many wait: it has what all of them added.

        Returns:
            Whether all is on disk that is owed. Else it is what was added before, and whoever added the rest
            syncs it.

        Raises:
            OSError: it is not. The next call tries again, in order.
        """
        upto = self._added
        with self._syncing:
            if self._synced >= upto and self.owes:
                return False
            self._take()
            self._write()
            return True

    def roll(self, capture: Callable[[int], T]) -> T:
        """Begin the next file. `capture` is called with its number, with all before added and nothing behind.

        Raises:
            OSError: the old file goes on.
        """
        with self._syncing:
            with self._lock:
                captured = capture(self._mark.number + 1)
                self._take()
            self._write()
            mark = begin(self._folder, self._mark.number + 1, self._mark)
            file = os.open(wal_path(self._folder, mark.number), os.O_WRONLY | os.O_CLOEXEC)
            try:
                self._put_both(mark)
            except OSError:
                os.close(file)
                self._put_both(self._mark)  # else a slot names a file that the log does not go on in
                raise
            os.close(self._file)
            with self._lock:
                self.size += mark.position - self._mark.position
            self._file, self._mark, self._reaches, self._ahead = file, mark, mark.position, True
            return captured

    def close(self) -> None:
        with suppress(OSError):
            os.ftruncate(self._file, self._mark.position)
        os.close(self._file)
        with suppress(OSError):
            os.fsync(self._marks)
        os.close(self._marks)

    def _take(self) -> None:
        # Without the log's lock, which whoever appends would wait for.
        queue = self._queue
        self._pending += [queue.popleft() for _ in range(len(queue))]

    def _write(self) -> None:
        if not self._pending:
            return
        number, position, _ = self._mark
        data = b"".join(self._pending)
        try:
            disk.write_at(self._file, data, position)
            self._reach(position + len(data), len(data))
            os.fdatasync(self._file)
        except OSError:
            self._reaches = position
            with suppress(OSError):
                os.ftruncate(self._file, position)
            raise
        mark = Mark(number, position + len(data), form.frame_crc(self._pending[-1]))
        self._put_mark(mark)
        self._mark, self._pending = mark, []
        self._synced += len(data)

    def _reach(self, end: int, size: int) -> None:
        """So many bytes were written, up to `end`."""
        if end > self._reaches:
            self._reaches = end
            if size <= SMALL_BYTES and self._ahead:
                try:
                    disk.write_at(self._file, bytes(AHEAD_BYTES), end)
                    self._reaches = end + AHEAD_BYTES
                except OSError:  # a disk that is nearly full: what room it has is for what is in order
                    self._ahead = False
                    with suppress(OSError):
                        os.ftruncate(self._file, end)

    def _put_mark(self, mark: Mark) -> None:
        self._turn ^= 1
        disk.write_at(self._marks, encode_mark(mark), _SLOT_AT[self._turn])
        now = time.monotonic()
        if now - self._mark_synced > MARK_EVERY_S:
            self._mark_synced = now
            os.fdatasync(self._marks)

    def _put_both(self, mark: Mark) -> None:
        # Frames go into the new file only afterwards: a slot that is garbled later must not name the old one.
        for at in _SLOT_AT:
            disk.write_at(self._marks, encode_mark(mark), at)
            os.fdatasync(self._marks)
