"""Event-sourced actors: handlers decide, events are kept, folds make the state of them.

The state is journaled beside the events of each turn (ADR 11): loading an actor folds nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar, get_type_hints, overload

from plexstream.sdk.declaring.marks import EventMark, HandlerMark, Marked, check_name, put_mark
from plexstream.sdk.declaring.options import refuse_unknown
from plexstream.sdk.errors import DeclarationError, FoldError
from plexstream.sdk.running.collections.lists import StateList
from plexstream.sdk.running.collections.maps import StateMap
from plexstream.sdk.running.current import current
from plexstream.sdk.running.values import initial, plain, typed
from plexstream.sdk.running.wrap import finish, like
from plexstream.sdk.spec import ActorType, EventLog, Field

F = TypeVar("F", bound=Callable[..., Any])

EVENTS, FOLD = "@events", "@fold"
_FOLDS = "__plexstream_folds__"
_IMMUTABLE = frozenset((int, str, bool, float, type(None), bytes))


class Fold(NamedTuple):
    """How events of one type change the state."""

    name: str
    version: int
    type: Any  # of the event
    function: Callable[..., Any]
    upcasters: Mapping[int, Callable[[Any], Any]]


class Folds(NamedTuple):
    """The folds of an actor class."""

    by_name: dict[str, Fold]
    by_type: dict[Any, Fold]
    log: EventLog


@overload
def event(function: F, /) -> F: ...
@overload
def event(
    *, name: str | None = None, version: int = 1, upcasters: Mapping[int, Callable[[Any], Any]] | None = None
) -> Callable[[F], F]: ...


def event(function: Any = None, /, **options: Any) -> Any:
    """Declare a method of an `EventSourced` actor as the fold of one type of event.

    Its one parameter's type hint is that type, a class that JSON can hold, such as a dataclass. Only folds
    change state; they depend on nothing but the state and the event, and send nothing.

    Parameters:
        name: of the event in the journal; default: that of its class.
        version: of its class, from 1: raised when kept events no longer fit it.
        upcasters: for each earlier version what makes the next one of it: a function of the event as JSON
            holds it.
    """

    refuse_unknown("event", options, ("name", "version", "upcasters"))
    found = _mark(**options)

    def mark(function: F) -> F:
        put_mark(function, found)
        return function

    return mark if function is None else mark(function)


def _mark(
    name: str | None = None, version: int = 1, upcasters: Mapping[int, Callable[[Any], Any]] | None = None
) -> EventMark:
    if name is not None:
        check_name("event", name)
    found = dict(upcasters or {})
    if sorted(found) != list(range(1, version)):
        raise DeclarationError(
            f"@event(version={version}): it takes an upcaster for each of the versions 1 to {version - 1}, "
            f"and has them for {sorted(found) or 'none'}"
        )
    return EventMark(name, version, found)


class EventSourced:
    """Base of actors whose state is the fold of their events."""

    def apply(self, event: Any, /) -> None:
        """Keep an event, and fold it into the state. Both are on the log with the turn.

        Raises:
            FoldError: its class has no fold; or the state was changed otherwise than by a fold.
            TypeError, ValueError: it is not what its class says, or no JSON.
        """
        folds = _folds(self)
        fold = folds.by_type.get(type(event))
        if fold is None:
            known = ", ".join(folds.by_name) or "none"
            raise FoldError(f"{type(self).__name__} has no fold of {type(event).__name__}; it has {known}")
        data = plain(event)
        event = typed(data, fold.type)  # folded now as it will be folded from the log
        guard = self.__dict__.get("@guard")
        if guard is not None:
            guard.check(self)
        self.__dict__[EVENTS].append({"event": fold.name, "version": fold.version, "data": data})
        _run(self, fold, event)
        if guard is not None:
            guard.seen = _fingerprint(self)
        keep = folds.log.keep
        while keep and len(self.__dict__[EVENTS]) > keep:
            del self.__dict__[EVENTS][0]

    def events(self, start: int = 0, /) -> Iterator[Any]:
        """The events that are kept, from the `start`-th of them on, in the form of their newest version.

        Raises:
            FoldError: one of a type, or of a version, that is not declared.
        """
        for entry in _kept(self, start):
            yield _read(self, _folds(self), entry)[1]

    def __setattr__(self, name: str, value: Any) -> None:
        spec: ActorType | None = type(self).__dict__.get("__plexstream__")
        if spec is not None and name in spec.fields and not self.__dict__.get("@folding"):
            raise FoldError(
                f"{type(self).__name__}.{name} is changed outside a fold: apply an event whose fold does it"
            )
        object.__setattr__(self, name, value)


class _Guard:
    """Sees that nothing but folds changes the state while a handler runs."""

    def __init__(self, actor: EventSourced) -> None:
        self.seen = _fingerprint(actor)

    def check(self, actor: EventSourced) -> None:
        """Raises FoldError where a field is not as the last fold left it."""
        for name, value in _fingerprint(actor).items():
            if value != self.seen[name]:
                raise FoldError(
                    f"{type(actor).__name__}.{name} is changed outside a fold: "
                    "apply an event whose fold does it"
                )


def _fingerprint(actor: EventSourced) -> dict[str, Any]:
    """What `EventSourced.__setattr__` cannot guard: values that are changed inside."""
    found: dict[str, Any] = {}
    for name in _own_fields(actor):
        value = actor.__dict__[name]
        if isinstance(value, StateMap | StateList):
            found[name] = value._cells.fingerprint()
        else:
            found[name] = None if type(value) in _IMMUTABLE else plain(value)
    return found


def event_sourced(spec: ActorType, found: list[Marked]) -> list[Marked]:
    """Make `spec` that of an event-sourced actor; the marked methods without folds, with guarded handlers.

    Raises:
        DeclarationError: two folds of one event, a fold without a class of event.
    """
    folds = Folds({}, {}, spec.events)
    rest: list[Marked] = []
    for where, function, mark in found:
        if isinstance(mark, EventMark):
            fold = _fold(where, function, mark)
            if fold.name in folds.by_name or fold.type in folds.by_type:
                raise DeclarationError(f"{where}: a second fold of {fold.name}; one is allowed")
            spec.hints.append((where, fold.type))
            folds.by_name[fold.name] = folds.by_type[fold.type] = fold
        elif isinstance(mark, HandlerMark) and not mark.read_only:
            rest.append((where, _guarded(function), mark))
        else:
            rest.append((where, function, mark))
    if not folds.by_name:
        raise DeclarationError(
            f"{spec.cls.__name__} is EventSourced, but has no fold: declare one with @event"
        )
    if spec.migrate is not None:
        raise DeclarationError(
            f"{spec.cls.__name__} is EventSourced: its state is the fold of its events; raise fold= instead"
        )
    if spec.init is not None:
        spec.init = _guarded(spec.init)
    spec.behaviour = "event_sourced"
    spec.fields[EVENTS] = Field(EVENTS, "list", list[Any])
    spec.fields[FOLD] = Field(FOLD, "plain", int, 1)
    setattr(spec.cls, _FOLDS, folds)
    return rest


def _fold(where: str, function: Callable[..., Any], mark: EventMark) -> Fold:
    parameters = list(inspect.signature(function).parameters)
    try:
        hints = get_type_hints(function, include_extras=True)
    except Exception as error:
        raise DeclarationError(
            f"{where}: its type hints cannot be read: {error}: import what they name, or define it above"
        ) from error
    hint = hints.get(parameters[1]) if len(parameters) == 2 else None
    if not isinstance(hint, type):
        raise DeclarationError(
            f"{where}: a fold takes one event, and says its class: def {function.__name__}(self, event: Paid)"
        )
    return Fold(mark.name or hint.__name__, mark.version, hint, function, mark.upcasters)


def _guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, which may apply events and change nothing else."""

    async def run(actor: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> Any:
        if actor.__dict__[FOLD] != _folds(actor).log.fold:
            fold_anew(actor)
        guard = actor.__dict__["@guard"] = _Guard(actor)
        try:
            result = await finish(function(actor, *args, **rest))
            guard.check(actor)
        finally:
            actor.__dict__["@guard"] = None
        return result

    return like(function, run, waits=inspect.iscoroutinefunction(function))


def fold_anew(actor: EventSourced) -> None:
    """Make the state the fold of all events, whatever it was.

    Raises:
        FoldError: the first events are gone, or one cannot be folded.
    """
    folds = _folds(actor)
    kept = actor.__dict__[EVENTS]
    gone = kept._cells.get_ends()[0] if isinstance(kept, StateList) else 0
    if gone:
        raise FoldError(
            f"{type(actor).__name__} cannot be folded anew: its first {gone} events were not kept;"
            f" declare fold={actor.__dict__[FOLD]} again"
        )
    for name, field in _own_fields(actor).items():
        if field.kind == "plain":
            actor.__dict__[name] = initial(field)
        else:
            actor.__dict__[name].clear()
    for entry in _kept(actor, 0):
        fold, event = _read(actor, folds, entry)
        _run(actor, fold, event)
    actor.__dict__[FOLD] = folds.log.fold


def _kept(actor: EventSourced, start: int) -> Iterator[Mapping[str, Any]]:
    kept = actor.__dict__[EVENTS]
    if not isinstance(kept, StateList):  # outside a host
        return iter(kept[start:])
    first, end = kept._cells.get_ends()
    return (kept._cells.look(str(place)) for place in range(first + start, end))


def _read(actor: EventSourced, folds: Folds, entry: Mapping[str, Any]) -> tuple[Fold, Any]:
    """A kept event in its newest version, with its fold."""
    name, version, data = entry["event"], entry["version"], entry["data"]
    fold = folds.by_name.get(name)
    if fold is None:
        raise FoldError(
            f"{type(actor).__name__} has kept an event {name!r}, and no fold of it any more: declare it again"
        )
    if version > fold.version:
        raise FoldError(
            f"{type(actor).__name__} has kept a {name} of version {version}, newer than this code, "
            f"which knows up to {fold.version}"
        )
    if current.turn is None:
        return fold, data
    for older in range(version, fold.version):
        data = fold.upcasters[older](data)
    try:
        return fold, typed(data, fold.type)
    except ValueError as error:
        raise FoldError(
            f"{type(actor).__name__} has kept a {name} of version {version} which is none of version "
            f"{fold.version} ({error}): raise the version and give an upcaster"
        ) from None


def _run(actor: EventSourced, fold: Fold, event: Any) -> None:
    turn = current.turn
    sent = turn.sent() if turn is not None else 0
    before = dict(actor.__dict__)
    actor.__dict__["@folding"] = True
    try:
        fold.function(actor, event)
    finally:
        actor.__dict__["@folding"] = False
    _read_back(actor, before)
    if turn is not None and turn.sent() != sent:
        raise FoldError(f"{type(actor).__name__}: the fold of {fold.name} sent something; only handlers may")


def _read_back(actor: EventSourced, before: Mapping[str, Any]) -> None:
    """What a fold has set is of its hint's type for the next one, too: in the same turn, as in another."""
    for name, field in _own_fields(actor).items():
        value = actor.__dict__[name]
        if field.kind != "plain" or value is before.get(name) or type(value) is field.annotation:
            continue
        with suppress(TypeError, ValueError):  # it is told where the turn ends, or set right by the next fold
            actor.__dict__[name] = typed(plain(value), field.annotation)


def _folds(actor: EventSourced) -> Folds:
    found: Folds = getattr(type(actor), _FOLDS)
    return found


def _own_fields(actor: EventSourced) -> dict[str, Field]:
    spec: ActorType = type(actor).__plexstream__  # type: ignore[attr-defined]
    return {name: field for name, field in spec.fields.items() if not name.startswith("@")}
