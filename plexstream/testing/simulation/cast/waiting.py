"""Handlers that wait, in the simulation: actors that play scripts, and scripts for them to play.

A script is a list of steps, each a list of its kind and arguments. What a step came to is ``["ok", value]``
or ``["no", code]``; a handler returns all of them, so that `waited` can compare them with the journal.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Generator
from random import Random
from typing import Any

from plexstream.model.errors import CallError, Cancelled
from plexstream.model.messages.address import full
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.host.waiting import Waitable
from plexstream.sdk.spec import Retry

HOUR = 3600.0
PATIENCE = (2.0, HOUR)
"""Seconds that a handler waits for what others should bring about."""
_TYPES = ("/waiter/", "/bell/")
Script = list[list[Any]]
Play = Generator[Waitable[Any], Any, list[Any]]


class World:
    """What is outside: side effects happen here, and none of it is ever taken back.

    Attributes:
        witnessed: effects that have run: of which call, and what its handler knew then, as JSON.
        ran: the ids of messages that came to a handler, be it in a reign that did not count.
    """

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Nothing has happened yet."""
        self._tokens = 0
        self._tries: Counter[str] = Counter()
        self.witnessed: list[tuple[str, str]] = []
        self.ran: set[str] = set()

    def fails(self, what: str, times: int) -> bool:
        """Whether `what` still fails: it does so the first few times."""
        self._tries[what] += 1
        return self._tries[what] <= times

    def token(self, op: str, known: str, times: int, refuse: bool) -> str:
        """An effect: no two of them have the same result."""
        self.witnessed.append((op, known))
        self._tokens += 1
        if refuse:
            raise Reject("never")
        if self.fails(f"{op} {known}", times):
            raise OSError("not yet")
        return f"{op} {self._tokens}"


world = World()


def _leaf(op: str, known: str, step: list[Any]) -> Any:
    """Begin one thing to wait for."""
    kind = step[0]
    if kind == "run":
        return host.start.run("token", world.token, op, known, step[1], step[2])
    if kind == "sleep":
        return host.start.sleep(step[1] / 1000)
    _, to, name, arguments, timeout = step
    return host.start.ask(to, name, arguments, timeout=timeout)


def _begin(op: str, known: str, step: list[Any]) -> Waitable[Any]:
    kind = step[0]
    if kind == "awakeable":
        awakeable = host.start.awakeable()
        host.tell(step[1], "ring", op=op, id=awakeable.id, fate=step[2])
        return host.start.race(awakeable, timeout=step[3])
    if kind == "promise":
        return host.start.race(host.promise(step[1]), timeout=step[2])
    if kind in ("all", "any", "race"):
        handles = [_leaf(op, known, leaf) for leaf in step[2]]
        found: Waitable[Any] = getattr(host.start, kind)(*handles, timeout=step[1])
        return found
    if kind == "select":
        named = {f"h{i}": _leaf(op, known, leaf) for i, leaf in enumerate(step[2])}
        return host.start.select(step[1], **named)
    leaf: Waitable[Any] = _leaf(op, known, step)
    return leaf


def _play(op: str, script: Script) -> Play:
    """Wait for one step after the other; returns what each came to."""
    got: list[Any] = []
    for at, step in enumerate(script):
        kind = step[0]
        if kind == "fail":
            if world.fails(f"{op} fail", step[1]):
                raise RuntimeError("as the script says")
            continue
        if kind == "refuse":
            raise Reject("as the script says")
        if kind == "tell":
            host.tell(step[1], "serve", op=f"{op}/t{at}", fate="")
            continue
        try:
            value = yield _begin(op, json.dumps(got), step)
            got.append(["ok", list(value) if kind == "select" else value])
        except Cancelled:
            raise
        except CallError as error:
            got.append(["no", error.code])
    return got


async def _play_async(play: Play, look: Callable[[], None] = lambda: None) -> list[Any]:
    """Play in a coroutine; `look` is called between two waits."""
    given: Callable[[], Waitable[Any]] = lambda: next(play)  # noqa: E731
    while True:
        look()
        try:
            waitable = given()
        except StopIteration as stop:
            found: list[Any] = stop.value
            return found
        try:
            value = await waitable
            given = _sender(play, value)
        except CallError as error:
            given = _thrower(play, error)


def _play_blocking(play: Play) -> list[Any]:
    given: Callable[[], Waitable[Any]] = lambda: next(play)  # noqa: E731
    while True:
        try:
            waitable = given()
        except StopIteration as stop:
            found: list[Any] = stop.value
            return found
        try:
            given = _sender(play, waitable.wait())
        except CallError as error:
            given = _thrower(play, error)


def _sender(play: Play, value: Any) -> Callable[[], Waitable[Any]]:
    return lambda: play.send(value)


def _thrower(play: Play, error: CallError) -> Callable[[], Waitable[Any]]:
    return lambda: play.throw(error)


