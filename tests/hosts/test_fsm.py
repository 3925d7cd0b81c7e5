"""Finite state machines on the native host: what a turn of one does, and what it leaves to be found."""

import asyncio
import json
from collections import deque
from dataclasses import dataclass

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from plexstream import (
    Reject,
    TransitionError,
    fsm_actor,
    handler,
    host,
    init_handler,
    on_activate,
    state,
    state_timeout,
)
from plexstream.model.journal.journal import OutKind
from tests.hosts.conftest import ADDRESS, Tester


@dataclass
class Parcel:
    weight: int


@fsm_actor(
    name="a",
    states=["idle", "connecting", "online", "closed"],
    initial="idle",
    transitions={
        "idle": ["connecting"], "connecting": ["online", "idle"], "online": ["idle", "connecting", "closed"],
    },
    max_postponed=3,
)  # fmt: skip
class Line:
    sent: list[int] = state(default_factory=list)
    total: int = state(default=0)
    patience: int = state(default=30)

    @handler("dial", states=["idle"])
    def dial(self) -> str:
        self.fsm_state = "connecting"
        return self.fsm_state

    @handler("up", states=["connecting"])
    def up(self) -> int:
        self.fsm_state = "online"
        return len(self.sent)

    @handler("send", states=["online"], postpone_in=["idle", "connecting"])
    def send(self, parcel: Parcel) -> int:
        self.sent.append(parcel.weight)
        self.total += 1
        host.tell("log/1", "sent", weight=parcel.weight)
        if parcel.weight < 0:
            raise ValueError("negative")
        if parcel.weight == 0:
            raise Reject("nothing to send")
        if parcel.weight == 99:
            self.fsm_state = "connecting"
        return self.total

    @handler("close")
    def close(self) -> None:
        self.fsm_state = "closed"

    @handler("jump")
    def jump(self, to: str) -> None:
        self.total = 1000
        self.fsm_state = to

    @handler("where", read_only=True)
    def where(self) -> str:
        return self.fsm_state

    @state_timeout("connecting", after=lambda self: self.patience)
    def give_up(self) -> None:
        self.fsm_state = "idle"


def send(t, weight, **options):
    return t.call("send", json.dumps({"parcel": {"weight": weight}}).encode(), **options)


def timers(result, kind=OutKind.TIMER):
    return [o for o in result.outs if o.kind == kind]


def fire(t, timer, now):
    return t.call(timer.handler, timer.payload, now=now, sender=ADDRESS)


def test_events_are_taken_by_state(tester):
    t = tester(Line)
    assert t.ok("where").value == b'"idle"'
    refused = t.call("up")
    assert (refused.code, refused.data) == (
        "rejected", {"state": "idle", "events": ["close", "dial", "jump", "send", "where"]},
    )  # fmt: skip
    assert "is in the state 'idle', in which it takes no 'up'" in refused.detail
    assert t.ok("dial").value == b'"connecting"'
    t.load()
    assert t.ok("up").value == b"0"
    assert t.disk.fields["fsm_state"] == b'"online"'
    assert t.call("send", b'{"parcel": {"weight": "1"}}').code == "bad_arguments"


@pytest.mark.parametrize(("to", "why"), [
    ("nowhere", "has no state 'nowhere'; declared are idle, connecting, online, closed"),
    ("online", "cannot go from 'idle' to 'online'; allowed are connecting"),
])  # fmt: skip
def test_a_transition_that_is_not_allowed_is_rolled_back(tester, to, why):
    t = tester(Line)
    result = t.call("jump", json.dumps({"to": to}).encode())
    assert result.code == "failed"
    assert why in result.detail
    assert (t.instance.object.fsm_state, t.instance.object.total) == ("idle", 0)
    t.ok("jump", b'{"to": "idle"}')  # to where it is: no transition


def test_a_final_state(tester):
    t = tester(Line)
    for event in ("dial", "up", "close"):
        t.ok(event)
    assert "none: it is final" in t.call("jump", b'{"to": "idle"}').detail


def test_a_state_that_the_code_does_not_have_any_more(tester):
    t = tester(Line)
    t.disk.fields["fsm_state"] = b'"ringing"'
    t.load()
    result = t.call("jump", b'{"to": "idle"}')
    assert (result.code, result.data) == ("rejected", {"state": "ringing", "events": []})
    with pytest.raises(TransitionError, match="'ringing', which is not declared any more"):
        t.instance.object.fsm_state = "idle"


def test_a_state_timeout(tester):
    t = tester(Line)
    [timer] = timers(t.ok("dial", now=1000))
    assert (timer.target, timer.due) == (ADDRESS, 31_000)
    t.load()
    fire(t, timer, 31_000)
    assert t.ok("where").value == b'"idle"'


