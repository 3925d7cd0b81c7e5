from __future__ import annotations

import pytest
from installation import BANK, PARTITIONS, WAITING, Installation, wait_until

from plexstream.hosts.native import load_actors
from plexstream.inspection.reexecute import check, reexecute
from plexstream.log.memory import MemoryLog
from plexstream.model.address import full, partition_of
from plexstream.model.errors import CallError, ReplayDiffers


@pytest.fixture(scope="module")
def used(tmp_path_factory):
    with Installation(MemoryLog(), tmp_path_factory.mktemp("i") / "state") as i:
        for name in ("alice", "bob", "carol"):
            for amount in (5, 7):
                i.ask(f"account/{name}", "deposit", amount=amount)
            i.ask(f"account/{name}", "note", key="a", text="first")
            i.ask(f"account/{name}", "note", key="a")
            i.ask(f"account/{name}", "later", amount=100, delay=0.0)
            wait_until(lambda name=name: i.ask(f"account/{name}", "balance") == 112)
            with pytest.raises(CallError):
                i.ask(f"account/{name}", "deposit", amount=-1)
            with pytest.raises(CallError):
                i.ask(f"account/{name}", "broken")
    return i


def changed(tmp_path, old: str, new: str):
    text = BANK.read_text()
    assert old in text
    file = tmp_path / "changed.py"
    file.write_text(text.replace(old, new))
    return load_actors(file)


def again(i, app):
    return [reexecute(i.log, i.topics, n, app) for n in range(PARTITIONS)]


def test_the_same_code_does_the_same(used):
    reports = again(used, load_actors(BANK))
    assert [r.first for r in reports] == [None] * PARTITIONS
    assert sum(r.executed for r in reports) == 3 * 8
    assert sum(r.trimmed for r in reports) == 0
    check(reports)


@pytest.mark.parametrize(
    ("old", "new", "handler", "what"),
    [
        ("+= amount\n", "+= amount + (amount == 7)\n", "deposit", "balance: recorded 12, now 13"),
        ('"deposits", {"amount"', '"deposits", {"cents"', "deposit", "now emit deposits"),
        ('host.emit("deposits", {"amount": amount})', "pass", "deposit", "sends 1: recorded emit"),
        ("del self.notes[key]", "self.notes[key] = ''", "note", "notes[a]: recorded deleted, now \"\""),
        ("an amount is positive", "no", "deposit", "refusal: recorded 'an amount is positive'"),
        ("if amount < 0", "if amount < -9", "deposit", "status: recorded rejected, now done"),
        ('raise RuntimeError("broken")', "pass", "broken", "status: recorded failed, now done"),
        ("self.balance += amount\n", "1 / 0\n", "deposit", "ZeroDivisionError"),
        ('@handler("note")', '@handler("notes")', "note", "no handler 'note'"),
    ],
)  # fmt: skip
def test_a_planted_difference_is_found(used, tmp_path, old, new, handler, what):
    reports = again(used, changed(tmp_path, old, new))
    first = next(r.first for r in reports if r.first is not None)
    assert first.handler == handler
    assert what in "; ".join(first.what)
    with pytest.raises(ReplayDiffers, match=f"account/.* turn {first.seq} "):
        check(reports)


def test_what_a_tell_has_come_to_is_compared(tmp_path):
    with Installation(MemoryLog(), tmp_path / "state") as i:
        for handler, arguments in (("deposit", {"amount": 7}), ("balance", {}), ("deposit", {"amount": -1})):
            begun = [i.client.tell("account/a", handler, arguments, idempotency_key=key) for key in ("", "k")]
            assert {one.status(wait=20)["status"] for one in begun} <= {"done", "failed"}
    assert [r.first for r in again(i, load_actors(BANK))] == [None] * PARTITIONS
    other = changed(tmp_path, 'return {"balance": self.balance}', 'return {"balance": 0}')
    first = next(r.first for r in again(i, other) if r.first is not None)
    assert "recorded kept" in first.what[0]


def test_another_text_of_an_exception_is_no_difference(used, tmp_path):
    reports = again(used, changed(tmp_path, 'RuntimeError("broken")', 'RuntimeError("otherwise")'))
    assert [r.first for r in reports] == [None] * PARTITIONS


def test_messages_that_are_gone_are_counted(used):
    for n in range(PARTITIONS):
        place = (used.topics.mailbox, n)
        first, end = used.log.range(place)
        used.log.trim(place, min(first + 2, end), end)
    reports = again(used, load_actors(BANK))
    assert [r.first for r in reports] == [None] * PARTITIONS
    assert 0 < sum(r.trimmed for r in reports) <= 2 * PARTITIONS


def test_types_that_the_code_does_not_have_are_counted(used, tmp_path):
    reports = again(used, changed(tmp_path, "@actor\n", '@actor(name="other")\n'))
    assert sum(r.executed for r in reports) == 0
    assert sum(r.unknown for r in reports) == 3 * 8


def test_turns_around_a_handler_that_waited(tmp_path):
    with Installation(MemoryLog(), tmp_path / "state", None, WAITING) as i:
        i.ask("waiter/x", "add", value=7)
        i.ask("waiter/x", "steps")
        assert i.ask("waiter/x", "add", value=8) == [7, 1, "all", 8]
    home = partition_of(full("waiter/x"), PARTITIONS)
    report = reexecute(i.log, i.topics, home, load_actors(WAITING))
    assert report.first is None
    assert (report.executed, report.waited) == (2, 1)
