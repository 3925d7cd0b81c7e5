"""What decorators leave on methods, until the decorator of their class reads it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.spec import Invocation, Retry, Role

_MARK = "__plexstream_mark__"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class HandlerMark:
    """A method that answers messages. `states` and `postpone_in` are an FSM's, `role` is a workflow's."""

    names: tuple[str, ...]
    read_only: bool = False
    invocation: Invocation = "call"
    states: tuple[str, ...] = ()
    postpone_in: tuple[str, ...] = ()
    role: Role = ""
    retry: Retry | None = None
    shared: bool = False


@dataclass(frozen=True, slots=True)
class HookMark:
    """A method that runs at a moment of an actor's life: init, activate, deactivate, migrate, crash."""

    moment: str


@dataclass(frozen=True, slots=True)
class TimeoutMark:
    """A method that runs after so many seconds in an FSM's state; `of_events`: seconds without an event."""

    state: str
    after: float | Callable[[Any], float]
    of_events: bool = False


@dataclass(frozen=True, slots=True)
class EnterMark:
    """A method that runs when an FSM enters one of `states`."""

    states: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EventMark:
    """A method that folds events of one type into the state."""

    name: str | None
    version: int
    upcasters: dict[int, Callable[[Any], Any]]


Mark = HandlerMark | HookMark | TimeoutMark | EnterMark | EventMark
Marked = tuple[str, Callable[..., Any], Mark]
"""Where a method stands, itself, what its decorator says."""


def put_mark(function: Any, mark: Mark) -> None:
    """Leave `mark` on a method. Raises DeclarationError where it is none."""
    name = method_name("the decorator", function)
    before: Mark | None = vars(function).get(_MARK)
    if before is not None and before != mark:
        raise DeclarationError(
            f"{name} has two decorators of which one would be lost: give a handler several names, as in "
            "@handler('a', 'b'), or write two methods"
        )
    setattr(function, _MARK, mark)


def method_name(what: str, function: Any) -> str:
    """The name of a method that is decorated. Raises DeclarationError for anything but a plain function."""
    if inspect.isfunction(function):
        return function.__name__
    if isinstance(function, staticmethod | classmethod | property):
        kind = f"a {type(function).__name__}: it has no self with the actor's state; leave that decorator out"
    elif isinstance(function, type):
        kind = f"the class {function.__name__}: it belongs on a method"
    else:
        kind = f"{type(function).__name__}: it belongs on a method, def name(self, …)"
    raise DeclarationError(f"{what} was put on {kind}")


def marked(cls: type) -> Iterator[Marked]:
    """The methods of a class, inherited ones too, that carry a mark: where they stand, themselves, the mark.

    Raises:
        DeclarationError: a method that can be no actor's.
    """
    for member in dir(cls):
        function: Any = inspect.getattr_static(cls, member)
        mark = _mark_of(cls, member)
        if mark is None:
            continue
        where = f"{cls.__name__}.{member}"
        if not inspect.isfunction(function):
            what = f"a {type(function).__name__}" if function is not None else "None"
            raise DeclarationError(
                f"{where} is {what}, in the place of a method with a decorator: write def {member}(self, …)"
            )
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise DeclarationError(
                f"{where} is a generator: an actor's method returns its result, without yield"
            )
        first = next(iter(inspect.signature(function).parameters.values()), None)
        if first is not None and first.name != "self" and first.annotation is not first.empty:
            raise DeclarationError(f"{where} takes no self: write def {member}(self, {first.name}, …)")
        if not isinstance(mark, HandlerMark | TimeoutMark) and inspect.iscoroutinefunction(function):
            raise DeclarationError(f"{where} is async: only handlers may be; write def")
        yield where, function, mark


def _mark_of(cls: type, member: str) -> Mark | None:
    """The mark of a method, or that of the method of a base class which it overrides."""
    for owner in cls.__mro__:
        found: Any = vars(owner).get(member)
        if isinstance(found, staticmethod | classmethod):
            found = found.__func__
        elif isinstance(found, property):
            found = found.fget
        mark: Mark | None = getattr(found, _MARK, None)
        if mark is not None:
            return mark
    return None


def check_name(what: str, name: object) -> None:
    """Raises DeclarationError where `name` cannot be that of a handler, an actor type, an event."""
    if not isinstance(name, str) or (not _NAME.fullmatch(name) and name != "*"):
        raise DeclarationError(
            f"{what} name {name!r}: use letters, digits, '_', '-' and '.', beginning with a letter or '_'"
        )
