"""Handlers that wait beside those of scripts: they give them a value, which is what they have seen."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from plexstream.model.errors import AlreadyDone
from plexstream.sdk.host.host import host
from plexstream.testing.programs.operations.kinds import Came, Kind, Me, Play, Scope, kind
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import Op

SUFFIX = " given"
"""Of the names of promises that a handler beside gives a value, and nobody else."""


async def give(actor: Any, sid: str, at: int, waits: list[float], fails: int) -> None:
    """Wait some times, and see the state before and after each: then give the value."""
    key = f"{sid}.{at}"
    saw = [_seen(actor)]
    for n, seconds in enumerate(waits):
        if n % 2:
            await host.run(f"{key} beside {n}", outside.effect, f"{key} beside {n}", 0, False)
        await host.sleep(seconds)
        saw.append(_seen(actor))
    if outside.fails(f"{key} gives", fails):
        raise RuntimeError("as told")
    with suppress(AlreadyDone):  # it was asked for again, by a handler that was restarted
        host.promise(key + SUFFIX).resolve(saw)


def _seen(actor: Any) -> list[Any]:
    """The state, how long the list is of all that has changed it, and when."""
    return [actor.n, dict(actor.m), list(actor.items), len(actor.log), host.now()]


@kind
class Given(Kind):
    """``[given, seconds, fails]``: a value that a handler gives that runs beside this one."""

    name = "given"
    waits = True

    def draw(self, scope: Scope) -> Op:
        random = scope.random
        waits = [random.choice((0, 0.05, 0.5, 3)) for _ in range(random.randint(1, 3))]
        return ["given", waits, random.choice((0, 0, 0, 1, 2))]

    def play(self, me: Me, op: Op) -> Play:
        host.tell(host.self_id(), "give", sid=me.sid, at=me.at, waits=op[1], fails=op[2])
        return (yield host.promise(me.key() + SUFFIX).start())

    def judge(self, op: Op, came: Came) -> None:
        saw = came.value
        came.claim(isinstance(saw, list) and len(saw) == len(op[1]) + 1, "it saw the state once more often")
        before, soonest = 0, 0
        for (*state, length, now), seconds in zip(saw, (*op[1], 0), strict=True):
            came.known.was(came, state, length)
            came.claim(length >= before, "what it sees goes back")
            came.claim(soonest <= now <= came.over, f"it sees it at {now}, and {soonest} was the soonest")
            before, soonest = length, now + round(seconds * 1000)
