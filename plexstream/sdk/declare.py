"""The decorators. They only describe: a host reads the description from ``cls.__plexstream__``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints, overload

from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.spec import ActorType, Field, FieldKind, Handler, Retry, Snapshots, Subscription

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_MARK = "__plexstream_mark__"
_IMMUTABLE = (int, str, float, bool, bytes, tuple, frozenset, type(None))


class _State:
    """The placeholder that `state` leaves in the class body until `actor` reads it."""

    def __init__(
        self, kind: FieldKind, default: Any = None, factory: Callable[[], Any] | None = None
    ) -> None:
        self.kind: FieldKind = kind
        self.default = default
        self.factory = factory


def state(default: Any = None, *, default_factory: Callable[[], Any] | None = None) -> Any:
    """Declare a durable field: its value after a turn is in the journal before the caller hears of it.

    Parameters:
        default: the value in a new actor; must be immutable.
        default_factory: makes it, where it is mutable: ``state(default_factory=list)``.

    The type hint of the field is enforced whenever its value changes. Values are JSON-compatible.
    A change inside a list or dict is noticed; for large ones use `state_map` and `state_list`, which
    journal and load entry by entry.
    """
    if default_factory is None and not isinstance(default, _IMMUTABLE):
        raise DeclarationError(
            f"state(default={default!r}): a mutable default would be shared; write state(default_factory=…)"
        )
    return _State("plain", default, default_factory)


def state_map() -> Any:
    """Declare a durable dict that is journaled and loaded by key: it may be larger than memory."""
    return _State("map")


def state_list() -> Any:
    """Declare a durable list that is journaled and loaded by item; it grows and shrinks at both ends."""
    return _State("list")


def handler(name: str | None = None, *, read_only: bool = False) -> Callable[[F], F]:
    """Declare a method as the handler of messages called `name` (default: the method's name).

    A `read_only` handler may change nothing; it makes no turn, and runs for HTTP GET too.
    """

    def mark(function: F) -> F:
        _check_name("handler", name if name is not None else function.__name__)
        setattr(function, _MARK, ("handler", name if name is not None else function.__name__, read_only))
        return function

    return mark


def init_handler(function: F) -> F:
    """Declare a method that runs once, in an actor's very first turn and before its handler."""
    setattr(function, _MARK, ("init",))
    return function


def on_activate(function: F) -> F:
    """Declare a method that runs whenever the actor is loaded into memory. It must not change state."""
    setattr(function, _MARK, ("activate",))
    return function


def on_deactivate(function: F) -> F:
    """Declare a method that runs before the actor is evicted from memory. It must not change state."""
    setattr(function, _MARK, ("deactivate",))
    return function


def subscribe(
    topic: str, *, handler: str, key: str | Callable[[Any], str] | None = None, into: str | None = None
) -> Callable[[C], C]:
    """Feed actors of this class from an existing topic of JSON records, each exactly once.

    Parameters:
        topic: its name, as it stands.
        handler: the handler that gets each record.
        key: what gives the actor's id: a field of the record's value, or a function of the value;
            None: the record's key.
        into: the parameter that gets the whole value; None: the value's fields are the arguments.
    """

    def mark(cls: C) -> C:
        pending = list(cls.__dict__.get("__plexstream_subscriptions__", ()))
        pending.append(Subscription(topic, key, handler, into))
        spec = cls.__dict__.get("__plexstream__")
        if spec is not None:  # above @actor
            spec.subscriptions.append(pending[-1])
            _check_subscriptions(spec)
        else:
            cls.__plexstream_subscriptions__ = pending  # type: ignore[attr-defined]
        return cls

    return mark


@overload
def actor(cls: C, /) -> C: ...
@overload
def actor(
    *,
    name: str | None = None,
    idle_timeout: float = 300.0,
    max_active: int = 100_000,
    state_ttl: float = 0.0,
    retry: Retry = ...,
    snapshots: Snapshots = ...,
    max_state: int = 1_048_576,
) -> Callable[[C], C]: ...


def actor(cls: Any = None, /, **options: Any) -> Any:
    """Declare a class as an actor type: ``type/id`` exists as soon as somebody sends to it.

    Parameters:
        name: of the type; default: the class name in lower case.
        idle_timeout: seconds without a message after which it leaves memory.
        max_active: how many actors of the type one partition keeps in memory.
        state_ttl: seconds without a turn after which its state is forgotten; 0: never.
        retry: how tells whose handler raised are tried again.
        snapshots: when its state is copied to the snapshot topic.
        max_state: bytes that the plain fields may have together, and each entry of a collection.
    """
    if cls is None:
        return lambda c: _declare(c, **options)
    return _declare(cls)


def _declare(cls: type, name: str | None = None, **options: Any) -> type:
    type_name = name if name is not None else cls.__name__.lower()
    _check_name("actor type", type_name)
    if "__init__" in cls.__dict__:
        raise DeclarationError(
            f"{cls.__name__} has an __init__, which would run at every activation: "
            "declare state(default=…), and do the rest in @init_handler or @on_activate"
        )
    if not cls.__dictoffset__:
        raise DeclarationError(f"{cls.__name__} has no __dict__: leave out __slots__")
    fields = _fields(cls)
    spec = ActorType(type_name, cls, fields, {}, **options)
    for member, function in inspect.getmembers(cls):
        if (mark := getattr(function, _MARK, None)) is None:
            continue
        _check_function(f"{cls.__name__}.{member}", mark[0], function)
        if mark[0] == "handler":
            if mark[1] in spec.handlers:
                raise DeclarationError(f"{cls.__name__}.{member}: the handler {mark[1]!r} is declared twice")
            spec.handlers[mark[1]] = Handler(mark[1], function, mark[2])
        elif getattr(spec, mark[0]) is not None:
            raise DeclarationError(f"{cls.__name__}.{member}: a second {mark[0]} hook; one is allowed")
        else:
            setattr(spec, mark[0], function)
    spec.subscriptions.extend(cls.__dict__.get("__plexstream_subscriptions__", ()))
    _check_subscriptions(spec)
    cls.__plexstream__ = spec  # type: ignore[attr-defined]
    cls.__init__ = _plain_init  # type: ignore[misc]
    return cls


def _check_function(where: str, what: str, function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise DeclarationError(f"{where} is a generator: an actor's method returns its result, without yield")
    if what in ("activate", "deactivate", "init") and inspect.iscoroutinefunction(function):
        raise DeclarationError(f"{where} is async: only handlers may be; write def")


def _fields(cls: type) -> dict[str, Field]:
    hints = get_type_hints(cls, include_extras=True)
    fields: dict[str, Field] = {}
    for owner in reversed(cls.__mro__):
        for name, value in list(vars(owner).items()):
            if isinstance(value, _State):
                fields[name] = Field(name, value.kind, hints.get(name, Any), value.default, value.factory)
                if owner is cls:  # a base class may be another actor's, too
                    delattr(owner, name)
        inherited = vars(owner).get("__plexstream__")
        if inherited is not None and owner is not cls:
            fields.update(inherited.fields)
    return fields


def _plain_init(self: Any) -> None:
    """An actor object outside a host, for unit tests of its methods: every field has its default."""
    spec: ActorType = type(self).__plexstream__
    for field in spec.fields.values():
        empty: Any = {} if field.kind == "map" else [] if field.kind == "list" else field.initial()
        self.__dict__[field.name] = empty


def _check_name(what: str, name: str) -> None:
    if not _NAME.fullmatch(name) and name != "*":
        raise DeclarationError(
            f"{what} name {name!r}: use letters, digits, '_', '-' and '.', beginning with a letter or '_'"
        )


def _check_subscriptions(spec: ActorType) -> None:
    for subscription in spec.subscriptions:
        if subscription.handler not in spec.handlers:
            known = ", ".join(sorted(spec.handlers)) or "none"
            raise DeclarationError(
                f"@subscribe({subscription.topic!r}, handler={subscription.handler!r}): "
                f"{spec.cls.__name__} has no such handler; it has {known}"
            )
