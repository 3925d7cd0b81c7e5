"""Files as the embedded log writes them, what a disk may refuse, and what to do about damage."""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

from plexstream.model.errors import LogDamaged, LogError, LogUnavailable

_PASSING = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR}
TEMPORARY = ".new"
LOCK = "LOCK"


class Damage(NamedTuple):
    """Something acknowledged that is not there as it was written."""

    file: Path
    at: int
    """The first byte that is wrong; -1: nothing is wrong with this file, which shows what others lack."""
    what: str
    lost: str
    """What is lost if it is accepted."""

    def __str__(self) -> str:
        where = f" is damaged at byte {self.at}" if self.at >= 0 else ""
        return f"{self.file}{where}: {self.what}; lost: {self.lost}"


Judge = Callable[[Damage], None]
"""What to do about damage: raise, or take note and go on without what is lost."""


def refuse(damage: Damage) -> NoReturn:
    """The judge of everyone but `doctor --repair`."""
    raise LogDamaged(
        f"{damage}. Nothing was changed. Restore the folder from a backup, or see "
        "`plexstream doctor --repair` for what can be saved"
    )


def passes(error: OSError) -> bool:
    """Whether what the system refuses now may be had later: room on the disk, file descriptors."""
    return error.errno in _PASSING


def refused(what: str, error: OSError) -> LogError:
    """An error of the system as one of the log."""
    if passes(error):
        return LogUnavailable(
            f"{what}: {error}. Free disk space, or raise the limit on open files (ulimit -n): "
            "it goes on by itself, and nothing that was acknowledged is lost"
        )
    return LogError(f"{what}: {error}. Check the disk, then restart")


def write_at(fd: int, data: bytes, position: int) -> None:
    """Write all of `data`."""
    left = memoryview(data)
    while left:
        written = os.pwrite(fd, left, position)
        position += written
        left = left[written:]


def write_file(path: Path, data: bytes, position: int = 0) -> None:
    """Write all of `data` into a file, which is made if it is not there. Not synced."""
    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644)
    try:
        write_at(fd, data, position)
    finally:
        os.close(fd)


def read_at(path: Path, position: int, size: int) -> bytes:
    """Up to `size` bytes from `position` on; fewer where the file ends."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts: list[bytes] = []
        while size > 0 and (some := os.pread(fd, size, position)):
            parts.append(some)
            position += len(some)
            size -= len(some)
        return b"".join(parts)
    finally:
        os.close(fd)


def sync(path: Path) -> None:
    """Have a file, or the names in a folder, on disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def replace(path: Path, data: bytes) -> None:
    """Have a file on disk that is the new one or, after a crash, the old one."""
    new = path.with_name(path.name + TEMPORARY)
    new.unlink(missing_ok=True)
    write_file(new, data)
    sync(new)
    new.rename(path)
    sync(path.parent)


def lock(path: Path) -> int:
    """Make the folder of a log this process's own, until the descriptor is closed.

    Raises:
        LogError: it cannot be.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        fd = os.open(path / LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise refused(f"embedded log {path} cannot be opened", error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(fd)
        raise LogError(
            f"embedded log {path} is held by another process: only one can have it open (lock). Stop that "
            "one, or give this one another directory (--data DIR)"
        ) from error
    return fd
