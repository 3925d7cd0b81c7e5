"""What only the embedded log has: a directory, a crash, compaction."""

import errno
import os
import random
import resource
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from log_driving import acks, append, fill, items, read_all, take

from plexstream.log.base import TopicSpec
from plexstream.log.embedded.files import manifest, segments, wal
from plexstream.log.embedded.files import partition as embedded_partition
from plexstream.log.embedded.files import tail as embedded_tail
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.log.embedded.storage import checkpoints
from plexstream.log.embedded.threads import committer
from plexstream.model.errors import Fenced, LogError, LogUnavailable

COMPACT = {"cleanup.policy": "compact", "delete.retention.ms": "0"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def log(path: Path):
    log = EmbeddedLog(path)
    log.create([TopicSpec("t", 2), TopicSpec("c", 1, COMPACT)])
    yield log
    log.close()


def reopen(log: EmbeddedLog) -> EmbeddedLog:
    log.close()
    return EmbeddedLog(log.path)


def state(log: EmbeddedLog, place=("t", 0)) -> list[tuple[int, bytes, bytes | None]]:
    """Offset, key and value of all records, however the log comes by them."""
    reader = log.reader()
    reader.assign(place, 0)
    found = []
    while some := reader.read(7, 0):
        found += some
    return [(record.offset, record.key, record.value) for record in found]


def test_everything_is_there_after_reopening(log):
    fill(log, ("t", 1), *[b"%d" % i for i in range(100)], None, b"")
    log.trim(("t", 1), 30, 102)
    transaction = log.transaction("relay")
    transaction.commit([("t", 0, b"k", b"v")], {("t", 1): 42})
    before = state(log, ("t", 1))
    log = reopen(log)
    assert state(log, ("t", 1)) == before
    assert log.range(("t", 1)) == (30, 102)
    assert log.topics() == {"t": 2, "c": 1}
    new = log.transaction("relay")
    assert new.position(("t", 1)) == 42
    new.commit([], {("t", 1): 43})
    assert fill(log, ("t", 1), b"next") == 102
    log.close()


def test_the_epoch_of_a_transaction_survives(log):
    old = log.transaction("relay")
    log = reopen(log)
    old._storage = log.storage  # a handle from before
    new = log.transaction("relay")
    with pytest.raises(Fenced):
        old.commit([], {})
    new.commit([], {})
    log.close()


def test_the_end_does_not_go_back_when_all_is_trimmed(log):
    fill(log, ("t", 0), *[b"v"] * 50)
    log.trim(("t", 0), 50, 50)
    log = reopen(log)
    assert log.range(("t", 0)) == (50, 50)
    assert fill(log, ("t", 0), b"v") == 50
    log.close()


def test_trimmed_records_are_erased_at_last(log, path, monkeypatch):
    monkeypatch.setattr(segments, "SEGMENT_BYTES", 2000)
    monkeypatch.setattr(segments, "CHUNK_BYTES", 500)
    fill(log, ("t", 0), *[b"v"] * 500)
    for _ in range(25):
        fill(log, ("t", 0), *[b"v"] * 100)
    log.janitor.tidy()
    files = {file.name for file in path.glob("segment-*")}
    for before in range(0, 3000, 7):
        log.trim(("t", 0), before, 3000)
    log.janitor.tidy()
    left = {file.name for file in path.glob("segment-*")}
    assert len(left) <= 2 < 10 < len(files)
    assert [file.name for file in path.glob("wal-*")] == ["wal-0000000003"]
    log = reopen(log)
    assert [offset for offset, _, _ in state(log)] == list(range(2996, 3000))
    log.close()


def test_a_second_process_is_refused_with_a_reason(log, path):
    code = f"from plexstream.log.embedded.log import EmbeddedLog\nEmbeddedLog({str(path)!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "LogError" in done.stderr
    assert f"embedded log {path} is held by another process" in done.stderr
    with pytest.raises(LogError, match="held by another process"):
        EmbeddedLog(path)
    # And it is free once it is closed, though there were readers.
    reader = log.reader()
    fill(log, ("t", 0), b"v")
    reader.assign(("t", 0), 0)
    take(reader, 1)
    log.close()
    EmbeddedLog(path).close()


def test_a_directory_that_is_no_log_is_refused(tmp_path):
    from rocksdict import Options, Rdict

    other = Rdict(str(tmp_path / "other"), Options(raw_mode=True))
    other[b"some"] = b"thing"
    other.close()
    with pytest.raises(LogError, match=r"RocksDB database.*choose an empty folder"):
        EmbeddedLog(tmp_path / "other")
    (tmp_path / "file").write_text("")
    with pytest.raises(LogError, match="cannot be opened"):
        EmbeddedLog(tmp_path / "file")
    (tmp_path / "some").mkdir()
    (tmp_path / "some" / "letter.txt").write_text("")
    with pytest.raises(LogError, match=r"something else \(letter.txt\): choose an empty folder"):
        EmbeddedLog(tmp_path / "some")


def test_records_older_than_the_tail_come_from_the_disk(log, monkeypatch):
    monkeypatch.setattr(embedded_tail, "TAIL_BYTES", 1000)
    reader = log.reader()
    reader.assign(("t", 0), 0)
    expected = []
    for round in range(60):
        values = [b"%d %d" % (round, i) * (1 + round % 7) for i in range(1 + round % 11)]
        fill(log, ("t", 0), *values)
        expected += values
        log.storage.sync()
        log.storage.checkpoints.flush()
        assert log.storage._partition(("t", 0)).tail.size <= 2000
        if round % 3 == 0:
            seen = take(reader, len(expected) - (reader._positions["t", 0]))
            assert [record.value for record in seen] == expected[-len(seen) :]
    assert [value for _, _, value in state(log)] == expected


def test_what_is_not_urgent_makes_no_sync_of_its_own(log, monkeypatch):
    monkeypatch.setattr(committer, "PATIENCE_S", 3600.0)
    syncs = []
    sync = log.storage.sync
    monkeypatch.setattr(log.storage, "sync", lambda: (syncs.append(1), sync()))
    appender, other = log.appender(), log.appender()
    append(appender, ("t", 0), items(b"the first"))  # from now on it waits so long
    syncs.clear()
    appender.append(("t", 0), items(b"patient"), 1, urgent=False)
    other.append(("t", 1), items(b"patient"), 2, urgent=False)
    assert len(read_all(log, ("t", 0), 2)) == 2  # which is seen at once
    assert appender.poll(0.05) == []
    assert syncs == []
    appender.append(("t", 0), items(b"urgent"), 3)
    assert [ack.token for ack in acks(appender, 2)] == [1, 3]
    assert [ack.token for ack in acks(other, 1)] == [2]
    assert len(syncs) == 1
    appender.append(("t", 0), items(b"the last"), 4, urgent=False)
    log.close()  # acknowledges what it has
    assert [ack.error for ack in appender.poll(0.0)] == [None]


def test_zeros_ahead_of_the_write_ahead_log_are_nothing(log, path, tmp_path, caplog):
    file = wal.wal_path(path, 1)
    sizes = set()
    for number in range(50):
        fill(log, ("t", 0), b"%d" % number)
        sizes.add(file.stat().st_size)
    assert len(sizes) == 1  # small groups do not make it grow
    mark = log.storage._wal.mark
    assert not any(file.read_bytes()[mark.position :])
    for torn in (b"", file.read_bytes()[mark.position - 20 : mark.position - 1]):
        copy = tmp_path / f"copy {len(torn)}"
        shutil.copytree(path, copy)
        with wal.wal_path(copy, 1).open("r+b") as crashed:
            crashed.seek(mark.position)
            crashed.write(torn)
        caplog.clear()
        caplog.set_level("INFO")
        again = EmbeddedLog(copy)
        assert ("19 bytes of a group" in caplog.text) == bool(torn)
        assert [value for _, _, value in state(again)] == [b"%d" % n for n in range(50)]
        assert fill(again, ("t", 0), b"more") == 50
        again.close()
        EmbeddedLog(copy).close()
    fill(log, ("t", 0), b"x" * (2 * wal.AHEAD_BYTES))  # beyond them, and no others for its sake
    assert file.stat().st_size == log.storage._wal.mark.position
    fill(log, ("t", 0), b"y")
    log.close()
    assert file.stat().st_size == log.storage._wal.mark.position


def test_a_disk_without_room_for_zeros_is_not_asked_for_them_again_and_again(log, path, monkeypatch):
    """What room it has is for what is in order, and for segments and stores."""
    file, write, zeros = wal.wal_path(path, 1), wal.disk.write_at, []

    def nearly_full(to, data, at):
        if len(data) == wal.AHEAD_BYTES:
            zeros.append(at)
            write(to, data[:1000], at)
            raise OSError(errno.ENOSPC, "no space left on device")
        write(to, data, at)

    monkeypatch.setattr(wal, "AHEAD_BYTES", 100_000)
    monkeypatch.setattr(wal.disk, "write_at", nearly_full)
    fill(log, ("t", 0), b"x" * (wal.AHEAD_BYTES * 3))  # beyond those that are there
    for number in range(20):
        fill(log, ("t", 0), b"%d" % number)
        assert file.stat().st_size == log.storage._wal.mark.position
    assert len(zeros) == 1
    log.storage._wal.roll(lambda number: number)
    fill(log, ("t", 0), b"more")
    assert len(zeros) == 2


def test_large_records_do_not_fill_the_memory(log):
    for _ in range(20):
        fill(log, ("t", 0), b"x" * 1_000_000)
    log.storage.checkpoints.flush()
    part = log.storage._partition(("t", 0))
    assert part.tail.size <= 2 * embedded_tail.TAIL_BYTES
    assert part.tail.size == sum(len(data) + 80 for data in part.tail.groups(part.tail.first, 100))
    assert len(state(log)) == 20


def test_compaction_keeps_the_newest_of_each_key(log):
    appender = log.appender()
    for round in range(5):
        append(appender, ("c", 0), [(b"%d" % key, b"%d of %d" % (round, key)) for key in range(10)])
    append(appender, ("c", 0), [(b"3", None), (b"4", None), (b"4", b"again"), (b"last", None)])
    log.janitor.tidy()
    log = reopen(log)
    kept = state(log, ("c", 0))
    assert kept == [
        *[(40 + key, b"%d" % key, b"4 of %d" % key) for key in (0, 1, 2, 5, 6, 7, 8, 9)],
        (52, b"4", b"again"),
    ]
    # The last record, a tombstone, is gone; its offset is not given away again.
    assert log.range(("c", 0)) == (0, 54)
    assert fill(log, ("c", 0), b"next") == 54
    log.close()


def test_young_tombstones_stay(log):
    log.create([TopicSpec("young", 1, {"cleanup.policy": "compact"})])
    fill(log, ("young", 0), b"v", None)
    log.janitor.tidy()
    log = reopen(log)
    assert state(log, ("young", 0)) == [(1, b"k", None)]
    log.close()


def test_compaction_runs_by_itself_when_the_topic_grows(log, monkeypatch):
    monkeypatch.setattr(embedded_tail, "TAIL_BYTES", 500)
    ran = threading.Event()
    tidy = log.janitor.tidy

    def watched(only=None):
        tidy(only)
        if only == {("c", 0)}:
            ran.set()

    monkeypatch.setattr(log.janitor, "tidy", watched)
    fill(log, ("c", 0), *[b"v"] * embedded_partition.COMPACT_EVERY)
    assert ran.wait(20)
    assert len(state(log, ("c", 0))) <= 20


def test_readers_pass_the_holes_of_compaction(log, monkeypatch):
    monkeypatch.setattr(embedded_tail, "TAIL_BYTES", 500)
    appender = log.appender()
    for i in range(300):
        append(appender, ("c", 0), [(b"%d" % (i % 4 if i < 290 else i), b"%d" % i)])
    reader = log.reader()
    reader.assign(("c", 0), 100)
    take(reader, 50)
    log.janitor.tidy()
    seen = []
    while some := reader.read(3, 0):
        seen += some
    assert seen[-1].offset == 299
    assert {record.key: record.value for record in seen}[b"1"] == b"289"
    appender.close()


def test_a_hole_before_the_tail_is_no_end(log):
    fill(log, ("c", 0), b"superseded", None)
    log = reopen(log)
    log.janitor.tidy()
    fill(log, ("c", 0), b"kept")
    reader = log.reader()
    reader.assign(("c", 0), 0)
    assert [(record.offset, record.value) for record in reader.read(10, 0)] == [(2, b"kept")]
    log.close()


def test_records_past_their_retention_are_trimmed(log, monkeypatch):
    log.create(
        [TopicSpec("short", 1, {"retention.ms": "60000"}), TopicSpec("for-ever", 1, {"retention.ms": "-1"})]
    )
    now = time.time_ns()
    for age_s, value in ((100, b"old"), (61, b"old too"), (30, b"young")):
        monkeypatch.setattr(time, "time_ns", lambda age_s=age_s: now - age_s * 1_000_000_000)
        fill(log, ("short", 0), value)
        fill(log, ("for-ever", 0), value)
    monkeypatch.setattr(time, "time_ns", lambda: now)
    log.janitor.tidy()
    assert log.range(("short", 0)) == (2, 3)
    assert log.range(("for-ever", 0)) == (0, 3)
    monkeypatch.setattr(time, "time_ns", lambda: now + 3_600_000_000_000)
    log.janitor.tidy()
    assert log.range(("short", 0)) == (3, 3)


def test_a_torn_write_ahead_log_leaves_a_prefix(log, path, tmp_path):
    """A power cut loses the end of the write-ahead log: never a message whose turn is there."""
    log.create([TopicSpec("mailbox", 1), TopicSpec("journal", 1), TopicSpec("out", 2)])
    synced = (path / "synced").read_bytes()  # a power cut may leave it as it was when it was last synced
    appender = log.appender()
    relay = log.transaction("relay")
    for i in range(200):
        appender.append(("mailbox", 0), items(b"message %d" % i), None)
        appender.append(("journal", 0), items(b"turn %d" % i, b"step %d" % i), None)
        if i % 10 == 9:
            relay.commit([("out", 0, b"k", b"v"), ("out", 1, b"k", b"v")], {("journal", 0): i})
    acks(appender, 400)
    log.close()
    (wal,) = path.glob("wal-*")
    size = wal.stat().st_size
    chance = random.Random(1)
    seen = set()
    for round in range(12):
        copy = tmp_path / f"copy-{round}"
        shutil.copytree(path, copy)
        (copy / "synced").write_bytes(synced)
        os.truncate(copy / wal.name, chance.randrange(size * 6 // 10, size))
        torn = EmbeddedLog(copy)
        mailbox, journal = state(torn, ("mailbox", 0)), state(torn, ("journal", 0))
        assert [offset for offset, _, _ in mailbox] == list(range(len(mailbox)))
        assert len(journal) % 2 == 0, "a group is there by half"
        assert len(mailbox) - 1 <= len(journal) // 2 <= len(mailbox)
        relayed = torn.range(("out", 0))[1]
        assert torn.range(("out", 1))[1] == relayed
        assert torn.transaction("relay").position(("journal", 0)) == relayed * 10 - 1
        assert torn.range(("mailbox", 0)) == (0, len(mailbox))
        assert torn.range(("journal", 0)) == (0, len(journal))
        assert fill(torn, ("journal", 0), b"new") == len(journal)
        seen.add(len(mailbox))
        torn.close()
    assert len(seen) > 5, "the cuts were no cuts"


def test_acknowledgements_wait_for_the_sync(log, monkeypatch):
    gate = threading.Event()
    sync = log.storage.sync

    def slow_sync():
        assert gate.wait(20)
        sync()

    monkeypatch.setattr(log.storage, "sync", slow_sync)
    appender = log.appender()
    appender.append(("t", 0), items(b"1"), "one")
    assert [value for _, _, value in state(log)] == [b"1"], "it is visible at once"
    assert appender.poll(0.3) == []
    gate.set()
    assert acks(appender, 1)[0].offset == 0


def test_a_failed_sync_fails_all_that_waits_and_all_that_follows(log, monkeypatch):
    def fails(fd):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fdatasync", fails)
    appender = log.appender()
    appender.append(("t", 0), items(b"1"), "one")
    (ack,) = acks(appender, 1)
    assert (ack.offset, ack.token) == (-1, "one")
    assert isinstance(ack.error, LogError)
    assert "Check the disk, then restart" in str(ack.error)
    monkeypatch.undo()
    with pytest.raises(LogError, match="cannot be written"):
        appender.append(("t", 0), items(b"2"), "two")
    with pytest.raises(LogError, match="cannot be written"):
        log.transaction("relay")
    with pytest.raises(LogError, match="cannot be written"):
        log.create([TopicSpec("new", 1)])


@pytest.mark.parametrize("where", ["pwrite", "fdatasync"])
def test_a_full_disk_refuses_appends_until_it_has_room(log, monkeypatch, where):
    """What was on its way is written then, since readers have seen it: once, in order."""
    good = getattr(os, where)
    full = threading.Event()

    def may_fail(*args):
        if full.is_set():
            raise OSError(errno.ENOSPC, "No space left on device")
        return good(*args)

    monkeypatch.setattr(os, where, may_fail)
    appender = log.appender()
    assert append(appender, ("t", 0), items(b"before")) == 0
    full.set()
    appender.append(("t", 0), items(b"on its way"), "token")
    (ack,) = acks(appender, 1)
    assert ack.offset == -1
    assert isinstance(ack.error, LogUnavailable)
    assert "No space left" in str(ack.error)
    assert "Free disk space" in str(ack.error)
    for _ in range(3):
        with pytest.raises(LogUnavailable, match="Free disk space"):
            appender.append(("t", 0), items(b"refused"), None)
        with pytest.raises(LogUnavailable, match="Free disk space"):
            log.transaction("relay")
    full.clear()
    end = time.monotonic() + 20
    while log.storage.outage.lasts and time.monotonic() < end:
        time.sleep(0.01)
    assert append(appender, ("t", 0), items(b"after")) == 2
    log = reopen(log)
    assert [value for _, _, value in state(log)] == [b"before", b"on its way", b"after"]
    log.close()


def test_what_is_handed_over_while_a_sync_fails_fails_with_it(log, monkeypatch):
    """Else an append would be acknowledged behind one that has failed."""
    good = os.fdatasync
    begun, fail = threading.Event(), threading.Event()

    def fails_once(fd):
        if fail.is_set():
            return good(fd)
        begun.set()
        assert fail.wait(20)
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fdatasync", fails_once)
    appender = log.appender()
    appender.append(("t", 0), items(b"1"), "one")
    assert begun.wait(20)
    appender.append(("t", 0), items(b"2"), "two")
    fail.set()
    assert [(ack.token, ack.offset) for ack in acks(appender, 2)] == [("one", -1), ("two", -1)]
    end = time.monotonic() + 20
    while log.storage.outage.lasts and time.monotonic() < end:
        time.sleep(0.01)
    assert append(appender, ("t", 0), items(b"3")) == 2


class Door:
    """A lock that tells who has come to it."""

    def __init__(self):
        self.lock = threading.Lock()
        self.came = threading.Event()

    def __enter__(self):
        self.came.set()
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()


def test_who_waited_for_the_disk_has_what_another_has_synced(log, monkeypatch):
    """A sync for each of them, one after the other: behind a slow disk nobody was answered in time."""
    transaction = log.transaction("relay")
    wal = log.storage._wal
    door = Door()
    monkeypatch.setattr(wal, "_syncing", door)
    committing = threading.Thread(target=transaction.commit, args=([("t", 0, b"k", b"v")], {}))
    with door.lock:
        committing.start()
        assert door.came.wait(20)
        wal._take()
        wal._write()  # another's sync
        log.trim(("t", 0), 1, 1)  # and something new, which is nothing to the transaction
    committing.join(20)
    assert not committing.is_alive()
    assert wal.owes, "it had nothing to sync"
    transaction.commit([("t", 0, b"k", b"w")], {})
    assert not wal.owes
    assert [value for _, _, value in state(reopen(log))] == [b"w"]


def test_a_log_without_file_descriptors_goes_on_when_it_has_some(log, monkeypatch):
    monkeypatch.setattr(segments, "CHUNK_BYTES", 100)
    monkeypatch.setattr(embedded_partition, "CHUNK_BYTES", 100)
    good = os.open
    none_left = threading.Event()

    def may_fail(*args):
        if none_left.is_set():
            raise OSError(errno.EMFILE, "Too many open files")
        return good(*args)

    monkeypatch.setattr(os, "open", may_fail)
    fill(log, ("t", 0), b"x" * 200)
    none_left.set()
    reader = log.reader()
    reader.assign(("t", 0), 0)
    assert len(take(reader, 1)) == 1  # from memory
    with pytest.raises(OSError, match="Too many open files"):
        log.storage.checkpoints.run()
    accepted = [b"x" * 200]
    appender = log.appender()

    def append_until_refused():
        for n in range(100):
            append(appender, ("t", 0), items(b"%d" % n * 60))
            accepted.append(b"%d" % n * 60)
            time.sleep(0.005)

    with pytest.raises(LogUnavailable, match="ulimit -n"):
        append_until_refused()
    assert log.storage.outage.lasts
    none_left.clear()
    end = time.monotonic() + 20
    while log.storage.outage.lasts and time.monotonic() < end:
        time.sleep(0.01)
    fill(log, ("t", 0), b"after")
    log.janitor.tidy()
    log = reopen(log)
    assert [value for _, _, value in state(log)] == [*accepted, b"after"]
    log.close()


FILL_THE_DISK = """
    import resource, signal, sys
    from plexstream.log.embedded.log import EmbeddedLog
    from plexstream.log.base import TopicSpec
    log = EmbeddedLog(sys.argv[1])
    log.create([TopicSpec("t", 1)])
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
    appender = log.appender()
    good = 0
    for number in range(100):
        appender.append(("t", 0), [(b"k", b"%d " % number + b"x" * 100_000)], number)
        (ack,) = appender.poll(20)
        if ack.error is not None:
            assert ack.offset == -1, ack
            print("refused:", type(ack.error).__name__, ack.error)
            break
        good += 1
    try:
        appender.append(("t", 0), [(b"k", b"small")], None)
    except Exception as error:
        print("then:", type(error).__name__)
    print("good:", good, flush=True)
    import os
    os._exit(0)
"""


def test_a_full_disk_is_an_error_and_never_a_false_acknowledgement(tmp_path):
    path = tmp_path / "full"
    command = [sys.executable, "-c", textwrap.dedent(FILL_THE_DISK), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "refused: LogUnavailable" in done.stdout, done.stdout
    assert "then: LogUnavailable" in done.stdout
    good = int(done.stdout.split("good:")[1])
    assert 5 < good < 40
    log = EmbeddedLog(path)
    values = [value.split()[0] for _, _, value in state(log)]
    assert values[:good] == [b"%d" % number for number in range(good)]
    log.close()
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 3_000_000


some_items = st.lists(st.tuples(st.sampled_from("abc"), st.none() | st.binary(max_size=3)), min_size=1)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("append"), some_items),
        st.tuples(st.just("trim"), st.integers(0, 40)),
        st.tuples(st.just("reopen"), st.none()),
        st.tuples(st.just("tidy"), st.none()),
    ),
    max_size=12,
)


@pytest.mark.parametrize("small", [False, True])
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps, st.integers(0, 40))
def test_any_sequence_of_steps_leaves_what_a_plain_list_would(tmp_path_factory, small, steps, offset):
    if small:  # a file for every few records, and all of them read from disk
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(segments, "CHUNK_BYTES", 60)
            patch.setattr(embedded_partition, "CHUNK_BYTES", 60)
            patch.setattr(segments, "SEGMENT_BYTES", 200)
            patch.setattr(embedded_tail, "TAIL_BYTES", 200)
            patch.setattr(checkpoints, "WAL_BYTES", 500)
            compare_with_a_list(tmp_path_factory, steps, offset)
    else:
        compare_with_a_list(tmp_path_factory, steps, offset)


