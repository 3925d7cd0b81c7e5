"""Named predicates: what a pattern of a tuple space asks of a field, as code of the program's own."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar, overload

from plexstream.sdk.errors import DeclarationError

Predicate = Callable[[Any], bool]
F = TypeVar("F", bound=Predicate)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")
_known: dict[str, Predicate] = {}


@overload
def predicate(function: F, /) -> F: ...
@overload
def predicate(name: str | None = None, /) -> Callable[[F], F]: ...


def predicate(what: Any = None, /) -> Any:
    """Declare a function as a predicate, which patterns name: ``{"where": "name"}``.

    It gets the value of one field, and says whether it matches. It has to be pure: the same answer for the
    same value at any time, nothing changed, no waiting.

    Parameters:
        what: the predicate's name; default: that of the function.

    Raises:
        DeclarationError: the name cannot be one, or another function has it.
    """
    if what is None or isinstance(what, str):
        return lambda function: _declare(what or function.__name__, function)
    return _declare(getattr(what, "__name__", ""), what)


def find(name: object) -> Predicate | None:
    """The predicate of that name; None: nobody has declared it."""
    return _known.get(name) if isinstance(name, str) else None


def known() -> list[str]:
    """The names of all, in order."""
    return sorted(_known)


def _declare(name: str, function: Any) -> Any:
    if not callable(function) or not _NAME.fullmatch(name):
        raise DeclarationError(
            f"@predicate: {name!r} is no name: use letters, digits, '_', '-' and '.', at most 100"
        )
    before = _known.get(name)
    if before is not None and _place(before) != _place(function):
        where = f"{_place(before)} and {_place(function)}"
        raise DeclarationError(f"@predicate: {name!r} is declared twice, by {where}: rename one")
    _known[name] = function
    return function


def _place(function: Any) -> str:
    """Where a function is from: a file that is loaded again declares the same."""
    code = getattr(function, "__code__", None)
    return f"{getattr(code, 'co_filename', '')}:{getattr(function, '__qualname__', repr(function))}"
