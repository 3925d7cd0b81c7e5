"""What methods of a state machine ask of it: inserted events, postponing by decision, states entered anew."""

import enum
import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    Reject,
    Retry,
    event_timeout,
    fsm,
    fsm_actor,
    handler,
    host,
    init_handler,
    state,
    state_enter,
    state_timeout,
)
from plexstream.sdk.errors import OutsideHandler


@fsm_actor(states=["on", "off", "ring"], initial="on", retry=Retry(attempts=1), max_postponed=3)
class Lamp:
    log: list = state(default_factory=list)

    @init_handler
    def init(self, config: dict):
        if config.get("off"):
            self.fsm_state = "off"

    @state_enter("on", "off")
    def entered(self, before: str):
        self.log.append(f"{before}>{self.fsm_state}")

    @state_enter("ring")
    def rings(self):
        self.log.append("rings")

    @handler("do")
    def do(self, events: list, to: str = "", fails: bool = False):
        for event, arguments in events:
            fsm.next_event(event, arguments)
        if to:
            self.fsm_state = to
        if fails:
            raise ValueError("after all")
        return len(self.log)

    @handler("say")
    def say(self, what: str, then: list = ()):
        if what == "bad":
            raise ValueError("bad")
        self.log.append(what)
        for more in then:
            fsm.next_event("say", what=more)

    @handler("only_on", states=["on"], postpone_in=["off"])
    def only_on(self, what: str):
        self.log.append(f"on {what}")
        return what

    @handler("decide")
    def decide(self, fails: bool = False):
        if self.fsm_state != "ring":
            self.log.append("not yet")
            fsm.postpone()
            return "dropped"
        if fails:
            raise Reject("no", {"sorry": True})
        return "rung"

    @handler("repeat")
    def repeat(self):
        fsm.repeat_state()

    @handler("timeout")
    def timeout(self, seconds: object):
        fsm.set_timeout(seconds)

    @handler("look", read_only=True)
    def look(self):
        return [self.fsm_state, self.log]

    @state_timeout("ring", after=5)
    def stop(self):
        self.log.append("stop")
        self.fsm_state = "off"

    @event_timeout("off", after=3)
    def silence(self):
        self.log.append("silence")


@pytest.fixture(params=[0, 1, 3], ids=["", "crash after each turn", "crash after three"])
def world(request):
    return World(Lamp, Circle, Nervous, Plain, crash_every=request.param)


def log(world):
    return world.ask("lamp/1", "look")[1]


def test_events_inserted_by_inserted_ones_come_first(world):
    events = [["say", {"what": "1", "then": ["1a", "1b"]}], ["say", {"what": "2"}]]
    assert world.ask("lamp/1", "do", events=events, to="off") == 1
    assert log(world) == ["on>on", "on>off", "1", "1a", "1b", "2"]


def test_one_that_fails_takes_the_whole_turn_with_it(world):
    for events in ([["say", {"what": "1"}], ["say", {"what": "bad"}]], [["say", {"wat": "1"}]]):
        assert world.ask("lamp/1", "do", events=events, to="off") == "failed"
    assert world.ask("lamp/1", "do", events=[["only_on", {"what": "x"}]], to="ring") == "rejected"
    assert world.ask("lamp/1", "do", events=[["nothing", {}]]) == "failed"
    assert world.ask("lamp/1", "do", events=[["say", {"what": "1"}]], fails=True) == "failed"
    assert log(world) == []


def test_inserted_ones_may_be_postponed(world):
    world.ask("lamp/1", "do", events=[["only_on", {"what": "x"}]], to="off")
    world.ask("lamp/1", "do", events=[["say", {"what": "first"}]], to="on")
    assert log(world) == ["on>on", "on>off", "off>on", "first", "on x"]


def test_postponed_by_decision_until_it_is_handled(world):
    good, bad = (world.start("lamp/1", "decide", fails=fails) for fails in (False, True))
    world.ask("lamp/1", "do", events=[], to="off")
    assert {good, bad}.isdisjoint(world.replies)
    world.ask("lamp/1", "do", events=[], to="ring")
    assert world.replies[good] == "rung"
    assert world.errors[bad] == {
        "code": "rejected",
        "detail": "Lamp.decide, postponed: no",
        "data": {"sorry": True},
    }
    assert log(world).count("not yet") == 4


def test_no_more_are_postponed_than_fit(world):
    calls = [world.start("lamp/1", "decide") for _ in range(4)]
    assert [call in world.replies for call in calls] == [False, False, False, True]
    assert world.replies[calls[3]] == "rejected"


