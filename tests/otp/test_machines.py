"""What OTP's `gen_statem` does, as expectations of ours."""

from __future__ import annotations

import pytest

from plexstream import CallError, Failed, Rejected
from tests.otp.systems import fresh


@pytest.fixture
def name() -> str:
    return fresh()


def log(system, machine):
    return system.ask(machine, "get")[1]


def test_a_life_in_states(system, name):
    line = f"line/{name}"
    for n in range(2):
        assert system.ask(line, "connect") == "accept"
        system.tell(line, "ping", tag=f"{n}")
        assert system.ask(line, "confirm") == "yes"
        assert system.ask(line, "get") == ["connected", [f"pong {i}" for i in range(n + 1)]]
        assert system.ask(line, "disconnect") == "yes"


def test_an_event_in_the_wrong_state(system, name):
    with pytest.raises(Rejected):
        system.ask(f"line/{name}", "confirm")
    assert system.ask(f"line/{name}", "get") == ["idle", []]


def test_a_postponed_call_is_answered_when_it_is_handled(system, name):
    line = f"line/{name}"
    system.ask(line, "connect")
    good, bad = system.start(line, "ping", tag="x"), system.start(line, "ping", tag="bad")
    system.ask(line, "confirm")
    assert good() == ["pong", "x"]
    with pytest.raises(Failed, match="bad"):
        bad()
    assert system.ask(line, "get") == ["connected", ["pong x"]]


def test_a_postponed_call_that_no_state_takes_any_more(system, name):
    line = f"line/{name}"
    system.ask(line, "connect")
    call = system.start(line, "ping", tag="x")
    system.ask(line, "disconnect")
    with pytest.raises(Rejected, match="takes no 'ping'"):
        call()


def test_inserted_events_come_before_postponed_ones(system, name):
    order = f"order/{name}"
    for what in ("p1", "p2"):
        system.tell(order, "put", what=what)
    assert system.ask(order, "buffer", more=["n1", "n2"]) == "ok"
    system.tell(order, "put", what="later")
    system.until(lambda: system.ask(order, "get") == ["n1", "n2", "p1", "p2", "later"])


def test_a_postponed_event_that_makes_a_transition(system, name):
    door = f"door/{name}"
    for n in (1, 2, 3):
        system.tell(door, "knock", n=n)
    system.ask(door, "to", state="open")
    assert system.ask(door, "get") == ["half", [1, 2]]
    system.ask(door, "to", state="locked")
    system.ask(door, "to", state="open")
    assert system.ask(door, "get") == ["open", [1, 2, 3]]


def test_a_postponed_event_that_fails_holds_up_no_other(system, name):
    door = f"door/{name}"
    for n in (-1, 7):
        system.tell(door, "knock", n=n)
    system.ask(door, "to", state="open")
    assert system.ask(door, "get") == ["open", [7]]


def test_postponed_by_decision(system, name):
    door = f"door/{name}"
    call = system.start(door, "when_even", n=1)
    assert system.ask(door, "when_even", n=0) == 0
    system.tell(door, "knock", n=5)
    system.ask(door, "to", state="open")  # it is tried before what was postponed behind it
    assert log(system, door) == [5]
    system.ask(door, "to", state="half")
    assert call() == 1


def test_a_state_is_repeated(system, name):
    door = f"door/{name}"
    call = system.start(door, "when_even", n=1)
    system.ask(door, "again")
    assert call() == 1
    assert system.ask(door, "get") == ["locked", [0]]


def test_a_transition_that_is_not_allowed(system, name):
    door = f"door/{name}"
    for to in ("half", "nowhere"):
        with pytest.raises(CallError):
            system.ask(door, "to", state=to)
    assert system.ask(door, "get") == ["locked", []]


def test_states_are_entered(system, name):
    timed = f"timed/{name}"
    system.ask(timed, "touch")
    system.ask(timed, "go", to="quiet")
    system.ask(timed, "go", to="quiet")  # where it is: no transition
    system.ask(timed, "again")
    assert log(system, timed) == ["a>a", "touch", "a>quiet", "quiet>quiet"]


def test_one_that_is_started_enters_its_state_then(system, name):
    system.ask(f"helper/{name}", "start", type="timed", id=name)
    assert system.ask(f"timed/{name}", "get") == ["a", ["a>a"]]


def test_a_state_timeout(system, name):
    timed = f"timed/{name}"
    system.ask(timed, "go", to="b")
    system.ask(timed, "touch")
    system.ask(timed, "go", to="b")  # which leaves the timeout alone
    system.until(lambda: system.ask(timed, "get") == ["a", ["a>a", "a>b", "touch", "timeout b", "b>a"]])


def test_leaving_a_state_takes_its_timeout_back(system, name):
    timed = f"timed/{name}"
    system.ask(timed, "go", to="b")
    system.ask(timed, "go", to="quiet")
    system.wait(1.4)
    system.until(lambda: log(system, timed)[-1] == "silence")
    assert log(system, timed) == ["a>a", "a>b", "b>quiet", "silence"]


def test_a_timeout_of_nothing_comes_before_later_events(system, name):
    timed = f"timed/{name}"
    for _ in range(10):
        for to in ("a", "c"):
            system.tell(timed, "go", to=to)
        system.tell(timed, "touch")
    system.until(lambda: log(system, timed).count("touch") == 10)
    assert log(system, timed) == ["a>a", *["a>c", "timeout c", "touch", "c>a"] * 10][:-1]


def test_a_state_timeout_is_set_anew_and_taken_back(system, name):
    timed = f"timed/{name}"
    system.ask(timed, "go", to="b")
    system.ask(timed, "timeout", seconds=None)
    system.wait(1.4)
    assert system.ask(timed, "get")[0] == "b"
    system.ask(timed, "timeout", seconds=0)
    assert system.ask(timed, "get")[0] == "a"
    with pytest.raises(Failed, match="no @state_timeout"):
        system.ask(timed, "timeout", seconds=1)


def test_silence_is_what_no_event_interrupts(system, name):
    timed = f"timed/{name}"
    system.ask(timed, "go", to="quiet")
    for _ in range(3):
        system.wait(0.5)
        system.ask(timed, "touch")
    system.until(lambda: "silence" in log(system, timed))
    assert log(system, timed)[2:] == ["touch", "touch", "touch", "silence"]
    system.ask(timed, "go", to="a")
    system.wait(0.1)
    assert log(system, timed)[-1] == "quiet>a"


def test_named_timers(system, name):
    timed = f"timed/{name}"
    for what, seconds in (("t1", 60), ("t2", 0.3), ("t3", 0.5)):
        system.ask(timed, "remind", name=what, seconds=seconds)
    system.ask(timed, "remind", name="t1", seconds=0.7)
    system.ask(timed, "forget", name="t3")
    system.until(lambda: log(system, timed) == ["a>a", "t2", "t1"])
