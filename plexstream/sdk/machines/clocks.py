"""The timers of a state machine: how long it has been in its state, and how long without an event."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.host.steps import MAX_SLEEP
from plexstream.sdk.running.current import current

MEMORY = "@fsm"
"""Durable field: timers and numbers of the machine. No user's and no system's name begins with ``@``: fields
of behaviours expire and are cleared with the user's own."""
TIMEOUT, EVENT_TIMEOUT = "@state_timeout", "@event_timeout"
"""Messages by which an actor tells itself that a time is up."""
MAX_SECONDS = MAX_SLEEP
"""What a timer takes."""
Method = Callable[..., Any]
Timeouts = dict[str, tuple[Method, float | Callable[[Any], float]]]
"""By state a method, and after how many seconds it runs."""


@dataclass(slots=True)
class Clocks:
    """The timeouts of one FSM class."""

    name: str
    states: Timeouts = field(default_factory=dict)
    events: Timeouts = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.states or self.events)

    # The state's

    def enter(self, actor: Any, state: str, after: Any = ...) -> None:
        """A state was entered, perhaps anew. Its timer is set by `arm`: so it is rolled back with it.

        `after`: seconds, or None for no timeout, in the place of what is declared.
        """
        if not self or current.turn is None:
            return
        memory = actor.__dict__[MEMORY]
        if "timer" in memory:  # perhaps set before armed timers were noted as such
            memory.setdefault("armed", memory["entry"])
        # The time tells it from one of a state that has expired since (state_ttl) and is counted anew.
        memory["entries"] = memory.get("entries", 0) + 1
        memory["entry"] = f"{host.now()}.{memory['entries']}"
        memory.pop("due", None)
        if state in self.states and after is not None:
            seconds = self._seconds(actor, state, self.states, after)
            memory["due"] = host.now() + round(seconds * 1000)

    def arm(self, actor: Any, state: str) -> None:
        """Set the timer of the state that the handler has ended in; take back that of the one before."""
        memory = actor.__dict__.get(MEMORY)
        if not self or memory is None or memory.get("armed") == memory.get("entry"):
            return
        known, memory["armed"] = "armed" in memory, memory["entry"]
        if "timer" in memory and not known:
            return  # the state has not changed since
        if "timer" in memory:
            host.cancel(memory.pop("timer"))
        if "due" in memory:
            seconds = max(0, memory.pop("due") - host.now()) / 1000
            message = {"state": state, "entry": memory["entry"]}
            memory["timer"] = host.send_after(seconds, TIMEOUT, message)

    def due(self, actor: Any, state: str) -> Method | None:
        """The method of a timeout that is up already, as its state was entered with 0 seconds; once."""
        memory = actor.__dict__.get(MEMORY)
        if memory is None or not self.states or memory.get("due", host.now() + 1) > host.now():
            return None
        del memory["due"]
        return self.states[state][0]

    def is_up(self, actor: Any, entry: str, state: str) -> Method | None:
        """What a fired timer runs, if it is of the state in which the actor is still."""
        _only_itself(TIMEOUT)
        memory = actor.__dict__[MEMORY]
        if entry != memory.get("entry") or state not in self.states:
            return None
        memory.pop("timer", None)
        return self.states[state][0]

    # The events'

    def listen(self, actor: Any, state: str) -> None:
        """An event has been taken: the time without one begins anew."""
        if not self.events:
            return
        memory = actor.__dict__[MEMORY]
        if "silence" in memory:
            host.cancel(memory.pop("silence"))
        memory["heard"] = memory.get("heard", 0) + 1
        if state in self.events:
            seconds = self._seconds(actor, state, self.events)
            message = {"heard": f"{host.now()}.{memory['heard']}"}
            memory["event"] = message["heard"]
            memory["silence"] = host.send_after(seconds, EVENT_TIMEOUT, message)

    def is_silent(self, actor: Any, state: str, heard: str) -> Method | None:
        """What a fired timer runs, if no event has come since it was set."""
        _only_itself(EVENT_TIMEOUT)
        memory = actor.__dict__[MEMORY]
        if "silence" not in memory or heard != memory.get("event") or state not in self.events:
            return None
        del memory["silence"]
        return self.events[state][0]

    def _seconds(self, actor: Any, state: str, of: Timeouts, after: Any = ...) -> float:
        if after is ...:
            after = of[state][1]
        seconds: float = after(actor) if callable(after) else after
        if not seconds >= 0:
            raise ValueError(f"{self.name}: the timeout of the state {state!r} is after {seconds!r} s")
        return seconds


def _only_itself(what: str) -> None:
    if host.sender() != host.self_id():
        raise Reject(f"{what} is a message of an actor to itself")
