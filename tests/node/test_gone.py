"""Journals that lack what their snapshots need: refused until an operator goes on with what is left."""

import logging
import shutil
from contextlib import suppress

import pytest
from installation import Installation, wait_until

from plexstream.log.installation import Control
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import CallError
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.upkeep.upkeep import Upkeep
from plexstream.node.worker.health import guard
from plexstream.processor import Settings

T = Topics("test.")
ACTORS = [f"account/{n}" for n in range(8)]
EAGER = Settings(snapshot_interval=50, flush_interval=50)


@pytest.fixture(autouse=True)
def at_once(monkeypatch, caplog):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(guard, "GONE_S", 0.2)


def deposit(i):
    return [i.ask(address, "deposit", amount=1)["balance"] for address in ACTORS]


def balances(i):
    return [i.ask(address, "balance") for address in ACTORS]


def waiting(log, folder, settings=None):
    """Of an installation whose partitions are out of service."""
    i = Installation(log, folder, settings)
    i.in_service = lambda worker: len(worker.drivers) == 2
    return i


def empty(log, *topics):
    """What a retention, or an operator, does to topics."""
    for place in [(topic, p) for topic in topics or (T.journal, T.mailbox) for p in range(2)]:
        end = log.range(place)[1]
        log.trim(place, end, end)


def refused(caplog):
    wait_until(lambda: all(f"partition {p} stays out of service" in caplog.text for p in range(2)))
    assert f"`plexstream topics accept {T.journal}`" in caplog.text


def accept(log):
    assert [place for place, _ in Control(log, T).accept(T.journal)] == [(T.journal, 0), (T.journal, 1)]


def served(i):
    def is_so():
        with suppress(CallError):
            return i.client.ask(ACTORS[0], "balance", {}, timeout=1.0) is not None
        return False

    wait_until(is_so)
    wait_until(lambda: i.worker.ready())


def all_saved(log, i):
    """Wait until the snapshots, and not the store, have all of it: what they cover is trimmed."""
    before = [log.range((T.journal, p))[0] for p in range(2)]
    wait_until(lambda: deposit(i) and all(log.range((T.journal, p))[0] > before[p] for p in range(2)))
    return balances(i)


def saved(log, i):
    """What the snapshots have at least, since the journal of it is trimmed, and all that was deposited."""
    least = deposit(i)
    ends = [log.range((T.journal, p))[1] for p in range(2)]
    wait_until(lambda: deposit(i) and all(log.range((T.journal, p))[0] >= ends[p] for p in range(2)))
    return least, balances(i)


def stored(log, folder, *emptied):
    """A store of a node that has seen one deposit for each, and a journal that has begun after a second."""
    with Installation(log, folder) as i:
        assert deposit(i) == [1] * 8
    shutil.copytree(folder, folder.with_name("older"))
    with Installation(log, folder) as i:
        assert deposit(i) == [2] * 8
    empty(log, *emptied)
    return folder.with_name("older")


def accepted(log, i, caplog):
    """The loss is refused, accepted, and then the partitions serve."""
    refused(caplog)
    accept(log)
    served(i)


def test_it_goes_on_with_the_store_that_is_left(tmp_path, caplog):
    log = MemoryLog()
    older = stored(log, tmp_path / "a")
    with waiting(log, older) as i:
        accepted(log, i, caplog)
        assert balances(i) == [1] * 8
        assert deposit(i) == [2] * 8
        assert "goes on with the state of the state store of this node" in caplog.text
        assert "is LOST" in caplog.text
    with Installation(log, older, EAGER) as i:
        found = all_saved(log, i)
    with Installation(log, tmp_path / "another") as i:
        assert balances(i) == found


def test_messages_that_are_in_the_mailbox_still_are_handled_again(tmp_path, caplog):
    log = MemoryLog()
    older = stored(log, tmp_path / "a", T.journal)
    with waiting(log, older) as i:
        accepted(log, i, caplog)
        assert balances(i) == [2] * 8
        assert deposit(i) == [3] * 8


