"""Declaring finite state machines. `plexstream.sdk.machines.machine` runs them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from plexstream.sdk.declaring.checks import check_class, plain_text, texts_of
from plexstream.sdk.declaring.declare import as_handler, declare
from plexstream.sdk.declaring.facets import Facet
from plexstream.sdk.declaring.marks import EnterMark, HandlerMark, Marked, TimeoutMark, put_mark
from plexstream.sdk.declaring.sourcing import EventSourced
from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.machines.clocks import (
    EVENT_TIMEOUT,
    MAX_SECONDS,
    MEMORY,
    TIMEOUT,
    Clocks,
    Method,
    Timeouts,
)
from plexstream.sdk.machines.machine import POSTPONED, STATE, Event, Machine
from plexstream.sdk.running.arguments import Arguments
from plexstream.sdk.running.wrap import like
from plexstream.sdk.spec import ActorType, Field, Handler

MAX_POSTPONED = 256
C = TypeVar("C", bound=type)
F = TypeVar("F", bound=Callable[..., Any])
_Methods = list[tuple[str, Method, HandlerMark]]


def state_timeout(state: str, *, after: float | Callable[[Any], float]) -> Callable[[F], F]:
    """Declare a method of an `fsm_actor` that runs when it has been in `state` for `after` seconds.

    Entering the state sets the timer, leaving it takes it back; it is durable like any other.

    Parameters:
        state: a declared state.
        after: seconds, or a function of the actor that says how many. With 0 it runs before any later
            message, in the turn of the transition.
    """
    return _mark(TimeoutMark(plain_text(state), after))


def event_timeout(state: str, *, after: float | Callable[[Any], float]) -> Callable[[F], F]:
    """Declare a method of an `fsm_actor` that runs when no event has come for `after` seconds in `state`.

    Entering the state and each event, postponed ones too, begin the time anew; leaving takes it back. It runs
    once, until the next event. Reads, which make no turn, do not count. The timer is durable like any other.

    Parameters:
        state: a declared state.
        after: seconds, or a function of the actor that says how many.
    """
    return _mark(TimeoutMark(plain_text(state), after, of_events=True))


def state_enter(*states: str) -> Callable[[F], F]:
    """Declare a method of an `fsm_actor` that runs whenever one of `states` is entered, before anything else.

    It may take one argument, the state before, which for the initial one is that itself. It is no ``async
    def``, and may not make a transition. The initial state is entered when the actor is started, or else with
    its first event.

    Parameters:
        states: declared ones.
    """
    return _mark(EnterMark(texts_of("state_enter", "states", states)))


def _mark(mark: Any) -> Callable[[F], F]:
    def put(function: F) -> F:
        put_mark(function, mark)
        return function

    return put


def fsm_actor(
    *misplaced: Any,
    states: Iterable[str] | None = None,
    initial: str = "",
    transitions: Mapping[str, Iterable[str]] | None = None,
    max_postponed: int | None = None,
    facets: Iterable[Facet] = (),
    **options: Any,
) -> Callable[[C], C]:
    """Declare a class as an actor type that is a finite state machine, with its state in ``self.fsm_state``.

    Setting ``self.fsm_state`` is a transition. Where it is not declared, or not allowed, that raises
    TransitionError and the turn is rolled back. Messages are the events: one that no handler takes in the
    state is rejected.

    Parameters:
        states: the names of all states.
        initial: the state of a new actor.
        transitions: for each state those that may follow it; default: all may.
        max_postponed: how many events one actor keeps for later, 256 by default; one more is rejected.
        facets, options: as for `actor`.
    """
    if misplaced or states is None or not initial:
        raise DeclarationError(
            "fsm_actor needs its states: write @fsm_actor(states=['new', …], initial='new')"
        )
    names = texts_of("fsm_actor", "states", states)
    initial = plain_text(initial)
    if transitions is not None:
        if not isinstance(transitions, Mapping):
            raise DeclarationError(
                f"fsm_actor: transitions={transitions!r}: give a dict, as in {{'new': ['paid', 'cancelled']}}"
            )
        transitions = {
            plain_text(of): texts_of("fsm_actor", f"transitions[{of!r}]", to)
            for of, to in transitions.items()
        }

    def build(cls: C) -> C:
        check_class("fsm_actor", cls)
        if issubclass(cls, EventSourced):
            raise DeclarationError(f"{cls.__name__}: an EventSourced actor cannot be an FSM: write @actor")
        default = cls.__dict__.get(STATE, initial)
        if default != initial:
            what = f"begins as {default!r}" if isinstance(default, str) else "is a field of its own"
            raise DeclarationError(
                f"{cls.__name__}.fsm_state {what}, but initial is {initial!r}: leave fsm_state out"
            )
        allowed = _allowed(cls, names, initial, transitions)
        limit = MAX_POSTPONED if max_postponed is None else max_postponed
        machine = Machine(cls.__name__, initial, allowed, limit, clocks=Clocks(cls.__name__))
        machine.keeps = max_postponed is not None
        setattr(cls, STATE, property(lambda self: self.__dict__[STATE], machine.go))
        declare(cls, lambda spec, found: _compose(machine, spec, found), facets=facets, **options)
        return cls

    return build


def _allowed(
    cls: type, states: tuple[str, ...], initial: str, transitions: Mapping[str, Iterable[str]] | None
) -> dict[str, frozenset[str]]:
    if len(set(states)) != len(states):
        raise DeclarationError(f"{cls.__name__}: states={list(states)}: one is given twice")
    if transitions is None:
        transitions = dict.fromkeys(states, states)
    used = {initial, *transitions, *(to for targets in transitions.values() for to in targets)}
    if unknown := sorted(used.difference(states)):
        raise DeclarationError(
            f"{cls.__name__} uses the states {', '.join(unknown)}, which are not declared; "
            f"declared are {', '.join(states) or 'none'}"
        )
    return {state: frozenset(transitions.get(state, ())) for state in states}


def _compose(machine: Machine, spec: ActorType, found: list[Marked]) -> None:
    """One handler for each event, which chooses by state."""
    events: dict[str, _Methods] = {}
    for where, function, mark in found:
        if isinstance(mark, TimeoutMark):
            _add_timeout(machine, where, function, mark)
        elif isinstance(mark, EnterMark):
            _add_enter(machine, where, function, mark)
        elif isinstance(mark, HandlerMark):
            for name in mark.names:
                events.setdefault(name, []).append((where, function, mark))
        else:
            raise DeclarationError(f"{where} folds events: only actors that are EventSourced do")
    waits = any(inspect.iscoroutinefunction(function) for _, function, _ in found)
    for name, methods in events.items():
        machine.events[name] = _event(machine, name, methods)
        _, first, mark = methods[0]
        run = machine.read(name) if mark.read_only else machine.run(name)
        spec.handlers[name] = as_handler(name, like(first, run, waits=waits), mark)
    if machine.clocks.states:
        run = like(_timeout, machine.time_out, waits=waits)
        spec.handlers[TIMEOUT] = Handler(TIMEOUT, run, False, "cast")
    if machine.clocks.events:
        run = like(_silence, machine.fall_silent, waits=waits)
        spec.handlers[EVENT_TIMEOUT] = Handler(EVENT_TIMEOUT, run, False, "cast")
    machine.eventful = bool(machine.clocks or machine.enters)
    machine.keeps = machine.keeps or any(event.postponed_in for event in machine.events.values())
    if machine.eventful:
        spec.started = machine.started
    spec.fields[STATE] = Field(STATE, "plain", str, machine.initial)
    if machine.eventful or machine.keeps:
        spec.fields[MEMORY] = Field(MEMORY, "plain", dict[str, Any], None, dict)
        spec.fields[POSTPONED] = Field(POSTPONED, "map", dict[str, Any])
    spec.behaviour = "gen_fsm"


def _timeout(self: Any, entry: str, state: str) -> None:
    """The signature of the message that `Machine.time_out` handles."""


def _silence(self: Any, heard: str) -> None:
    """The signature of the message that `Machine.fall_silent` handles."""


def _add_enter(machine: Machine, where: str, function: Method, mark: EnterMark) -> None:
    if not mark.states:
        raise DeclarationError(f"{where}: name the states: @state_enter({machine.initial!r})")
    _check_states(machine, where, mark.states)
    count = len(inspect.signature(function).parameters)
    if count not in (1, 2):
        raise DeclarationError(f"{where}: it takes self, and the state before if it wants that; nothing else")
    for state in mark.states:
        if state in machine.enters:
            raise DeclarationError(f"{where}: a second method for entering {state!r}; one is allowed")
        machine.enters[state] = function if count == 2 else _without_argument(function)


def _without_argument(function: Method) -> Method:
    return lambda actor, _: function(actor)


def _add_timeout(machine: Machine, where: str, function: Method, mark: TimeoutMark) -> None:
    what = "event timeout" if mark.of_events else "state timeout"
    known: Timeouts = machine.clocks.events if mark.of_events else machine.clocks.states
    _check_states(machine, where, (mark.state,))
    if mark.state in known:
        raise DeclarationError(f"{where}: a second {what} of the state {mark.state!r}; one is allowed")
    after: object = mark.after
    is_time = isinstance(after, int | float) and not isinstance(after, bool) and 0 <= after <= MAX_SECONDS
    if not callable(after) and not is_time:
        raise DeclarationError(f"{where}: after={mark.after!r}: give seconds, from 0 to {MAX_SECONDS:.0f}")
    if len(inspect.signature(function).parameters) != 1:
        raise DeclarationError(f"{where}: a {what} takes no arguments but self")
    known[mark.state] = (function, mark.after)


def _event(machine: Machine, name: str, methods: _Methods) -> Event:
    """What the methods for one event say together."""
    _, first, mark = methods[0]
    event = Event(Arguments(first), is_cast=mark.invocation == "cast")
    general = [(where, function) for where, function, own in methods if not own.states]
    if len(general) > 1:
        raise DeclarationError(
            f"{general[1][0]}: the handler {name!r} is declared twice: give them states=[…]"
        )
    for where, function, own in methods:
        _check_states(machine, where, (*own.states, *own.postpone_in))
        if Arguments(function).shape != event.arguments.shape:
            raise DeclarationError(f"{where}: the event {name!r} has other parameters in another state")
        if (own.read_only, own.invocation) != (mark.read_only, mark.invocation):
            raise DeclarationError(f"{where}: the event {name!r} is read_only or a cast in another state")
        if own.postpone_in and (own.read_only or name == "*"):
            raise DeclarationError(f"{where}: what is read_only, and '*', cannot be postponed")
        for state in own.states:
            if state in event.methods:
                raise DeclarationError(f"{where}: the handler {name!r} is declared twice for {state!r}")
            event.methods[state] = function
        event.postponed_in.update(own.postpone_in)
    if both := sorted(event.postponed_in & set(event.methods)):
        raise DeclarationError(
            f"{methods[0][0]}: {name!r} is both handled and postponed in {', '.join(both)}"
        )
    for _, function in general:
        for state in machine.allowed:
            if state not in event.postponed_in:
                event.methods.setdefault(state, function)
    return event


def _check_states(machine: Machine, where: str, states: tuple[str, ...]) -> None:
    for state in states:
        if state not in machine.allowed:
            raise DeclarationError(
                f"{where}: there is no state {state!r}; declared are {', '.join(machine.allowed)}"
            )