def test_a_state_is_entered_with_the_start_or_the_first_event(world):
    world.ask("lamp/1", "$start", args={"off": True})
    assert log(world) == ["off>off"]
    world.run(3_000)
    assert log(world) == ["off>off", "silence"]
    world.ask("lamp/1", "repeat")
    assert log(world) == ["off>off", "silence", "off>off"]


def test_silence_is_told_once_and_again_after_the_next_event(world):
    world.ask("lamp/1", "do", events=[], to="off")
    for _ in range(3):
        world.run(2_000)
        world.ask("lamp/1", "say", what="x")
    world.run(60_000)
    world.ask("lamp/1", "say", what="y")
    world.run(60_000)
    assert log(world) == ["on>on", "on>off", "x", "x", "x", "silence", "y", "silence"]
    assert not world.put_aside()


def test_the_timeout_of_a_state_is_set_and_repeated(world):
    world.ask("lamp/1", "do", events=[], to="ring")
    world.run(4_000)
    world.ask("lamp/1", "repeat")
    world.run(4_000)
    assert world.ask("lamp/1", "look")[0] == "ring"
    world.ask("lamp/1", "timeout", seconds=None)
    world.run(60_000)
    assert world.ask("lamp/1", "look")[0] == "ring"
    for wrong in (-1, 1e9, "5", True):
        assert world.ask("lamp/1", "timeout", seconds=wrong) == "failed"
    world.ask("lamp/1", "timeout", seconds=2)
    world.run(2_000)
    assert log(world) == ["on>on", "rings", "rings", "stop", "ring>off"]
    assert world.ask("lamp/1", "timeout", seconds=1) == "failed"


def test_nobody_else_breaks_the_silence(world):
    world.ask("lamp/1", "do", events=[], to="off")
    assert world.ask("lamp/1", "@event_timeout", heard="1.1") == "rejected"


@fsm_actor(states=["a", "b"], initial="a", retry=Retry(attempts=1))
class Circle:
    @handler("go")
    def go(self):
        self.fsm_state = "b"

    @state_timeout("a", after=0)
    def forth(self):
        self.fsm_state = "b"

    @state_timeout("b", after=0)
    def back(self):
        self.fsm_state = "a"


def test_a_machine_that_goes_round_in_circles_fails(world):
    call = world.start("circle/1", "go")
    assert "goes round in circles" in world.errors[call]["detail"]


@fsm_actor(states=["a", "b", "c"], initial="a", retry=Retry(attempts=1))
class Nervous:
    @handler("go")
    def go(self, to: str, what: str = ""):
        host.set("what", what)
        self.fsm_state = to

    @state_enter("b")
    def entered(self):
        what = host.get("what")
        if what == "go":
            self.fsm_state = "c"
        elif what:
            getattr(fsm, what)()


@fsm_actor(states=["a"], initial="a", retry=Retry(attempts=1))
class Plain:
    @handler("go")
    def go(self):
        fsm.postpone()


def test_who_keeps_no_events_is_told_how_to(world):
    call = world.start("plain/1", "go")
    assert "max_postponed=256" in world.errors[call]["detail"]


@pytest.mark.parametrize("what", ["go", "postpone", "repeat_state"])
def test_what_cannot_be_done_while_a_state_is_entered(world, what):
    assert world.ask("nervous/1", "go", to="b", what=what) == "failed"
    assert world.ask("nervous/1", "go", to="b") is None


def test_it_is_for_methods_that_a_machine_runs():
    for call in (fsm.postpone, fsm.repeat_state, lambda: fsm.next_event("x"), lambda: fsm.set_timeout(1)):
        with pytest.raises(OutsideHandler, match="outside a method"):
            call()


class Light(enum.StrEnum):
    RED = "red"
    GREEN = "green"


def test_states_may_be_an_enumeration_of_texts():
    @fsm_actor(name="light", states=Light, initial=Light.RED, transitions={Light.RED: [Light.GREEN]})
    class Lamp:
        @handler(states=[Light.RED])
        def go(self):
            self.fsm_state = Light.GREEN
            return self.fsm_state == Light.GREEN

        @handler(read_only=True)
        def look(self):
            return self.fsm_state

    world = World(Lamp)
    assert world.ask("light/1", "go") is True
    assert world.ask("light/1", "go") == "rejected"
    world.restart()
    assert world.ask("light/1", "look") == "green"
    assert world.field("light/1", "fsm_state") == "green"
