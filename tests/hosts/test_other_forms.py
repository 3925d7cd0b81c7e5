"""State that other code has stored in another form: a type that got or lost a field, a wider hint.

What is read of it is no change: a read, a hook, a fold, a handler that goes on does not see a difference that
nobody made, and a result shows what the code sees.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, NamedTuple, TypedDict

import msgspec
import pytest
from world import World

from plexstream import (
    EventSourced,
    StateList,
    StateMap,
    actor,
    event,
    fsm_actor,
    handler,
    host,
    on_activate,
    on_deactivate,
    state,
    state_list,
    state_map,
)
from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.data.values import BadValue, ValueCodec, encode_value


class StructOld(msgspec.Struct):
    x: int = 0


class StructNew(msgspec.Struct):
    x: int = 0
    y: int = 7


@dataclass
class Old:
    x: int = 0


@dataclass
class New:
    x: int = 0
    y: int = 7


@dataclass
class NewList:
    x: int = 0
    y: list = field(default_factory=list)


@dataclass(slots=True)
class NewSlots:
    x: int = 0
    y: int = 7


class DictNew(TypedDict):
    x: int


class DictOld(DictNew):
    y: int


class TupleOld(NamedTuple):
    x: int = 0


class TupleNew(NamedTuple):
    x: int = 0
    y: int = 7


CHANGES = [
    (StructOld, StructNew, StructOld(1)),
    (Old, New, Old(1)),
    (Old, NewList, Old(1)),
    (Old, NewSlots, Old(1)),
    (New, Old, New(1, 2)),
    (list[Old], list[New], [Old(1)]),
    (DictOld, DictNew, {"x": 1, "y": 2}),
    (TupleOld, TupleNew, TupleOld(1)),
    (int, float, 1),
    (list[int], list[float], [1]),
    (dict[str, int], dict[str, Decimal], {"a": 1}),
    (list[str], set[str], ["b", "a"]),
    (str, Decimal, "1.50"),
]


def holder(hint, value):
    @dataclass
    class Came:
        value: hint

    @actor(name="a")
    class Holder:
        plain: hint = state(default=None)
        map: StateMap[hint] = state_map()
        list: StateList[hint] = state_list()
        other: int = state(default=0)

        @on_activate
        def look_around(self):
            self.look()

        @on_deactivate
        def look_back(self):
            self.look()

        @handler("set")
        def set(self):
            self.plain = self.map["k"] = value
            self.list.append(value)

        @handler("look", read_only=True)
        def look(self):
            return [self.plain, *self.map.values(), *self.list]

        @handler("noop")
        def noop(self):
            self.look()

        @handler("bump")
        def bump(self):
            self.other += 1
            return self.look()

        @handler("wait")
        async def wait(self):
            self.other += 1
            self.look()
            await host.promise("go")

        @handler("set_and_wait")
        async def set_and_wait(self):
            self.set()
            await host.promise("go")

        @handler("resolve", shared=True)
        def resolve(self):
            host.promise("go").resolve()

    @actor(name="e")
    class Sourced(EventSourced):
        plain: hint = state(default=None)

        @event
        def came(self, came: Came):
            self.plain = came.value

        @handler("set")
        def set(self):
            self.apply(Came(value))

        @handler("noop")
        def noop(self):
            pass

        @handler("look", read_only=True)
        def look(self):
            return self.plain

    @fsm_actor(name="m", states=["on", "off"], initial="on")
    class Machine:
        plain: hint = state(default=None)

        @handler("set")
        def set(self):
            self.plain = value

        @handler("noop")
        def noop(self):
            pass

        @handler("look", read_only=True)
        def look(self):
            return self.plain

    return Holder, Sourced, Machine


def deploy(world, *classes):
    """The same journal, and other code."""
    world.host = NativeHost({c.__plexstream__.name: c.__plexstream__ for c in classes})
    world.restart()


@pytest.mark.parametrize("to", ["a/1", "e/1", "m/1"])
@pytest.mark.parametrize(("old", "new", "value"), CHANGES)
def test_what_older_code_stored_is_read_and_not_changed(old, new, value, to):
    world = World(*holder(old, value))
    assert world.ask(to, "set") is None
    deploy(world, *holder(new, value))
    seen = world.ask(to, "look")
    assert not world.errors
    journaled = len(world.turns())
    assert world.ask(to, "noop") is None
    assert [t.patch for t in world.turns()[journaled:]] == [[]]
    codec = ValueCodec(new, "x")
    today = msgspec.json.decode(codec.restored(encode_value(value)))
    assert seen == ([today] * 3 if to == "a/1" else today)  # as it is seen by code of today
    if to == "a/1":
        assert world.ask(to, "bump") == seen
        assert [(c.field, c.value) for c in world.turns()[-1].patch] == [("other", b"1")]
    assert not world.errors


@pytest.mark.parametrize("handler", ["wait", "set_and_wait"])
@pytest.mark.parametrize(("old", "new", "value"), CHANGES)
def test_a_handler_that_waits_goes_on_with_it(old, new, value, handler):
    world = World(*holder(old, value))
    world.ask("a/1", "set")
    id = world.start("a/1", handler)
    deploy(world, *holder(new, msgspec.convert(msgspec.to_builtins(value), new, strict=False)))
    assert world.ask("a/1", "resolve") is None
    world.run()
    assert (world.replies[id], world.errors) == (None, {})


def test_a_real_change_is_kept_and_the_next_is_one_too():
    world = World(*holder(Old, Old(1)))
    world.ask("a/1", "set")
    deploy(world, *holder(New, New(2)))
    world.ask("a/1", "set")
    assert world.field("a/1", "plain") == {"x": 2, "y": 7}
    deploy(world, *holder(New, New(2, 7)))
    world.ask("a/1", "set")
    assert [c.field for c in world.turns()[-1].patch if c.key is None] == []


@pytest.mark.parametrize("hint", [New, list[New], Any])
def test_defaults_that_were_not_given_are_stored_and_shown(hint):
    given = msgspec.json.decode(b'{"x": 1}', type=New)  # as an argument is
    value = [given] if hint == list[New] else given
    data = ValueCodec(hint, "x").seal(value)[0]
    assert data == encode_value(value) == encode_value([New(1)] if hint == list[New] else New(1))


@dataclass
class Growing:
    n: int = 0

    def __post_init__(self):
        self.n += 1


@dataclass
class Steady:
    n: int = 0

    def __post_init__(self):
        self.n = max(self.n, 3)


@pytest.mark.parametrize("hint", [Growing, list[Growing], Growing | None])
def test_what_is_another_at_each_reading_cannot_be_kept(hint):
    value = [Growing(1)] if hint == list[Growing] else Growing(1)
    with pytest.raises(BadValue, match="whenever it is read: __post_init__"):
        ValueCodec(hint, "x").seal(value)
    assert ValueCodec(Steady, "x").seal(Steady(1))[0] == b'{"n":3}'
