"""What OTP's `gen_server` does, as expectations of ours."""

from __future__ import annotations

import pytest

from plexstream import Failed, Stopped
from tests.otp.systems import fresh


@pytest.fixture
def name() -> str:
    return fresh()


def test_calls_and_casts_in_their_order(system, name):
    server = f"server/{name}"
    for n in range(10):
        system.tell(server, "note", x=n)
    assert system.ask(server, "req", x="end") == ["ok", "end"]
    assert system.ask(server, "get") == [*range(10), "end"]


def test_any_other_message(system, name):
    system.tell(f"server/{name}", "whatever", k=1)
    system.until(lambda: system.ask(f"server/{name}", "get") == [{"k": 1}])


def test_an_answer_too_late_is_dropped(system, name):
    server = f"server/{name}"
    call = system.start(server, "slow", seconds=0.5)
    assert system.ask(server, "req", x=1) == ["ok", 1]
    assert call() == "late"


def test_an_answer_that_another_message_gives(system, name):
    server = f"server/{name}"
    calls = [system.start(server, "later") for _ in range(2)]
    assert system.ask(server, "req", x=1) == ["ok", 1]
    system.tell(server, "reply_all", x="now")
    assert [call() for call in calls] == ["now", "now"]


def test_a_crash_is_told_to_its_caller_and_to_those_who_wait(system, name):
    helper, server = f"helper/{name}", f"server/{name}"
    system.ask(helper, "start", type="server", id=name)
    waiting = system.start(server, "later")
    with pytest.raises(Failed, match="crash"):
        system.ask(server, "crash")
    with pytest.raises(Stopped):
        system.ask(server, "req")
    with pytest.raises(Stopped, match="crash"):
        waiting()


def test_a_start_of_one_that_lives_is_told(system, name):
    helper = f"helper/{name}"
    assert system.ask(helper, "start", type="server", id=name) == f"server/{name}"
    assert system.ask(helper, "start", type="server", id=name) == "already started"


def test_it_ends_with_an_answer(system, name):
    assert system.ask(f"server/{name}", "stop_and_reply") == "stopped"
    with pytest.raises(Stopped):
        system.ask(f"server/{name}", "req")


def test_it_is_stopped_for_a_reason(system, name):
    helper, server = f"helper/{name}", f"server/{name}"
    system.ask(helper, "start", type="server", id=name)
    system.ask(helper, "stop", address=server, reason="other reason")
    system.until(lambda: _is_stopped(system, server, "other reason"))


def _is_stopped(system, server, why):
    try:
        system.ask(server, "get")
    except Stopped as error:
        return why in error.detail
    return False
