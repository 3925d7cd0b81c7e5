"""The decorators. They only describe: a host reads the description from ``cls.__plexstream__``."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, overload

from plexstream.sdk.declaring.checks import (
    check_class,
    check_flag,
    check_hook,
    check_number,
    check_takes,
    check_told,
    texts_of,
)
from plexstream.sdk.declaring.facets import Facet, read_facets
from plexstream.sdk.declaring.fields import fields_of, plain_init
from plexstream.sdk.declaring.marks import (
    EventMark,
    HandlerMark,
    HookMark,
    Marked,
    check_name,
    marked,
    method_name,
    put_mark,
)
from plexstream.sdk.declaring.options import refuse_unknown
from plexstream.sdk.declaring.sourcing import EventSourced, event_sourced
from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.host.time import CRON_MARK
from plexstream.sdk.running.wrap import SENDER, by_name, with_sender, without_result
from plexstream.sdk.spec import (
    ActorType,
    EventLog,
    Handler,
    Invocation,
    OnStuck,
    Retry,
    Snapshots,
    Subscription,
    check_retry,
)

OPTIONS = (
    "idle_timeout", "max_active", "state_ttl", "retry", "snapshots", "max_state", "events", "on_stuck",
)  # fmt: skip
"""What `declare` takes besides name and facets."""

C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])

_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")
_INVOCATIONS = ("call", "cast")
_ON_STUCK = ("wait", "fail", "kill")


@overload
def handler(function: F, /) -> F: ...
@overload
def handler(
    *names: str,
    read_only: bool = ...,
    invocation: Invocation = ...,
    states: Iterable[str] = ...,
    postpone_in: Iterable[str] = ...,
    retry: Retry | None = ...,
    shared: bool = ...,
) -> Callable[[F], F]: ...


def handler(
    *names: Any,
    read_only: bool = False,
    invocation: Invocation = "call",
    states: Iterable[str] = (),
    postpone_in: Iterable[str] = (),
    retry: Retry | None = None,
    shared: bool = False,
    **unknown: Any,
) -> Any:
    """Declare a method as the handler of messages called `names` (default: the method's name).

    Parameters:
        names: of messages; ``"*"`` stands for every name that no other handler has. ``"call"`` and ``"cast"``
            among them are the invocation.
        read_only: it may change nothing; it makes no turn, and runs for HTTP GET too.
        invocation: a ``"cast"`` has no result: who asks hears null when it is done.
        states: the states of an `fsm_actor` in which it handles them; default: all that no other handler of
            the message names.
        postpone_in: the states in which an `fsm_actor` keeps them for later.
        retry: how it is tried again when it raises, from its latest step; its callers wait meanwhile.
            Default: tells as the actor's `retry` says, asks not at all.
        shared: it runs while other handlers of the actor wait, whose changes it does not see, and may wait
            itself. It may read the state, resolve promises and send; it must not change the state.
    """
    known = ("read_only", "invocation", "states", "postpone_in", "retry", "shared")
    refuse_unknown("handler", unknown, known)
    if len(names) == 1 and not isinstance(names[0], str):
        return handler()(names[0])  # @handler, without parentheses
    given: list[str] = []
    for name in names:
        if name in _INVOCATIONS:
            invocation = name
        else:
            check_name("handler", name)
            given.append(name)
    if invocation not in _INVOCATIONS:
        raise DeclarationError(f"handler invocation {invocation!r}: write 'call' or 'cast'")
    check_flag("handler", "read_only", read_only)
    check_flag("handler", "shared", shared)
    if read_only and invocation == "cast":
        raise DeclarationError("a handler that is read_only and a cast would do nothing: write one of them")
    states = texts_of("handler", "states", states)
    postpone_in = texts_of("handler", "postpone_in", postpone_in)
    if shared and (read_only or states or postpone_in):
        raise DeclarationError("a shared handler is neither read_only nor of a state: write one of them")

    def put(function: F) -> F:
        own = tuple(given) or (method_name("handler", function),)
        check_name("handler", own[0])
        mark = HandlerMark(own, read_only, invocation, states, postpone_in, retry=retry, shared=shared)
        put_mark(function, mark)
        return function

    return put


def _hook(moment: str, function: Any) -> Any:
    if function is None:
        return lambda f: _hook(moment, f)  # with parentheses
    if inspect.isfunction(function):
        check_hook(function.__qualname__, moment, function)
    put_mark(function, HookMark(moment))
    return function


def init_handler(function: F | None = None, /) -> Any:
    """Declare a method that runs once, in an actor's very first turn and before its handler."""
    return _hook("init", function)


def on_activate(function: F | None = None, /) -> Any:
    """Declare a method that runs whenever the actor is loaded into memory. It must not change state."""
    return _hook("activate", function)


def on_deactivate(function: F | None = None, /) -> Any:
    """Declare a method that runs before the actor is evicted from memory. It must not change state."""
    return _hook("deactivate", function)


def on_crash(function: F | None = None, /) -> Any:
    """Declare a method that runs when a failure ends the actor's life: ``def crashed(self, reason: str)``.

    It sees the state from before the message that failed, and may tell and emit, which leaves with the record
    of the failure. What it changes goes with the life. It does not run for an actor that nobody has started
    or linked, which a failure does not end; nor where the message has killed its process.
    """
    return _hook("crash", function)


def migrate(function: F | None = None, /) -> Any:
    """Declare a method that takes over state which older code stored: ``def up(self, stored: dict) -> None``.

    It runs when an actor is loaded that has plain fields which are no longer declared, or not of their type
    hint any more. `stored` has these by name, as JSON holds them; what the method sets on ``self`` goes into
    the journal with the actor's next turn, and what it was given goes away. Of the latter kind it must set
    each. It must depend on nothing else: until that turn it runs at each loading.
    """
    return _hook("migrate", function)


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

    _check_subscription(topic, key, handler, into)

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
    events: EventLog = ...,
    facets: Iterable[Facet] = (),
    on_stuck: OnStuck = "wait",
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
        events: how an `EventSourced` actor keeps its events.
        facets: what the program asks of the type, by name; an unknown one is an error. Every actor has
            virtual_actor, durability, timer, reminder and event_emitter.
        on_stuck: what becomes of a waiting handler whose code does not fit what is recorded of it: it may
            ``"wait"`` for code that does, or ``"fail"``, or be ended as by ``"kill"``.
    """
    if cls is None:
        return lambda c: declare(c, compose, **options)
    return declare(cls, compose)


def declare(
    cls: type,
    fill: Callable[[ActorType, list[Marked]], None],
    *,
    name: str | None = None,
    facets: Iterable[Facet] = (),
    **options: Any,
) -> type:
    """Make a class an actor type. `fill` makes handlers of what is marked.

    Raises:
        DeclarationError: it cannot work as it is declared.
    """
    check_class("the decorator", cls)
    type_name = name if name is not None else cls.__name__.lower()
    check_name("actor type", type_name)
    if "__init__" in cls.__dict__:
        raise DeclarationError(
            f"{cls.__name__} has an __init__, which would run at every activation: "
            "declare state(default=…), and do the rest in @init_handler or @on_activate"
        )
    if not cls.__dictoffset__:
        raise DeclarationError(f"{cls.__name__} has no __dict__: leave out __slots__")
    stuck = options.get("on_stuck", "wait")
    if stuck not in _ON_STUCK:
        raise DeclarationError(f"{cls.__name__}: on_stuck={stuck!r}: write {', '.join(map(repr, _ON_STUCK))}")
    names = read_facets(cls.__name__, facets, options)
    refuse_unknown(cls.__name__, options, OPTIONS)
    spec = ActorType(type_name, cls, fields_of(cls), {}, facets=names, **options)
    _check_options(spec)
    found = list(marked(cls))
    for where, function, mark in found:
        if isinstance(mark, HookMark):
            if getattr(spec, mark.moment) is not None:
                raise DeclarationError(f"{where}: a second {mark.moment} hook; one is allowed")
            check_hook(where, mark.moment, function)
            setattr(spec, mark.moment, function)
    fill(spec, [m for m in found if not isinstance(m[2], HookMark)])
    for declared in spec.handlers.values():
        check_told(f"{cls.__name__}.{declared.name}", declared.name, declared.function)
        if getattr(declared.function, CRON_MARK, None) is not None:
            check_takes(f"{cls.__name__}.{declared.name}, by @cron,", declared.function, ())
    spec.subscriptions.extend(cls.__dict__.get("__plexstream_subscriptions__", ()))
    _check_subscriptions(spec)
    cls.__plexstream__ = spec  # type: ignore[attr-defined]
    cls.__init__ = plain_init  # type: ignore[misc]
    return cls


def compose(spec: ActorType, found: list[Marked], roles: bool = False) -> None:
    """The handlers of an actor that is no FSM: one for each name.

    Raises:
        DeclarationError: two for one name, or what only other behaviours have.
    """
    if issubclass(spec.cls, EventSourced):
        found = event_sourced(spec, found)
    for where, function, mark in found:
        if isinstance(mark, EventMark):
            raise DeclarationError(f"{where} folds events: derive {spec.cls.__name__} from EventSourced")
        if not isinstance(mark, HandlerMark) or mark.states or mark.postpone_in:
            raise DeclarationError(f"{where} depends on states: declare {spec.cls.__name__} with @fsm_actor")
        if mark.role and not roles:
            raise DeclarationError(
                f"{where} is a {mark.role} handler: declare {spec.cls.__name__} with @workflow"
            )
        for name in mark.names:
            if name in spec.handlers:
                raise DeclarationError(f"{where}: the handler {name!r} is declared twice")
            spec.handlers[name] = as_handler(name, function, mark)


def _check_options(spec: ActorType) -> None:
    name = spec.cls.__name__
    _check_retry(name, spec.retry)
    for option in ("idle_timeout", "state_ttl"):
        check_number(name, option, getattr(spec, option))
    for option in ("max_active", "max_state"):
        check_number(name, option, getattr(spec, option), least=1, whole=True)
    for option, known in (("snapshots", Snapshots), ("events", EventLog)):
        value: object = getattr(spec, option)
        if not isinstance(value, known):
            like = f"{option}={known.__name__}(…)"
            raise DeclarationError(f"{name}: {option}={value!r} is none: write {like}")
    check_number(name, "snapshots.turns", spec.snapshots.turns, whole=True)
    if spec.snapshots.seconds is not None:
        check_number(name, "snapshots.seconds", spec.snapshots.seconds)


def _check_retry(where: str, retry: object) -> None:
    try:
        check_retry(where, retry)
    except TypeError as error:
        raise DeclarationError(str(error)) from None


def as_handler(name: str, function: Callable[..., Any], mark: HandlerMark) -> Handler:
    """A marked method as the handler of one message name."""
    run = without_result(function) if mark.invocation == "cast" else function
    parameters = inspect.signature(run).parameters
    if SENDER in parameters:
        run = with_sender(run)
    elif any(p.kind is p.KEYWORD_ONLY for p in parameters.values()):
        run = by_name(run)
    if mark.retry is not None:
        _check_retry(f"handler {name!r}", mark.retry)
    return Handler(name, run, mark.read_only, mark.invocation, mark.role, mark.retry, mark.shared)


def _check_subscription(topic: object, key: object, handler: object, into: object) -> None:
    where = f"@subscribe({topic!r}, …)"
    if not isinstance(topic, str) or not _TOPIC.fullmatch(topic) or topic in (".", ".."):
        raise DeclarationError(
            f"{where}: no name of a topic: use letters, digits, '.', '_' and '-', at most 249 of them"
        )
    if not isinstance(handler, str):
        raise DeclarationError(f"{where}: handler={handler!r}: give the name of a handler, as text")
    if not (key is None or isinstance(key, str) or callable(key)):
        raise DeclarationError(f"{where}: key={key!r}: give the name of a field, or a function of the value")
    if not (into is None or isinstance(into, str)):
        raise DeclarationError(f"{where}: into={into!r}: give the name of a parameter, as text")


def _check_subscriptions(spec: ActorType) -> None:
    for subscription in spec.subscriptions:
        found = spec.handlers.get(subscription.handler)
        if found is not None and subscription.into is not None:
            own = list(inspect.signature(found.function).parameters.values())[1:]
            if not any(p.name == subscription.into or p.kind is p.VAR_KEYWORD for p in own):
                raise DeclarationError(
                    f"@subscribe({subscription.topic!r}, into={subscription.into!r}): {spec.cls.__name__}."
                    f"{found.name} has no such parameter; it has {', '.join(p.name for p in own) or 'none'}"
                )
        if subscription.handler not in spec.handlers:
            known = ", ".join(sorted(spec.handlers)) or "none"
            raise DeclarationError(
                f"@subscribe({subscription.topic!r}, handler={subscription.handler!r}): "
                f"{spec.cls.__name__} has no such handler; it has {known}"
            )
