"""State stores of partitions that another node has now: deleted after a while."""

from __future__ import annotations

import logging
import os
import shutil
import time
from collections.abc import Collection, Iterable
from pathlib import Path

_log = logging.getLogger("plexstream.node")

EVERY_S = 60.0
"""How often stores are looked at. Those in use are marked then, so that their age is known after a crash."""
SETTLED_S = 300.0
"""For how long the assignment must be the same: a node that starts gets partitions one after the other."""

_ASIDE = ".gone-"
_DIGITS = 5


def store_path(folder: Path, partition: int) -> Path:
    """Where the store of a partition is."""
    return folder / f"{partition:0{_DIGITS}}"


class Leftovers:
    """Finds stores in `folder` that were not in use for `keep_ms` milliseconds; 0: they are kept for ever.

    A store's age is that of its folder by the file system, which outlives the process.
    """

    def __init__(self, folder: Path, keep_ms: int) -> None:
        self._folder = folder
        self._keep_s = keep_ms / 1000
        self._assigned: frozenset[int] = frozenset()
        self._since = self._look_at = time.monotonic()

    def due(self, assigned: frozenset[int]) -> bool:
        """Whether it is time to look; to be asked often. `assigned`: what this worker is to have."""
        now = time.monotonic()
        if assigned is not self._assigned and assigned != self._assigned:
            self._since = now
        self._assigned = assigned
        return self._keep_s > 0 and now >= self._look_at

    def set_aside(self, in_use: Collection[int]) -> list[Path]:
        """Rename what is too old: from then on nobody opens it, and another thread may `delete` it.

        To be called by who opens the stores; `in_use` are those that it has, besides what it is assigned.
        Without an assignment it may only have lost touch with the others, and nothing is too old. Raises
        nothing.
        """
        now = time.monotonic()
        self._look_at = now + EVERY_S
        settled = bool(self._assigned) and now - self._since >= min(SETTLED_S, self._keep_s)
        try:
            return self._look({*self._assigned, *in_use}, settled)
        except OSError as error:
            _log.warning("state stores that are not needed stay: %s", error)
            return []

    def _look(self, needed: Collection[int], settled: bool) -> list[Path]:
        if not self._folder.is_dir():
            return []
        found = []
        for path in sorted(self._folder.iterdir()):
            if path.name.startswith(_ASIDE):
                found.append(path)  # of a process that ended before it was deleted
            elif not _is_store(path):
                continue
            elif int(path.name) in needed:
                os.utime(path)
            elif settled and (age := time.time() - path.stat().st_mtime) >= self._keep_s:
                aside = path.with_name(f"{_ASIDE}{path.name}-{time.time_ns()}")
                path.rename(aside)
                found.append(aside)
                _log.info(
                    "partition %d is not on this node: its state store, last used %.1f h ago, is deleted",
                    int(path.name), age / 3600,
                )  # fmt: skip
        return found


def delete(folders: Iterable[Path]) -> None:
    """Delete what was set aside; what cannot be deleted is tried again. Raises nothing."""
    for path in folders:
        try:
            shutil.rmtree(path)
        except OSError as error:
            _log.warning("%s is not needed, and cannot be deleted: %s", path, error)


def _is_store(path: Path) -> bool:
    name = path.name
    return (
        name.isascii()
        and name.isdigit()
        and path == store_path(path.parent, int(name))
        and path.is_dir()
        and not path.is_symlink()
    )
