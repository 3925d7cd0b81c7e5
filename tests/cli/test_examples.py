"""What `dev` and `run` show to try works when it is pasted: arguments of any type."""

import enum
import json
import shlex
import sys
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, TypedDict
from uuid import UUID

import msgspec
import pytest

sys.path.append(str(Path(__file__).parents[1] / "hosts"))

from world import World

from plexstream import actor, handler
from plexstream.cli.serving.banner import banner
from plexstream.node.setup.config import Config


class Color(enum.Enum):
    RED = "it's red"


@dataclass
class Point:
    x: float
    color: Color
    tags: list[str] = field(default_factory=list)


class Typed(TypedDict):
    at: datetime
    total: Decimal


class Pair(NamedTuple):
    a: int
    b: Decimal


class Tagged(msgspec.Struct, tag=True, rename="camel"):
    of_whom: str


HINTS = [
    int, float, str, bool, bytes, Decimal, datetime, date, timedelta, UUID, Color, Point, Typed, Pair, Tagged,
    Any, list[Point], dict[str, int], set[int], tuple[int, Decimal], tuple[int, ...], Literal["a", "b"],
    Decimal | None, Point | None, int | str, Annotated[int, msgspec.Meta(ge=10)],
    Annotated[int, msgspec.Meta(lt=0)],
]  # fmt: skip


def examples(cls):
    """The calls that the banner shows: handler and arguments."""
    types = {cls.__plexstream__.name: cls.__plexstream__}
    said = banner("dev", Config(app="x.py"), "http://localhost:8000", types).replace("\\[", "[")
    calls = [shlex.split(line) for line in said.split("Try:")[-1].splitlines() if "curl" in line]
    return [(call[1].rpartition("/")[2], json.loads(call[3]) if call[2:] else {}) for call in calls]


@pytest.mark.parametrize("hint", HINTS, ids=str)
def test_they_are_taken(hint):
    @actor(name="a")
    class Holder:
        @handler
        def take(self, value: hint, more: int = 0):
            return type(value).__name__

    ((name, arguments),) = examples(Holder)
    world = World(Holder)
    world.ask("a/1", name, **arguments)
    assert world.errors == {}
    assert list(arguments) == ["value"]


def test_what_has_no_example_is_not_shown():
    @actor(name="a")
    class Holder:
        @handler
        def strange(self, value: Annotated[str, msgspec.Meta(pattern="^[0-9]{9}$")]): ...

        @handler("__down__")
        def down(self, address: str, ref: str, reason: str): ...

        @handler
        def asked(self, from_actor: str): ...

    assert examples(Holder) == [("asked", {})]
