"""Type by place: what is stored is what will be read back; what cannot be kept is an error of that call."""

import enum
import json
import os
import re
import subprocess
import sys
import typing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pprint import pformat
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from world import World

from plexstream import (
    EventLog,
    EventSourced,
    StateList,
    StateMap,
    actor,
    event,
    handler,
    host,
    state,
    state_list,
    state_map,
)
from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.data.values import (
    MAX_DEPTH,
    BadValue,
    ValueCodec,
    _fixed,
    encode_value,
    is_plain,
    plain_value,
)
from plexstream.model.journal.journal import OutKind


class Color(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: float
    tags: set[str] = field(default_factory=set)
    more: dict = field(default_factory=dict)


class Typed(typing.TypedDict):
    x: float
    n: int


class Record(msgspec.Struct):
    n: int
    share: Decimal = Decimal(0)


GOOD = [
    (int, 1 << 70),
    (float, 1),
    (float, -0.0),
    (str, "é"),
    (bool, True),
    (int | None, 7),
    (Decimal, 5),
    (Decimal, Decimal("1.50")),
    (datetime, datetime(2026, 1, 2, tzinfo=UTC)),
    (bytes, b"\0\xff"),
    (Color, Color.RED),
    (list[float], [1, 2.5]),
    (list[Decimal], [1, Decimal("2.0")]),
    (tuple[int, str], (1, "a")),
    (set[str], {"c", "a", "b", "zz", "y"}),
    (frozenset[int], frozenset((10, 9, 100))),
    (set[tuple[int, str]], {(2, "b"), (1, "c")}),
    (dict[int, str], {2: "b", 1: "a"}),
    (dict[float, int], {1: 2}),
    (dict[str, set[str]], {"b": {"z", "y", "x"}, "a": set()}),
    (Point, Point(1, {"q", "p", "o"}, {3: {"k", "j"}})),
    (list[Point], [Point(2)]),
    (Typed, {"x": 1, "n": 2, "unknown": 3}),
    (Record, Record(1, Decimal("0.10"))),
    (dict[str, Decimal], {"a": 1}),
    (float | str, 1),
    (list[int | float], [1, 1.0]),
    (Any, (1, {2, 1}, {5: {"b", "a"}})),
    (Any, Point(1, {"b", "a"}, {})),
    (Any, Decimal("2.50")),
    (Any, b"x"),
    (Any, {1.5: None}),
]

deep: Any = []
for _ in range(MAX_DEPTH + 1):
    deep = [deep]
endless: Any = []
endless.append(endless)


class Rude:
    def __repr__(self):
        raise ZeroDivisionError

    __str__ = __repr__


BAD = [
    (float, float("nan")),
    (float, float("inf")),
    (Any, [1, {"a": float("-inf")}]),
    (list[float], [float("nan")]),
    (Point, Point(float("nan"))),
    (Any, Point(float("nan"))),
    (dict[float, int], {float("nan"): 1}),
    (Any, {1: "a", "1": "b"}),
    (dict[Any, int], {1.5: 1, "1.5": 2}),
    (str, "\ud800"),
    (Any, {"\udfff": 1}),
    (list[str], ["\ud800"]),
    (Any, deep),
    (list, deep),
    (Any, endless),
    (dict, {"a": endless}),
    (Any, Rude()),
    (Any, object()),
    (Any, 1j),
    (int, Rude()),
    (int, True),
    (int, "1"),
    (list[int], [True]),
    (Point, {"y": 1}),
    (Color, "blue"),
    (Any, {(1, 2): 3}),
]


def id_of(case):
    """The same in all processes that share the tests: sets are sorted where they are broken into lines."""
    try:
        return re.sub("at0x[0-9a-f]+|withid=[0-9]+", "", "".join(pformat(case, width=1).split()))[:40]
    except ZeroDivisionError:
        return "rude"


def places(hint):
    """An actor that puts a value, given by `given`, into each place."""
    given: dict[str, Any] = {}

    @dataclass
    class Came:
        value: hint

    @actor(name="a")
    class Holder:
        plain: hint = state(default=None)
        map: StateMap[hint] = state_map()
        list: StateList[hint] = state_list()

        @handler("field")
        def set_field(self):
            self.plain = given["value"]

        @handler("map")
        def set_map(self):
            self.map["k"] = given["value"]

        @handler("list")
        def set_list(self):
            self.list.append(given["value"])

        @handler("result")
        def result(self):
            return given["value"]

        @handler("step")
        async def step(self):
            return await host.run("get", lambda: given["value"])

        @handler("emit")
        def emit(self):
            host.emit("out", given["value"])

        @handler("tell")
        def tell(self):
            host.tell("b/1", "take", {"value": given["value"]})

        @handler("timer")
        def timer(self):
            host.send_after(10, "take", {"value": given["value"]})

        @handler("take")
        def take(self, value: hint):
            given["taken"] = value

        @handler("look", read_only=True)
        def look(self):
            given["seen"] = [self.plain, *self.map.values(), *self.list]

        @handler("again")
        def again(self):
            given["seen"] = [self.plain, *self.map.values(), *self.list]

    @actor(name="e")
    class Sourced(EventSourced):
        plain: hint = state(default=None)

        @event
        def came(self, event: Came):
            self.plain = event.value

        @handler("event")
        def come(self):
            self.apply(Came(given["value"]))

        @handler("look", read_only=True)
        def look(self):
            given["seen"] = [self.plain]

    return given, Holder, Sourced


STATE = ("field", "map", "list", "event")
ELSEWHERE = ("result", "step", "emit", "tell", "timer")


def cell(world, place):
    address = "default/default/" + ("e/1" if place == "event" else "a/1")
    if place in ("field", "event"):
        return world.pieces.core(address).fields.get("plain")
    return dict(world.pieces.collections.entries(address, place))["k" if place == "map" else "0"]


@pytest.mark.parametrize("place", STATE)
@pytest.mark.parametrize(("hint", "value"), GOOD, ids=id_of)
def test_state_is_stored_as_it_is_read_back(hint, value, place):
    given, holder, sourced = places(hint)
    given["value"] = value
    world, to = World(holder, sourced), "e/1" if place == "event" else "a/1"
    assert world.ask(to, place) is None
    stored = cell(world, place)
    codec = ValueCodec(hint, "x")
    assert codec.seal(codec.decode(stored))[0] == stored
    world.ask(to, "look")
    before, journaled = given["seen"], len(world.turns())
    if place != "event":
        world.ask(to, "again")
        assert [t.patch for t in world.turns()[journaled:]] == [[]]  # a difference that nobody made
    world.restart()
    world.ask(to, "look")
    assert given["seen"] == before
    assert [type(v) for v in given["seen"]] == [type(v) for v in before]


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize(("hint", "value"), GOOD, ids=id_of)
def test_what_is_sent_arrives_as_its_type(hint, value, place):
    given, holder, sourced = places(hint)
    given["value"] = value
    world = World(holder, sourced)
    answer = world.ask("a/1", place)
    if place in ("result", "step"):
        codec = ValueCodec(hint, "x")
        assert answer == json.loads(encode_value(value))
        assert codec.seal(codec.decode(json.dumps(answer).encode()))[1] == codec.seal(value)[1]
    elif place == "emit":
        (out,) = [o for t in world.turns() for o in t.outs if o.kind == OutKind.EMIT]
        assert out.payload == encode_value(value)
    elif place == "timer":
        world.run(11_000)
        assert given["taken"] == ValueCodec(hint, "x").seal(value)[1]
    else:
        (sent,) = [e for e in world.mailbox if e.handler == "take"]
        assert sent.payload == encode_value({"value": value})


def is_json(value):
    try:
        return bool(encode_value(value))
    except BadValue:
        return False


@pytest.mark.parametrize("place", STATE)
@pytest.mark.parametrize(("hint", "value"), BAD, ids=id_of)
def test_what_is_not_of_its_type_fails_its_call_alone(hint, value, place):
    fails_alone(hint, value, place)


@pytest.mark.parametrize("place", ELSEWHERE)
@pytest.mark.parametrize(("hint", "value"), [case for case in BAD if not is_json(case[1])], ids=id_of)
def test_what_is_no_json_fails_its_call_alone(hint, value, place):
    fails_alone(hint, value, place)


def fails_alone(hint, value, place):
    given, holder, sourced = places(hint)
    given["value"] = value
    world, to = World(holder, sourced), "e/1" if place == "event" else "a/1"
    assert world.ask(to, place) in ("failed", "step_failed")
    assert not any(t.patch for t in world.turns())
    given["value"] = None
    assert world.ask("a/1", "emit") is None  # and the partition goes on


@pytest.mark.parametrize(
    "payload",
    [
        b'{"value": 1e999}',
        b'{"value": NaN}',
        b'{"value": "\\ud800"}',
        b'{"value": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b"\xff",
    ],
)
def test_arguments_from_outside(tester, payload):
    _, holder, _ = places(Any)
    result = tester(holder).call("take", payload)
    if result.code == "":  # JSON that can be read; what is kept of it is judged there
        assert payload == b'{"value": 1e999}'
    else:
        assert result.code == "bad_arguments"


def test_sets_are_in_the_same_order_on_every_machine():
    code = (
        "from plexstream.hosts.native.data.values import ValueCodec, encode_value as e\n"
        "from tests.hosts.test_values import Point\n"
        "v = {'b': {'x', 'y', 'z'}, 'a': [frozenset('pq'), frozenset('rs')], 'c': {1, 'a', None, (2, 'b')}}\n"
        "p = Point(1, {'u', 'v', 'w'}, {'k': {'l', 'm', 'n'}})\n"
        "print(e(v), e(p), ValueCodec(Point, 'x').seal(p)[0])\n"
        "print(ValueCodec(dict[str, set[str]], 'x').seal({'q': set('uvw')})[0])"
    )
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    path = os.pathsep.join([root, os.path.dirname(__file__)])
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": str(seed), "PYTHONPATH": path},
            capture_output=True, text=True, check=True,
        ).stdout
        for seed in range(4)
    }  # fmt: skip
    assert len(said) == 1


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.decimals(allow_nan=False)
    | st.binary(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(0, 9) | st.floats(0, 2), inner, max_size=4)
        | st.frozensets(st.integers() | st.text(max_size=2), max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_any_value_is_kept_as_it_is_read_back_or_refused(value):
    try:
        data = encode_value(value)
    except BadValue:
        return
    assert encode_value(plain_value(value)) == data
    codec = ValueCodec(Any, "x")
    sealed, read = codec.seal(value)
    assert (sealed, codec.seal(read)) == (data, (data, read))
    assert codec.decode(data) == read


@given(values)
def test_what_is_plain_needs_no_second_look(value):
    try:
        fixed = _fixed(value, 0)
    except BadValue:
        assert not is_plain(value, MAX_DEPTH)
    else:
        assert not is_plain(value, MAX_DEPTH) or fixed is value


@pytest.mark.parametrize(
    ("hint", "default"),
    [(Decimal, 0), (float, 0), (float | None, 1), (Color, "red"), (list[Decimal], lambda: [1]), (int, None),
     (dict[int, float], lambda: {1: 1}), (Any, lambda: {1: (2,)}), (set[str], list), (list[int], (1, 2)),
     (Point, lambda: Point(1)), (list, list), (Typed, lambda: {"x": 1, "n": 2, "z": 3})],
)  # fmt: skip
def test_a_default_is_seen_as_it_would_be_read_back(hint, default):
    given = {"default_factory": default} if callable(default) else {"default": default}
    seen = []

    @actor(name="a")
    class Holder:
        value: hint = state(**given)

        @handler(read_only=True)
        def look(self):
            seen.append(self.value)

        @handler
        def same(self):
            seen.append(self.value)
            self.value = default() if callable(default) else default

    world = World(Holder)
    for what in ("look", "same", "look"):
        world.restart()
        world.ask("a/1", what)
    assert [t.patch for t in world.turns()] == [[]] or default is None
    first = default() if callable(default) else default
    expected = None if default is None else ValueCodec(hint, "x").seal(first)[1]
    assert [repr(value) for value in seen] == [repr(expected)] * 3


def test_a_default_is_so_in_what_is_folded_anew_too():
    @dataclass
    class Paid:
        cents: int

    def sourced(version):
        @actor(name="e", events=EventLog(fold=version))
        class Sourced(EventSourced):
            total: Decimal = state(default=0)
            half: Decimal | None = state()

            @event
            def paid(self, paid: Paid):
                self.half = self.total / 2 + 1
                self.total += paid.cents

            @handler
            def pay(self):
                self.apply(Paid(5))
                return str(type(self.half))

        return Sourced

    world = World(sourced(1))
    assert "Decimal" in world.ask("e/1", "pay")
    world.host = NativeHost({"e": sourced(2).__plexstream__})
    world.restart()
    assert "Decimal" in world.ask("e/1", "pay")
    assert (world.field("e/1", "total"), world.errors) == ("10", {})
