"""How a finite state machine runs: transitions, what they call, postponed and inserted events."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from plexstream.sdk.declaring.checks import plain_text
from plexstream.sdk.errors import Reject, TransitionError
from plexstream.sdk.host.host import host
from plexstream.sdk.machines.clocks import MEMORY, Clocks, Method
from plexstream.sdk.running.arguments import Arguments
from plexstream.sdk.running.current import current
from plexstream.sdk.running.savepoint import Savepoint
from plexstream.sdk.running.wrap import Run, finish

STATE = "fsm_state"
POSTPONED = "@postponed"
"""Durable field: the events that the machine keeps, by number."""
HANDLING = "@handling"
"""Attribute of an actor, no state of its, while one of its events is handled: a `Running`."""
MAX_EVENTS = 10_000
"""Inserted events, timeouts of 0 s and the like in one turn: a machine that goes round in circles fails."""


@dataclass(slots=True)
class Event:
    """What becomes of one message name."""

    arguments: Arguments
    methods: dict[str, Method] = field(default_factory=dict)  # by state
    postponed_in: set[str] = field(default_factory=set)
    is_cast: bool = False


class Running:
    """An event that is handled, and what its method asks for; a context in which that is known.

    Attributes:
        machine, actor: whose it is.
        name: of the event that is handled at the moment; "": what runs is no event's.
        asked: whether a method has asked for anything.
        inserted: events to be handled next, in their order.
        put_off: numbers of kept events that were postponed since the latest transition.
    """

    __slots__ = (
        "_turn", "actor", "asked", "enters", "inserted", "machine", "name", "postponed", "put_off", "repeats",
    )  # fmt: skip

    def __init__(self, machine: Machine, actor: Any, name: str = "") -> None:
        self.machine = machine
        self.actor = actor
        self.name = name
        self.asked = self.postponed = self.repeats = self.enters = False
        self.inserted: list[tuple[str, dict[str, Any]]] = []
        self.put_off: set[str] = set()
        self._turn = current.turn

    def __enter__(self) -> Running:
        self.actor.__dict__[HANDLING] = self
        if self._turn is not None:
            self._turn.behaviour = self
        return self

    def __exit__(self, *_: object) -> None:
        self.actor.__dict__.pop(HANDLING, None)
        if self._turn is not None:
            self._turn.behaviour = None


@dataclass(slots=True)
class Machine:
    """One FSM class. `allowed` says which states may follow each; `enters` what runs when one is entered."""

    name: str
    initial: str
    allowed: dict[str, frozenset[str]]
    max_postponed: int
    events: dict[str, Event] = field(default_factory=dict)
    enters: dict[str, Method] = field(default_factory=dict)
    clocks: Clocks = field(default_factory=lambda: Clocks(""))
    keeps: bool = False  # whether it may postpone events
    eventful: bool = False  # whether it does anything but to handle events

    def go(self, actor: Any, to: str) -> None:
        """Make a transition. To the state in which it is: nothing happens.

        Raises:
            TransitionError: there is no such state, or it may not follow.
        """
        state = actor.__dict__[STATE]
        to = plain_text(to)
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
        running: Running | None = actor.__dict__.get(HANDLING)
        if running is not None and running.enters:
            raise TransitionError(
                f"{self.name} enters {state!r}, and cannot go to {to!r} meanwhile: a timeout of 0 s can"
            )
        actor.__dict__[STATE] = to
        self.clocks.enter(actor, to)
        if running is None:
            self.clocks.arm(actor, to)

    def run(self, name: str) -> Run:
        """What handles the event `name`."""
        return functools.partial(self._take, name)

    def read(self, name: str) -> Run:
        """What handles the event `name`, which changes nothing."""
        return functools.partial(self._read, name)

    async def _read(self, name: str, actor: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> Any:
        return await finish(self._method(name, actor)(actor, *args, **rest))

    async def _take(self, name: str, actor: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> Any:
        if self.eventful:
            self.begin(actor)
        state = actor.__dict__[STATE]
        event, result = self.events[name], None
        if state in event.postponed_in:
            self._postpone(name, actor, event.arguments.by_name(args, rest), host.defer())
        else:
            with Running(self, actor, name) as running:
                result = await finish(self._method(name, actor)(actor, *args, **rest))
                if running.postponed:
                    arguments = event.arguments.by_name(args, rest)
                    self._postpone(name, actor, arguments, host.defer(), running)
                if running.asked or actor.__dict__[STATE] != state:
                    await self._settle(running, state)
        if self.eventful:
            self.clocks.arm(actor, actor.__dict__[STATE])
            self.clocks.listen(actor, actor.__dict__[STATE])
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

    # Entering states

    def begin(self, actor: Any) -> None:
        """It is in its initial state since now: with its start, or with its first event."""
        memory, state = actor.__dict__[MEMORY], actor.__dict__[STATE]
        if "entry" not in memory:  # else its init handler has made a transition
            self.clocks.enter(actor, state)
        if self.enters and "begun" not in memory:
            memory["begun"] = True
            with Running(self, actor) as running:
                self._enter(running, state)

    def started(self, actor: Any) -> None:
        """A start has run the init handler."""
        self.begin(actor)
        self.clocks.arm(actor, actor.__dict__[STATE])
        self.clocks.listen(actor, actor.__dict__[STATE])

    def _enter(self, running: Running, before: str) -> None:
        method = self.enters.get(running.actor.__dict__[STATE])
        if method is not None:
            running.enters = True
            method(running.actor, before)
            running.enters = False

    async def _settle(self, running: Running, state: str) -> None:
        """After a method: do what comes before the next message.

        That is, first of all, what the state that it has entered calls; then inserted events; then those that
        were kept and are not to be kept now, oldest first; then a timeout of 0 seconds. Each may make another
        transition, or insert more.

        Parameters:
            state: in which the method began.
        """
        actor, queue, entered = running.actor, list[tuple[str, dict[str, Any]]](), False
        for _ in range(MAX_EVENTS):
            now = actor.__dict__[STATE]
            if now != state or running.repeats:
                if now == state:
                    self.clocks.enter(actor, now)
                before, state, running.repeats, entered = state, now, False, True
                running.put_off.clear()
                self._enter(running, before)
            queue[:0], running.inserted = running.inserted, []
            if queue:
                await self._insert(running, *queue.pop(0))
            elif entered and (kept := self._next_kept(running)):
                await self._handle_kept(running, kept)
            elif method := self.clocks.due(actor, state):
                running.name = ""
                await finish(method(actor))
            elif actor.__dict__[STATE] == state:
                return
        raise RuntimeError(
            f"{self.name} goes round in circles: {MAX_EVENTS} events and timeouts in one turn, at last in "
            f"the state {state!r}"
        )

    async def _insert(self, running: Running, name: str, arguments: dict[str, Any]) -> None:
        """Handle an event that a method has inserted. It belongs to that one: if it fails, both do."""
        actor = running.actor
        if actor.__dict__[STATE] in self.events[name].postponed_in:
            self._postpone(name, actor, arguments, "")
            return
        running.name = name
        await finish(self._method(name, actor)(actor, **self.events[name].arguments.bind(arguments)))
        if running.postponed:
            self._postpone(name, actor, arguments, "", running)

    async def time_out(self, actor: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> None:
        """Handle `TIMEOUT`."""
        method = self.clocks.is_up(actor, *args)
        if method is not None:
            await self._time_is_up(actor, method)
            self.clocks.listen(actor, actor.__dict__[STATE])

    async def fall_silent(self, actor: Any, args: tuple[Any, ...], rest: Mapping[str, Any]) -> None:
        """Handle `EVENT_TIMEOUT`."""
        state = actor.__dict__[STATE]
        method = self.clocks.is_silent(actor, state, *args)
        if method is not None:
            await self._time_is_up(actor, method)
            if actor.__dict__[STATE] != state:
                self.clocks.listen(actor, actor.__dict__[STATE])

    async def _time_is_up(self, actor: Any, method: Method) -> None:
        state = actor.__dict__[STATE]
        with Running(self, actor) as running:
            await finish(method(actor))
            await self._settle(running, state)
        self.clocks.arm(actor, actor.__dict__[STATE])

    # Postponed events

    def _postpone(
        self, name: str, actor: Any, arguments: dict[str, Any], call: str, running: Running | None = None
    ) -> None:
        memory = actor.__dict__[MEMORY]
        if memory.get("postponed", 0) >= self.max_postponed:
            raise Reject(
                f"{self.name} keeps {self.max_postponed} events for another state than "
                f"{actor.__dict__[STATE]!r} already, and takes no more",
                {"state": actor.__dict__[STATE], "postponed": memory["postponed"]},
            )
        number = memory["next"] = memory.get("next", 0) + 1
        memory["postponed"] = memory.get("postponed", 0) + 1
        key = f"{number:012}"
        actor.__dict__[POSTPONED][key] = {
            "event": name, "arguments": arguments, **({"call": call} if call else {}),
        }  # fmt: skip
        if running is not None:
            running.postponed = False
            running.put_off.add(key)

    def _next_kept(self, running: Running) -> str:
        """The number of the oldest event that was kept and is not to be kept now; "" where there is none."""
        actor = running.actor
        if not actor.__dict__.get(MEMORY, {}).get("postponed"):
            return ""
        kept, state = actor.__dict__[POSTPONED], actor.__dict__[STATE]
        for number in sorted(kept):
            event = self.events.get(kept[number]["event"])
            if number not in running.put_off and (event is None or state not in event.postponed_in):
                return str(number)
        return ""

    async def _handle_kept(self, running: Running, number: str) -> None:
        """Handle one event that was kept. One that fails tells its caller, or a dead letter.

        Raises Cancelled where the turn is in which it is handled: that is not its own.
        """
        actor = running.actor
        kept = actor.__dict__[POSTPONED][number]
        name, arguments, call = kept["event"], kept["arguments"], kept.get("call", "")
        before, inserted = Savepoint(actor), list(running.inserted)
        code, data = "failed", None
        try:
            method = self._method(name, actor)
            code = "bad_arguments"
            bound = self.events[name].arguments.bind(arguments)
            code = "failed"
            running.name = name
            result = await finish(method(actor, **bound))
            if running.postponed:
                running.postponed = False
                running.put_off.add(number)
                return
            self._forget(actor, number)
            host.reply(call, None if self.events[name].is_cast else result)
            return
        except Reject as error:
            code, why, data = "rejected", error.reason, error.data
        except Exception as error:
            of_call = None if current.turn is None else current.turn.of_call(error)
            if of_call is not None and error is current.turn.task().cancellation:
                raise
            code, why, data = of_call or (code, f"{type(error).__name__}: {error}", None)
        before.restore()
        running.inserted, running.postponed, running.repeats, running.enters = inserted, False, False, False
        self._forget(actor, number)
        if current.turn is None:
            return
        if call:
            current.turn.reject(call, code, f"{self.name}.{name}, postponed: {why}", data)
        else:
            current.turn.put_aside(name, arguments, code, f"postponed, then handled in another state: {why}")
        host.log(f"the postponed event {name} is put aside: {why}", level="error")

    def _forget(self, actor: Any, number: str) -> None:
        del actor.__dict__[POSTPONED][number]
        actor.__dict__[MEMORY]["postponed"] -= 1
