"""Durable fields: how a class declares them, and what looks like one and is none."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Final, get_origin, get_type_hints

from plexstream.sdk.errors import DeclarationError, DeclarationWarning
from plexstream.sdk.options import refuse_unknown
from plexstream.sdk.spec import ActorType, Field, FieldKind


class _State:
    """The placeholder that `state` leaves in the class body until `actor` reads it."""

    def __init__(
        self,
        kind: FieldKind,
        default: Any = None,
        factory: Callable[[], Any] | None = None,
        was: str | None = None,
    ) -> None:
        self.kind: FieldKind = kind
        self.default = default
        self.factory = factory
        self.was = was


def state(
    default: Any = None,
    *,
    default_factory: Callable[[], Any] | None = None,
    was: str | None = None,
    **unknown: Any,
) -> Any:
    """Declare a durable field: its value after a turn is in the journal before the caller hears of it.

    Parameters:
        default: the value in a new actor; must be immutable.
        default_factory: makes it, where it is mutable: ``state(default_factory=list)``.
        was: the name under which older code stored it.

    The type hint of the field is enforced whenever its value changes. Values are JSON-compatible.
    A change inside a list or dict is noticed; for large ones use `state_map` and `state_list`, which
    journal and load entry by entry.
    """
    refuse_unknown("state", unknown, ("default", "default_factory", "was"))
    if not _hashes(default):
        raise DeclarationError(
            f"state(default={default!r}): a mutable default would be shared; write state(default_factory=…)"
        )
    return _State("plain", default, default_factory, was)


def state_map() -> Any:
    """Declare a durable dict that is journaled and loaded by key: it may be larger than memory."""
    return _State("map")


def state_list() -> Any:
    """Declare a durable list that is journaled and loaded by item; it grows and shrinks at both ends."""
    return _State("list")


def fields_of(cls: type) -> dict[str, Field]:
    """The durable fields that a class and its bases declare; it loses their placeholders."""
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception as error:
        raise DeclarationError(f"{cls.__name__}: its type hints cannot be read: {error}") from error
    fields: dict[str, Field] = {}
    for owner in reversed(cls.__mro__):
        for name, value in list(vars(owner).items()):
            if isinstance(value, _State):
                fields[name] = Field(
                    name, value.kind, hints.get(name, Any), value.default, value.factory, value.was
                )
                if owner is cls:  # a base class may be another actor's, too
                    delattr(owner, name)
        inherited = vars(owner).get("__plexstream__")
        if inherited is not None and owner is not cls:
            fields.update(inherited.fields)
    for field in fields.values():
        if field.was in fields:
            raise DeclarationError(
                f"{cls.__name__}.{field.name}: was={field.was!r}, but that is declared, too: leave one out"
            )
    _warn_of_attributes(cls, hints, fields)
    return fields


def _warn_of_attributes(cls: type, hints: dict[str, Any], fields: dict[str, Field]) -> None:
    """A class attribute with a hint is most often meant as state, and would be lost with the process."""
    for name in inspect.get_annotations(cls):
        if name in fields or name.startswith("_") or name.isupper() or _is_constant(hints.get(name)):
            continue
        value = vars(cls).get(name, _NOTHING)
        if value is _NOTHING:
            like = "state(default=…)"
        elif callable(value) or isinstance(value, property):
            continue
        else:
            option = "default=" if _hashes(value) else "default_factory=lambda: "
            like = f"state({option}{value!r})"
        warnings.warn(
            f"{cls.__name__}.{name} is a plain class attribute: not durable, and gone with the process; "
            f"write {name} = {like}, or annotate it as ClassVar if it is a constant",
            DeclarationWarning,
            stacklevel=5,
        )


_NOTHING: Any = object()


def _is_constant(hint: Any) -> bool:
    return hint in (ClassVar, Final) or get_origin(hint) in (ClassVar, Final)


def _hashes(value: Any) -> bool:
    """Whether a value is one that nobody can change: what has a hash of its own, and not its identity's."""
    try:
        hash(value)
    except TypeError:
        return False
    own: Any = type(value).__hash__
    return value is None or own is not object.__hash__


def plain_init(self: Any) -> None:
    """An actor object outside a host, for unit tests of its methods: every field has its default."""
    spec: ActorType = type(self).__plexstream__
    for field in spec.fields.values():
        empty: Any = {} if field.kind == "map" else [] if field.kind == "list" else field.initial()
        self.__dict__[field.name] = empty
