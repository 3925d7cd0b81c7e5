"""The actors that play scripts. Each writes down all that changes it, in order: that is what is judged.

An entry of a log is its kind, who sent it, script, number of the operation (of an end, the time), and what
came of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plexstream.model.errors import AlreadyDone, CallError, Cancelled
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_list, state_map
from plexstream.sdk.host.host import host
from plexstream.sdk.kinds.workflows import query_handler, run_handler, service, signal_handler, workflow
from plexstream.sdk.spec import Retry
from plexstream.testing.programs.actors import shared
from plexstream.testing.programs.actors.expiry import Brief
from plexstream.testing.programs.actors.guests import Guest, Lodger, hears
from plexstream.testing.programs.actors.machines import Machine
from plexstream.testing.programs.actors.offices import Clerk
from plexstream.testing.programs.actors.plays import blocking, waiting
from plexstream.testing.programs.operations import (
    changes,  # noqa: F401  they add their kinds
    sends,  # noqa: F401  they add their kinds
)
from plexstream.testing.programs.operations.keepers import Keeper, Second
from plexstream.testing.programs.operations.kinds import ALL, Me, Play
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import Op

_RETRY = Retry(attempts=50, interval=0.1, factor=1, jitter=0)


def perform(actor: Any, sid: str, ops: list[Op]) -> Play:
    """Play a script: what its operations came to, each as ``[number, began, over, value]``."""
    found: list[Any] = []
    for at, op in enumerate(ops):
        began = host.now()
        if ALL[op[0]].last:
            actor.log.append(["end", "", sid, host.now(), found])
        try:
            value = yield from ALL[op[0]].play(Me(actor, sid, at), op)
        except Cancelled:
            raise
        except CallError as error:
            value = {"error": error.code}
        if value is not None or ALL[op[0]].waits:
            found.append([at, began, host.now(), value])
    actor.log.append(["end", "", sid, host.now(), found])
    return found


class _Player:
    """What all have: what they did, a number and collections."""

    n: int = state(default=0)
    log: Any = state_list()
    m: Any = state_map()
    items: Any = state_list()

    def _look(self) -> dict[str, Any]:
        return {"n": self.n, "log": list(self.log), "m": dict(self.m), "items": list(self.items)}


def _note(heard: Callable[[str], Callable[[Any], Any]]) -> Any:
    """The handler of what is told; `heard` declares it."""

    def note(self: _Player, sender: str, sid: str, at: int, given: str, fails: int = 0) -> None:
        """Somebody has told something."""
        self.n += 1
        if outside.fails(f"{sid}.{at} told", fails):
            raise RuntimeError("as told")
        self.log.append(["note", sender, sid, at, given])

    return heard("note")(note)


def _rang(heard: Callable[[str], Callable[[Any], Any]]) -> Any:
    """The handler of timers; `heard` declares it."""

    def rang(self: _Player, sid: str, at: int, due: int) -> None:
        """A timer has fired."""
        self.log.append(["ring", "", sid, at, host.now() - due])

    return heard("rang")(rang)


class _Object(_Player):
    note = _note(handler)
    rang = _rang(handler)

    @handler("give", shared=True)
    async def give(self, sid: str, at: int, waits: list[float], fails: int) -> None:
        """Give a script what it waits for, beside it."""
        await shared.give(self, sid, at, waits, fails)

    @handler("look", read_only=True)
    def look(self) -> dict[str, Any]:
        """All that there is."""
        return self._look()


class _Coroutines(_Object):
    @handler("go")
    async def go(self, sid: str, ops: list[Any]) -> Any:
        """Play a script."""
        return await waiting(perform(self, sid, ops))

    @handler("__down__")
    async def down(self, address: str, ref: str, reason: str) -> None:
        """Hear of the end of somebody who is monitored."""
        await waiting(hears(self, "down", address, reason, ref))

    @handler("__exit__")
    async def exited(self, address: str, reason: str) -> None:
        """Hear of the end of somebody who is linked."""
        await waiting(hears(self, "exit", address, reason))


@actor(name="coro", retry=_RETRY)
class Coro(_Coroutines):
    """Plays in coroutines."""


@actor(name="lone", retry=_RETRY, max_active=1, idle_timeout=0.2)
class Lone(_Coroutines):
    """Of these one is in memory."""


@actor(name="plain", retry=_RETRY)
class Plain(_Object):
    """Plays in plain functions."""

    @handler("go")
    def go(self, sid: str, ops: list[Any]) -> Any:
        """Play a script."""
        return blocking(perform(self, sid, ops))

    @handler("__down__")
    def down(self, address: str, ref: str, reason: str) -> None:
        """Hear of the end of somebody who is monitored."""
        blocking(hears(self, "down", address, reason, ref))

    @handler("__exit__")
    def exited(self, address: str, reason: str) -> None:
        """Hear of the end of somebody who is linked."""
        blocking(hears(self, "exit", address, reason))


class _Workflow(_Player):
    note = _note(signal_handler)
    rang = _rang(signal_handler)

    @signal_handler("settle")
    def settle(self, name: str, value: str) -> str:
        """Give a promise of this workflow its value."""
        try:
            host.promise(name).resolve(value)
        except AlreadyDone:
            return "already done"
        return "settled"

    @signal_handler("give")
    async def give(self, sid: str, at: int, waits: list[float], fails: int) -> None:
        """Give a script what it waits for, beside it."""
        await shared.give(self, sid, at, waits, fails)

    @query_handler("look")
    def look(self) -> dict[str, Any]:
        """All that there is."""
        return self._look()


@workflow(name="flow", retry=_RETRY)
class Flow(_Workflow):
    """A workflow in a coroutine."""

    @run_handler
    async def run(self, sid: str, ops: list[Any]) -> Any:
        """Play a script."""
        return await waiting(perform(self, sid, ops))


@workflow(name="flowing", retry=_RETRY)
class Flowing(_Workflow):
    """A workflow in a plain function."""

    @run_handler
    def run(self, sid: str, ops: list[Any]) -> Any:
        """Play a script."""
        return blocking(perform(self, sid, ops))


@actor(name="bell", max_active=1, idle_timeout=0.2)
class Bell:
    """Completes awakeables of others, some of them twice."""

    @handler("ring")
    def ring(self, id: str, fate: str, delay: float, value: str) -> None:
        """Do it, now or later."""
        if delay:
            host.send_after(delay, "ring", id=id, fate=fate, delay=0, value=value)
        elif fate == "reject":
            host.reject_awakeable(id, "as the script says")
        else:
            host.resolve_awakeable(id, value)
            if fate == "twice":
                host.resolve_awakeable(id, "too late")


@service(name="desk")
class Desk:
    """Does one thing for each of those who ask at the same time, and mixes nobody up."""

    @handler("fetch")
    async def fetch(self, key: str, seconds: float, fails: int) -> list[str]:
        """An effect between two waits, told together with a promise that is this call's own."""
        await host.sleep(seconds)
        result = await host.run(key, outside.effect, key, fails)
        own = host.promise(f"{key} {host.uuid()}")
        own.resolve(key)
        return [key, result, await own]


CLASSES: tuple[Any, ...] = (
    Coro, Plain, Lone, Flow, Flowing, Bell, Desk, Brief, Guest, Lodger, Machine, Clerk, Keeper, Second,
)  # fmt: skip
OBJECTS = ("coro/1", "coro/2", "plain/1", "plain/2", "lone/1", "lone/2")
