"""Declarations say no early: what cannot work, or is most often a mistake, is told at import."""

import enum
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import ClassVar, Final

import pytest

from plexstream import (
    DeclarationWarning,
    actor,
    fsm_actor,
    handler,
    init_handler,
    on_activate,
    query_handler,
    run_handler,
    service,
    signal_handler,
    state,
    state_map,
    workflow,
)
from plexstream.hosts.load import load_actors
from plexstream.model.errors import ConfigError
from plexstream.sdk.errors import DeclarationError

HEAD = "from plexstream import actor, handler, state, state_map\n@actor\nclass A:\n"


def test_decorators_without_parentheses():
    @actor
    class Bare:
        @handler
        def add(self, n: int) -> int:
            return n

    @workflow
    class Flow:
        @run_handler
        def run(self): ...

        @signal_handler
        def poke(self): ...

        @query_handler
        def see(self): ...

    assert list(Bare.__plexstream__.handlers) == ["add"]
    roles = {name: (h.role, h.read_only) for name, h in Flow.__plexstream__.handlers.items()}
    assert roles == {"run": ("run", False), "poke": ("signal", False), "see": ("query", True)}


def test_parameters_by_name_only(tester):
    @actor(name="a")
    class Names:
        @handler("all")
        def all(self, a: int, *, c: str = "c", b: int) -> list:
            return [a, b, c]

        @handler("rest")
        async def rest(self, *, a: int, **others) -> list:
            return [a, others]

    t = tester(Names)
    assert t.ok("all", b'{"b": 2, "a": 1}').value == b'[1,2,"c"]'
    assert t.ok("rest", b'{"a": 1, "z": 2}').value == b'[1,{"z":2}]'
    assert "the argument b is missing: it takes " in t.call("all", b'{"a": 1}').detail


def test_an_override_without_decorator_is_the_handler(tester):
    class Base:
        @init_handler
        def begin(self): ...

        @on_activate
        def up(self): ...

        @handler("greet", read_only=True)
        def hello(self) -> str:
            return "base"

    @actor(name="a")
    class Child(Base):
        begun: bool = state(default=False)

        def begin(self):
            self.begun = True

        def hello(self) -> str:
            return "child"

    spec = Child.__plexstream__
    assert (spec.init, spec.handlers["greet"].read_only) == (Child.begin, True)
    assert tester(Child).ok("greet").value == b'"child"'


@pytest.mark.parametrize("wrap", [staticmethod, classmethod, property])
@pytest.mark.parametrize(
    "mark", [handler(), handler, init_handler, on_activate, signal_handler("x"), run_handler]
)
def test_what_can_be_no_handler(mark, wrap):
    with pytest.raises(DeclarationError, match=f"put on a {wrap.__name__}: it has no self"):
        mark(wrap(lambda self: 0))


@pytest.mark.parametrize("what", [type("C", (), {}), 5, None, len])
def test_what_is_no_method(what):
    with pytest.raises(DeclarationError, match="belongs on a method"):
        handler()(what)


@pytest.mark.parametrize("wrap", [staticmethod, classmethod, property])
def test_a_decorated_method_in_a_wrapper(wrap):
    with pytest.raises(DeclarationError, match=rf"X.f is a {wrap.__name__}, in the place of a method"):
        actor(type("X", (), {"f": wrap(handler("f")(lambda self: 0))}))


@pytest.mark.parametrize(("build", "said"), [
    (lambda: handler("a", redonly=True), "handler has no option 'redonly': did you mean read_only"),
    (lambda: actor(max_actve=3)(type("X", (), {})), "X has no option 'max_actve': did you mean max_active"),
    (lambda: service(idle_timeot=3)(type("X", (), {})), "did you mean idle_timeout"),
    (lambda: workflow(zzz=3)(type("X", (), {})), "X has no option 'zzz': it has .*retry"),
    (lambda: fsm_actor(states=["x"], initial="x", retries=1)(type("X", (), {})), "did you mean retry"),
    (lambda: state(defualt=1), "state has no option 'defualt': did you mean default"),
])  # fmt: skip
def test_unknown_options(build, said):
    with pytest.raises(DeclarationError, match=said):
        build()


class Color(enum.Enum):
    RED = 1


@dataclass(frozen=True)
class Point:
    x: int = 0


@pytest.mark.parametrize(
    "default", [(1, 2), frozenset("a"), Decimal("1.5"), date(2026, 1, 2), Color.RED, Point(1), b"x", None]
)
def test_immutable_defaults(tester, default):
    @actor(name="a")
    class Holder:
        value: type(default) = state(default=default)

        @handler("see", read_only=True)
        def see(self) -> bool:
            return self.value == default

    assert tester(Holder).ok("see").value == b"true"


@pytest.mark.parametrize("default", [[], {}, set(), object(), ([],), bytearray()])
def test_mutable_defaults(default):
    with pytest.raises(DeclarationError, match="default_factory"):
        state(default=default)


@pytest.mark.parametrize(("code", "said"), [
    ("balance: int = 0", r"A.balance is a plain class attribute.*balance = state\(default=0\)"),
    ("items: list = []", r"items = state\(default_factory=lambda: \[\]\)"),
    ("name: str", r"name = state\(default=…\)"),
])  # fmt: skip
def test_a_plain_attribute_where_state_was_meant(tmp_path, code, said):
    file = tmp_path / "app.py"
    file.write_text(f"{HEAD}    {code}\n    x: int = state()\n")
    with pytest.warns(DeclarationWarning, match=said) as told:
        load_actors(file)
    assert told[0].filename == str(file)
    with pytest.raises(ConfigError, match=said):
        load_actors(file, strict=True)


def test_what_is_meant_as_it_stands_is_not_warned_of():
    @actor
    class Fine:
        LIMIT: int = 5
        _cache: dict = {}  # noqa: RUF012
        kind: ClassVar[str] = "x"
        size: Final = 3
        balance: int = state(default=0)
        items: dict[str, int] = state_map()
        plain = 7

        @property
        def rich(self) -> bool:
            return self.balance > 9


@pytest.mark.parametrize(("code", "said"), [
    ("x: 'Nowhere' = state()", "type hints cannot be read: name 'Nowhere'"),
    ("x: complex = state()", "a.x: its type hint cannot be stored"),
    ("x: dict[str, complex] = state_map()", "a.x: its type hint cannot be stored"),
    ("@handler()\n    def f(self, n: complex): ...", "a.f: a type hint cannot be checked"),
    ("@handler()\n    def f(self, *n): ...", "cannot be given by name"),
])  # fmt: skip
def test_hints_that_cannot_be_decoded(tmp_path, code, said):
    file = tmp_path / "app.py"
    file.write_text(f"{HEAD}    {code}\n")
    with pytest.raises(ConfigError, match=said):
        load_actors(file)
