"""What the embedded log leaves on a full disk, and how often it compacts."""

import errno
import os
import shutil
import threading
import time

import pytest
from log_driving import acks, append, fill, items

from plexstream.log.base import TopicSpec
from plexstream.log.embedded.files import partition as partitions
from plexstream.log.embedded.files.wal import wal_path
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.log.embedded.threads.janitor import Janitor

PLACE, COMPACTED = ("t", 0), ("c", 0)
COMPACT = {"cleanup.policy": "compact", "delete.retention.ms": "0"}


@pytest.fixture
def log(tmp_path):
    log = EmbeddedLog(tmp_path / "log")
    log.create([TopicSpec("t", 1), TopicSpec("c", 1, COMPACT)])
    yield log
    log.close()


def values(log):
    return [record.value for record in log.storage.fetch(PLACE, 0, 100, False)[0]]


@pytest.mark.parametrize("where", ["in the middle of a write", "when it is synced"])
def test_what_a_full_disk_refuses_takes_no_room_on_it_and_is_gone_with_the_process(
    log, tmp_path, monkeypatch, where
):
    """A part of it would take what little room there is, and all of it come back after a crash."""
    write, sync = os.pwrite, os.fdatasync
    full, refusals = threading.Event(), [0]

    def no_room():
        refusals[0] += 1
        raise OSError(errno.ENOSPC, "No space left on device")

    def may_write(fd, data, position):
        if full.is_set() and "write" in where:
            return write(fd, data[:20], position) if len(data) > 20 else no_room()
        return write(fd, data, position)

    def may_sync(fd):
        return no_room() if full.is_set() and "synced" in where else sync(fd)

    monkeypatch.setattr(os, "pwrite", may_write)
    monkeypatch.setattr(os, "fdatasync", may_sync)
    appender = log.appender()
    assert append(appender, PLACE, items(b"before")) == 0
    wal = log.storage._wal
    full.set()
    appender.append(PLACE, items(b"refused" * 50), "token")
    (ack,) = acks(appender, 1)
    assert ack.error is not None
    end = time.monotonic() + 20
    while refusals[0] < 2 and time.monotonic() < end:  # it is tried again, with the same end
        time.sleep(0.01)
    with wal._syncing:  # between two attempts
        mark = wal.mark
        assert wal_path(log.path, mark.number).stat().st_size == mark.position
        shutil.copytree(log.path, tmp_path / "crashed")
    full.clear()
    crashed = EmbeddedLog(tmp_path / "crashed")
    assert values(crashed) == [b"before"]
    crashed.close()
    while log.storage.outage.lasts and time.monotonic() < end:
        time.sleep(0.01)
    assert append(appender, PLACE, items(b"after")) == 2  # without a crash it is written, in its place
    assert values(log) == [b"before", b"refused" * 50, b"after"]


def test_who_keeps_many_keys_is_compacted_after_as_many_appends_and_no_earlier(log, monkeypatch):
    """Else a few appends would cost that all keys are written anew, however many they are."""
    monkeypatch.setattr(partitions, "COMPACT_EVERY", 10)
    monkeypatch.setattr(Janitor, "compact_soon", lambda self, place: None)
    keys = [b"%d" % n for n in range(40)]

    def put(count, value):
        appender = log.appender()
        append(appender, COMPACTED, [(key, value) for key in keys[:count]])
        appender.close()

    def due():
        return log.storage.compact_due(COMPACTED)

    put(40, b"1")
    log.janitor.tidy()
    for value in (b"2", b"3"):
        put(39, value)
        assert not due()
        put(1, value)
        assert due()
        log.janitor.tidy()
    put(5, b"4")
    log.close()
    again = EmbeddedLog(log.path)  # the pace is known by a log that is opened, too
    try:
        fill(again, COMPACTED, *[b"5"] * 34)
        assert not again.storage.compact_due(COMPACTED)
        fill(again, COMPACTED, b"6")
        assert again.storage.compact_due(COMPACTED)
    finally:
        again.close()
