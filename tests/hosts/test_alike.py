"""A value with the JSON of what is stored, and another type: a field is what it is read back as, at once."""

import enum
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    EventLog,
    EventSourced,
    StateList,
    StateMap,
    actor,
    event,
    fsm_actor,
    handler,
    host,
    query_handler,
    run_handler,
    signal_handler,
    state,
    state_list,
    state_map,
    workflow,
)
from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.data.values import ValueCodec
from plexstream.sdk.running.identity import held


class Color(enum.Enum):
    RED = "red"


@dataclass
class Point:
    x: float
    tags: set[str] = field(default_factory=set)


class Record(msgspec.Struct):
    n: int


ALIKE: list[tuple[Any, Any, Any]] = [
    (Decimal, Decimal("2.50"), "2.50"),
    (float, 1.0, 1),
    (Color, Color.RED, "red"),
    (datetime, datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
    (bytes, b"x", "eA=="),
    (Point, Point(1.0, {"a"}), {"x": 1.0, "tags": ["a"]}),
    (Record, Record(1), {"n": 1}),
    (list[Decimal], [Decimal("2.50")], ["2.50"]),
    (list[list[Color]], [[Color.RED]], (["red"],)),
    (dict[str, Point], {"a": Point(1.0)}, {"a": {"x": 1, "tags": ()}}),
    (dict[int, float], {1: 1.0}, {"1": 1}),
    (set[Color], {Color.RED}, ["red"]),
    (set[float], {1.0}, {1}),
    (tuple[int, Color], (1, Color.RED), [1, "red"]),
    (Decimal | None, Decimal(7), "7"),
    (Any, {"1": [1, 2]}, {1: (1, 2)}),
]  # fmt: skip


def shape(value: Any) -> Any:
    """A value with the types of all that is in it."""
    kind = type(value)
    if isinstance(value, dict):
        return kind, [(shape(k), shape(v)) for k, v in value.items()]
    if isinstance(value, list | tuple):
        return kind, [shape(item) for item in value]
    if isinstance(value, set):
        return kind, sorted(map(repr, value))
    if kind in (Point, Record):
        names = ("x", "tags") if kind is Point else ("n",)
        return kind, [shape(getattr(value, name)) for name in names]
    return kind, repr(value)


def programs(hint, given):
    """An actor for each place; `put` sets what is given, `inside` puts it into what is there."""

    class Base:
        value: hint = state()
        inner: list[hint] = state(default_factory=list)
        map: StateMap[hint] = state_map()
        maps: StateMap[list[hint]] = state_map()
        list: StateList[hint] = state_list()

        def put_all(self):
            value = given["value"]
            self.value = value
            self.map["k"] = value
            if self.inner:
                self.inner[0] = self.maps["k"][0] = self.list[0] = value
            else:
                self.inner, self.maps["k"] = [value], [value]
                self.list.append(value)

        def see(self):
            given["seen"] = [
                shape(v) for v in (self.value, *self.inner, *self.map.values(), *self.maps["k"], *self.list)
            ]

    @actor(name="plain")
    class Plain(Base):
        @handler
        def put(self):
            self.put_all()

        @handler(read_only=True)
        def put_to_read(self):
            self.value = given["value"]
            self.inner[0] = self.maps["k"][0] = given["value"]

        @handler(read_only=True)
        def look(self):
            self.see()

    @fsm_actor(name="machine", states=["a"], initial="a")
    class Machine(Base):
        @handler
        def put(self):
            self.put_all()

        @handler(read_only=True)
        def look(self):
            self.see()

    @actor(name="waits")
    class Waits(Base):
        @handler
        async def put(self):
            self.put_all()
            await host.sleep(0.001)

        @handler(read_only=True)
        def look(self):
            self.see()

    @dataclass
    class Came:
        value: Any

    @actor(name="sourced")
    class Sourced(Base, EventSourced):
        @event
        def came(self, event: Came):
            self.put_all()

        @handler
        def put(self):
            self.apply(Came(1))

        @handler(read_only=True)
        def look(self):
            self.see()

    @workflow(name="flow")
    class Flow(Base):
        @run_handler
        async def run(self):
            held = self.inner
            self.put_all()
            await host.promise("end")
            given["held"] = held is self.inner

        @signal_handler()
        def put(self):
            self.put_all()

        @query_handler()
        def put_to_read(self):
            self.value, self.inner = given["value"], [given["value"]]
            self.maps["k"][0] = given["value"]

        @query_handler()
        def look(self):
            self.see()

    return Plain, Machine, Waits, Sourced, Flow


@pytest.mark.parametrize("name", ["plain", "machine", "waits", "sourced", "flow"])
@pytest.mark.parametrize(("hint", "stored", "alike"), ALIKE, ids=str)
def test_a_field_is_what_it_is_read_back_as(hint, stored, alike, name):
    codec = ValueCodec(hint, "x")
    assert codec.seal(stored)[0] == codec.seal(alike)[0]
    assert shape(stored) != shape(alike)
    given = {"value": stored}
    world, to = World(*programs(hint, given)), f"{name}/1"
    if name == "flow":
        world.start(to, "run")

    def act(what):
        world.start(to, what)
        world.run(10)
        assert world.errors == {}
        world.ask(to, "look")
        return given["seen"]

    before = act("put")
    given["value"] = alike
    for what in ("put", "put_to_read"):
        if what == "put" or name in ("plain", "flow"):
            assert act(what) == before
            world.restart()
            assert act("look") == before


def test_what_was_assigned_and_is_equal_is_the_actors_own():
    names = ["a"]

    @actor(name="a")
    class Holder:
        names: list[str] = state(default_factory=lambda: ["a"])
        kept: dict[str, list[str]] = state_map()

        @handler
        def put(self):
            self.names = names
            self.kept["k"] = names

        @handler
        def add(self):
            self.names.append("b")
            self.kept["k"].append("b")

        @handler(read_only=True)
        def look(self):
            return [self.names, self.kept["k"]]

    world = World(Holder)
    for _ in range(2):
        assert world.ask("a/1", "put") is None
    world.ask("a/1", "add")
    assert names == ["a"]
    assert world.ask("a/1", "look") == [["a", "b"], ["a", "b"]]


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("what", ["reads", "signals"])
def test_what_a_handler_holds_meanwhile_stays_the_fields(what, crash):
    @workflow(name="flow")
    class Flow:
        prices: list[Decimal] = state(default_factory=list)

        @run_handler
        async def run(self):
            prices = self.prices
            prices.append(Decimal("2.50"))
            await host.promise("go")
            prices.append(prices[0] / 2)
            await host.promise("end")
            return [str(price) for price in self.prices]

        @query_handler()
        def reads(self):
            self.prices = ["2.50"]

        @signal_handler()
        def signals(self):
            self.prices[0] = "2.50"

    world = World(Flow)
    id = world.start("flow/1", "run")
    world.ask("flow/1", what)
    if crash:
        world.restart()
    for name in ("go", "end"):
        world.ask("flow/1", "$promise", name=name, value=1)
    assert world.errors == {}
    assert world.replies[id] == ["2.50", "1.25"]


@dataclass(frozen=True)
class Fixed:
    names: list[str]


@pytest.mark.parametrize(
    "value",
    [Decimal("2.5"), datetime(2026, 1, 2, tzinfo=UTC), Color.RED, Point(1.0), Fixed([]), Record(1)],
    ids=str,
)  # fmt: skip
def test_only_who_can_change_a_value_holds_it(value):
    """What a long handler assigns is compared at each of its waits for as long as somebody holds it."""
    assert held(value) == isinstance(value, Point | Record)  # this test does
    if isinstance(value, Fixed):
        inside = value.names
        assert held(value)
        del inside
        assert not held(value)


@pytest.mark.parametrize("how", ["replaced", "deleted"])
@pytest.mark.parametrize("field", ["notes", "moves"])
def test_a_collection_that_a_read_replaces_fails_that_read_and_no_turn_after_it(field, how):
    @actor(name="a")
    class Holder:
        notes: dict[str, int] = state_map()
        moves: list[int] = state_list()

        @handler(read_only=True)
        def reads(self):
            if how == "deleted":
                delattr(self, field)
            else:
                setattr(self, field, {} if field == "notes" else [])

        @handler
        def changes(self):
            self.notes["k"] = 1
            self.moves.append(1)
            return [dict(self.notes), list(self.moves)]

    world = World(Holder)
    id = world.start("a/1", "reads")
    assert f"a.{field} was replaced" in world.errors[id]["detail"]
    assert world.ask("a/1", "changes") == [{"k": 1}, [1]]


def test_a_fold_finds_what_another_has_set_as_its_hint_says_in_one_turn_and_anew():
    @dataclass
    class Paid:
        cents: int

    def sourced(version):
        @actor(name="e", events=EventLog(fold=version))
        class Sourced(EventSourced):
            last: Decimal = state(default=0)
            third: Decimal | None = state()

            @event
            def paid(self, paid: Paid):
                self.third = self.last / 3
                self.last = paid.cents

            @handler
            def pay(self, *, times: int):
                for _ in range(times):
                    self.apply(Paid(5))
                return str(self.third)

        return Sourced

    worlds = [World(sourced(1)) for _ in range(2)]
    assert worlds[0].ask("e/1", "pay", times=2) == str(Decimal(5) / 3)
    for _ in range(2):
        worlds[1].ask("e/1", "pay", times=1)
    for world in worlds:
        assert world.field("e/1", "third") == str(Decimal(5) / 3)
        world.host = NativeHost({"e": sourced(2).__plexstream__})
        world.restart()
        assert world.ask("e/1", "pay", times=0) == str(Decimal(5) / 3)
        assert world.errors == {}
