"""What only the store on disk can meet."""

import random
import subprocess
import sys
import time

import pytest

from plexstream.model.errors import StoreInUse
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.store.rocks import RocksStore, open_or_rebuild


def test_a_store_that_another_process_has_open_is_left_alone(tmp_path):
    holder = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys, pathlib; from plexstream.store.rocks import RocksStore;"
            "s = RocksStore(pathlib.Path(sys.argv[1])); print('open', flush=True); sys.stdin.read()",
            str(tmp_path),
        ],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        files = {f.name for f in tmp_path.iterdir()}
        with pytest.raises(StoreInUse, match="another process"):
            open_or_rebuild(tmp_path)
        assert {f.name for f in tmp_path.iterdir()} >= files
    finally:
        holder.communicate("", timeout=10)
    store, why = open_or_rebuild(tmp_path)
    assert why == ""
    store.close()


def test_all_stores_of_a_process_share_what_they_have_in_memory(tmp_path):
    def fill(memory, number):
        folder = tmp_path / str(memory)
        stores = [RocksStore(folder / str(n), memory) for n in range(number)]
        for begin in range(0, 100, 10):
            for store in stores:
                keys = [(Piece.ENTRY.value, "t/n/a/1", "map", str(begin + n)) for n in range(10)]
                store.write({key: Snapshot(*key, 0, 0, 0, random.randbytes(50_000)) for key in keys})
        return folder, stores

    big, one = fill(40_000_000, 1)
    small, many = fill(20_000_000, 6)
    end = time.monotonic() + 60  # files are written in the background
    while not list(small.rglob("*.sst")) and time.monotonic() < end:
        time.sleep(0.01)
    assert list(small.rglob("*.sst"))  # each has no more than the one, but all together have too much
    assert not list(big.rglob("*.sst"))
    for store in one + many:
        assert sum(1 for _ in store.scan(Piece.ENTRY.value)) == 100
        store.close()


def test_only_what_was_written_to_is_wiped(tmp_path):
    store = RocksStore(tmp_path)
    marker = tmp_path / "marker"
    marker.touch()
    store.wipe()
    assert marker.exists()  # to open another store costs a takeover up to 0.1 s
    store.write({(Piece.ENTRY.value, "t/n/a/1", "map", "k"): None})
    store.wipe()
    assert not marker.exists()
    store.close()
    store = RocksStore(tmp_path)
    marker.touch()
    store.wipe()  # it was there before: who knows what happened to it
    assert not marker.exists()
    store.close()


def test_what_it_never_had_is_not_deleted(tmp_path):
    """Each scan reads what says that something is deleted, until that has come to the last level of files."""
    keys = [(Piece.ENTRY.value, "t/n/a/1", "queue", f"{n:04}") for n in range(1000)]
    store = RocksStore(tmp_path)

    def deletes():
        return store._open().property_int_value("rocksdb.num-deletes-active-mem-table")

    store.write({key: Snapshot(*key, 0, 0, 0, b"x") for key in keys[:500]})
    store.write(dict.fromkeys(keys[500:]))
    assert deletes() == 0
    store._open().flush()
    store.write(dict.fromkeys(keys[500:]))  # told by the filters of files
    assert deletes() < 50
    store.write(dict.fromkeys(keys))
    assert deletes() >= 500
    assert list(store.scan(Piece.ENTRY.value)) == []
    store.close()
    store = RocksStore(tmp_path)
    assert list(store.scan(Piece.ENTRY.value)) == []
    store.close()
