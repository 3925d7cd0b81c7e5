"""A partition that restores beside a busy one has its share of time."""

from __future__ import annotations

import time

from installation import BANK, PARTITIONS, Installation, wait_until

from plexstream.hosts.load import load_actors
from plexstream.hosts.native import NativeHost
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.messages.address import full, partition_of
from plexstream.node.partition.service.driver import Driver
from plexstream.node.worker import worker as workers
from plexstream.node.worker.worker import Worker

RECORDS = 600


def test_a_restore_folds_for_as_long_as_its_neighbours_handlers_take(tmp_path, monkeypatch):
    names = (f"account/{n}" for n in range(99))
    there = next(name for name in names if partition_of(full(name), PARTITIONS) == 1)
    log = MemoryLog()
    with Installation(log, tmp_path / "old") as i:
        for _ in range(RECORDS):
            i.client._calls.tell(full(there), "deposit", b'{"amount":1}')
        wait_until(lambda: i.end(1) > RECORDS)
    monkeypatch.setattr(workers, "REPLAY_LIMIT", 5)
    pump = Driver.pump

    def slow(self):
        if self.partition == 0:
            time.sleep(0.05)  # what its handlers take
        pump(self)

    monkeypatch.setattr(Driver, "pump", slow)
    app = load_actors(BANK)
    host = NativeHost(app.types, app.version)
    worker = Worker(log, i.topics, PARTITIONS, host, i.settings, tmp_path / "new", "test-node")
    rounds = 0
    try:
        worker.assign(range(PARTITIONS))
        while not worker.ready():
            worker.step()
            rounds += 1
            assert rounds < RECORDS / 5, "one slice in each round of others"
    finally:
        worker.close()