def test_leaving_a_state_takes_its_timeout_back(tester):
    t = tester(Line)
    [timer] = timers(t.ok("dial"))
    t.load()
    assert [o.id for o in timers(t.ok("up"), OutKind.CANCEL)] == [timer.id]
    t.ok("jump", b'{"to": "idle"}')
    [newer] = timers(t.ok("dial", now=2000))
    assert fire(t, timer, 31_000).code == ""  # it was on its way already: of a state that is over
    assert t.ok("where").value == b'"connecting"'
    fire(t, newer, 32_000)
    assert t.ok("where").value == b'"idle"'


def test_nobody_else_ends_a_state(tester):
    t = tester(Line)
    [timer] = timers(t.ok("dial"))
    for sender in ("", "default/default/a/2"):
        assert t.call(timer.handler, timer.payload, sender=sender).code == "rejected"
    assert t.ok("where").value == b'"connecting"'


def test_the_initial_state_has_its_timeout_from_the_first_event_on(tester):
    @fsm_actor(name="a", states=["new", "old"], initial="new")
    class Ages:
        @handler("hello")
        def hello(self):
            pass

        @state_timeout("new", after=5)
        def ripen(self):
            self.fsm_state = "old"

    t = tester(Ages)
    [timer] = timers(t.ok("hello", now=1000))
    assert not t.ok("hello").outs
    fire(t, timer, 6000)
    assert t.instance.object.fsm_state == "old"


def test_postponed_events_are_handled_in_order_after_the_transition(tester):
    t = tester(Line)
    for weight in (3, 1):
        assert send(t, weight).value == b"null"
    t.ok("dial")
    send(t, 2)
    assert t.instance.object.sent == []
    full = send(t, 4)
    assert (full.code, full.data["postponed"]) == ("rejected", 3)
    t.load()
    result = t.ok("up")
    assert result.value == b"0"
    assert t.instance.object.sent == [3, 1, 2]
    assert [json.loads(o.payload) for o in result.outs if o.handler == "sent"] == [
        {"weight": 3}, {"weight": 1}, {"weight": 2},
    ]  # fmt: skip
    t.load()
    assert not t.disk.stored
    assert send(t, 4).value == b"4"


def test_a_postponed_event_may_make_a_transition(tester):
    t = tester(Line)
    for weight in (1, 99, 2):
        send(t, weight)
    t.ok("dial")
    t.ok("up")  # 99 leads back to connecting: what is behind it is kept
    assert (t.instance.object.fsm_state, t.instance.object.sent) == ("connecting", [1, 99])
    t.ok("up")
    assert t.instance.object.sent == [1, 99, 2]


def test_an_older_event_goes_first_as_soon_as_it_can(tester):
    @fsm_actor(name="a", states=["one", "two", "three"], initial="one")
    class Steps:
        log: list[str] = state(default_factory=list)

        @handler("late", postpone_in=["one", "two"])
        def late(self):
            self.log.append("late")

        @handler("next", postpone_in=["one"])
        def next(self):
            self.log.append("next")
            self.fsm_state = "three"

        @handler("last", postpone_in=["one"])
        def last(self):
            self.log.append("last")

        @handler("go")
        def go(self):
            self.fsm_state = "two"

    t = tester(Steps)
    for event in ("late", "next", "last", "go"):
        t.ok(event)
    assert t.instance.object.log == ["next", "late", "last"]


@pytest.mark.parametrize(("weight", "code", "why"), [(-1, "failed", "negative"), (0, "rejected", "nothing")])
def test_a_postponed_event_that_fails_leaves_nothing_but_a_dead_letter(tester, weight, code, why):
    t = tester(Line)
    for w in (1, weight, 2):
        send(t, w)
    t.ok("dial")
    result = t.ok("up")
    assert (t.instance.object.sent, t.instance.object.total) == ([1, 2], 2)
    assert len([o for o in result.outs if o.handler == "sent"]) == 2
    [letter] = timers(result, OutKind.DEADLETTER)
    assert (letter.target, letter.handler, letter.key) == (ADDRESS, "send", code)
    assert why in letter.note
    assert json.loads(letter.payload) == {"parcel": {"weight": weight}}
    before = t.instance.object.__dict__.copy()
    t.load()
    assert t.instance.object.sent == before["sent"]


def test_a_postponed_event_that_no_longer_fits_is_put_aside(tester):
    t = tester(Line)
    send(t, 1)
    key = ("@postponed", "000000000001")
    t.disk.stored[key] = t.disk.stored[key].replace(b'"weight":1', b'"weight":"1"')
    t.load()
    t.ok("dial")
    [letter] = timers(t.ok("up"), OutKind.DEADLETTER)
    assert (letter.key, letter.payload) == ("bad_arguments", b'{"parcel":{"weight":"1"}}')


