"""The parts of a supervisor's decisions, each alone."""

from __future__ import annotations

from unittest.mock import Mock, call

import pytest

from plexstream.hosts.system.children.acts import NOBODY
from plexstream.hosts.system.children.children import Children, Node
from plexstream.hosts.system.children.crew import Crew
from plexstream.hosts.system.children.state import Head, Step
from plexstream.hosts.system.declared import Declared
from plexstream.hosts.system.steps import Steps
from plexstream.sdk.host.supervision import Child, Supervisor


def node(id, status="new", **more):
    made = Node(id, f"worker/{id}", {}, "permanent", "restart", 5.0, status=status)
    for name, value in more.items():
        setattr(made, name, value)
    return made


@pytest.fixture
def room():
    """A crew of three, and steps for it."""
    room = Mock(head=Head(phase="running"), acts=Mock(), todo=[])
    room.acts.start.side_effect = lambda child: f"life of {child.id}"
    room.acts.timeout.side_effect = lambda child: f"timer of {child.id}"
    room.crew = Crew(room.head, Children({}, {}), room.acts)
    room.steps = Steps(room.head, room.crew, room.todo, room.acts)
    room.take = lambda *steps: room.steps.plan(list(steps)) and room.steps.run()
    for id in "abc":
        room.crew.append(node(id))
    return room


def statuses(room):
    return {child.id: child.status for child in room.crew.children}


def test_children_are_counted_whatever_becomes_of_them(room):
    head, crew = room.head, room.crew
    a = crew.child("a")
    a.significant = True
    assert (head.specs, head.active, head.significant) == (3, 0, 0)
    for status, active in (("starting", 1), ("running", 1), ("failed", 1), ("stopping", 1), ("stopped", 0)):
        crew.set(a, status)
        assert (head.active, head.significant) == (active, active), status
    crew.set(a, "running")
    crew.remove(a)
    assert (head.specs, head.active, head.significant) == (2, 0, 0)


def test_who_asked_for_a_start_is_told_once_and_nobody_is_not(room):
    a, b = room.crew.child("a"), room.crew.child("b")
    a.call, b.call = "call", NOBODY
    for _ in range(2):
        room.crew.answer(a, "")
        room.crew.answer(b, "")
    assert room.acts.answer.call_args_list == [call("call", "worker/a", "")]


def test_a_child_that_could_never_start_is_not_taken(room):
    room.acts.check.side_effect = ValueError("arguments")
    with pytest.raises(ValueError, match="arguments"):
        room.crew.append(node("d"))
    assert (room.head.specs, room.crew.children.get("d")) == (3, None)


def test_starts_go_up_one_by_one_each_after_the_outcome_of_the_last(room):
    for child in room.crew.children:
        child.again = True
    room.take(Step("start all"))
    assert statuses(room) == {"a": "starting", "b": "new", "c": "new"}
    room.crew.set(room.crew.child("a"), "running")
    assert not room.steps.run()
    assert statuses(room) == {"a": "running", "b": "starting", "c": "new"}


def test_stops_go_down_to_the_floor_and_each_is_waited_for(room):
    for child in room.crew.children:
        room.crew.set(child, "running")
    room.take(Step("stop all", "c", "b"), Step("start all", "b"))
    assert statuses(room) == {"a": "running", "b": "running", "c": "stopping"}
    assert room.crew.child("c").timer == "timer of c"
    room.steps.stopped(room.crew.child("c"))
    room.steps.run()
    room.steps.stopped(room.crew.child("b"))
    room.steps.run()
    # They ran, so they start again.
    assert statuses(room) == {"a": "running", "b": "starting", "c": "stopped"}


def test_who_has_crashed_is_not_asked_to_stop(room):
    room.crew.set(room.crew.child("a"), "failed")
    room.take(Step("stop", "a"))
    assert room.acts.stop.call_args == call(room.crew.child("a"), True)
    assert not room.acts.timeout.called


def test_a_step_that_stands_at_a_child_that_is_forgotten_goes_on_at_the_next(room):
    for child in room.crew.children:
        room.crew.set(child, "running")
    b = room.crew.child("b")
    b.restart = "temporary"
    room.take(Step("stop all", "b"))
    room.steps.stopped(b)
    assert (room.crew.children.get("b"), room.todo[0].id) == (None, "a")
    assert room.head.gone == {"b": b.digest()}
    room.steps.run()
    assert statuses(room) == {"a": "stopping", "c": "running"}


def test_the_last_step_is_the_exit(room):
    room.head.reason = "it was time"
    assert room.take(Step("exit"))
    assert (room.head.phase, room.acts.exit.call_args) == ("gave up", call("it was time"))


def test_what_is_planned_while_something_is_under_way_waits(room):
    assert not room.take(Step("start", "a"))
    assert not room.steps.plan([Step("start", "b")])
    room.steps.first([Step("start", "c")])
    assert [step.id for step in room.todo] == ["c", "a", "b"]
    room.steps.done("start", "a")  # which is not the first
    assert len(room.todo) == 3


@pytest.fixture
def declared(room):
    room.declared = Declared("app", room.head, Crew(room.head, Children({}, {}), room.acts), room.acts)
    room.become = lambda *children, over=False: room.declared.become(Supervisor(list(children)), over)
    room.children = room.declared._crew.children
    return room


def test_what_is_new_is_to_be_started_and_what_is_gone_to_be_deleted(declared):
    changes = declared.become(Child("a", "worker"), Child("b", "worker"))
    assert (changes.steps, changes.starts, changes.any) == ([], True, True)
    assert [(child.id, child.again) for child in declared.children] == [("a", True), ("b", True)]
    changes = declared.become(Child("b", "worker"), Child("c", "worker"))
    assert (changes.steps, changes.starts) == ([Step("delete", "a")], True)


def test_the_same_declaration_changes_nothing(declared):
    declared.become(Child("a", "worker"))
    assert not declared.become(Child("a", "worker")).any


def test_another_definition_starts_a_child_again_unless_it_is_stopped(declared):
    declared.become(Child("a", "worker"))
    a = declared.children.get("a")
    a.status, a.again = "running", False
    changes = declared.become(Child("a", "worker", {"n": 1}))
    assert (changes.steps, a.again) == ([Step("stop", "a")], True)
    a.status, a.again = "stopped", False
    changes = declared.become(Child("a", "worker", {"n": 2}))
    assert (changes.steps, changes.any, a.again) == ([], True, False)


def test_a_child_does_not_become_another_actor(declared):
    declared.become(Child("a", "worker"))
    with pytest.raises(ValueError, match="cannot become"):
        declared.become(Child("a", "other"))


@pytest.mark.parametrize("over", [False, True])
def test_a_supervisor_below_is_told_of_its_new_declaration_unless_this_one_is_over(declared, over):
    declared.become(Child("s", supervisor=Supervisor([])))
    below = declared.children.get("s")
    below.status, below.again = "running", False
    changes = declared.become(Child("s", supervisor=Supervisor([Child("x", "worker")])), over=over)
    assert declared.acts.configure_below.called != over
    assert bool(changes.steps) == over


def test_a_temporary_child_that_has_ended_is_not_declared_anew_by_the_same_words(declared):
    declared.become(Child("t", "worker", restart="temporary"))
    declared.head.gone["t"] = declared.children.get("t").digest()
    declared.children.remove("t")
    assert not declared.become(Child("t", "worker", restart="temporary")).any
    assert declared.become(Child("t", "worker", {"n": 1}, restart="temporary")).starts
