"""A partition whose state store cannot be used: told, waited for; no worker ends, no store is deleted."""

from __future__ import annotations

import pytest
from installation import Installation, wait_until

from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import StoreCorrupt, StoreUnavailable
from plexstream.node.partition.service.driver import Driver
from plexstream.node.partition.sums.snapshots import PARTITION_KEY
from plexstream.node.partition.takeover import opening
from plexstream.node.shared import stores
from plexstream.processor import Settings
from plexstream.schema.codec import decode_partition
from plexstream.store.rocks import RocksStore

SETTINGS = Settings(flush_interval=10, mark_interval=10)


def test_it_is_served_while_its_store_takes_nothing_and_written_when_it_does(tmp_path, monkeypatch, caplog):
    with Installation(MemoryLog(), tmp_path / "state", SETTINGS) as i, monkeypatch.context() as patch:
        i.ask("account/a", "deposit", amount=1)
        refused = []

        def full(self, pieces):
            refused.append(1)
            raise StoreUnavailable("the disk is full: make room")

        patch.setattr(RocksStore, "write", full)
        for n in range(20):
            assert i.ask("account/a", "deposit", amount=1) == {"balance": n + 2}
        wait_until(lambda: len(refused) >= 3)
        said = [r.message for r in caplog.records if "goes on without its state store" in r.message]
        assert 1 <= len(said) <= 2  # one a partition, however often it is tried
        patch.undo()
        driver = next(d for d in i.worker.drivers.values() if d.turns)
        wait_until(lambda: driver.service.upkeep.behind == 0)
        stored = decode_partition(driver.takeover.store.get(PARTITION_KEY).data)
        assert stored.start == driver.processor.fold.next


def test_one_that_cannot_be_opened_is_waited_for_under_the_same_claim(tmp_path, monkeypatch):
    monkeypatch.setattr(opening, "STORE_AGAIN_S", 0.02)
    opens = []
    open_store = stores.open_or_rebuild

    def none(path, memory):
        opens.append(path)
        if len(opens) < 8:
            raise StoreUnavailable("no file descriptors")
        return open_store(path, memory)

    monkeypatch.setattr(stores, "open_or_rebuild", none)
    with Installation(MemoryLog(), tmp_path / "state", SETTINGS) as i:
        assert i.ask("account/a", "deposit", amount=1) == {"balance": 1}
        assert [d.processor.claim for d in i.worker.drivers.values()] == [0, 0]


@pytest.mark.parametrize("part", ["close", "wipe"])
def test_what_fails_while_an_error_is_handled_ends_no_worker(tmp_path, monkeypatch, part):
    with Installation(MemoryLog(), tmp_path / "state", SETTINGS) as i, monkeypatch.context() as patch:
        i.ask("account/a", "deposit", amount=1)

        works = getattr(RocksStore, part)

        def fail(self, *_):
            patch.undo()
            works(self)
            raise RuntimeError(f"{part} fails, too")

        def corrupt(self, *_):
            patch.setattr(Driver, "pump", pump)
            raise StoreCorrupt("a block is damaged")

        pump = Driver.pump
        patch.setattr(RocksStore, part, fail)
        patch.setattr(Driver, "pump", corrupt)
        wait_until(lambda: not i.worker.ready())
        wait_until(i.worker.ready)
        assert i.ask("account/a", "deposit", amount=1) == {"balance": 2}
        assert i.worker.failed is None
