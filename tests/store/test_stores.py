"""Both stores keep pieces alike; a corrupt folder is told, never silently empty, and can be built anew."""

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rocksdict import Options, Rdict

from plexstream.model.errors import StoreCorrupt
from plexstream.model.journal.snapshot import Snapshot
from plexstream.schema.codec import encode_snapshot
from plexstream.store.keys import after, decode_due, encode_due, encode_key, prefix
from plexstream.store.memory import MemoryStore
from plexstream.store.rocks import MEMORY_BYTES, RocksStore, open_or_rebuild


@pytest.fixture(params=["memory", "rocks"])
def store(request, tmp_path):
    store = MemoryStore() if request.param == "memory" else RocksStore(tmp_path / "store")
    yield store
    store.close()


def piece(kind, address="", name="", key=None, data=b"x"):
    return Snapshot(kind, address, name, key, 1, 2, 3, data)


def put(store, *pieces):
    store.write({(p.kind, p.address, p.name, p.key): p for p in pieces})


def test_put_get_delete(store):
    one = piece(0, "t/n/a/1", data=b"{}")
    put(store, one)
    assert store.get((0, "t/n/a/1", "", None)) == one
    assert store.get((0, "t/n/a/2", "", None)) is None
    put(store, one._replace(data=b"new"))
    assert store.get((0, "t/n/a/1", "", None)).data == b"new"
    store.write({(0, "t/n/a/1", "", None): None, (0, "t/n/a/9", "", None): None})
    assert store.get((0, "t/n/a/1", "", None)) is None
    assert list(store.scan(0)) == []


def test_scans_find_what_they_name_and_no_neighbours(store):
    a1 = [piece(1, "t/n/a/1", "f", k) for k in ("", "#", "a", "ab", "b\0c", "é")]
    others = [
        piece(1, "t/n/a/1", "ff", "a"),
        piece(1, "t/n/a/1", "", "a"),
        piece(1, "t/n/a/11", "f", "a"),
        piece(1, "t/n/a/1x", "f", "a"),
        piece(1, "t/n/a/10", "f", "zz"),
    ]
    put(store, *others, *a1, piece(0, "t/n/a/1"), piece(2, "t/n/a/1", "f"), piece(4))
    assert list(store.scan(1, "t/n/a/1", "f")) == a1
    assert set(store.scan(1, "t/n/a/1")) == {*a1, *others[:2]}
    assert set(store.scan(1)) == {*a1, *others}
    assert list(store.scan(0)) == [piece(0, "t/n/a/1")]
    assert list(store.scan(3)) == []
    assert list(store.scan(4)) == [piece(4)]


def test_a_scan_of_many(store):
    many = [piece(1, "t/n/a/1", "f", f"{i:05}") for i in range(3001)]
    put(store, *many)
    assert list(store.scan(1, "t/n/a/1", "f")) == many
    scan = store.scan(1, "t/n/a/1", "f")
    next(scan)
    store.close()  # with a scan under way


def test_wipe(store):
    put(store, piece(0, "t/n/a/1"))
    store.wipe()
    assert list(store.scan(0)) == []
    put(store, piece(0, "t/n/a/2"))
    assert len(list(store.scan(0))) == 1


parts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5)
entries = st.text(st.characters(codec="utf-8"), max_size=5)
keys = st.tuples(st.integers(0, 4), parts, parts, st.none() | entries)


@given(keys, keys)
def test_keys_are_different_and_prefixes_hold(one, other):
    assert (encode_key(one) == encode_key(other)) == (one == other)
    kind, address, name, key = one
    start = prefix(kind, address, None)
    assert encode_key(one).startswith(start)
    assert encode_key(other).startswith(start) == (other[:2] == one[:2])
    assert start <= encode_key(one) < after(start)
    if key is not None:
        assert encode_key(one).startswith(prefix(kind, address, name))


moments = st.one_of(st.integers(0, 3), st.integers(-(1 << 63), (1 << 63) - 1))
dues = st.tuples(moments, parts, parts)


@given(dues, dues)
def test_keys_of_due_times_sort_as_they_do(one, other):
    assert decode_due(encode_due(one)) == one
    assert (encode_due(one) < encode_due(other)) == (one < other)


@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.none() | moments))))
def test_timers_are_found_by_due_time_however_they_were_written(batches):
    pending = {}
    with TemporaryDirectory() as folder:
        stores = [MemoryStore(), RocksStore(Path(folder))]
        for batch in batches:
            for actor, name, due in batch:
                pending[actor, name] = due
            pieces = {
                (3, actor, name, None): None if due is None else piece(3, actor, name)._replace(time=due)
                for actor, name, due in batch
            }
            for store in stores:
                store.write(pieces)
        expected = sorted((due, actor, name) for (actor, name), due in pending.items() if due is not None)
        stores[1].close()
        stores[1] = RocksStore(Path(folder))
        for store in stores:
            assert store.due((-(1 << 63), "", ""), 9) == expected
            assert store.timers() == len(expected)
            for index, entry in enumerate(expected):
                assert store.due(entry, 1) == expected[index + 1 : index + 2]
        stores[1].close()


def test_it_survives_a_close(tmp_path):
    store = RocksStore(tmp_path)
    put(store, piece(0, "t/n/a/1"))
    store.close()
    store.close()
    store = RocksStore(tmp_path)
    assert store.get((0, "t/n/a/1", "", None)) == piece(0, "t/n/a/1")
    store.close()


def fill(path):
    store = RocksStore(path)
    for i in range(200):
        put(store, *(piece(0, f"t/n/a/{i}-{j}", data=b"x" * 100) for j in range(20)))
    store._open().flush()
    store.close()


