"""A partition that restores beside a busy one has its share of time."""

from __future__ import annotations

import time

import pytest
from installation import BANK, PARTITIONS, Installation, wait_until

from plexstream.hosts.load import load_actors
from plexstream.hosts.native import NativeHost
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.messages.address import full, partition_of
from plexstream.node.partition.service.driver import Driver
from plexstream.node.worker import worker as workers
from plexstream.node.worker.worker import Worker

RECORDS = 600


@pytest.fixture
def told(tmp_path):
    """A worker that is to restore from a log on which the journal of partition 1 is long."""
    names = (f"account/{n}" for n in range(99))
    there = next(name for name in names if partition_of(full(name), PARTITIONS) == 1)
    log = MemoryLog()
    with Installation(log, tmp_path / "old") as i:
        for _ in range(RECORDS):
            i.client._calls.tell(full(there), "deposit", b'{"amount":1}')
        wait_until(lambda: i.end(1) > RECORDS)
    app = load_actors(BANK)
    host = NativeHost(app.types, app.version)
    worker = Worker(log, i.topics, PARTITIONS, host, i.settings, tmp_path / "new", "test-node")
    yield worker
    worker.close()


def restore(worker, partitions):
    """In fewer rounds than there are slices."""
    worker.assign(partitions)
    rounds = 0
    while not worker.ready():
        worker.step()
        rounds += 1
        assert rounds < RECORDS / 5, "one slice in each round"


def test_where_all_restore_none_waits_for_a_round_of_others(told, monkeypatch):
    monkeypatch.setattr(workers, "REPLAY_LIMIT", 5)
    monkeypatch.setattr(workers, "ALONE_S", 60.0)
    restore(told, [1])


def test_a_restore_folds_for_as_long_as_its_neighbours_handlers_take(told, monkeypatch):
    monkeypatch.setattr(workers, "REPLAY_LIMIT", 5)
    monkeypatch.setattr(workers, "ALONE_S", 0.0)
    pump = Driver.pump

    def slow(self):
        if self.partition == 0:
            time.sleep(0.05)  # what its handlers take
        pump(self)

    monkeypatch.setattr(Driver, "pump", slow)
    restore(told, range(PARTITIONS))
