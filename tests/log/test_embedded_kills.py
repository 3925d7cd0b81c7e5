"""Kill -9 and power cuts at every write of the embedded log.

What is found afterwards is the history that was acknowledged, and perhaps whole groups that were not yet:
never less, and never a refusal.
"""

import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from damaging import in_memory
from log_driving import acks, items

from plexstream.log.base import TopicSpec
from plexstream.log.embedded.files import partition, segments, wal
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.log.embedded.storage import checkpoints
from plexstream.log.embedded.threads import keep

__all__ = ["in_memory"]  # a fixture

COMPACT = {"cleanup.policy": "compact", "delete.retention.ms": "0"}
Files = dict[str, bytes]


class Moment(NamedTuple):
    """The files at one moment, and what had been promised then."""

    files: Files
    acknowledged: int
    trimmed: int
    how: str


class Machine:
    """Looks at a folder before each call that changes it: what a kill or a power cut would leave there.

    Attributes:
        acknowledged: groups that were acknowledged.
        trimmed: the highest start of the partition that was asked for.
    """

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.moments: list[Moment] = []
        self.acknowledged = 0
        self.trimmed = 0
        self._lock = threading.RLock()
        self._synced: dict[int, bytes] = {}  # by inode
        self._durable: dict[str, int] = {}  # names that are on disk
        self._kept: Files = {}  # and what is in them after a power cut
        self._real = {name: getattr(os, name) for name in ("pwrite", "ftruncate", "rename", "unlink", "open")}
        for name in self._real:
            patch.setattr(os, name, self._changing(name))
        patch.setattr(os, "fsync", self._sync)
        patch.setattr(os, "fdatasync", self._sync)

    def _changing(self, name: str):
        def call(*args, **named):
            makes = name != "open" or args[1] & os.O_CREAT
            with self._lock:
                if makes and self.folder.is_dir():
                    self._look(name, args if name == "pwrite" else ())
                return self._real[name](*args, **named)

        return call

    def _sync(self, fd: int) -> None:
        with self._lock:
            self._look("sync", ())
            told = os.fstat(fd)
            if stat.S_ISDIR(told.st_mode):
                self._durable = {file.name: file.stat().st_ino for file in self.folder.iterdir()}
                self._kept = {name: self._synced.get(node, b"") for name, node in self._durable.items()}
                return
            data = Path(f"/proc/self/fd/{fd}").read_bytes()
            self._synced[told.st_ino] = data
            for name, node in self._durable.items():
                if node == told.st_ino:
                    self._kept[name] = data

    def _look(self, what: str, write: tuple) -> None:
        now = {file.name: file.read_bytes() for file in self.folder.iterdir() if file.name != "LOCK"}
        self._note(now, f"killed before {what}")
        self._note(self._kept, f"power cut before {what}")
        torn = {
            name: data + now[name][len(data) : (len(data) + len(now[name])) // 2]
            for name, data in self._kept.items()
            if name in now
        }
        self._note(torn, f"power cut before {what}, torn")
        if write:
            fd, data, position = write
            name = os.path.basename(os.readlink(f"/proc/self/fd/{fd}"))
            if name in now:
                half = now[name][:position].ljust(position, b"\0") + bytes(data[: len(data) // 2])
                self._note({**now, name: half + now[name][len(half) :]}, f"killed in {what} of {name}")

    def _note(self, files: Files, how: str) -> None:
        files = {name: data for name, data in files.items() if name != "LOCK"}
        self.moments.append(Moment(files, self.acknowledged, self.trimmed, how))


@pytest.fixture
def machine(in_memory: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    for module in (segments, keep.segments, partition):
        monkeypatch.setattr(module, "CHUNK_BYTES", 200)
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 500)
    monkeypatch.setattr(wal, "AHEAD_BYTES", 300)
    monkeypatch.setattr(checkpoints, "WAL_BYTES", 1500)
    with monkeypatch.context() as patch:
        yield Machine(in_memory / "log", patch)


def work(machine: Machine) -> None:
    """Groups of one to three records into two topics, some by transactions; trims, compaction, and starts."""
    number = 0
    for _ in range(2):
        log = EmbeddedLog(machine.folder)
        log.create([TopicSpec("t", 1), TopicSpec("c", 1, COMPACT)])
        relay = log.transaction("relay")
        appender = log.appender()
        for _ in range(14):
            group = [b"%d %d of %d" % (number, n, 1 + number % 3) for n in range(1 + number % 3)]
            if number % 4 == 3:
                relay.commit([("t", 0, b"k", value) for value in group], {("t", 0): number})
            else:
                appender.append(("t", 0), items(*group), number)
                (ack,) = acks(appender, 1)
                assert ack.error is None
            number += 1
            machine.acknowledged = number
            appender.append(("c", 0), [(b"%d" % (number % 3), b"%d" % number)], None)
            acks(appender, 1)
            if number % 9 == 0:
                start, end = log.range(("t", 0))
                machine.trimmed = start + 3
                log.trim(("t", 0), machine.trimmed, end)
        log.janitor.tidy()
        log.close()


def check(folder: Path, moment: Moment) -> None:
    log = EmbeddedLog(folder)  # never a refusal
    try:
        if len(log.topics()) < 2:
            assert moment.acknowledged == 0
            return
        start, end = log.range(("t", 0))
        assert start <= moment.trimmed
        reader = log.reader()
        reader.assign(("t", 0), 0)
        values = []
        while some := reader.read(100, 0):
            assert [r.offset for r in some] == list(
                range(start + len(values), start + len(values) + len(some))
            )
            values += [r.value.split() for r in some]
        assert len(values) == end - start
        groups = [int(number) for number, *_ in values]
        assert groups == sorted(groups)
        if groups:
            assert sorted(set(groups)) == list(range(groups[0], groups[-1] + 1))
            last = [value for value in values if int(value[0]) == groups[-1]]
            assert len(last) == int(last[0][3]), "a group is there by half"
            assert groups[-1] in (moment.acknowledged - 1, moment.acknowledged)
        else:
            assert moment.acknowledged == 0
        if moment.acknowledged >= 4:
            committed = log.transaction("relay").position(("t", 0))
            assert committed is not None
            assert committed == (groups[-1] + 1) // 4 * 4 - 1
        # Of each key the newest is there.
        reader = log.reader()
        reader.assign(("c", 0), 0)
        found = {}
        while some := reader.read(100, 0):
            found.update((int(r.key), int(r.value)) for r in some)
        for key, value in found.items():
            assert value % 3 == key
            assert value > moment.acknowledged - 4
    finally:
        log.close()


def test_what_was_acknowledged_is_there_whenever_it_ends(machine, in_memory, monkeypatch):
    work(machine)
    machine.moments, moments = [], machine.moments
    monkeypatch.undo()  # the small sizes
    with monkeypatch.context() as quick:  # ends before what the machine has changed does
        quick.setattr(os, "fsync", lambda fd: None)
        quick.setattr(os, "fdatasync", lambda fd: None)
        look_at(moments, in_memory)


def look_at(moments: list[Moment], in_memory: Path) -> None:
    seen = set()
    for number, moment in enumerate(moments):
        key = (frozenset(moment.files.items()), moment.acknowledged)
        if key in seen:
            continue
        seen.add(key)
        folder = in_memory / f"moment-{number}"
        folder.mkdir()
        for name, data in moment.files.items():
            (folder / name).write_bytes(data)
        try:
            check(folder, moment)
        except Exception as error:
            raise AssertionError(f"{moment.how}, with {moment.acknowledged} acknowledged: {error}") from error
    assert len(seen) > 300
    assert {moment.how.split(" ")[0] for moment in moments} == {"killed", "power"}
