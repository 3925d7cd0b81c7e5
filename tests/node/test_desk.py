"""What waits for a broker is asked beside the worker's thread: a place without answers stalls no other."""

from __future__ import annotations

import threading

import pytest
from installation import PARTITIONS, Installation, wait_until

from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import LogError, LogUnavailable
from plexstream.model.messages.address import full, partition_of
from plexstream.node.partition.service.driver import State
from plexstream.node.shared import desk as desks
from plexstream.node.shared.desk import Desk
from plexstream.processor import Settings

SILENT, WELL = 0, 1


def account(partition: int) -> str:
    names = (f"account/{n}" for n in range(99))
    return next(name for name in names if partition_of(full(name), PARTITIONS) == partition)


class Silent(MemoryLog):
    """A log whose answers about one partition of the journal come when the test lets them."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()
        self.answers.set()
        self.fails = False
        self.asked = 0

    def range(self, place):
        self._wait(place)
        return super().range(place)

    def trim(self, place, *args):
        self._wait(place)
        return super().trim(place, *args)

    def _wait(self, place):
        if place[1] == SILENT and threading.current_thread().name.startswith("plexstream"):
            self.asked += 1
            assert self.answers.wait(60), "it was left waiting by the test"
            if self.fails:
                raise LogUnavailable("the broker was away for too long")


def test_a_partition_whose_broker_is_away_is_not_in_service_and_the_others_are(tmp_path):
    log = Silent()
    with Installation(log, tmp_path / "state") as first:
        first.ask(account(SILENT), "deposit", amount=1)
        first.ask(account(WELL), "deposit", amount=1)
    again = Installation(log, tmp_path / "state")
    log.answers.clear()
    again.in_service = lambda worker: worker.drivers[WELL].state is State.ACTIVE
    with again:
        assert again.ask(account(WELL), "deposit", amount=1) == {"balance": 2}
        silent = again.worker.drivers[SILENT]
        assert (silent.state, silent.phase) == (State.TAKEOVER, "looking")
        claim = silent.takeover.claim
        log.fails = True  # an error is no reason to claim anew: it is asked again
        log.answers.set()
        wait_until(lambda: log.asked >= 3)
        log.fails = False
        assert again.ask(account(SILENT), "deposit", amount=1) == {"balance": 2}
        assert again.worker.drivers[SILENT].processor.claim == claim


def test_a_trim_that_hangs_stalls_nobody(tmp_path):
    log = Silent()
    settings = Settings(snapshot_interval=20, flush_interval=20, mark_interval=10)
    with Installation(log, tmp_path / "state", settings) as i:
        i.ask(account(SILENT), "deposit", amount=1)
        log.answers.clear()
        asked = log.asked
        i.ask(account(SILENT), "deposit", amount=1)
        wait_until(lambda: log.asked > asked)
        for n in range(5):
            assert i.ask(account(WELL), "deposit", amount=1) == {"balance": n + 1}
            assert i.ask(account(SILENT), "deposit", amount=1) == {"balance": n + 3}
        log.answers.set()
        wait_until(lambda: log.range((i.topics.journal, SILENT))[0] > 0)


@pytest.fixture
def desk():
    came = threading.Event()
    desk = Desk(came.set)
    desk.came = came
    yield desk
    desk.close()


def answers(desk, count):
    found = []
    wait_until(lambda: found.extend(desk.take()) is not None or len(found) >= count)
    return found


def test_questions_of_a_partition_are_asked_in_turn_and_each_is_answered(desk):
    for n in range(5):
        desk.ask("owner", 0, lambda n=n: n, print)
    assert [a.result for a in answers(desk, 5)] == [0, 1, 2, 3, 4]
    assert desk.came.is_set()


def test_errors_are_answers_whatever_they_are(desk):
    def unavailable():
        raise LogUnavailable("away")

    def wrong():
        raise KeyError("x")

    desk.ask("owner", 0, unavailable, print)
    desk.ask("owner", 0, wrong, print)
    first, second = (a.result for a in answers(desk, 2))
    assert type(first) is LogUnavailable
    assert isinstance(second, LogError)
    assert "KeyError" in str(second)


def test_one_that_hangs_holds_up_its_own_partition_only_and_a_bounded_number_of_questions(desk):
    hangs, begun = threading.Event(), threading.Event()

    def hang():
        begun.set()
        return hangs.wait(60)

    desk.ask("owner", 0, hang, print)
    assert begun.wait(20)
    for _ in range(desks.MAX_WAITING + 1):
        desk.ask("owner", 0, lambda: "late", print)
    desk.ask("other", 1, lambda: "at once", print)
    early = answers(desk, 2)
    assert {(a.owner, str(a.result)[:11]) for a in early} == {("owner", "partition 0"), ("other", "at once")}
    hangs.set()
    assert len(answers(desk, 1 + desks.MAX_WAITING)) == 1 + desks.MAX_WAITING


def test_a_thread_that_cannot_be_started_is_an_answer_and_the_next_question_is_asked(desk, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(desks.threading.Thread, "start", _no_more_threads)
        desk.ask("owner", 0, lambda: 1, print)
    assert type(answers(desk, 1)[0].result) is LogUnavailable
    desk.ask("owner", 0, lambda: 2, print)
    assert answers(desk, 1)[0].result == 2


def _no_more_threads(self):
    raise RuntimeError("can't start new thread")


def test_what_is_to_be_done_is_done_whatever_is_asked_besides_and_in_its_turn(desk):
    hangs, begun, done = threading.Event(), threading.Event(), []

    def hang():
        begun.set()
        return hangs.wait(60)

    desk.ask("owner", 0, hang, print)
    assert begun.wait(20)
    for n in range(desks.MAX_WAITING):
        desk.ask("owner", 0, lambda n=n: done.append(n), print)
    for n in range(20):  # more than may be asked
        desk.do(0, lambda n=n: done.append(100 + n))
    desk.close()
    desk.do(0, lambda: done.append(200))
    desk.ask("owner", 0, lambda: done.append(300), print)
    assert not done
    hangs.set()
    desk.close(20)
    assert done == [*range(100, 120), 200]  # what was only asked has nobody any more who waits for it
    assert not desk.busy()


def test_what_is_to_be_done_is_done_where_there_are_no_threads_and_its_error_is_told(
    desk, monkeypatch, caplog
):
    done = []

    def fails():
        done.append(1)
        raise ZeroDivisionError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(desks.threading.Thread, "start", _no_more_threads)
        desk.do(0, fails)
    assert done == [1]
    assert "a part of letting go failed: asking failed: ZeroDivisionError: a bug" in caplog.text
    assert not desk.take()
