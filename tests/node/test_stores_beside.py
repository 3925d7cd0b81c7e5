"""A disk that is slow with a partition's state store stalls no other partition; no store is left open."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from installation import PARTITIONS, Installation, wait_until

from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import StoreCorrupt
from plexstream.model.messages.address import full, partition_of
from plexstream.node.partition.service.driver import State
from plexstream.node.shared import stores
from plexstream.node.shared.leftovers import store_path
from plexstream.store import rocks
from plexstream.store.rocks import RocksStore

SLOW, WELL = 0, 1


def account(partition: int) -> str:
    names = (f"account/{n}" for n in range(99))
    return next(name for name in names if partition_of(full(name), PARTITIONS) == partition)


class Disk:
    """Where the test says so, what is done with the store of one partition waits until it lets it go on."""

    def __init__(self) -> None:
        self.slow: set[str] = set()
        self.goes_on = threading.Event()
        self.came: list[str] = []
        self.open = 0

    def touch(self, what: str, path: Path) -> None:
        if what in self.slow and int(path.name) == SLOW:
            self.came.append(what)
            assert self.goes_on.wait(60), "it was left waiting by the test"

    def well_again(self) -> None:
        self.slow.clear()
        self.goes_on.set()


@pytest.fixture
def disk(monkeypatch):
    disk = Disk()
    begin, close, wipe = stores.open_or_rebuild, RocksStore.close, RocksStore.wipe

    def slow_open(path, memory):
        disk.touch("open", path)
        found = begin(path, memory)
        disk.open += 1
        return found

    def slow_close(self):
        disk.touch("close", self.path)
        close(self)
        disk.open -= 1

    def slow_wipe(self):
        disk.touch("wipe", self.path)
        wipe(self)

    monkeypatch.setattr(stores, "open_or_rebuild", slow_open)
    monkeypatch.setattr(RocksStore, "close", slow_close)
    monkeypatch.setattr(RocksStore, "wipe", slow_wipe)
    yield disk
    disk.well_again()


def others_are_served(i: Installation, have: int = 0) -> None:
    rounds = i.worker.rounds
    for n in range(5):
        assert i.ask(account(WELL), "deposit", amount=1) == {"balance": have + n + 1}
    assert i.worker.rounds > rounds


def test_while_one_is_opened_the_others_are_served(tmp_path, disk):
    i = Installation(MemoryLog(), tmp_path / "state")
    i.in_service = lambda worker: worker.drivers[WELL].state is State.ACTIVE
    disk.slow = {"open"}
    with i:
        others_are_served(i)
        assert (i.worker.drivers[SLOW].phase, disk.came) == ("opening", ["open"])
        disk.well_again()
        assert i.ask(account(SLOW), "deposit", amount=1) == {"balance": 1}
    assert disk.open == 0


@pytest.mark.parametrize("part", ["close", "wipe"])
def test_while_one_is_closed_or_emptied_the_others_are_served_and_it_comes_back(tmp_path, disk, part):
    with Installation(MemoryLog(), tmp_path / "state") as i:
        i.ask(account(SLOW), "deposit", amount=1)
        driver = i.worker.drivers[SLOW]
        disk.slow = {part}

        def torn(*_):
            del driver.pump
            raise StoreCorrupt("a block is damaged")

        driver.pump = torn
        wait_until(lambda: disk.came == [part])
        others_are_served(i)
        disk.well_again()
        assert i.ask(account(SLOW), "deposit", amount=1) == {"balance": 2}
        assert disk.open == PARTITIONS
    assert disk.open == 0


def test_one_of_another_history_is_emptied_beside_the_others(tmp_path, disk):
    log = MemoryLog()
    with Installation(MemoryLog(), tmp_path / "state") as other:
        for p in (SLOW, WELL):
            other.ask(account(p), "deposit", amount=7)
    again = Installation(log, tmp_path / "state")
    again.in_service = lambda worker: disk.came == ["wipe"] and worker.drivers[WELL].state is State.ACTIVE
    disk.slow = {"wipe"}
    with again:
        others_are_served(again)
        disk.well_again()
        assert again.ask(account(SLOW), "deposit", amount=1) == {"balance": 1}
    assert disk.open == 0


def test_one_that_is_lost_while_it_opens_is_closed_before_it_is_opened_again(tmp_path, disk):
    i = Installation(MemoryLog(), tmp_path / "state")
    i.in_service = lambda worker: disk.came == ["open"]
    disk.slow = {"open"}
    with i:
        first = i.worker.drivers[SLOW]
        first.lose("the test says so")
        wait_until(lambda: i.worker.drivers.get(SLOW) not in (None, first))
        disk.well_again()
        assert i.ask(account(SLOW), "deposit", amount=1) == {"balance": 1}
        assert disk.open == PARTITIONS


def test_a_worker_that_ends_while_one_opens_leaves_none_open(tmp_path, disk):
    i = Installation(MemoryLog(), tmp_path / "state")
    i.in_service = lambda worker: disk.came == ["open"]
    disk.slow = {"open"}
    with i:
        i.worker.stop()
        wait_until(lambda: i.worker.has_let_go(SLOW))
        disk.well_again()
    assert disk.open == 0
    RocksStore(store_path(tmp_path / "state", SLOW)).close()


def test_no_database_is_opened_and_no_folder_deleted_on_the_thread_of_a_worker(tmp_path, monkeypatch):
    threads = set()

    def noted(what):
        work = getattr(rocks, what)

        def note(*args, **named):
            threads.add(threading.current_thread().name)
            return work(*args, **named)

        monkeypatch.setattr(rocks, what, note)

    noted("Rdict")
    noted("_remove")
    for log in (MemoryLog(), MemoryLog()):  # the second one has another life: the stores are rebuilt
        with Installation(log, tmp_path / "state") as i:
            i.ask("account/a", "deposit", amount=1)
    assert threads == {f"plexstream-disk-{p}" for p in range(PARTITIONS)}
