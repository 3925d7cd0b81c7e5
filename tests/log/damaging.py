"""A small embedded log with all kinds of files, for the tests that damage it."""

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from log_driving import fill

from plexstream.log.base import Record, TopicSpec
from plexstream.log.embedded.files import segments
from plexstream.log.embedded.log import EmbeddedLog

COMPACT = {"cleanup.policy": "compact", "delete.retention.ms": "0"}
PLACES = [("t", 0), ("t", 1), ("c", 0)]


class History(NamedTuple):
    """All that a log tells."""

    ranges: list[tuple[int, int]]
    records: list[list[Record]]
    position: int | None
    lives: list[str]


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many files of few bytes, and no waiting for the disk."""
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 600)
    monkeypatch.setattr(segments, "CHUNK_BYTES", 150)
    monkeypatch.setattr(os, "fsync", lambda fd: None)
    monkeypatch.setattr(os, "fdatasync", lambda fd: None)


def everything(log: EmbeddedLog) -> list[list[Record]]:
    found = []
    for place in PLACES:
        reader = log.reader()
        reader.assign(place, 0)
        mine: list[Record] = []
        while some := reader.read(7, 0):
            mine += some
        found.append(mine)
    return found


def history(log: EmbeddedLog) -> History:
    transaction = log.transaction("relay")
    return History(
        [log.range(place) for place in PLACES],
        everything(log),
        transaction.position(("t", 0)),
        [log.topic_id(topic) for topic in ("t", "c")],
    )


def make(path: Path, tidied: bool) -> History:
    """A log with all kinds of files and entries; the last of it is in the write-ahead log only."""
    log = EmbeddedLog(path)
    log.create([TopicSpec("t", 2), TopicSpec("c", 1, COMPACT)])
    if tidied:
        for n in range(12):
            fill(log, ("t", n % 2), b"value %d" % n, b"", None, b"x" * 40)
            fill(log, ("c", 0), b"one %d" % n)
        log.trim(("t", 0), 2, 24)
        log.janitor.tidy()
    fill(log, ("t", 0), b"last but one")
    both = [("t", 1, b"k", b"by a transaction"), ("c", 0, b"z", b"z")]
    log.transaction("relay").commit(both, {("t", 0): 3})
    fill(log, ("t", 1), b"last")
    log.close()
    log = EmbeddedLog(path)  # what compaction removed is in memory until then
    told = history(log)
    log.close()
    return told


@pytest.fixture
def in_memory() -> Iterator[Path]:
    """A folder for thousands of small writes: in memory where there is such a place."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        yield Path(folder)


class Folder:
    """A log's files, which come back as they were."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = {file.name: file.read_bytes() for file in path.iterdir() if file.name != "LOCK"}

    def restore(self) -> None:
        for file in self.path.iterdir():
            if file.name not in self.files:
                file.unlink()
        for name, data in self.files.items():
            (self.path / name).write_bytes(data)