def test_it_goes_on_with_the_snapshots_that_are_left(tmp_path, caplog):
    log = MemoryLog()
    with Installation(log, tmp_path / "a", EAGER) as i:
        least, found = saved(log, i)
    with Installation(log, tmp_path / "a") as i:
        assert deposit(i) == [n + 1 for n in found]
    empty(log)
    with waiting(log, tmp_path / "b") as i:
        accepted(log, i, caplog)
        left = balances(i)
        assert all(low <= now <= n for low, now, n in zip(least, left, found, strict=True))
        assert deposit(i) == [n + 1 for n in left]
    with Installation(log, tmp_path / "b", EAGER) as i:
        left = all_saved(log, i)
    with Installation(log, tmp_path / "c") as i:
        assert balances(i) == left


def test_snapshots_that_are_newer_than_the_store_are_taken(tmp_path, caplog):
    log = MemoryLog()
    with Installation(log, tmp_path / "a") as i:
        deposit(i)
    shutil.copytree(tmp_path / "a", tmp_path / "older")
    with Installation(log, tmp_path / "a", EAGER) as i:
        least, found = saved(log, i)
    with Installation(log, tmp_path / "a") as i:
        deposit(i)
    empty(log)
    with waiting(log, tmp_path / "older") as i:
        accepted(log, i, caplog)
        assert all(low <= now <= n for low, now, n in zip(least, balances(i), found, strict=True))


def test_what_was_accepted_is_that_loss_and_none_that_comes_later(tmp_path, caplog):
    log = MemoryLog()
    older = stored(log, tmp_path / "a")
    with waiting(log, older):
        refused(caplog)
    accept(log)
    with Installation(log, tmp_path / "a") as i:  # all is there, after all
        assert deposit(i) == [3] * 8
    empty(log)
    caplog.clear()
    with waiting(log, older):
        refused(caplog)


def test_nobody_goes_on_without_what_was_acknowledged_since(tmp_path, caplog):
    log = MemoryLog()
    older = stored(log, tmp_path / "a")
    with waiting(log, older) as i:
        accepted(log, i, caplog)
        assert deposit(i) == [2] * 8
    caplog.clear()
    # The snapshots have nothing of it yet: who has no store must not serve, though it was accepted once.
    with waiting(log, tmp_path / "another"):
        refused(caplog)
    with waiting(log, tmp_path / "a"):
        refused(caplog)
    with Installation(log, older, EAGER) as i:
        assert balances(i) == [2] * 8
        found = all_saved(log, i)
    with Installation(log, tmp_path / "a") as i:
        assert balances(i) == found


def test_nobody_takes_a_part_of_the_state_for_all_of_it(tmp_path, caplog, monkeypatch):
    log = MemoryLog()
    older = stored(log, tmp_path / "a")
    save, began = Upkeep.snapshot, set()

    def once(upkeep, now):
        if upkeep not in began:
            save(upkeep, now)
            if upkeep._saving is not None:
                began.add(upkeep)

    monkeypatch.setattr(Upkeep, "snapshot", once)
    before = [log.range((T.snapshot, p))[1] for p in range(2)]
    with waiting(log, older, EAGER._replace(snapshot_batch=1)) as i:
        accepted(log, i, caplog)
        assert balances(i) == [1] * 8
        # Of each partition one actor is in the snapshots.
        wait_until(lambda: len(began) == 2 and all(upkeep._saving is None for upkeep in began))
        assert all(log.range((T.snapshot, p))[1] > before[p] for p in range(2))
    monkeypatch.setattr(Upkeep, "snapshot", save)
    caplog.clear()
    with waiting(log, tmp_path / "another"):
        refused(caplog)
    with Installation(log, older, EAGER) as i:
        found = all_saved(log, i)
    with Installation(log, tmp_path / "another") as i:
        assert balances(i) == found
