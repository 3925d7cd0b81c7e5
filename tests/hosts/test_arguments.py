"""Arguments are taken as they are written, or refused: nothing is coerced, nothing ends the host."""

import dataclasses
import json
from decimal import Decimal
from typing import Any

import pytest

from plexstream import actor, handler
from plexstream.sdk.errors import DeclarationError


@dataclasses.dataclass
class Even:
    n: int

    def __post_init__(self):
        if self.n % 2:
            raise KeyError("odd")


@actor(name="a")
class Echo:
    @handler("int")
    def an_int(self, x: int) -> int:
        return x

    @handler("str")
    def a_str(self, x: str) -> str:
        return x

    @handler("any")
    def anything(self, x=None):
        return x

    @handler("two")
    def two(self, a: int, b: str = "b") -> list:
        return [a, b]

    @handler("own")
    def own(self, x: Even) -> int:
        return x.n

    @handler("rest")
    def rest(self, a: int, **rest) -> dict:
        return {"a": a, **rest}

    @handler("grow")
    def grow(self, items: list = [], nested: dict = {"a": []}) -> list:  # noqa: B006  that is the point
        items.append(1)
        nested["a"].append(2)
        return [items, nested]


@pytest.mark.parametrize(
    ("name", "payload", "value"),
    [
        ("str", '{"x":"01234"}', "01234"),
        ("int", '{"x":' + "9" * 40 + "}", int("9" * 40)),
        ("int", '{"x":-0}', 0),
        ("int", '{"x":1,"x":2}', 2),  # as most JSON parsers have it: the last one wins
        ("any", "", None),
        ("any", '{"x":[1.5,"01",true,null]}', [1.5, "01", True, None]),
        ("two", '{"a":1}', [1, "b"]),
        ("two", '{"b":"x","a":1}', [1, "x"]),
        ("rest", '{"a":1,"c":[2]}', {"a": 1, "c": [2]}),
        ("own", '{"x":{"n":2}}', 2),
    ],
)
def test_taken(tester, name, payload, value):
    result = tester(Echo).ok(name, payload.encode())
    assert json.loads(result.value) == value
    assert type(json.loads(result.value)) is type(value)


DEEP = b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}"


@pytest.mark.parametrize(
    ("name", "payload"),
    [
        ("int", b'{"x":"1"}'),
        ("int", b'{"x":true}'),
        ("int", b'{"x":1.0}'),
        ("int", b'{"x":1e2}'),
        ("int", b'{"x":null}'),
        ("int", b'{"x":NaN}'),
        ("int", b'{"x":Infinity}'),
        ("int", b'{"x":1e999}'),
        ("int", b'{"x":' + b"9" * 5000 + b"}"),
        ("int", b'{"x":1,"y":2}'),
        ("int", b"{}"),
        ("int", b""),
        ("int", b"[1]"),
        ("int", b"1"),
        ("int", b'{"x":1}x'),
        ("int", b'{"x":1'),
        ("str", b'{"x":1}'),
        ("str", b'{"x":"\xff"}'),
        ("str", b'{"x":"\\ud800"}'),
        ("any", b'{"x":"\xff"}'),
        ("any", b"\xff\xfe"),
        ("any", b"\0" * 1000),
        ("any", DEEP),
        ("rest", DEEP.replace(b'"x"', b'"a":1,"x"', 1)),
        ("rest", b'{"a":1,"\xff":1}'),
        ("rest", b"[]"),
        ("own", b'{"x":{"n":1}}'),
    ],
)
def test_refused(tester, name, payload):
    result = tester(Echo).call(name, payload)
    assert result.code == "bad_arguments"
    assert result.detail.startswith(f"a.{name}: ")
    assert not result.patch
    assert not result.outs


def test_a_default_is_not_shared_between_calls(tester):
    t = tester(Echo)
    for payload in (b"", b"{}", b""):
        assert json.loads(t.ok("grow", payload).value) == [[1], {"a": [2]}]


def test_unknown_handler_names_those_there_are(tester):
    result = tester(Echo).call("nope")
    assert result.code == "unknown_handler"
    assert "any, grow, int" in result.detail


@pytest.mark.parametrize("signature", ["self, *args", "self, a, /", "self, a: 'NoSuchName'"])
def test_a_signature_that_no_call_fits(tester, signature):
    scope = {"handler": handler}
    exec(f"class Bad:\n    @handler('h')\n    def h({signature}): ...", scope)
    with pytest.raises(DeclarationError, match=r"bad\.h"):
        tester(actor(scope["Bad"]))


def test_an_argument_that_is_called_as_the_actor_itself(tester):
    @actor(name="a")
    class Rest:
        @handler
        def rest(this, **rest): ...

        @handler
        def plain(self, *, n: int = 0, **rest): ...

    t = tester(Rest)
    assert t.call("rest", b'{"this": 1}').detail.startswith("a.rest: an argument cannot be called 'this'")
    assert t.call("plain", b'{"self": 1, "n": 2}').code == "bad_arguments"
    assert t.ok("rest", b'{"self": 1}')


ONE = ["1"]


def test_a_default_is_what_would_be_given(tester):
    @actor(name="a")
    class Defaults:
        @handler
        def take(self, a: Decimal = "2.50", b: Decimal = 0, c: float = 1, d: list[Decimal] = ONE,
                 e: Any = None):  # fmt: skip
            d.append(a)
            return [type(value).__name__ for value in (a, b, c, *d, e)]

    t = tester(Defaults)
    for payload in (b"", b"{}", b'{"a": "2.50"}'):  # one that a handler changes is made anew
        said = json.loads(t.ok("take", payload).value)
        assert said == ["Decimal", "Decimal", "float", "Decimal", "Decimal", "NoneType"]
    assert ONE == ["1"]
