"""A full disk or no file descriptors is no corruption: no store is deleted, and it goes on afterwards."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from plexstream.model.errors import StoreCorrupt, StoreInUse, StoreUnavailable
from plexstream.model.journal.journal import Partition
from plexstream.node.partition.sums.snapshots import PARTITION_KEY, partition_piece
from plexstream.store import rocks
from plexstream.store.rocks import RocksStore, open_or_rebuild

COMMON = """
import os, resource, sys
from pathlib import Path
from plexstream.model.errors import StoreUnavailable
from plexstream.model.journal.journal import Partition
from plexstream.node.partition.sums.snapshots import PARTITION_KEY, partition_piece
from plexstream.store.rocks import RocksStore, open_or_rebuild

path = Path(sys.argv[1])

def put(store, start):
    store.write({PARTITION_KEY: partition_piece(Partition(start=start))})

store = RocksStore(path); put(store, 1000); store.close()
"""

NO_FILES = COMMON + """
held, (_, hard) = [], resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
try:
    while True:
        held.append(os.open("/dev/null", os.O_RDONLY))
except OSError:
    pass
for _ in range(3):
    os.close(held.pop())
try:
    open_or_rebuild(path)
except StoreUnavailable as error:
    said = str(error)
for file in held:
    os.close(file)
store, why = open_or_rebuild(path)
assert store.get(PARTITION_KEY) is not None and not why
print(said)
"""

FULL = COMMON + """
import signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
store = RocksStore(path)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
said = []
for start in range(2_000, 2_400):
    try:
        put(store, start)
    except StoreUnavailable as error:
        said.append(str(error))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
assert said
assert store.get(PARTITION_KEY) is not None
put(store, 3_000)
store.close()
store, why = open_or_rebuild(path)
assert not why
from plexstream.schema.codec import decode_partition
assert decode_partition(store.get(PARTITION_KEY).data).start == 3_000
print(said[0])
"""


def outcome(script, path):
    command = [sys.executable, "-c", textwrap.dedent(script), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_without_file_descriptors_the_store_stays(tmp_path):
    assert "raise the limit of open files" in outcome(NO_FILES, tmp_path / "00001")


def test_what_cannot_be_written_is_told_and_written_when_there_is_room(tmp_path):
    assert "cannot be written" in outcome(FULL, tmp_path / "00001")


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("IO error: No space left on device: While appending to file: /x/000012.log", StoreUnavailable),
        ("Corruption: Can't access /000009.sst: IO error: While stat: Too many open files", StoreUnavailable),
        ("IO error: While fsync: Input/output error", StoreUnavailable),
        ("IO error: something new", StoreUnavailable),
        ("IO error: While lock file: /x/LOCK: Resource temporarily unavailable", StoreInUse),
        ("Corruption: block checksum mismatch", StoreCorrupt),
        ("IO error: No such file or directory: While open a file: /x/MANIFEST-000004", StoreCorrupt),
        ("Corruption: Can't access /000012.sst: IO error: No such file or directory", StoreCorrupt),
    ],
)
def test_only_damage_is_corruption(tmp_path, text, kind):
    assert type(rocks._failure(tmp_path, "opened", Exception(text))) is kind


def test_a_store_that_is_in_use_is_not_deleted(tmp_path):
    store = RocksStore(tmp_path / "s")
    store.write({PARTITION_KEY: partition_piece(Partition(start=7))})
    with pytest.raises(StoreInUse):
        open_or_rebuild(tmp_path / "s")
    assert store.get(PARTITION_KEY) is not None
    store.close()


def test_a_corrupt_store_that_cannot_be_deleted_is_unavailable(tmp_path, monkeypatch):
    (tmp_path / "s").write_text("no folder")
    monkeypatch.setattr(rocks, "_remove", lambda path: (_ for _ in ()).throw(PermissionError(13, "no")))
    with pytest.raises(StoreUnavailable, match="cannot be deleted"):
        open_or_rebuild(tmp_path / "s")
