"""Actors that begin anew when nothing has come for long: their times say what they have."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plexstream.sdk.declaring.declare import actor, handler, init_handler
from plexstream.sdk.declaring.fields import state, state_list, state_map
from plexstream.sdk.host.host import host
from plexstream.sdk.spec import Retry
from plexstream.testing.programs.operations.kinds import Entry, Kind, Me, Play, Scope, kind, nothing
from plexstream.testing.programs.operations.sends import OUTPUT
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import Op
from plexstream.testing.simulation.errors import Violation

TTL = 1.0
"""Seconds."""


@actor(
    name="brief", retry=Retry(attempts=50, interval=0.5, factor=1, jitter=0), state_ttl=TTL, max_active=1,
    idle_timeout=0.2,
)  # fmt: skip
class Brief:
    """Counts in all that may hold state, and tells each time what it has."""

    n: int = state(default=0)
    inits: int = state(default=0)
    m: Any = state_map()
    items: Any = state_list()

    @init_handler
    def init(self) -> None:
        """Once in each life."""
        self.inits += 1

    @handler("touch")
    async def touch(self, sid: str, at: int, seconds: float, fails: int) -> None:
        """One more, some of them after a wait in which nothing expires."""
        began = host.now()
        self.n += 1
        self.m[str(self.n)] = self.n
        self.items.append(self.n)
        if seconds:
            await host.sleep(seconds)
        if outside.fails(f"{sid}.{at} touches", fails):
            raise RuntimeError("as told")
        host.emit(OUTPUT, [sid, at, host.self_id(), began, host.now(), self._has()])

    @handler("look", read_only=True)
    def look(self) -> dict[str, Any]:
        """All that there is."""
        return {"n": self.n, "log": [], "m": dict(self.m), "items": list(self.items)}

    def _has(self) -> list[Any]:
        return [self.n, self.inits, dict(self.m), list(self.items)]


@kind
class Touch(Kind):
    """``[touch, to, seconds, fails]``: an actor whose state expires is told something."""

    name = "touch"

    def draw(self, scope: Scope) -> Op:
        random = scope.random
        return [
            "touch",
            f"brief/{random.randrange(2)}",
            random.choice((0, 0, 0.2, 3)),
            random.choice((0, 0, 3)),
        ]

    def play(self, me: Me, op: Op) -> Play:
        host.tell(op[1], "touch", sid=me.sid, at=me.at, seconds=op[2], fails=op[3])
        return nothing()

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        yield OUTPUT, ("emit", "", sid, at)

    def looks(self, op: Op) -> Iterator[str]:
        yield op[1]

    def whole(self, known: Any) -> None:
        last: dict[str, tuple[int, int]] = {}  # when the latest turn was over, and the number it came to
        for sid, at, who, began, over, has in known.outputs(self.name):
            before, n = last.get(who, (began, 0))
            n = n + 1 if began - before <= TTL * 1000 else 1
            right = [n, 1, {str(i): i for i in range(1, n + 1)}, list(range(1, n + 1))]
            if has != right:
                raise Violation(
                    f"{who}, {sid}.{at}: {began - before} ms after its last turn it has {has}, not {right}"
                )
            last[who] = over, n
