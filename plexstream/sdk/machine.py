"""How a finite state machine runs: transitions, state timeouts, postponed events."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from plexstream.sdk.arguments import Arguments
from plexstream.sdk.current import current
from plexstream.sdk.errors import Reject, TransitionError
from plexstream.sdk.host import host
from plexstream.sdk.savepoint import Savepoint
from plexstream.sdk.wrap import Run, finish

STATE = "fsm_state"
MEMORY, POSTPONED = "@fsm", "@postponed"
"""Durable fields: timer and numbers of the machine; the events that it keeps, by number. No user's and no
system's name begins with ``@``: fields of behaviours expire and are cleared with the user's own."""
TIMEOUT = "@state_timeout"
"""The message by which an actor tells itself that it has been in a state for long enough."""
HANDLING = "@handling"
"""Attribute of an actor, no state of its, while one of its events is handled."""
Method = Callable[..., Any]


@contextmanager
def _handling(actor: Any) -> Iterator[None]:
    actor.__dict__[HANDLING] = True
    try:
        yield
    finally:
        actor.__dict__.pop(HANDLING, None)


@dataclass(slots=True)
class Event:
    """What becomes of one message name."""

    arguments: Arguments
    methods: dict[str, Method] = field(default_factory=dict)  # by state
    postponed_in: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Machine:
    """One FSM class. `allowed` says which states may follow each; timeouts are methods with their seconds."""

    name: str
    initial: str
    allowed: dict[str, frozenset[str]]
    max_postponed: int
    events: dict[str, Event] = field(default_factory=dict)
    timeouts: dict[str, tuple[Method, float | Callable[[Any], float]]] = field(default_factory=dict)

    def go(self, actor: Any, to: str) -> None:
        """Make a transition. To the state in which it is: nothing happens.

        Raises:
            TransitionError: there is no such state, or it may not follow.
        """
        state = actor.__dict__[STATE]
        if to not in self.allowed:
            raise TransitionError(f"{self.name} has no state {to!r}; declared are {', '.join(self.allowed)}")
        if to == state:
            return
        if state not in self.allowed:
            raise TransitionError(
                f"{self.name} is in the state {state!r}, which is not declared any more: declare it, "
                "and what may follow it"
            )
        if to not in self.allowed[state]:
            may = ", ".join(sorted(self.allowed[state])) or "none: it is final"
            raise TransitionError(f"{self.name} cannot go from {state!r} to {to!r}; allowed are {may}")
        actor.__dict__[STATE] = to
        self._set_timeout(actor)

    def run(self, name: str) -> Run:
        """What handles the event `name`."""
        return functools.partial(self._take, name)

    def read(self, name: str) -> Run:
        """What handles the event `name`, which changes nothing."""
        return functools.partial(self._read, name)

    async def _read(self, name: str, actor: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> Any:
        return await finish(self._method(name, actor)(actor, *args, **rest))

    async def _take(self, name: str, actor: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> Any:
        self._begin(actor)
        state = actor.__dict__[STATE]
        if state in self.events[name].postponed_in:
            self._postpone(name, actor, self.events[name].arguments.by_name(args, rest))
            self._arm(actor)
            return {"postponed": name}
        with _handling(actor):
            result = await finish(self._method(name, actor)(actor, *args, **rest))
            if actor.__dict__[STATE] != state:
                await self._catch_up(actor)
        self._arm(actor)
        return result

    def _method(self, name: str, actor: Any) -> Method:
        state = actor.__dict__[STATE]
        event = self.events.get(name)
        method = event.methods.get(state) if event is not None else None
        if method is None:
            events = [n for n, e in self.events.items() if state in e.methods or state in e.postponed_in]
            raise Reject(
                f"{self.name} is in the state {state!r}, in which it takes no {name!r}; "
                f"it takes {', '.join(events) or 'nothing'}",
                {"state": state, "events": events},
            )
        return method

    # Timeouts

    def _begin(self, actor: Any) -> None:
        """The first event finds it in its initial state since now."""
        if self.timeouts and "entry" not in actor.__dict__[MEMORY]:
            self._set_timeout(actor)

    def _set_timeout(self, actor: Any) -> None:
        """A state was entered. Its timer is set where the handler ends: so it is rolled back with it."""
        if not self.timeouts or current.turn is None:
            return
        memory, state = actor.__dict__[MEMORY], actor.__dict__[STATE]
        if "timer" in memory:  # perhaps set before armed timers were noted as such
            memory.setdefault("armed", memory["entry"])
        # The time tells it from one of a state that has expired since (state_ttl) and is counted anew.
        memory["entries"] = memory.get("entries", 0) + 1
        memory["entry"] = f"{host.now()}.{memory['entries']}"
        memory.pop("due", None)
        if state in self.timeouts:
            after = self.timeouts[state][1]
            seconds = after(actor) if callable(after) else after
            if not seconds >= 0:
                raise ValueError(f"{self.name}: the timeout of the state {state!r} is after {seconds!r} s")
            memory["due"] = host.now() + round(seconds * 1000)
        if HANDLING not in actor.__dict__:
            self._arm(actor)

    def _arm(self, actor: Any) -> None:
        """Set the timer of the state that the handler has ended in; take back that of the one before."""
        memory = actor.__dict__.get(MEMORY)
        if not self.timeouts or memory is None or memory.get("armed") == memory.get("entry"):
            return
        known, memory["armed"] = "armed" in memory, memory["entry"]
        if "timer" in memory and not known:
            return  # the state has not changed since
        if "timer" in memory:
            host.cancel(memory.pop("timer"))
        if "due" in memory:
            seconds = max(0, memory.pop("due") - host.now()) / 1000
            message = {"state": actor.__dict__[STATE], "entry": memory["entry"]}
            memory["timer"] = host.send_after(seconds, TIMEOUT, message)

    async def time_out(self, actor: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> None:
        """Handle `TIMEOUT`, if it is of the state in which the actor is still."""
        (entry, state), memory = args, actor.__dict__[MEMORY]
        if host.sender() != host.self_id():
            raise Reject(f"{TIMEOUT} is a message of an actor to itself")
        if entry != memory.get("entry") or state not in self.timeouts:
            return
        memory.pop("timer", None)
        with _handling(actor):
            await finish(self.timeouts[state][0](actor))
            if actor.__dict__[STATE] != state:
                await self._catch_up(actor)
        self._arm(actor)

    # Postponed events

    def _postpone(self, name: str, actor: Any, arguments: dict[str, Any]) -> None:
        memory = actor.__dict__[MEMORY]
        if memory.get("postponed", 0) >= self.max_postponed:
            raise Reject(
                f"{self.name} keeps {self.max_postponed} events for another state than "
                f"{actor.__dict__[STATE]!r} already, and takes no more",
                {"state": actor.__dict__[STATE], "postponed": memory["postponed"]},
            )
        number = memory["next"] = memory.get("next", 0) + 1
        memory["postponed"] = memory.get("postponed", 0) + 1
        actor.__dict__[POSTPONED][f"{number:012}"] = {"event": name, "arguments": arguments}

    async def _catch_up(self, actor: Any) -> None:
        """After a transition, handle what was kept and is not to be kept now, oldest first.

        Each of them that makes another transition begins this anew.
        """
        if not actor.__dict__.get(MEMORY, {}).get("postponed"):
            return
        kept = actor.__dict__[POSTPONED]
        numbers = sorted(kept)
        place = 0
        while place < len(numbers):
            state, number = actor.__dict__[STATE], numbers[place]
            name = kept[number]["event"]
            if name in self.events and state in self.events[name].postponed_in:
                place += 1
                continue
            arguments = kept[number]["arguments"]
            del kept[number], numbers[place]
            actor.__dict__[MEMORY]["postponed"] -= 1
            await self._handle_kept(name, actor, arguments)
            if actor.__dict__[STATE] != state:
                place = 0

    async def _handle_kept(self, name: str, actor: Any, arguments: dict[str, Any]) -> None:
        """Handle one event that was kept. One that fails goes to the dead letters, and does nothing else."""
        before = Savepoint(actor)
        code = "failed"
        try:
            method = self._method(name, actor)
            code = "bad_arguments"
            bound = self.events[name].arguments.bind(arguments)
            code = "failed"
            await finish(method(actor, **bound))
            return
        except Reject as error:
            code, why = "rejected", error.reason
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        before.restore()
        if current.turn is not None:
            current.turn.put_aside(name, arguments, code, f"postponed, then handled in another state: {why}")
            host.log(f"the postponed event {name} is put aside: {why}", level="error")
