"""State that older code stored: renamed, retyped and dropped fields."""

import json
import logging
from dataclasses import dataclass

import pytest

from plexstream import EventSourced, actor, event, handler, migrate, state, state_map
from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.actor import migration
from plexstream.sdk.errors import DeclarationError


@actor(name="a")
class Old:
    cents: int = state(default=0)
    name: str = state(default="")
    tags: str = state(default="")

    @handler("set")
    def set(self):
        self.cents, self.name, self.tags = 250, "Ann", "a b"


def see(self):
    return {n: v for n, v in vars(self).items() if not n.startswith("@")}


def upgraded(tester, cls):
    t = tester(Old)
    t.ok("set")
    t.host = NativeHost({"a": cls.__plexstream__})
    t.load()
    return t


def stored(t):
    return {name: json.loads(data) for name, data in t.disk.fields.items()}


@pytest.fixture(autouse=True)
def nothing_told():
    migration._told.clear()


def test_a_renamed_field(tester):
    @actor(name="a")
    class New:
        cents: int = state(default=0)
        title: str = state(default="", was="name")
        tags: str = state(default="")
        look = handler("look", read_only=True)(see)

        @handler("noop")
        def noop(self): ...

    t = upgraded(tester, New)
    assert json.loads(t.ok("look").value) == {"cents": 250, "title": "Ann", "tags": "a b"}
    assert "name" in stored(t)  # a read writes nothing
    t.load()
    t.ok("noop")
    assert stored(t) == {"cents": 250, "title": "Ann", "tags": "a b"}
    assert t.ok("noop").patch == []
    t.load()
    assert json.loads(t.ok("look").value)["title"] == "Ann"


def test_a_hook_takes_over_what_was_dropped_and_retyped(tester):
    @actor(name="a")
    class New:
        euros: float = state(default=0.0)
        name: str = state(default="")
        tags: list[str] = state(default_factory=list)
        look = handler("look", read_only=True)(see)

        @migrate
        def up(self, stored: dict) -> None:
            self.euros = stored["cents"] / 100
            self.tags = stored["tags"].split()

        @handler("rename")
        def rename(self, to: str):
            self.name = to
            if to == "no":
                raise ValueError

    t = upgraded(tester, New)
    new = {"euros": 2.5, "name": "Ann", "tags": ["a", "b"]}
    assert json.loads(t.ok("look").value) == new
    assert t.call("rename", b'{"to": "no"}').code == "failed"
    assert json.loads(t.ok("look").value) == new
    t.ok("rename", b'{"to": "Bo"}')
    assert stored(t) == {**new, "name": "Bo"}


def test_what_nobody_takes_over_is_told_once_and_kept(tester, caplog):
    @actor(name="a")
    class New:
        cents: int = state(default=0)
        look = handler("look", read_only=True)(see)

    with caplog.at_level(logging.WARNING):
        t = upgraded(tester, New)
        t.load()
    assert sorted(r.getMessage().split(" is stored")[0] for r in caplog.records) == ["a.name", "a.tags"]
    assert all("@migrate" in r.getMessage() for r in caplog.records)
    assert json.loads(t.ok("look").value) == {"cents": 250}
    assert stored(t)["name"] == "Ann"


def test_a_retyped_field_says_how(tester):
    @actor(name="a")
    class New:
        cents: str = state(default="")

    with pytest.raises(TypeError, match=r"a.cents is stored as 250, .*@migrate hook"):
        upgraded(tester, New)


@pytest.mark.parametrize("body", ["pass", "raise KeyError('x')"])
def test_a_hook_that_does_not_do_it(tester, body):
    scope = {}
    exec(f"def up(self, stored):\n    {body}", scope)

    @actor(name="a")
    class New:
        cents: str = state(default="")
        up = migrate(scope["up"])

    with pytest.raises(TypeError, match=r"a\.cents is stored as|the migrate hook raised KeyError"):
        upgraded(tester, New)


@dataclass
class Cents:
    cents: int

    def __post_init__(self):
        raise {"key": KeyError("x"), "deep": RecursionError(), "odd": ValueError("y")}[HOW[0]]


HOW = ["key"]


@pytest.mark.parametrize("how", ["key", "deep", "odd"])
def test_whatever_reading_raises_is_told_of_its_field_and_can_be_taken_over(tester, how):
    HOW[:] = [how]

    @actor(name="a")
    class Stored:
        one: dict = state(default_factory=dict)
        many: dict[str, dict] = state_map()

        @handler
        def set(self):
            self.one = self.many["k"] = {"cents": 1}

    class Read:
        one: Cents | None = state()
        many: dict[str, Cents] = state_map()

        @handler
        def look(self):
            return self.many["k"]

    @actor(name="a")
    class Moved(Read):
        @migrate
        def up(self, stored):
            assert stored["one"] == {"cents": 1}
            self.one = None

    t = tester(Stored)
    t.ok("set")
    t.host = NativeHost({"a": actor(name="a")(Read).__plexstream__})
    with pytest.raises(TypeError, match=r"a.one is stored as .*@migrate hook"):
        t.load()
    t.host = NativeHost({"a": Moved.__plexstream__})
    t.load()
    assert "a.many has an entry b'{\"cents\":1}'" in t.call("look").detail


def test_what_cannot_be():
    with pytest.raises(DeclarationError, match="but that is declared, too"):
        @actor
        class Both:
            a: int = state(default=0)
            b: int = state(default=0, was="a")

    with pytest.raises(DeclarationError, match="raise fold= instead"):
        @actor
        class Sourced(EventSourced):
            @migrate
            def up(self, stored): ...

            @event
            def took(self, e: Old): ...
