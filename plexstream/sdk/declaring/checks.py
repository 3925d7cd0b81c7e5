"""What decorators are given, and on what they are put: looked at early, since nothing else does."""

from __future__ import annotations

import enum
import inspect
import math
import types
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Annotated, Any, get_args, get_origin

from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.running.collections.keys import fields_of, name_of
from plexstream.sdk.running.collections.lists import StateList
from plexstream.sdk.running.collections.maps import StateMap

MAX_SECONDS = 100 * 365 * 86400
"""Of an option that is a time: a hundred years, which is for ever."""
_MAPS = frozenset({dict, Mapping, MutableMapping, StateMap, Any, object})
_LISTS = frozenset({list, Sequence, MutableSequence, StateList, Any, object})
_TOLD = {
    "__exit__": ("address", "reason"), "__down__": ("address", "ref", "reason"), "__stop__": ("reason",),
    "__alarm__": (),
}  # fmt: skip
"""Handlers that the system calls, with what it gives them."""


def check_class(decorator: str, cls: Any) -> None:
    """Raises DeclarationError where what is decorated can be no actor type."""
    if not isinstance(cls, type):
        hint = f"write name={cls!r}" if isinstance(cls, str) else "it belongs on a class"
        kind = f"the function {cls.__name__}" if inspect.isfunction(cls) else repr(cls)
        raise DeclarationError(f"{decorator} was put on {kind}: {hint}")
    if "__plexstream__" in vars(cls):
        raise DeclarationError(f"{cls.__name__} is an actor type already: one decorator is enough")
    try:
        object.__new__(cls)
    except TypeError as error:  # abstract, or a kind of dict, int, Exception
        raise DeclarationError(
            f"{cls.__name__} can be no actor type: {error}; derive it from plain classes that lack no method"
        ) from None


def check_number(where: str, option: str, value: object, *, least: int = 0, whole: bool = False) -> None:
    """Raises DeclarationError where an option is no number that it may be: of seconds, or a whole one."""
    known = int if whole else int | float
    most = 1 << 62 if whole else MAX_SECONDS
    is_number = isinstance(value, known) and not isinstance(value, bool) and math.isfinite(value)
    if not is_number or not least <= value <= most:  # type: ignore[operator]
        what = "a whole number" if whole else "a number of seconds"
        raise DeclarationError(f"{where}: {option}={value!r}: give {what} from {least} to {most}")


def texts_of(where: str, option: str, given: Iterable[Any]) -> tuple[str, ...]:
    """The texts of an option that takes several. Raises DeclarationError where it is one, or has others."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DeclarationError(f"{where}: {option}={given!r}: give a list, as in {option}=[{given!r}]")
    texts = tuple(given)
    for one in texts:
        if not isinstance(one, str):
            raise DeclarationError(f"{where}: {option} has {one!r}: give names, as texts")
    return tuple(map(plain_text, texts))


def plain_text(value: Any) -> Any:
    """A text itself, where it is a member of an enumeration of texts."""
    return str.__str__(value) if isinstance(value, str) and isinstance(value, enum.Enum) else value


def check_flag(where: str, option: str, value: object) -> None:
    """Raises DeclarationError where an option is neither True nor False."""
    if type(value) is not bool:
        raise DeclarationError(f"{where}: {option}={value!r}: write {option}=True, or leave it out")


def check_collection(
    where: str, kind: str, annotation: Any, of: tuple[Any, Any] | None = None
) -> tuple[Any, Any]:
    """The hint of a state_map or state_list, and the type of a map's keys. `of`: what `state_map` was given.

    Raises DeclarationError where the hint is that of something else, or says something else.
    """
    plain = annotation.__origin__ if get_origin(annotation) is Annotated else annotation
    origin, args = get_origin(plain) or plain, get_args(plain)
    known, like = (_MAPS, "dict[str, …]") if kind == "map" else (_LISTS, "list[…]")
    if origin not in known:
        other = "state_list()" if kind == "map" and origin in _LISTS else "state(…)"
        other = "state_map()" if kind == "list" and origin in _MAPS else other
        raise DeclarationError(
            f"{where}: state_{kind}() with the hint {name_of(plain)}: annotate it as {like}, or write {other}"
        )
    if of is not None:
        if args and args != of:
            given = ", ".join(map(name_of, of))
            raise DeclarationError(
                f"{where}: state_map({given}) with the hint {name_of(plain)}: let both say the same, or "
                "leave one out"
            )
        annotation, args = types.GenericAlias(dict, of), of
    if len(args) < 2 or args[0] is Any or hasattr(args[0], "__constraints__"):
        return annotation, str
    try:
        fields_of(args[0])
    except ValueError as error:
        raise DeclarationError(f"{where}: {error}") from None
    return annotation, args[0]


def check_told(where: str, name: str, function: Callable[..., Any]) -> None:
    """Raises DeclarationError where a handler that the system calls does not take what it is given."""
    if name in _TOLD:
        check_takes(where, function, _TOLD[name])


def check_takes(where: str, function: Callable[..., Any], names: Sequence[str]) -> None:
    """Raises DeclarationError where a method does not take just the arguments `names`."""
    own = list(inspect.signature(function).parameters.values())[1:]
    rest = any(p.kind is p.VAR_KEYWORD for p in own)
    plain = {p.name: p for p in own if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    missing = [p.name for p in plain.values() if p.default is p.empty and p.name not in names]
    if missing or not (rest or plain.keys() >= set(names)):
        what = ", ".join(["self", *names])
        raise DeclarationError(
            f"{where} is called with {_listed(names)}: write def {function.__name__}({what})"
        )


def check_hook(where: str, moment: str, function: Callable[..., Any]) -> None:
    """Raises DeclarationError where a hook cannot be called as it will be."""
    own = list(inspect.signature(function).parameters.values())[1:]
    if any(p.kind is p.VAR_POSITIONAL for p in own):
        return
    counts = {"init": (0, 1), "migrate": (1, 1), "crash": (1, 1)}
    like = {"init": "self, config: dict", "migrate": "self, stored: dict", "crash": "self, reason: str"}
    least, most = counts.get(moment, (0, 0))
    required = [p for p in own if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    by_place = [p for p in own if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if len(required) > most or len(by_place) < least:
        given = like.get(moment, "self").partition(", ")[2].partition(":")[0] or "no arguments"
        wanted = f"def {function.__name__}({like.get(moment, 'self')})"
        raise DeclarationError(f"{where}, a hook, is called with {given}: write {wanted}")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "no arguments"
