"""Arguments of handlers: JSON checked against the signature and its type hints, nothing coerced."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from plexstream.hosts.native.data.refused import refusal
from plexstream.hosts.native.data.values import BadValue, ValueCodec, check_hint, way_out
from plexstream.model.messages.text import said
from plexstream.sdk.errors import DeclarationError

_JSON = frozenset((int, str, bool, float, list, dict))
_IMMUTABLE = frozenset((int, str, bool, float, type(None), bytes))
Bind = Callable[[bytes], tuple[Any, ...]]


class WrongArguments(Exception):
    """The payload does not fit; the text says where and why."""


def binder(function: Callable[..., Any], where: str) -> Bind:
    """What turns a payload into the positional arguments of `function` behind ``self``.

    A ``**rest`` parameter is refused: `catch_all` binds those.

    Raises:
        DeclarationError: the signature cannot be called with a JSON object.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters:
        raise DeclarationError(f"{where}: it takes no self: write def {function.__name__}(self, …)")
    own = parameters[0].name  # in a call, a second argument of that name cannot be told from the actor
    parameters = parameters[1:]
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise DeclarationError(
            f"{where}: its type hints cannot be read: {said(error)}: import what they name, or define it "
            "above"
        ) from error
    fields: list[Any] = []
    rest = None
    for p in parameters:
        if p.kind is p.VAR_KEYWORD:
            rest = p.name
            continue
        if p.kind in (p.VAR_POSITIONAL, p.POSITIONAL_ONLY):
            raise DeclarationError(
                f"{where}: the parameter {p} cannot be given by name; arguments come as a JSON object"
            )
        hint = hints.get(p.name, Any)
        if p.default is p.empty:
            fields.append((p.name, hint))
        else:
            fields.append((p.name, hint, _default(p.default, hint, f"{where}: the default of {p.name}")))
    # msgspec wants required fields first; keyword-only fields keep the signature's order all the same.
    try:
        for _, hint, *_ in fields:
            check_hint(hint)
        struct = msgspec.defstruct(
            f"{where} arguments", fields, kw_only=True, forbid_unknown_fields=rest is None, gc=False
        )
        decoder = msgspec.json.Decoder(struct)
    except TypeError as error:
        raise DeclarationError(f"{where}: a type hint cannot be checked: {way_out(error)}") from error
    takes = {f[0]: len(f) == 2 for f in fields}
    if rest is not None:
        return _with_rest(decoder, takes, own)
    # Without a payload the defaults are the arguments; those that a handler could change are made anew.
    constant = all(len(f) == 3 and type(f[2]) in _IMMUTABLE for f in fields)
    empty = msgspec.structs.astuple(struct()) if constant else None
    return _plain(decoder, empty, takes)


def _default(value: Any, hint: Any, where: str) -> Any:
    """A default as it would be given: of a Decimal that is 0, a Decimal. None may be what the hint has not.

    Raises:
        DeclarationError: nobody could give that.
    """
    if value is not None and type(value) in _JSON:
        try:
            value = ValueCodec(hint, where).seal(value)[1]
        except BadValue as error:
            raise DeclarationError(f"{where} is not what its hint says: {error}") from None
    if type(value) in _IMMUTABLE:
        return value
    return msgspec.field(default_factory=lambda: copy.deepcopy(value))


def _plain(
    decoder: msgspec.json.Decoder[Any], empty: tuple[Any, ...] | None, takes: dict[str, bool]
) -> Bind:  # fmt: skip
    decode = decoder.decode
    astuple = msgspec.structs.astuple

    def bind(payload: bytes) -> tuple[Any, ...]:
        if not payload:
            if empty is not None:
                return empty
            payload = b"{}"  # says which one is missing
        try:
            return astuple(decode(payload))
        except Exception as error:
            raise _wrong(error, payload, takes) from None

    bind.__dict__["decode"] = decode
    return bind


def _wrong(error: Exception, payload: bytes, takes: dict[str, bool]) -> WrongArguments:
    """Not only msgspec's errors: bytes that are no UTF-8, deep nesting, a check of the user's own type."""
    if isinstance(error, RecursionError):
        return WrongArguments("the JSON is nested too deeply")
    if isinstance(error, msgspec.ValidationError):
        return WrongArguments(refusal(error, payload, takes))
    if isinstance(error, msgspec.DecodeError | UnicodeDecodeError):
        return WrongArguments(str(error))
    return WrongArguments(said(error))


def _with_rest(decoder: msgspec.json.Decoder[Any], takes: dict[str, bool], own: str) -> Bind:
    def bind(payload: bytes) -> tuple[Any, ...]:
        try:
            named = decoder.decode(payload or b"{}")
            everything = msgspec.json.decode(payload or b"{}")
        except Exception as error:
            raise _wrong(error, payload, takes) from None
        rest = {k: v for k, v in everything.items() if k not in takes}
        if own in rest:
            raise WrongArguments(f"an argument cannot be called {own!r}, as the actor itself is: rename it")
        return (*msgspec.structs.astuple(named), rest)

    bind.__dict__["rest"] = True
    return bind


def decoder_of(bind: Bind) -> Callable[[bytes], Any] | None:
    """What decodes a payload to a struct of the arguments, in their order, where that is all."""
    return bind.__dict__.get("decode") if hasattr(bind, "__dict__") else None


def takes_rest(bind: Bind) -> bool:
    """Whether the last of the bound arguments are the ``**rest`` of the call."""
    return bool(bind.__dict__.get("rest")) if hasattr(bind, "__dict__") else False