def files(path, *suffixes):
    found = [f for f in path.iterdir() if f.name.startswith(suffixes) or f.suffix in suffixes]
    assert found, suffixes
    return found


def garble(file):
    data = bytearray(file.read_bytes())
    for i in range(0, len(data), 7):
        data[i] ^= 0x5A
    file.write_bytes(data)


DAMAGE = {
    "CURRENT gone": lambda p: (p / "CURRENT").unlink(),
    "CURRENT garbled": lambda p: (p / "CURRENT").write_bytes(b"\xff" * 30),
    "CURRENT names nothing": lambda p: (p / "CURRENT").write_text("MANIFEST-999999\n"),
    "MANIFEST truncated": lambda p: [f.write_bytes(f.read_bytes()[:20]) for f in files(p, "MANIFEST")],
    "MANIFEST garbled": lambda p: [garble(f) for f in files(p, "MANIFEST")],
    "tables gone": lambda p: [f.unlink() for f in files(p, ".sst")],
    "tables truncated": lambda p: [f.write_bytes(f.read_bytes()[:50]) for f in files(p, ".sst")],
    "tables garbled": lambda p: [garble(f) for f in files(p, ".sst")],
    "tables empty": lambda p: [f.write_bytes(b"") for f in files(p, ".sst")],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_and_a_rebuild_begins_anew(tmp_path, damage):
    path = tmp_path / "store"
    fill(path)
    DAMAGE[damage](path)
    store, why = open_or_rebuild(path)
    if why:
        assert str(path) in why
    else:  # what opens must tell when it is read
        with pytest.raises(StoreCorrupt, match="store"):
            list(store.scan(0))
        store.wipe()
    assert list(store.scan(0)) == []
    put(store, piece(0, "t/n/a/1"))
    store.close()
    store = RocksStore(path)
    assert len(list(store.scan(0))) == 1
    store.close()


READS = {
    "pieces": lambda store: len(list(store.scan(0))),
    "timers": lambda store: len(list(store.scan(3))),
    "due": lambda store: len(store.due((-1, "", ""), 5000)),
}


def test_a_scan_that_ends_at_damage_is_no_end(tmp_path):
    path = tmp_path / "store"
    store = RocksStore(path)
    actors = [f"t/n/a/{n:04}" for n in range(2000)]
    store.write({(0, a, "", None): piece(0, a) for a in actors})
    store.write({(3, a, "id", None): piece(3, a, "id") for a in actors})
    store._open().flush()
    store.close()
    (table,) = files(path, ".sst")
    whole = table.read_bytes()
    told = 0
    for at in range(len(whole) // 40, len(whole), len(whole) // 20):
        copy = tmp_path / f"copy-{at}"
        shutil.copytree(path, copy)
        (copy / table.name).write_bytes(whole[:at] + bytes((whole[at] ^ 1,)) + whole[at + 1 :])
        # With a cache of its own: that of the others knows the blocks.
        store, why = open_or_rebuild(copy, MEMORY_BYTES + at)
        for read in READS.values():
            try:
                assert why or read(store) == 2000
            except StoreCorrupt:
                told += 1
        store.close()
    assert told >= 10, "the flips were none"


@pytest.mark.parametrize("wrong", [{"data": "text"}, {"offset": "1"}, {"name": "\ud800"}])
def test_what_cannot_be_encoded_is_no_fault_of_the_store(tmp_path, wrong):
    """Whoever hears that it is corrupt empties it."""
    store = RocksStore(tmp_path / "store")
    put(store, piece(0, "t/n/a/1", data=b"{}"))
    bad = piece(1, "t/n/a/1", "f", "k")._replace(**wrong)
    with pytest.raises((TypeError, UnicodeEncodeError, AttributeError)):
        put(store, piece(0, "t/n/a/2"), bad)
    assert list(store.scan(0)) == [piece(0, "t/n/a/1", data=b"{}")]
    key = "\ud800"
    for read in (
        lambda: store.get((1, "t/n/a/1", "f", key)), lambda: store.entries("t/n/a/1", "f", key, None, 1),
        lambda: list(store.scan(1, "t/n/a/1", key)),
    ):  # fmt: skip
        with pytest.raises(UnicodeEncodeError):
            read()
    store.close()


def test_a_store_of_another_version_is_rebuilt(tmp_path):
    db = Rdict(str(tmp_path / "store"), Options(raw_mode=True))
    db[encode_key((0, "t/n/a/1", "", None))] = encode_snapshot(piece(0, "t/n/a/1"))
    db.close()
    store, why = open_or_rebuild(tmp_path / "store")
    assert "another version" in why
    assert list(store.scan(0)) == []
    store.close()


def test_garbled_values_are_told(tmp_path):
    key = (0, "t/n/a/1", "", None)
    RocksStore(tmp_path).close()
    db = Rdict(str(tmp_path), Options(raw_mode=True))
    db[encode_key(key)] = b"no snapshot"
    db.close()
    store = RocksStore(tmp_path)
    with pytest.raises(StoreCorrupt, match="no Snapshot"):
        store.get(key)
    with pytest.raises(StoreCorrupt, match="no Snapshot"):
        list(store.scan(0))
    store.close()


def test_a_folder_that_is_a_file(tmp_path):
    (tmp_path / "store").write_text("x")
    with pytest.raises(StoreCorrupt):
        RocksStore(tmp_path / "store")
    store, why = open_or_rebuild(tmp_path / "store")
    assert why
    store.close()
