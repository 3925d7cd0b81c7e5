"""Event managers (GenEvent): handlers of events that come and go at run time, each with its own state."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, overload

from plexstream.sdk.declaring.checks import check_class
from plexstream.sdk.declaring.declare import compose, declare
from plexstream.sdk.declaring.facets import Facet
from plexstream.sdk.declaring.fields import fields_of
from plexstream.sdk.declaring.marks import HandlerMark, HookMark, Marked, marked
from plexstream.sdk.errors import DeclarationError, Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.arguments import Arguments
from plexstream.sdk.running.current import current
from plexstream.sdk.running.values import initial, plain, typed
from plexstream.sdk.spec import ActorType, Field, Handler

C = TypeVar("C", bound=type)

HANDLERS, REMOVED = "@handlers", "@removed"
MAX_HANDLERS = 1_000
"""Event handlers of one actor: each of them costs something at each event."""
_KEEP_REMOVED = 16
_KINDS = "__plexstream_event_handlers__"
_KIND = "__plexstream_event_handler__"
_Method = tuple[Callable[..., Any], Arguments]


@dataclass(frozen=True, slots=True)
class _Kind:
    """A class of event handlers."""

    name: str
    cls: type
    fields: dict[str, Field]
    methods: dict[str, _Method]  # by event
    init: _Method | None

    def hints(self) -> list[tuple[str, Any]]:
        """What is read back: fields and arguments, each with where it stands."""
        own = [*self.methods.values(), *([self.init] if self.init is not None else [])]
        found = [(f"{self.cls.__name__}.{f.name}", f.annotation) for f in self.fields.values()]
        return found + [(f"{self.cls.__name__}.{run.__name__}", arguments.type) for run, arguments in own]


@overload
def event_actor(cls: C, /) -> C: ...
@overload
def event_actor(
    *, handlers: Iterable[type] = (), facets: Iterable[Facet] = (), **options: Any
) -> Callable[[C], C]: ...


def event_actor(cls: Any = None, /, *, handlers: Iterable[type] = (), **options: Any) -> Any:
    """Declare a class as an actor type that manages event handlers (GenEvent).

    Besides its own handlers it takes ``add_handler``, ``remove_handler``, ``handlers``, ``notify`` and
    ``sync_notify``, where it does not declare them itself.

    Parameters:
        handlers: the classes of which event handlers may be added, each known by its name in lower case.
            Their `handler` methods handle the events of that name, their `state` is durable, an
            `init_handler` gets the arguments with which one is added.
        options: as for `actor`.
    """
    if isinstance(handlers, type) or not isinstance(handlers, Iterable):
        raise DeclarationError(f"event_actor: handlers={handlers!r}: give a list, as in handlers=[Revenue]")
    kinds = [_kind(handler) for handler in handlers]

    def build(cls: C) -> C:
        check_class("event_actor", cls)
        setattr(cls, _KINDS, {kind.name: kind for kind in kinds})
        declare(cls, _compose, **options)
        spec: ActorType = cls.__plexstream__  # type: ignore[attr-defined]
        spec.hints.extend(hint for kind in kinds for hint in kind.hints())
        return cls

    return build if cls is None else build(cls)


def _compose(spec: ActorType, found: list[Marked]) -> None:
    compose(spec, found)
    if spec.behaviour != "actor":
        raise DeclarationError(f"{spec.cls.__name__}: an EventSourced actor cannot be an event manager")
    for name, function in _OWN.items():
        read_only = name == "handlers"
        invocation = "call" if name != "notify" else "cast"
        spec.handlers.setdefault(name, Handler(name, function, read_only, invocation))  # type: ignore[arg-type]
    spec.fields[HANDLERS] = Field(HANDLERS, "map", dict[str, Any])
    spec.fields[REMOVED] = Field(REMOVED, "plain", list[Any], None, list)
    spec.behaviour = "gen_event"


def _kind(cls: type) -> _Kind:
    if not isinstance(cls, type):
        raise DeclarationError(f"event_actor: handlers has {cls!r}, which is no class of event handlers")
    known: _Kind | None = cls.__dict__.get(_KIND)
    if known is not None:  # another manager has it, too
        return known
    fields = fields_of(cls)
    for field in fields.values():
        if field.kind != "plain":
            raise DeclarationError(
                f"{cls.__name__}.{field.name}: an event handler is kept as one value: write state(…)"
            )
    methods: dict[str, _Method] = {}
    init = None
    for where, function, mark in marked(cls):
        if mark == HookMark("init"):
            init = (function, Arguments(function))
            continue
        if not isinstance(mark, HandlerMark) or mark != HandlerMark(mark.names, invocation=mark.invocation):
            raise DeclarationError(
                f"{where}: an event handler has plain @handler methods and an @init_handler"
            )
        if inspect.iscoroutinefunction(function):
            raise DeclarationError(f"{where} is async: the methods of event handlers are not; write def")
        for name in mark.names:
            if name in methods:
                raise DeclarationError(f"{where}: the handler {name!r} is declared twice")
            methods[name] = (function, Arguments(function))
    kind = _Kind(cls.__name__.lower(), cls, fields, methods, init)
    setattr(cls, _KIND, kind)
    return kind


# What an event manager takes. These are functions of the actor, as its own handlers are.


def _add_handler(
    self: Any, handler: str, id: str = "", arguments: dict[str, Any] | None = None, report_to: str = ""
) -> str:
    """Add an event handler behind those that are there; its id is `handler` where none is given."""
    kinds: dict[str, _Kind] = getattr(type(self), _KINDS)
    kind, id, kept = kinds.get(handler), id or handler, self.__dict__[HANDLERS]
    if kind is None:
        raise Reject(
            f"there is no class {handler!r} of event handlers; there are {', '.join(kinds) or 'none'}"
        )
    if id in kept:
        raise Reject(f"there is an event handler {id!r} already: remove it first, or give another id")
    entries = kept.values()
    if len(entries) >= MAX_HANDLERS:
        raise Reject(f"there are {MAX_HANDLERS} event handlers: remove some first")
    if report_to and current.turn is not None:  # refused now, if it is no address
        sent = current.turn.sent()
        host.tell(report_to, "handler_removed", {})
        current.turn.take_back(sent)
    new: Any = object.__new__(kind.cls)
    new.__dict__.update((field.name, initial(field)) for field in kind.fields.values())
    try:
        if kind.init is not None:
            init, shape = kind.init
            init(new, **shape.bind(arguments or {}, strict=True))
        else:
            _fill(new, kind.fields, arguments or {})
    except ValueError as error:
        raise Reject(f"the event handler {id!r} cannot be made: {error}") from error
    number = 1 + max((entry["number"] for entry in entries), default=0)
    kept[id] = {
        "handler": handler, "number": number, "report_to": report_to, "state": _state(self, kind, new),
    }  # fmt: skip
    return id


def _fill(new: Any, fields: Mapping[str, Field], given: Mapping[str, Any]) -> None:
    for name, value in given.items():
        if name not in fields:
            raise ValueError(f"there is no state {name}; there is {', '.join(fields) or 'none'}")
        new.__dict__[name] = typed(value, fields[name].annotation)


def _remove_handler(self: Any, id: str) -> dict[str, Any]:
    """Remove an event handler; the result is its state."""
    entry = self.__dict__[HANDLERS].pop(id, None)
    if entry is None:
        raise Reject(f"there is no event handler {id!r}")
    return dict(entry["state"])


def _handlers(self: Any) -> dict[str, Any]:
    """The event handlers in their order, and those that were removed last, with the reasons."""
    found = [
        {"id": id, "handler": entry["handler"], "state": entry["state"]}
        for id, entry in _in_order(self.__dict__[HANDLERS])
    ]
    return {"handlers": found, "removed": self.__dict__[REMOVED]}


def _notify(self: Any, event: str, arguments: dict[str, Any] | None = None) -> None:
    """Let every event handler handle an event."""
    _sync_notify(self, event, arguments)


def _sync_notify(self: Any, event: str, arguments: dict[str, Any] | None = None) -> dict[str, Any]:
    """Let every event handler handle an event; the result says which did, refused, were removed."""
    report: dict[str, Any] = {"handled": [], "rejected": {}, "removed": {}}
    kept = self.__dict__[HANDLERS]
    kinds: dict[str, _Kind] = getattr(type(self), _KINDS)
    for id, entry in _in_order(kept):
        sent = current.turn.sent() if current.turn is not None else 0
        try:
            kind = kinds.get(entry["handler"])
            if kind is None:
                raise Reject(f"there is no class {entry['handler']!r} of event handlers any more")
            state = _handle(self, kind, entry["state"], event, arguments or {})
        except Reject as error:
            _take_back(sent)
            report["rejected"][id] = error.reason
        except (Exception, SystemExit) as error:
            _take_back(sent)
            report["removed"][id] = reason = f"{type(error).__name__}: {error}"
            del kept[id]
            _report(self, id, entry, event, reason)
        else:
            if state is None:
                continue
            report["handled"].append(id)
            if state != entry["state"]:
                kept[id] = {**entry, "state": state}
    return report


def _in_order(kept: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return sorted(kept.items(), key=lambda item: item[1]["number"])


def _handle(
    self: Any, kind: _Kind, state: Mapping[str, Any], event: str, arguments: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The state after one handler has handled an event; None where it does not take it.

    Raises:
        Reject: it is not to be handled: by itself, or because the arguments or the state do not fit.
    """
    method = kind.methods.get(event) or kind.methods.get("*")
    if method is None:
        return None
    function, shape = method
    obj: Any = object.__new__(kind.cls)
    try:
        for name, field in kind.fields.items():
            obj.__dict__[name] = typed(state[name], field.annotation) if name in state else initial(field)
        bound = shape.bind(arguments)
    except ValueError as error:
        raise Reject(str(error)) from error
    function(obj, **bound)
    return _state(self, kind, obj)


