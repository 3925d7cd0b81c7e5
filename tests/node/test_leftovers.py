"""Stores of partitions that moved away are deleted after a while, and no others."""

import logging
import os
import time

import pytest
from installation import PARTITIONS, Installation, wait_until

from plexstream.log.memory.memory import MemoryLog
from plexstream.node.shared import leftovers
from plexstream.node.shared.leftovers import Leftovers, delete, store_path
from plexstream.processor import Settings

HOUR_MS = 3_600_000
ACTORS = [f"account/{n}" for n in range(8)]


def store(folder, partition, hours=0.0):
    path = store_path(folder, partition)
    path.mkdir(parents=True)
    (path / "000004.log").write_bytes(b"data")
    aged(path, hours)
    return path


def aged(path, hours):
    when = time.time() - hours * 3600
    os.utime(path, (when, when))


@pytest.fixture(autouse=True)
def settled(monkeypatch):
    monkeypatch.setattr(leftovers, "SETTLED_S", 0.0)


def test_only_what_is_old_and_not_needed_goes(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    mine, held, young, old = (store(tmp_path, n, hours) for n, hours in enumerate([9, 9, 0.5, 2]))
    others = [tmp_path / name for name in ("worker-1", "7", "notes", "00005x")]
    for path in others:
        path.mkdir()
        aged(path, 9)
    left = Leftovers(tmp_path, HOUR_MS)
    assert left.due(frozenset({0}))
    aside = left.set_aside([1])
    assert not old.exists()
    delete(aside)
    assert sorted(tmp_path.iterdir()) == sorted([mine, held, young, *others])
    assert "partition 3 is not on this node: its state store, last used 2.0 h ago, is deleted" in caplog.text
    assert not left.due(frozenset({0}))  # not each round
    # What is in use is marked: its age is known after a crash, whatever RocksDB wrote when.
    assert time.time() - mine.stat().st_mtime < 1800


def test_what_a_crash_left_behind_goes_too(tmp_path):
    store(tmp_path, 3, 2)
    left = Leftovers(tmp_path, HOUR_MS)
    left.due(frozenset({0}))
    assert len(left.set_aside([])) == 1  # and the process ends
    store(tmp_path, 3)  # it came back
    again = Leftovers(tmp_path, HOUR_MS)
    again.due(frozenset({3}))
    delete(again.set_aside([]))
    assert [path.name for path in tmp_path.iterdir()] == ["00003"]


@pytest.mark.parametrize("why", ["nothing assigned", "not settled", "kept for ever"])
def test_nothing_goes(tmp_path, monkeypatch, why):
    path = store(tmp_path, 3, 1000)
    if why == "not settled":
        monkeypatch.setattr(leftovers, "SETTLED_S", 300.0)
    left = Leftovers(tmp_path, 0 if why == "kept for ever" else HOUR_MS)
    if left.due(frozenset() if why == "nothing assigned" else frozenset({0})):
        assert not left.set_aside([])
    assert path.is_dir()


def test_a_folder_that_cannot_be_looked_at_stops_nothing(tmp_path, monkeypatch, caplog):
    path = store(tmp_path, 3, 2)

    def refuse(self, target):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(type(path), "rename", refuse)
    left = Leftovers(tmp_path, HOUR_MS)
    left.due(frozenset({0}))
    assert left.set_aside([]) == []
    assert "state stores that are not needed stay" in caplog.text
    monkeypatch.undo()
    delete([tmp_path / "gone"])
    assert "cannot be deleted" in caplog.text


def test_a_worker_deletes_the_store_of_a_partition_that_moved_away_and_builds_it_again(tmp_path, monkeypatch):
    monkeypatch.setattr(leftovers, "EVERY_S", 0.0)
    with Installation(MemoryLog(), tmp_path, Settings(store_keep=HOUR_MS)) as i:
        before = [i.ask(address, "deposit", amount=1)["balance"] for address in ACTORS]
        i.worker.assign([0])
        wait_until(lambda: i.worker.has_let_go(1) and 1 not in i.worker.equipment.stores.in_use())
        assert store_path(tmp_path, 1).is_dir()
        aged(store_path(tmp_path, 1), 2)
        wait_until(lambda: [path.name for path in tmp_path.iterdir()] == ["00000"])
        i.worker.assign(range(PARTITIONS))
        wait_until(i.worker.ready)
        assert [i.ask(address, "deposit", amount=1)["balance"] for address in ACTORS] == [
            balance + 1 for balance in before
        ]