def compare_with_a_list(tmp_path_factory, steps, offset):
    log = EmbeddedLog(tmp_path_factory.mktemp("log"))
    log.create([TopicSpec("t", 1), TopicSpec("c", 1, COMPACT)])
    model: list[tuple[int, bytes, bytes | None]] = []
    start = 0
    for step, value in steps:
        if step == "append":
            group = [(key.encode(), data) for key, data in value]
            appender = log.appender()
            for topic in ("t", "c"):
                assert append(appender, (topic, 0), group) == len(model) + len(group) - 1
            model += [(len(model) + i, *item) for i, item in enumerate(group)]
        elif step == "trim":
            before = min(value, len(model))
            log.trim(("t", 0), before, len(model))
            start = max(start, before)
        elif step == "reopen":
            log = reopen(log)
        else:
            log.janitor.tidy()
        assert log.range(("t", 0)) == (start, len(model))
        assert log.range(("c", 0)) == (0, len(model))
    assert state(log) == model[start:]
    newest = {key: value for _, key, value in model}
    found = {key: value for _, key, value in state(log, ("c", 0))}
    assert {k: v for k, v in found.items() if v is not None} == {
        k: v for k, v in newest.items() if v is not None
    }
    at = min(offset, len(model))
    assert [r.offset for r in read_all(log, ("t", 0), len(model) - max(at, start), offset=at)] == list(
        range(max(at, start), len(model))
    )
    log.close()


def test_what_is_put_into_a_segment_while_a_checkpoint_writes_is_synced_by_the_next(log, monkeypatch):
    fill(log, ("t", 0), b"a")
    write, synced = manifest.write, []

    def meanwhile(*arguments):
        fill(log, ("t", 0), b"b")
        log.storage.checkpoints.flush()
        write(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(manifest, "write", meanwhile)
        log.storage.checkpoints.run()
    with monkeypatch.context() as patch:
        patch.setattr(segments, "sync", lambda some: synced.extend(segment.last for segment in some))
        log.storage.checkpoints.run()
    assert synced == [1]


def test_a_checkpoint_that_fails_leaves_its_segments_to_the_next(log, monkeypatch):
    fill(log, ("t", 0), b"a")
    synced = []

    def fails(some):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(segments, "sync", fails)
        with pytest.raises(OSError, match="full"):
            log.storage.checkpoints.run()
        patch.setattr(segments, "sync", lambda some: synced.extend(segment.last for segment in some))
        log.storage.checkpoints.run()
    assert synced == [0]