def _state(self: Any, kind: _Kind, obj: Any) -> dict[str, Any]:
    """The state of an event handler, to be kept. Raises where its actor could not keep it."""
    state: dict[str, Any] = {}
    for name, field in kind.fields.items():
        try:
            state[name] = plain(typed(plain(obj.__dict__[name]), field.annotation))  # as it will be read back
        except ValueError as error:
            raise TypeError(
                f"{kind.cls.__name__}.{name} was set to what its type hint forbids: {error}"
            ) from None
    size, limit = (
        len(json.dumps(state, ensure_ascii=False).encode()),
        type(self).__plexstream__.max_state // 2,
    )
    if size > limit:
        raise TypeError(f"{kind.cls.__name__} has a state of {size} bytes, at most {limit} are allowed")
    return state


def _take_back(sent: int) -> None:
    if current.turn is not None:
        current.turn.take_back(sent)


def _report(self: Any, id: str, entry: Mapping[str, Any], event: str, reason: str) -> None:
    """Say that an event handler was removed: in the actor's state, in the log, and to whom it asked for."""
    if current.turn is None:
        return
    what = {
        "id": id,
        "handler": entry["handler"],
        "event": event[:100],
        "reason": reason[:500],
        "time": host.now(),
    }
    self.__dict__[REMOVED] = [*self.__dict__[REMOVED], what][-_KEEP_REMOVED:]
    host.log(f"the event handler {id} is removed: it raised {reason} at the event {event}", level="error")
    if entry["report_to"]:
        host.tell(entry["report_to"], "handler_removed", {"manager": host.self_id(), **what})


_OWN: dict[str, Callable[..., Any]] = {
    "add_handler": _add_handler,
    "remove_handler": _remove_handler,
    "handlers": _handlers,
    "notify": _notify,
    "sync_notify": _sync_notify,
}
