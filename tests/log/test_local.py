"""Readers of the logs in one process: when they are woken."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from log_driving import fill

from plexstream.log.base import TopicSpec
from plexstream.log.embedded.log import EmbeddedLog
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import LogError

A, B = ("a", 0), ("a", 1)


class Waits:
    """A condition: what comes about while a reader waits, and how often it is woken."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile
        self.woken = 0

    def wait(self, seconds: float) -> None:
        self._meanwhile()

    def notify(self) -> None:
        self.woken += 1


@pytest.fixture(params=["memory", "embedded"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[MemoryLog | EmbeddedLog]:
    made = MemoryLog() if request.param == "memory" else EmbeddedLog(tmp_path / "log")
    made.create([TopicSpec("a", 2)])
    yield made
    made.close()


def test_a_reader_is_woken_for_its_own_places_only(log):
    seen = []

    def meanwhile():
        fill(log, B, b"elsewhere")
        seen.append(waits.woken)
        transaction.commit([("a", 1, b"k", b"elsewhere")], {})
        seen.append(waits.woken)
        fill(log, A, b"here")
        seen.append(waits.woken)

    transaction = log.transaction("t")
    reader = log.reader()
    reader.assign(A, 0)
    waits = reader._came = Waits(meanwhile)
    assert [r.value for r in reader.read(10, 20.0)] == [b"here"]
    if isinstance(log, EmbeddedLog):
        assert seen == [0, 0, 1]
    else:  # what a commit makes visible begins before it: there everybody looks
        assert seen[0] == 0
        assert seen[2] > seen[1]


def test_a_transaction_wakes_the_readers_of_its_places(log):
    transaction = log.transaction("t")
    reader = log.reader(committed=True)
    reader.assign(A, 0)
    waits = reader._came = Waits(lambda: transaction.commit([("a", 0, b"k", b"v")], {}))
    assert [r.value for r in reader.read(10, 20.0)] == [b"v"]
    assert waits.woken


def test_what_comes_between_looking_and_waiting_is_not_waited_for(log, monkeypatch):
    reader = log.reader()
    reader.assign(A, 0)
    looks = reader._collect

    def look(limit):
        monkeypatch.undo()
        found = looks(limit)
        fill(log, A, b"just then")
        return found

    monkeypatch.setattr(reader, "_collect", look)
    reader._came = Waits(lambda: pytest.fail("it waits for what is there"))
    assert [r.value for r in reader.read(10, 20.0)] == [b"just then"]


def test_closing_wakes_every_reader(log):
    reader = log.reader()
    reader.assign(A, 0)
    waits = reader._came = Waits(log.close)
    with pytest.raises(LogError, match="closed"):
        reader.read(10, 20.0)
    assert waits.woken == 1


def test_a_wake_ends_a_wait(log):
    reader = log.reader()
    reader.assign(A, 0)
    waits = reader._came = Waits(lambda: reader.wake())
    assert reader.read(10, 20.0) == []
    assert waits.woken == 1
    fill(log, A, b"later")
    assert [r.value for r in reader.read(10, 20.0)] == [b"later"]