@actor(
    name="waiter", max_active=2, idle_timeout=0.2,
    retry=Retry(attempts=3, interval=0.02, factor=2, jitter=0),
)  # fmt: skip
class Waiter:
    """Counts what it has finished; `n` would lose an update if two of its handlers ran at the same time."""

    n: int = state(default=0)
    seen: Any = state_map()

    def _note(self, op: str, was: int) -> int:
        self.n = was + 1
        self.seen[f"{op} {self.n}"] = self.n  # a call whose handler was killed may come again
        return self.n

    @handler("work")
    async def work(self, op: str, script: list[Any]) -> dict[str, Any]:
        """Play a script in a coroutine."""
        was = self.n
        got = await _play_async(_play(op, script))
        return {"n": self._note(op, was), "got": got}

    @handler("toil")
    def toil(self, op: str, script: list[Any]) -> dict[str, Any]:
        """Play a script in a greenlet."""
        was = self.n
        got = _play_blocking(_play(op, script))
        return {"n": self._note(op, was), "got": got}

    @handler("beside", shared=True)
    async def beside(self, op: str, script: list[Any]) -> dict[str, Any]:
        """Play a script beside the actor's other handlers, and settle a promise of it."""
        got = await _play_async(_play(op, script), self._agree)
        host.promise(f"{op} {host.uuid()}").resolve(self.n)
        return {"n": self.n, "got": got}

    def _agree(self) -> None:
        """Two things that every turn changes together are of one time."""
        if self.n != len(self.seen):
            raise AssertionError(f"n is {self.n}, and {len(self.seen)} are seen")

    @handler("serve")
    def serve(self, op: str, fate: str) -> dict[str, Any]:
        """Do it at once, refuse, or fail."""
        if fate == "refuse":
            raise Reject("as asked")
        if fate == "fail":
            raise RuntimeError("as asked")
        return {"n": self._note(op, self.n), "got": []}

    @handler("look", read_only=True)
    def look(self) -> list[int]:
        """Two things that every turn changes together."""
        return [self.n, len(self.seen)]


@actor(name="bell", max_active=1, idle_timeout=0.2)
class Bell:
    """Completes awakeables of others, some of them twice."""

    @handler("ring")
    def ring(self, op: str, id: str, fate: str) -> None:
        """Resolve, reject, or both."""
        if fate == "reject":
            host.reject_awakeable(id, "as the script says")
        else:
            host.resolve_awakeable(id, op)
        if fate == "twice":
            host.resolve_awakeable(id, "too late")


def types() -> dict[str, Any]:
    """What the simulated host has for this."""
    return {"waiter": Waiter.__plexstream__, "bell": Bell.__plexstream__}  # type: ignore[attr-defined]


def is_waiting(address: str) -> bool:
    """Whether an actor is judged by `waited`."""
    return any(name in address for name in _TYPES)


# Scripts


def _address(number: int) -> str:
    return full(f"waiter/{number}")


def script(random: Random, op: str, me: int, waiters: int, depth: int = 0) -> Script:
    """Make up a script for waiter number `me`."""
    steps = [_step(random, f"{op}/{i}", me, waiters, depth) for i in range(random.randint(1, 4))]
    if random.random() < 0.15:
        at = random.randrange(len(steps) + 1)
        steps.insert(at, random.choice((["refuse"], ["fail", 1], ["fail", 2], ["fail", 99])))
    return steps


def _step(random: Random, op: str, me: int, waiters: int, depth: int) -> list[Any]:
    roll = random.random()
    if roll < 0.08:
        return ["tell", _address(random.randrange(waiters))]
    if roll < 0.2:
        fate = random.choice(("resolve", "resolve", "reject", "twice"))
        return ["awakeable", full(f"bell/{random.randrange(2)}"), fate, random.choice(PATIENCE)]
    if roll < 0.28:
        return ["promise", f"{op}!", random.choice(PATIENCE)]
    if roll < 0.5:
        kind = random.choice(("all", "any", "race", "select"))
        leaves = [_step_leaf(random, f"{op}.{i}", me, waiters, depth, False) for i in range(3)]
        return [kind, random.choice((None, HOUR, 0.03, 0.3)), leaves[: random.randint(1, 3)]]
    return _step_leaf(random, op, me, waiters, depth, True)


def _step_leaf(random: Random, op: str, me: int, waiters: int, depth: int, alone: bool) -> list[Any]:
    roll = random.random()
    if roll < 0.4:
        return ["run", random.choice((0, 0, 0, 1, 2, 99)), random.random() < 0.1]
    if roll < 0.65:
        return ["sleep", random.choice((0, 5, 40, 200, 3_000))]
    timeout = random.choice((None, 0.02, 0.4, HOUR)) if alone else None
    others = range(waiters)
    if not others:
        return ["sleep", 1]
    to = random.choice(others)
    roll = random.random()
    if roll < 0.2:
        return ["ask", _address(to), "look", {}, timeout]
    if roll < 0.6 or depth == 2:
        fate = random.choice(("", "", "refuse", "fail"))
        return ["ask", _address(to), "serve", {"op": op, "fate": fate}, timeout]
    inner = script(random, op, to, waiters, depth + 1)
    return ["ask", _address(to), random.choice(("work", "toil")), {"op": op, "script": inner}, timeout]


def promises(steps: Script, address: str) -> list[tuple[str, str]]:
    """The promises that a script and those in it wait for: whose, and their names."""
    found: list[tuple[str, str]] = []
    for step in steps:
        if step[0] == "promise":
            found.append((address, step[1]))
        elif step[0] == "ask" and "script" in step[3]:
            found += promises(step[3]["script"], step[1])
        elif step[0] in ("all", "any", "race", "select"):
            found += promises(step[2], address)
    return found
