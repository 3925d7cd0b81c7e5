"""The parameter `from_actor`: whoever sent the message, and nothing that a message can say."""

from __future__ import annotations

import json

import pytest

from plexstream import actor, fsm_actor, gen_server_actor, handler, host, state


@gen_server_actor
class Guestbook:
    guests: list = state(default_factory=list)

    @handler("sign")
    def sign(self, text: str, from_actor: str, stars: int = 5) -> list:
        self.guests.append([from_actor, text, stars])
        return self.guests[-1]

    @handler("knock", "cast")
    def knock(self, from_actor: str = "nobody") -> None:
        self.guests.append([from_actor, "", 0])

    @handler("wait")
    async def wait(self, from_actor: str) -> str:
        return from_actor

    @handler("look", read_only=True)
    def look(self, from_actor: str) -> str:
        return from_actor

    @handler("*")
    def other(self, from_actor: str, **rest: object) -> dict:
        return {"from": from_actor, **rest}


@fsm_actor(states=["closed", "open"], initial="closed")
class Door:
    log: list = state(default_factory=list)

    @handler("open", states=["closed"])
    def open_(self, from_actor: str) -> str:
        self.fsm_state = "open"
        return from_actor

    @handler("pass", states=["open"], postpone_in=["closed"])
    def pass_(self, who: str, from_actor: str) -> str:
        self.log.append([who, from_actor])
        return from_actor


BOB = "person/bob"
SENDER = f"default/default/{BOB}"


@pytest.mark.parametrize(
    ("name", "payload", "value"),
    [
        ("sign", b'{"text": "hi"}', [BOB, "hi", 5]),
        ("sign", b'{"stars": 1, "text": "hi"}', [BOB, "hi", 1]),
        ("wait", b"", BOB),
        ("look", b"{}", BOB),
        ("anything", b'{"n": 1}', {"from": BOB, "n": 1}),
        ("anything", b'{"from_actor": "forged"}', {"from": BOB}),
    ],
)
def test_the_sender_is_given(tester, name, payload, value):
    assert json.loads(tester(Guestbook).ok(name, payload, sender=SENDER).value) == value


def test_a_caller_from_outside_has_no_address(tester):
    t = tester(Guestbook)
    t.ok("knock")
    assert json.loads(t.ok("sign", b'{"text": ""}').value) == ["", "", 5]
    assert t.instance.object.guests[0] == ["", "", 0]


def test_a_message_cannot_say_who_sent_it(tester):
    result = tester(Guestbook).call("sign", b'{"text": "hi", "from_actor": "forged"}', sender=SENDER)
    assert result.code == "bad_arguments"
    assert "there is no argument 'from_actor'" in result.detail


def test_in_a_state_machine_also_of_what_was_postponed(tester):
    t = tester(Door)
    t.ok("pass", b'{"who": "cat"}', sender=SENDER)
    assert json.loads(t.ok("open", sender="default/default/person/eve").value) == "person/eve"
    assert t.instance.object.log == [["cat", BOB]]


def test_outside_of_a_host_it_is_a_parameter_like_others():
    assert Guestbook().sign("hi", "me") == ["me", "hi", 5]


def test_a_host_function_beside_it(tester):
    @actor
    class Both:
        @handler("ask")
        def ask(self, from_actor: str) -> bool:
            return from_actor == host.sender()

    assert json.loads(tester(Both).ok("ask", sender=SENDER).value) is True
