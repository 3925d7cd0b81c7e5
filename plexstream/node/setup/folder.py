"""The data folder of a node: one node at a time has it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from plexstream.model.errors import ConfigError

_LOCK = "node.lock"


class Folder:
    """A data folder, made where it is missing. `hold` keeps other nodes on this machine out of it.

    Two nodes with one folder have one name for Kafka, too: each would take the partitions, fence the other
    and find the state stores open, over and over. The kernel lets go of the lock when the node's process
    ends, however that comes; its workers, which may outlive it for a moment, do not have it.

    Raises:
        ConfigError: it cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock: int | None = None
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(
                f"data folder {path} cannot be made ({error.strerror}): name another with --data DIR"
            ) from error

    def hold(self) -> None:
        """Take the folder until `release`.

        Raises:
            ConfigError: another node has it, or it cannot be written to.
        """
        try:
            lock = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigError(
                f"data folder {self._path} cannot be written to ({error.strerror}): "
                "name another with --data DIR"
            ) from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise ConfigError(
                f"data folder {self._path} is in use by another node: stop that one, or give this one a "
                "folder of its own with --data DIR"
            ) from None
        self._lock = lock

    def release(self) -> None:
        """Let others have it. Nothing happens where it is not held."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
