"""Entries of a collection by key, in every store: ranges, their ends, both ways, and what is damaged."""

import shutil

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plexstream.inspection.replay.verify import Overlay
from plexstream.model.errors import StoreCorrupt
from plexstream.model.journal.snapshot import Snapshot
from plexstream.store.memory import MemoryStore
from plexstream.store.rocks import MEMORY_BYTES, RocksStore

A = "t/n/a/1"


def piece(key, address=A, name="f", kind=1):
    return Snapshot(kind, address, name, key, 1, 2, 3, b"x")


def put(store, *pieces):
    store.write({(p.kind, p.address, p.name, p.key): p for p in pieces})


NEIGHBOURS = [
    piece("a", name="e"), piece("a", name="ff"), piece("", name="g"), piece("b", address="t/n/a/0"),
    piece("b", address="t/n/a/11"), piece(None, name="f", kind=2), piece("b", name=""),
]  # fmt: skip


@pytest.fixture(params=["memory", "rocks", "overlay"])
def store(request, tmp_path):
    rocks = RocksStore(tmp_path / "store") if request.param == "rocks" else None
    below = MemoryStore()
    yield rocks or (Overlay(below) if request.param == "overlay" else below)
    if rocks is not None:
        rocks.close()


keys = st.text(st.sampled_from("\0\1ab\x7f\x80é\ud7ff\ue000\U0001f600\U0010ffff"), max_size=3)


@given(st.sets(keys), st.sets(keys), keys, st.none() | keys, st.booleans(), st.integers(1, 5))
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_they_are_those_of_a_sorted_dict(store, kept, deleted, start, stop, reverse, limit):
    for old in store.scan(1):
        store.write({(old.kind, old.address, old.name, old.key): None})
    put(store, *NEIGHBOURS, *(piece(key) for key in kept | deleted))
    store.write({(1, A, "f", key): None for key in deleted - kept})
    inside = [k for k in kept if start <= k and (stop is None or k < stop)]
    assert [k.encode() for k in sorted(inside)] == sorted(k.encode() for k in inside)
    expected = [piece(key) for key in sorted(inside, reverse=reverse)[:limit]]
    assert store.entries(A, "f", start, stop, limit, reverse) == expected


def test_what_is_over_a_store_hides_it():
    below = MemoryStore()
    put(below, *NEIGHBOURS, *(piece(f"{n}") for n in range(9)))
    store = Overlay(below)
    store.write({(1, A, "f", "1"): None, (1, A, "f", "3"): None, (1, A, "g", "4"): None})
    put(store, piece("2")._replace(data=b"new"))
    put(store, piece("25"), piece("99", address="t/n/a/0"))
    found = [(p.key, p.data) for p in store.entries(A, "f", "1", "5", 3)]
    assert found == [("2", b"new"), ("25", b"x"), ("4", b"x")]
    assert [p.key for p in store.entries(A, "f", "", None, 2, True)] == ["8", "7"]
    assert len(below.pieces) == len(NEIGHBOURS) + 9


@pytest.mark.parametrize("reverse", [False, True])
def test_a_range_that_ends_at_damage_is_no_end(tmp_path, reverse):
    store = RocksStore(tmp_path / "store")
    put(store, *(piece(f"{n:04}") for n in range(2000)))
    store._open().flush()
    store.close()
    (table,) = (tmp_path / "store").glob("*.sst")
    whole, told = table.read_bytes(), 0
    for at in range(len(whole) // 40, len(whole), len(whole) // 20):
        copy = tmp_path / f"copy-{at}"
        shutil.copytree(tmp_path / "store", copy)
        (copy / table.name).write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        damaged = None
        try:
            damaged = RocksStore(copy, MEMORY_BYTES + at + reverse)  # with a cache that knows no block
            assert len(damaged.entries(A, "f", "", None, 5000, reverse)) == 2000
        except StoreCorrupt:
            told += 1
        finally:
            if damaged is not None:
                damaged.close()
    assert told >= 10, "the flips were none"
