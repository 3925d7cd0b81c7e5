"""Arguments of handlers: JSON checked against the signature and its type hints, nothing coerced."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec

from plexstream.sdk.errors import DeclarationError

Bind = Callable[[bytes], tuple[Any, ...]]


class WrongArguments(Exception):
    """The payload does not fit; the text says where and why."""


def binder(function: Callable[..., Any], where: str) -> Bind:
    """What turns a payload into the positional arguments of `function` behind ``self``.

    A ``**rest`` parameter is refused: `catch_all` binds those.

    Raises:
        DeclarationError: the signature cannot be called with a JSON object.
    """
    parameters = list(inspect.signature(function).parameters.values())[1:]
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise DeclarationError(f"{where}: its type hints cannot be read: {error}") from error
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
        fields.append((p.name, hint) if p.default is p.empty else (p.name, hint, _default(p.default)))
    # msgspec wants required fields first; keyword-only fields keep the signature's order all the same.
    try:
        struct = msgspec.defstruct(
            f"{where} arguments", fields, kw_only=True, forbid_unknown_fields=rest is None, gc=False
        )
        decoder = msgspec.json.Decoder(struct)
    except TypeError as error:
        raise DeclarationError(f"{where}: a type hint cannot be checked: {error}") from error
    names = [f[0] for f in fields]
    if rest is not None:
        return _with_rest(decoder, names)
    required = any(len(f) == 2 for f in fields)
    empty = None if required else msgspec.structs.astuple(struct())
    return _plain(decoder, empty)


def _default(value: Any) -> Any:
    if isinstance(value, list | dict | set):
        return msgspec.field(default_factory=lambda: type(value)(value))
    return value


def _plain(decoder: msgspec.json.Decoder[Any], empty: tuple[Any, ...] | None) -> Bind:
    decode = decoder.decode
    astuple = msgspec.structs.astuple

    def bind(payload: bytes) -> tuple[Any, ...]:
        if not payload:
            if empty is None:
                decode(b"{}")  # says which one is missing
            return empty or ()
        try:
            return astuple(decode(payload))
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise WrongArguments(str(error)) from None

    def checked(payload: bytes) -> tuple[Any, ...]:
        try:
            return bind(payload)
        except msgspec.ValidationError as error:
            raise WrongArguments(str(error)) from None

    return checked if empty is None else bind


def _with_rest(decoder: msgspec.json.Decoder[Any], names: list[str]) -> Bind:
    def bind(payload: bytes) -> tuple[Any, ...]:
        try:
            named = decoder.decode(payload or b"{}")
            everything = msgspec.json.decode(payload or b"{}")
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise WrongArguments(str(error)) from None
        rest = {k: v for k, v in everything.items() if k not in names}
        return (*msgspec.structs.astuple(named), rest)

    bind.__dict__["rest"] = True
    return bind


def takes_rest(bind: Bind) -> bool:
    """Whether the last of the bound arguments are the ``**rest`` of the call."""
    return bool(bind.__dict__.get("rest")) if hasattr(bind, "__dict__") else False
