"""What a handler asks for, against what is recorded: the part of a task alone."""

from __future__ import annotations

from unittest.mock import Mock

import pytest

from plexstream.hosts.native.turn.history.plan import Plan
from plexstream.hosts.native.turn.history.retried import Failures
from plexstream.hosts.native.waiting.asked import commands
from plexstream.hosts.native.waiting.asked.commands import ASK, PROMISE, RUN, SLEEP, VALUE, Commands
from plexstream.hosts.native.waiting.asked.ends import Unchanged
from plexstream.model.errors import HistoryTooLong
from plexstream.model.journal.journal import Command, Completion, Step


@pytest.fixture
def made():
    turn = Mock(restarts=0)
    turn.sent_in_all.return_value = 0
    turn.reference.side_effect = lambda index: f"a/1#1.{index}"
    return Commands(turn, "A.go", Mock(), Failures())


def recorded(*names, **more):
    return Plan(recorded={i: Command(i, RUN, name) for i, name in enumerate(names)}, **more)


def test_commands_are_numbered_and_leave_once(made):
    made.ask(RUN, "first")
    made.ask(SLEEP, "", 5)
    asked, done, _ = made.take()
    assert [(c.number, c.kind, c.name, c.due) for c in asked] == [(0, RUN, "first", 0), (1, SLEEP, "", 5)]
    assert done == []
    assert made.take() == ([], [], {})


def test_what_is_recorded_does_not_leave_again_unless_a_retry_asks_for_it(made):
    made.plan = recorded("a", "b", again={1})
    for name in "abc":
        made.ask(RUN, name)
    assert [c.name for c in made.take()[0]] == ["b", "c"]


def test_another_command_than_is_recorded_ends_the_run_whatever_the_handler_makes_of_it(made):
    made.plan = recorded("a")
    with pytest.raises(Unchanged) as raised:
        made.ask(RUN, "other")
    assert made.ended is raised.value
    assert "is recorded as run 'a'" in made.ended.error.detail


def test_a_value_is_what_it_was_when_the_handler_first_came_here(made):
    known = Completion(0, False, b'"then"')
    made.plan = Plan(recorded={0: Command(0, VALUE, "look")}, early={0: known}, early_at={0: 0})
    assert made.value("look", lambda: "now") == "then"
    assert made.take()[1] == []
    assert made.value("look", lambda: "now") == "now"
    assert [c.value for c in made.take()[1]] == [b'"now"']


def test_code_that_did_not_ask_for_a_value_may_have_passed_here(made):
    made.plan = recorded("step")
    assert made.value("version x", lambda: 2, lambda: 0) == 0
    made.ask(RUN, "step")  # and goes on as recorded
    assert made.value("version x", lambda: 2, lambda: 0) == 2


def test_a_promise_is_known_no_earlier_than_its_step(made):
    known = Completion(0, False, b'"v"')
    made.plan = Plan(recorded={0: Command(0, PROMISE, "p")}, early={0: known}, early_at={0: 3})
    made.place = 2
    handle = made.ask(PROMISE, "p")
    assert (handle.order, made.is_behind(0)) == (-1, True)
    made.settle(known)
    assert (handle.result(), made.is_behind(0)) == ("v", False)


def test_completions_are_ordered_as_they_come_and_count_once(made):
    first, second = made.ask(RUN, "a"), made.ask(RUN, "b")
    made.settle(Completion(1, False, b"1"))
    made.settle(Completion(0, False, b"2"))
    made.settle(Completion(1, False, b"3"))
    assert (second.order, first.order, second.result()) == (0, 1, 1)


def test_a_result_that_is_no_json_is_a_failure_of_its_step(made):
    handle = made.ask(RUN, "a")
    made.settle(Completion(0, False, b"{"))
    with pytest.raises(Exception, match="no JSON"):
        handle.result()


def test_who_was_waited_for_by_nobody_is_named(made):
    made.ask(RUN, "waited")
    made.ask(RUN, "left")
    made.ask(ASK, "detached", 1)
    made.ask(VALUE, "a value")
    made.unused.pop(0)
    assert made.left() == "run 'left'"


def test_an_answer_to_what_was_undone_has_another_name(made):
    made.plan = recorded("a", "b", undone=2, after={1: 1})
    assert [made.question(index) for index in range(3)] == ["a/1#1.0", "a/1#1.1.1", "a/1#1.2.2"]


def test_from_a_restart_on_it_has_the_time_of_the_restart(made):
    restarts = []
    made.at_restart = lambda: restarts.append(made.spot())
    made.plan = Plan(moments={1: (777, 3)})
    made.ask(RUN, "a")
    assert not made._turn.at.called
    made.now()  # it has come there, and asks later
    made.ask(RUN, "b")
    made.ask(RUN, "c")
    assert (made._turn.at.call_args.args, made._turn.restarts, made.reached) == ((777,), 3, {1: 0})
    assert len(restarts) == 1


def test_what_a_step_has_and_the_handler_did_not_ask_for_is_named(made):
    made.ask(RUN, "a")
    step = Mock(spec=Step, commands=[Command(0, RUN, "a"), Command(1, RUN, "b")])
    assert "step 1 is recorded as run 'b'" in made.missed(step)
    step.commands = [Command(0, RUN, "a")]
    assert made.missed(step) == ""


def test_a_history_ends(made, monkeypatch, caplog):
    monkeypatch.setattr(commands, "WARN_HISTORY", 1)
    monkeypatch.setattr(commands, "MAX_HISTORY", 2)
    made.ask(RUN, "a")
    made.ask(RUN, "b")
    assert "use host.continue_as_new" in caplog.text
    with pytest.raises(HistoryTooLong):
        made.ask(RUN, "c")
