from __future__ import annotations

import pytest
from installation import BANK, PARTITIONS, WAITING, Installation, wait_until

from plexstream.hosts.load import load_actors
from plexstream.inspection.replay.reexecute import check, reexecute
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import CallError, ReplayDiffers
from plexstream.model.messages.address import full, partition_of
from plexstream.processor import Settings


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


STATES = """
from plexstream import actor, handler, migrate, state, state_list, state_map

@actor(name="kept")
class Kept:
    n: int = state(default=0)
    notes: dict[str, int] = state_map()
    items: list[int] = state_list()

    @handler()
    def fill(self) -> None:
        self.n = 1
        self.notes["a"] = 1
        self.items.append(1)

@actor(name="other")
class Other:
    n: int = state(default=0)

    @handler()
    def add(self) -> None:
        self.n += 1
"""
EAGER = Settings(snapshot_interval=50, flush_interval=50)


@pytest.fixture(scope="module")
def states(tmp_path_factory):
    """State whose turns are trimmed off the journal: nothing of it can be executed again."""
    folder = tmp_path_factory.mktemp("states")
    app = folder / "kept.py"
    app.write_text(STATES)
    with Installation(MemoryLog(), folder / "state", EAGER, app) as i:
        home = partition_of(full("kept/x"), PARTITIONS)
        i.ask("kept/x", "fill")
        end = i.end(home)
        names = (full(f"other/{n}") for n in range(99))
        other = next(name for name in names if partition_of(name, PARTITIONS) == home)

        def is_trimmed():
            i.ask(other, "add")
            return i.log.range((i.topics.journal, home))[0] >= end

        wait_until(is_trimmed)
    return i, home


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("n: int = state(default=0)", 'n: str = state(default="")', "kept.n is stored as 1"),
        ("dict[str, int]", "dict[str, str]", "kept.notes has an entry"),
        ("list[int]", "list[str]", "kept.items has an entry"),
        (
            "    n: int = state(default=0)\n",
            "    m: int = state(default=0)\n\n    @migrate\n    def up(self, old):\n        1 / 0\n\n",
            "the migrate hook raised",
        ),
    ],
)
def test_state_that_the_code_cannot_read_is_found_without_its_turns(states, tmp_path, old, new, what):
    i, home = states
    file = tmp_path / "changed.py"
    assert old in STATES
    file.write_text(STATES.replace(old, new, 1))
    report = reexecute(i.log, i.topics, home, load_actors(file))
    assert report.first is not None
    assert (report.first.offset, report.first.actor) == (-1, full("kept/x"))
    assert "its state as it is now cannot be loaded" in report.first.what[0]
    assert what in report.first.what[0]
    with pytest.raises(ReplayDiffers, match=r"its state, partition \d as of now"):
        check([report])


def test_state_that_a_hook_migrates_is_loaded(states, tmp_path):
    i, home = states
    file = tmp_path / "changed.py"
    up = "n: str = state(default='')\n\n    @migrate\n    def up(self, was):\n        self.n = str(was['n'])"
    file.write_text(STATES.replace("n: int = state(default=0)", up, 1))
    report = reexecute(i.log, i.topics, home, load_actors(file))
    assert (report.first, report.loaded) == (None, 2)


def test_failures_that_are_recorded_are_no_news(used, caplog):
    caplog.clear()
    again(used, load_actors(BANK))
    assert "Traceback" not in caplog.text
    with pytest.raises(CallError), Installation(MemoryLog(), used.state_dir / "other") as i:
        i.ask("account/x", "broken")
    assert "Traceback" in caplog.text, "nodes tell them as before"


def test_types_that_the_code_does_not_have_are_counted(used, tmp_path):
    reports = again(used, changed(tmp_path, "@actor\n", '@actor(name="other")\n'))
    assert sum(r.executed for r in reports) == 0
    assert sum(r.unknown for r in reports) == 3 * 8 + 3  # and three actors


def test_turns_around_a_handler_that_waited(tmp_path):
    with Installation(MemoryLog(), tmp_path / "state", None, WAITING) as i:
        i.ask("waiter/x", "add", value=7)
        i.ask("waiter/x", "steps")
        assert i.ask("waiter/x", "add", value=8) == [7, 1, "all", 8]
    home = partition_of(full("waiter/x"), PARTITIONS)
    report = reexecute(i.log, i.topics, home, load_actors(WAITING))
    assert report.first is None
    assert (report.executed, report.waited) == (2, 1)
