"""A store that is larger than memory: what one key costs does not grow with the files."""

from __future__ import annotations

import random
import re

import pytest
from rocksdict import BlockBasedOptions, Options, Rdict

from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.store import rocks
from plexstream.store.keys import encode_key, prefix
from plexstream.store.rocks import RocksStore

ACTORS, MEMORY = 100_000, 128 << 10
BLOCK = 4096
ROOM = 3
"""Blocks of each kind that a key may cost: its own, one beside it, and what blocks are larger than that."""


def piece(number: int) -> Snapshot:
    return Snapshot(Piece.ACTOR.value, f"t/n/a/{number:08}", "", None, 1, number, 3, b'{"count":1}')


def key(number: int):
    return (Piece.ACTOR.value, f"t/n/a/{number:08}", "", None)


def fill(store: RocksStore, actors: int) -> None:
    for first in range(0, actors, 10_000):
        store.write({key(n): piece(n) for n in range(first, first + 10_000)})
    store._open().flush()


@pytest.fixture
def counted(monkeypatch):
    """What the stores that are opened have read, by RocksDB's own counts."""
    found = []
    make = rocks._options

    def options(memory):
        made = make(memory)
        made.enable_statistics()
        found.append(made)
        return made

    monkeypatch.setattr(rocks, "_options", options)

    def count(name: str) -> int:
        told = re.search(rf"^rocksdb\.{re.escape(name)} COUNT : (\d+)$", found[-1].get_statistics(), re.M)
        assert told, name
        return int(told[1])

    return count


READS = {
    "a key": lambda store, n: store.get(key(n)) == piece(n),
    "a key that is not there": lambda store, n: store.get((0, f"t/n/a/{n:08}x", "", None)) is None,
    "a scan": lambda store, n: list(store.scan(0, f"t/n/a/{n:08}")) == [piece(n)],
    "a seek": lambda store, n: len(rocks._rows(store._open(), encode_key(key(n)), b"\1", 5)) == 5,
}


@pytest.mark.parametrize("read", READS)
def test_a_read_costs_blocks_and_no_whole_index(tmp_path, counted, read):
    store = RocksStore(tmp_path)
    fill(store, ACTORS)
    store._open().compact_range(None, None)
    store.close()
    store = RocksStore(tmp_path, MEMORY)
    chosen, reads = random.Random(1), 300
    for _ in range(10):
        assert READS[read](store, chosen.randrange(ACTORS - 5))  # what stays is read once
    before = {kind: counted(f"block.cache.{kind}.bytes.insert") for kind in ("index", "filter", "data")}
    for _ in range(reads):
        assert READS[read](store, chosen.randrange(ACTORS - 5))
    for kind, was in before.items():
        assert (counted(f"block.cache.{kind}.bytes.insert") - was) / reads <= ROOM * BLOCK, kind
    if read != "a scan" and read != "a seek":
        assert counted("block.cache.filter.bytes.insert") > before["filter"], "no filter was asked"
    if read == "a key that is not there":
        assert counted("bloom.filter.useful") >= 0.9 * reads
    store.close()


def test_a_store_that_is_opened_again_is_so_as_a_new_one_is(tmp_path):
    """It has its filters, and reads into the cache of all stores, by which their memory is bounded."""
    store = RocksStore(tmp_path, 64 << 20)
    fill(store, 10_000)
    store.close()
    store = RocksStore(tmp_path, 64 << 20)
    assert store._open().property_int_value("rocksdb.block-cache-capacity") == 64 << 20
    store.write({key(10_000): piece(10_000)})
    store._open().flush()
    told = store._open().property_value("rocksdb.aggregated-table-properties")
    assert told is not None
    assert re.search(r"# index partitions=[1-9]", told)
    store.close()


def whole(memory: int) -> Options:
    """How stores were made before: with one index and one filter for a file."""
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    table = BlockBasedOptions()
    table.set_block_cache(rocks._shared(memory)[0])
    table.set_cache_index_and_filter_blocks(True)
    table.set_bloom_filter(10, False)
    options.set_block_based_table_factory(table)
    return options


@pytest.mark.parametrize(("made", "opened"), [(whole, rocks._options), (rocks._options, whole)])
def test_files_of_both_kinds_are_read_and_added_to(tmp_path, monkeypatch, made, opened):
    monkeypatch.setattr(rocks, "_options", made)
    store = RocksStore(tmp_path)
    fill(store, 10_000)
    store.close()
    monkeypatch.setattr(rocks, "_options", opened)
    store = RocksStore(tmp_path)
    assert [store.get(key(n)) for n in (0, 4711, 9999, 10_000)] == [piece(0), piece(4711), piece(9999), None]
    store.write({key(1): None, key(2): piece(2)._replace(seq=77), key(10_000): piece(10_000)})
    store._open().flush()
    store._open().compact_range(None, None)  # both become one kind
    expected = [piece(0), piece(2)._replace(seq=77), *map(piece, range(3, 10_001))]
    assert list(store.scan(0)) == expected
    store.close()


def test_what_rocksdict_calls_a_lower_bound_is_not_one(tmp_path):
    """It sets the upper one. Once this fails it may be used, for scans backwards."""
    db = Rdict(str(tmp_path / "db"), Options(raw_mode=True))
    db[prefix(0, "a", None)] = b"1"
    options = rocks.ReadOptions()
    options.set_iterate_lower_bound(prefix(0, "a", None))
    rows = db.iter(options)
    rows.seek(b"\0")
    assert not rows.valid()
    db.close()
