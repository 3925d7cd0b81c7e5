"""State stores and snapshots beside journals that are not theirs: topics made again, logs put back."""

import copy
import logging
import shutil

import pytest
from installation import Installation, wait_until

from plexstream.inspection.history import rebuild
from plexstream.log.base import TopicSpec
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.journal.snapshot import Piece
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.sums.lineage import LIFE_KEY
from plexstream.processor import Settings
from plexstream.store.rocks import RocksStore

T = Topics("test.")
KEPT = ("_topics", "_positions", "_ids", "_limits", "_epochs")
ACTORS = [f"account/{n}" for n in range(8)]
EAGER = Settings(snapshot_interval=50, flush_interval=50)


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.INFO)


def serve(log, folder, settings=None):
    return Installation(log, folder, settings)


def deposit(i, amount=1):
    return [i.ask(address, "deposit", amount=amount)["balance"] for address in ACTORS]


def balances(i):
    return [i.ask(address, "balance") for address in ACTORS]


def saved(log):
    """What a backup of the log has."""
    return copy.deepcopy({name: getattr(log, name) for name in KEPT})


def put_back(log, backup):
    for name, value in copy.deepcopy(backup).items():
        setattr(log, name, value)


def make_again(log, *kinds):
    for kind in kinds:
        name = f"test.{kind}"
        count = log.partitions(name)
        log.delete_now(name)
        log.create([TopicSpec(name, count)])


def rebuilt(caplog):
    return [r.getMessage() for r in caplog.records if "rebuilt" in r.getMessage()]


def test_a_store_of_this_journal_is_taken(tmp_path, caplog):
    log = MemoryLog()
    with serve(log, tmp_path) as i:
        deposit(i)
    with serve(log, tmp_path) as i:
        assert deposit(i) == [2] * 8
    assert rebuilt(caplog) == []


def test_a_store_that_the_journal_was_trimmed_up_to_is_taken(tmp_path, caplog):
    log = MemoryLog()
    with serve(log, tmp_path, EAGER) as i:
        deposit(i)
        wait_until(lambda: all(log.range((T.journal, p))[0] > 2 for p in range(2)))
    with serve(log, tmp_path) as i:
        assert deposit(i) == [2] * 8
    assert rebuilt(caplog) == []


def test_a_store_from_before_lineages_is_taken_and_has_one_from_then_on(tmp_path, caplog):
    log = MemoryLog()
    with serve(log, tmp_path) as i:
        deposit(i)
    for p in range(2):
        store = RocksStore(tmp_path / f"{p:05}")
        assert store.get(LIFE_KEY) is not None
        store.write({LIFE_KEY: None})
        store.close()
    with serve(log, tmp_path) as i:
        assert deposit(i) == [2] * 8
    assert rebuilt(caplog) == []
    store = RocksStore(tmp_path / "00000")
    assert store.get(LIFE_KEY) is not None
    store.close()


@pytest.mark.parametrize("named", [True, False], ids=["named", "from before lineages"])
def test_a_store_that_the_journal_was_trimmed_past_is_rebuilt(tmp_path, caplog, named):
    log = MemoryLog()
    with serve(log, tmp_path / "a") as i:
        deposit(i)
        ends = [i.end(p) for p in range(2)]
    shutil.copytree(tmp_path / "a", tmp_path / "older")
    with serve(log, tmp_path / "a", EAGER) as i:
        deposit(i)
        deposit(i)
        wait_until(lambda: all(log.range((T.journal, p))[0] > ends[p] + 1 for p in range(2)))
    if not named:
        for p in range(2):
            store = RocksStore(tmp_path / "older" / f"{p:05}")
            store.write({LIFE_KEY: None})
            store.close()
    with serve(log, tmp_path / "older") as i:
        assert balances(i) == [3] * 8
    assert len(rebuilt(caplog)) == 2


@pytest.mark.parametrize("named", [True, False], ids=["named", "from before lineages"])
def test_topics_that_are_made_again_begin_anew(tmp_path, caplog, named):
    log = MemoryLog()
    with serve(log, tmp_path, EAGER) as i:
        deposit(i, 5)
    if not named:
        for p in range(2):
            store = RocksStore(tmp_path / f"{p:05}")
            store.write({LIFE_KEY: None})
            store.close()
    make_again(log, "mailbox", "journal", "snapshot", "reply", "control")
    with serve(log, tmp_path) as i:
        # So long that the store's offset lies within it, by other records.
        for n in range(12):
            assert deposit(i) == [n + 1] * 8
    assert len(rebuilt(caplog)) == 2
    assert ("another life of the journal" in caplog.text) == named


def test_a_store_of_another_partition_is_not_taken(tmp_path, caplog):
    log = MemoryLog()
    with serve(log, tmp_path) as i:
        deposit(i)
    (tmp_path / "00000").rename(tmp_path / "x")
    (tmp_path / "00001").rename(tmp_path / "00000")
    (tmp_path / "x").rename(tmp_path / "00001")
    with serve(log, tmp_path) as i:
        assert deposit(i) == [2] * 8
    assert sorted(rebuilt(caplog)) == [
        "partition 0: the state store is rebuilt: it is of partition 1",
        "partition 1: the state store is rebuilt: it is of partition 0",
    ]