def test_a_failed_turn_keeps_what_was_postponed(tester):
    @fsm_actor(name="a", states=["shut", "open"], initial="shut")
    class Door:
        log: list[str] = state(default_factory=list)

        @handler("go", postpone_in=["shut"])
        def go(self, who: str):
            self.log.append(who)

        @handler("open")
        def open(self, good: bool):
            self.fsm_state = "open"
            if not good:
                raise ValueError("stuck")

    t = tester(Door)
    t.ok("go", b'{"who": "x"}')
    assert t.call("open", b'{"good": false}').code == "failed"
    assert (t.instance.object.fsm_state, t.instance.object.log) == ("shut", [])
    t.ok("open", b'{"good": true}')
    assert t.instance.object.log == ["x"]


def test_async_events_among_others(tester):
    @fsm_actor(name="a", states=["shut", "open"], initial="shut")
    class Door:
        log: list[str] = state(default_factory=list)

        @handler("go", "enter", postpone_in=["shut"])
        async def go(self, who: str, **more: int) -> int:
            self.log.append(f"{who}{more}")
            return len(self.log)

        @handler("open", "cast", states=["shut"])
        def open(self) -> str:
            self.fsm_state = "open"
            return "never told"

        @handler("wait")
        async def wait(self) -> None:
            await asyncio.sleep(0)

    t = tester(Door)
    t.ok("go", b'{"who": "x", "n": 1}')
    t.ok("enter", b'{"who": "y"}')
    assert t.ok("open").value == b"null"
    assert t.instance.object.log == ["x{'n': 1}", "y{}"]
    assert t.ok("go", b'{"who": "z"}').value == b"3"
    assert t.call("go", b'{"who": 1}').code == "bad_arguments"
    assert t.call("wait").code == "failed"


def test_hooks(tester):
    @fsm_actor(name="a", states=["one", "two"], initial="one")
    class Hooked:
        fsm_state: str = "one"

        @init_handler
        def begin(self):
            self.fsm_state = "two"

        @handler("see", states=["two"])
        def see(self):
            return self.fsm_state

    assert tester(Hooked).ok("see").value == b'"two"'

    @fsm_actor(name="a", states=["one", "two"], initial="one")
    class Bad:
        @on_activate
        def up(self):
            self.fsm_state = "two"

    with pytest.raises(TypeError, match="on_activate hook changed fsm_state"):
        tester(Bad)


def test_an_fsm_is_a_plain_object_in_a_unit_test():
    line = Line()
    assert line.dial() == line.fsm_state == "connecting"
    with pytest.raises(TransitionError, match="cannot go"):
        line.close()


class LineMachine(RuleBasedStateMachine):
    """Against a model: events in any order, crashes and timeouts in between."""

    def __init__(self):
        super().__init__()
        self.t = Tester(Line)
        self.state, self.kept, self.sent, self.timer = "idle", deque(), [], None
        self.now = 1000

    def outcome(self, result):
        for out in result.outs:
            if out.kind == OutKind.TIMER:
                self.timer = out
            elif out.kind == OutKind.CANCEL:
                assert out.id == self.timer.id
                self.timer = None
        return result.code

    def enter(self, state):
        self.state = state
        while self.kept and self.state == "online":
            self.handle(self.kept.popleft())

    def handle(self, weight):
        if weight > 0:
            self.sent.append(weight)
        if weight == 99:
            self.state = "connecting"

    @rule(weight=st.sampled_from([-1, 0, 1, 2, 99]))
    def send(self, weight):
        code = self.outcome(send(self.t, weight, now=self.now))
        if self.state == "closed":
            assert code == "rejected"
        elif self.state != "online":
            assert code == ("" if len(self.kept) < 3 else "rejected")
            if not code:
                self.kept.append(weight)
        else:
            assert code == {-1: "failed", 0: "rejected"}.get(weight, "")
            self.handle(weight)

    @rule(event=st.sampled_from(["dial", "up", "close"]))
    def event(self, event):
        allowed = {
            ("dial", "idle"): "connecting",
            ("up", "connecting"): "online",
            ("close", "online"): "closed",
        }
        code = self.outcome(self.t.call(event, now=self.now))
        if (event, self.state) in allowed:
            assert code == ""
            self.enter(allowed[event, self.state])
        elif event == "close":
            assert code == ("" if self.state == "closed" else "failed")
        else:
            assert code == "rejected"

    @precondition(lambda self: self.timer is not None)
    @rule()
    def time_out(self):
        timer, self.timer = self.timer, None
        self.now = max(self.now, timer.due)
        assert self.outcome(fire(self.t, timer, self.now)) == ""
        self.enter("idle")

    @rule()
    def crash(self):
        self.t.load()

    @invariant()
    def is_as_the_model_says(self):
        obj = self.t.instance.object
        assert obj.fsm_state == self.state
        assert obj.sent == self.sent
        assert obj.total == len(self.sent)
        assert len(obj.__dict__["@postponed"]) == len(self.kept)
        assert (self.timer is not None) == (self.state == "connecting")


TestLineMachine = LineMachine.TestCase
