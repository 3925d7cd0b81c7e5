"""Durable fields: how a class declares them, and what looks like one and is none."""

from __future__ import annotations

import dis
import inspect
import warnings
from collections.abc import Callable
from typing import Any, ClassVar, Final, get_origin, get_type_hints

from plexstream.sdk.declaring.checks import check_collection
from plexstream.sdk.declaring.options import refuse_unknown
from plexstream.sdk.errors import DeclarationError, DeclarationWarning
from plexstream.sdk.running.collections.bare import BareMap
from plexstream.sdk.running.collections.keys import Keys
from plexstream.sdk.spec import ActorType, Field, FieldKind


class _State:
    """The placeholder that `state` leaves in the class body until `actor` reads it."""

    def __init__(
        self,
        kind: FieldKind,
        default: Any = None,
        factory: Callable[[], Any] | None = None,
        was: str | None = None,
        of: tuple[Any, Any] | None = None,
    ) -> None:
        self.kind: FieldKind = kind
        self.default = default
        self.factory = factory
        self.was = was
        self.of = of


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
    if default_factory is not None and (default is not None or not callable(default_factory)):
        what = "is there beside default" if default is not None else "is called: give a function, as in list"
        raise DeclarationError(f"state(default_factory={default_factory!r}): it {what}")
    if was is not None and not isinstance(was, str):
        raise DeclarationError(f"state(was={was!r}): give the name that the field had, as text")
    if not _hashes(default):
        raise DeclarationError(
            f"state(default={default!r}): a mutable default would be shared; write state(default_factory=…)"
        )
    return _State("plain", default, default_factory, was)


def state_map(key: Any = None, value: Any = None, /, **unknown: Any) -> Any:
    """Declare a durable dict that is journaled and loaded by key, in order: it may be larger than memory.

    Parameters:
        key: the type of its keys: `str`, `int`, `float` or a tuple of these, as in ``tuple[str, int]``.
        value: the type of its values; both are given, or none. The hint of the field says the same:
            ``jobs: dict[int, str] = state_map()`` is ``jobs = state_map(int, str)``.
    """
    _refuse_options("state_map", unknown)
    if (key is None) != (value is None):
        raise DeclarationError(
            f"state_map({key!r}): give the types of keys and of values, as in state_map(int, str), or neither"
        )
    return _State("map", of=None if key is None else (key, value))


def state_list(**unknown: Any) -> Any:
    """Declare a durable list that is journaled and loaded by item; it grows and shrinks at both ends."""
    _refuse_options("state_list", unknown)
    return _State("list")


def _refuse_options(what: str, given: dict[str, Any]) -> None:
    if "was" in given:
        raise DeclarationError(
            f"{what}(was={given['was']!r}): only plain fields are renamed: entries keep the name of their "
            f"field, as they may be more than memory. Declare {given['was']!r} beside it, and let a handler "
            "move them"
        )
    if given:
        raise DeclarationError(
            f"{what}({min(given)}=…): it takes nothing: it begins empty, and keeps the name of its field"
        )


def fields_of(cls: type) -> dict[str, Field]:
    """The durable fields that a class and its bases declare; it loses their placeholders."""
    try:
        hints = get_type_hints(cls, include_extras=True)
    except Exception as error:
        raise DeclarationError(
            f"{cls.__name__}: its type hints cannot be read: {error}: import what they name, or define it "
            "above"
        ) from error
    fields: dict[str, Field] = {}
    for owner in reversed(cls.__mro__):
        for name, value in list(vars(owner).items()):
            if isinstance(value, _State):
                hint, key = hints.get(name, Any), str
                if value.kind != "plain":
                    hint, key = check_collection(f"{cls.__name__}.{name}", value.kind, hint, value.of)
                fields[name] = Field(name, value.kind, hint, value.default, value.factory, value.was, key)
                if owner is cls:  # a base class may be another actor's, too
                    delattr(owner, name)
        inherited = vars(owner).get("__plexstream__")
        if inherited is not None and owner is not cls:
            fields.update(inherited.fields)
    _check_hidden(cls, hints, fields)
    earlier: dict[str, str] = {}
    for field in fields.values():
        if field.was is not None and (other := earlier.setdefault(field.was, field.name)) != field.name:
            raise DeclarationError(
                f"{cls.__name__}.{field.name}: was={field.was!r}, and so was {other}: leave one out"
            )
        if field.was in fields:
            raise DeclarationError(
                f"{cls.__name__}.{field.name}: was={field.was!r}, but that is declared, too: leave one out"
            )
    _warn_of_attributes(cls, hints, fields)
    return fields


def _check_hidden(cls: type, hints: dict[str, Any], fields: dict[str, Field]) -> None:
    """Raises DeclarationError where something else has the name of a field, which would be lost."""
    for name in inspect.get_annotations(cls):
        value: Any = vars(cls).get(name)
        if not inspect.isfunction(value) or name in fields or _is_constant(hints.get(name)):
            continue
        if value in (state, state_map, state_list):
            raise DeclarationError(
                f"{cls.__name__}.{name} is the function {value.__name__}: write {name} = {value.__name__}()"
            )
        if value.__qualname__ == f"{cls.__qualname__}.{name}":
            raise DeclarationError(
                f"{cls.__name__}.{name} is annotated like a field, and is the method {name}: give one of "
                "them another name"
            )
    for owner in cls.__mro__[:-1]:
        for name, own in vars(owner).items():
            if name not in fields:
                continue
            if not isinstance(own, _State) and not (isinstance(own, property) and name == "fsm_state"):
                raise DeclarationError(
                    f"{owner.__name__}.{name} takes the place of a field of that name: write "
                    f"{name} = state(…), or give it another name"
                )


def _warn_of_attributes(cls: type, hints: dict[str, Any], fields: dict[str, Field]) -> None:
    """A class attribute with a hint is most often meant as state, and would be lost with the process."""
    for name in [*inspect.get_annotations(cls), *_assigned(cls)]:
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


def _assigned(cls: type) -> list[str]:
    """Attributes without a hint that are no constants: a method sets them, or they are empty collections."""
    methods = [value for value in vars(cls).values() if inspect.isfunction(value)]
    stored = set().union(*map(_sets, methods))
    plain = vars(cls).keys() - inspect.get_annotations(cls).keys()
    return [
        name
        for name, value in vars(cls).items()
        if name in plain
        and not (callable(value) or hasattr(type(value), "__get__"))
        and (name in stored or (isinstance(value, list | dict | set) and not value))
    ]


def _sets(method: Any) -> set[str]:
    """The attributes of its first argument that a method sets."""
    own, found, before = method.__code__.co_varnames[:1], set(), None
    for step in dis.get_instructions(method):
        if step.opname == "STORE_ATTR" and before is not None:
            loaded = before.argval if isinstance(before.argval, tuple) else (before.argval,)
            if loaded[-1:] == own or before.opname == "SWAP":  # the latter: self.n += 1
                found.add(step.argval)
        before = step
    return found


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
        if field.kind == "map":
            self.__dict__[field.name] = BareMap(Keys(f"{spec.name}.{field.name}", field.key))
        else:
            self.__dict__[field.name] = [] if field.kind == "list" else field.initial()