@pytest.mark.parametrize("grown", [False, True], ids=["shorter", "grown past it again"])
@pytest.mark.parametrize("store", [True, False], ids=["with stores", "with snapshots"])
def test_a_log_put_back_to_an_earlier_point_is_told_and_goes_on(tmp_path, caplog, grown, store):
    log = MemoryLog()
    state, settings = tmp_path / "state", Settings() if store else EAGER
    with serve(log, state, settings) as i:
        deposit(i)
    backup = saved(log)
    with serve(log, state, settings) as i:
        for _ in range(6):
            deposit(i)
        ends = [i.end(p) for p in range(2)]
        if not store:
            wait_until(lambda: all(log.range((T.journal, p))[0] > 2 for p in range(2)))
            drivers = i.worker.drivers.values()
            wait_until(lambda: all(d.service and d.service.upkeep.lag == 0 for d in drivers))  # they have all
    shutil.copytree(state, tmp_path / "later")
    newer = dict(log._topics)
    put_back(log, backup)
    if grown:
        with serve(log, tmp_path / "elsewhere") as i:
            for _ in range(10):
                deposit(i)
        assert all(i.end(p) > ends[p] for p in range(2))
    if not store:
        shutil.rmtree(state)
        if not grown:
            log._topics = newer | {T.journal: log._topics[T.journal]}  # that alone has lost records
    caplog.clear()
    with serve(log, state) as i:
        if store or grown:
            assert deposit(i) == [12 if grown else 2] * 8
        else:
            assert deposit(i) == [8] * 8  # the snapshots had it
        if not grown:
            # No number is given out twice: others drop what is not newer.
            assert all(i.end(p) > ends[p] for p in range(2))
            assert "are LOST" in caplog.text
            assert "restored to an earlier point" in caplog.text
    if store:
        assert len(rebuilt(caplog)) == 2
        if grown:
            assert "the log has another history below" in caplog.text
    caplog.clear()
    with serve(log, state) as i:
        balances(i)
    assert not rebuilt(caplog)
    assert "LOST" not in caplog.text


def test_snapshots_of_another_life_of_the_journal_count_for_nothing(tmp_path, caplog):
    log = MemoryLog()
    with serve(log, tmp_path / "a", EAGER) as i:
        deposit(i, 5)
        wait_until(lambda: all(log.range((T.journal, p))[0] > 2 for p in range(2)))
    make_again(log, "journal", "mailbox")
    with serve(log, tmp_path / "b", EAGER) as i:
        assert deposit(i) == [1] * 8
        assert "the snapshots are of another life of the journal" in caplog.text
        wait_until(lambda: all(log.range((T.journal, p))[0] > 2 for p in range(2)))
    caplog.clear()
    # Of the snapshots only those of this life are taken from now on, also by tools.
    with serve(log, tmp_path / "c") as i:
        assert deposit(i) == [2] * 8
    assert "another life" not in caplog.text
    for p in range(2):
        for piece in rebuild(log, T, p).store.scan(Piece.ACTOR):
            assert b'"balance":2' in piece.data


def test_state_is_saved_anew_where_the_snapshots_were_deleted(tmp_path, caplog):
    log = MemoryLog()
    with serve(log, tmp_path / "a", EAGER) as i:
        deposit(i)
        wait_until(lambda: all(log.range((T.journal, p))[0] > 2 for p in range(2)))
    make_again(log, "snapshot")
    with serve(log, tmp_path / "a", EAGER) as i:
        ends = [i.end(p) for p in range(2)]
        assert i.ask(ACTORS[0], "deposit", amount=1) == {"balance": 2}
        wait_until(lambda: all(log.range((T.snapshot, p))[1] > 4 for p in range(2)))
        wait_until(lambda: any(log.range((T.journal, p))[0] > ends[p] - 2 for p in range(2)))
    assert "saved anew" in caplog.text
    with serve(log, tmp_path / "b") as i:
        assert balances(i) == [2] + [1] * 7


def out_of_service(log, folder):
    i = Installation(log, folder)
    i.in_service = lambda worker: len(worker.drivers) == 2
    return i


def delete_all(log):
    """What a retention, or an operator, does to a journal."""
    for p in range(2):
        _, end = log.range((T.journal, p))
        log.trim((T.journal, p), end, end)


def test_a_store_that_has_all_is_taken_where_the_journal_was_emptied(tmp_path, caplog):
    log = MemoryLog()
    with serve(log, tmp_path) as i:
        deposit(i)
    delete_all(log)
    for n in range(2, 4):
        with serve(log, tmp_path) as i:
            assert deposit(i) == [n] * 8
    assert rebuilt(caplog) == []


def test_a_store_stays_as_long_as_nothing_can_replace_it(tmp_path, caplog):
    log = MemoryLog()
    with serve(log, tmp_path / "a") as i:
        deposit(i)
    shutil.copytree(tmp_path / "a", tmp_path / "older")
    with serve(log, tmp_path / "a") as i:
        deposit(i)
    backup = saved(log)
    delete_all(log)
    for _ in range(2):
        with out_of_service(log, tmp_path / "older"):
            wait_until(lambda: caplog.text.count("stays out of service") == 2)
        assert "The state store of this node, which reflects it up to" in caplog.text
        caplog.clear()
    put_back(log, backup)  # from a mirror, say
    with serve(log, tmp_path / "older") as i:
        assert deposit(i) == [3] * 8
    assert rebuilt(caplog) == []
