"""Programs on nodes that run: many at once, in real time, by clients that never give a call up.

What befalls the nodes is done to them meanwhile by whoever has started them.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from plexstream.client import AsyncClient
from plexstream.model.errors import AlreadyDone, CallError, LogUnavailable, Overloaded, TimedOut
from plexstream.testing.programs.checks.checker import check
from plexstream.testing.programs.program import CALLS, Move, Program, Script, scripts
from plexstream.testing.programs.stage.driver import Record, looked_at
from plexstream.testing.simulation.errors import Violation

_ADDRESS = re.compile(r"(coro|plain|lone|bell|desk|flow|flowing|brief|machine|keeper)/(.+)")
_NAME = re.compile(r"k?s\d+[a+\d]*")
_LONGEST = 1.0  # seconds that pass between two moves
_PATIENCE = 60.0  # seconds in which everything comes to its end
_LAST = 9.0  # seconds after which nothing more may come
_PAUSE = 1.0


def apart(program: Program) -> Program:
    """A program with actors and names of its own, so that others may run beside it."""

    def renamed(thing: Any) -> Any:
        if isinstance(thing, list):
            return [renamed(one) for one in thing]
        if not isinstance(thing, str):
            return thing
        if address := _ADDRESS.fullmatch(thing):
            return f"{address[1]}/p{program.seed}-{address[2]}"
        if _NAME.fullmatch(thing):
            return f"p{program.seed}{thing}"
        return thing

    return program._replace(moves=[_given_once(renamed(move)) for move in program.moves])


def _given_once(move: Move) -> Move:
    """Without promises of later runs: when they may be given, nobody outside can know."""
    return [*move[:-1], _without_promises(move[-1], False)] if move[0] in CALLS else move


def _without_promises(ops: list[Any], later: bool) -> list[Any]:
    found = []
    for op in ops:
        if op[0] == "promise":
            op = ["sleep", 0] if later or op[1] else op
        elif op[0] == "renew":
            op = [*op[:2], _without_promises(op[2], True)]
        elif op[0] == "ask":
            op = [*op[:4], _without_promises(op[4], False), *op[5:]]
        elif op[0] in ("all", "any", "race"):
            op = [*op[:2], _without_promises(op[2], later)]
        found.append(op)
    return found


class Served:
    """One program on nodes that are reached by `client`."""

    def __init__(self, program: Program, client: AsyncClient) -> None:
        self._program = program
        self._client = client
        self._scripts = scripts(program)
        self._asks: dict[str, str] = {}
        self._replies: dict[str, list[Any]] = {}
        self._promised: dict[tuple[str, str], list[tuple[Any, str]]] = {}
        self._calls: list[asyncio.Task[None]] = []

    async def play(self) -> None:
        """Make its calls, and wait until they are answered."""
        for number, move in enumerate(self._program.moves):
            if move[0] in CALLS:
                self._calls.append(asyncio.create_task(self._call(f"m{number}", move)))
                await asyncio.sleep(0)
            elif move[0] == "pass":
                await asyncio.sleep(min(move[1] / 1000, _LONGEST))
        for script in self._scripts.values():
            for at, op in enumerate(script.ops):
                if op[0] == "promise":
                    self._calls.append(asyncio.create_task(self._give(script, f"{script.sid}.{at}")))
        await asyncio.gather(*self._calls)

    async def _call(self, id: str, move: Move) -> None:
        _, sid, to, handler, ask, key, ops = move
        arguments = {"sid": sid, "ops": ops}
        key = key or f"k{sid} {id}"
        if ask:
            self._asks[id] = sid
            call = lambda: self._client.ask(to, handler, arguments, idempotency_key=key)  # noqa: E731
            self._replies[id] = [await _insist(call)]
        else:
            await _insist(lambda: self._client.tell(to, handler, arguments, idempotency_key=key))

    async def _give(self, script: Script, name: str) -> None:
        async def give() -> None:
            try:
                await self._client.resolve_promise(script.to, name, f"value of {name}")
            except AlreadyDone:
                return  # by this one, whose answer was lost

        id = f"promise {name}"
        answer = await _insist(give)
        self._replies[id] = [{} if answer is None else answer]
        self._promised["default/default/" + script.to, name] = [(f"value of {name}", id)]

    async def judge(self, left: Callable[[], list[tuple[int, Any, str]]]) -> None:
        """Raise Violation unless all comes to what it must, and stays so.

        Parameters:
            left: reads the outputs and dead letters.
        """
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                await self._check(left)
                break
            except Violation:
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_PAUSE)
        await asyncio.sleep(_LAST)
        await self._check(left)

    async def _check(self, left: Callable[[], list[tuple[int, Any, str]]]) -> None:
        looks = {}
        for address in looked_at(self._scripts):
            looks[address] = await _insist(lambda a=address: self._client.ask(a, "look"))  # type: ignore[misc]
        own = [row for row in left() if self._is_own(row[1])]
        check(Record(self._scripts, self._asks, [], self._promised, self._replies, {}, looks, own, [], False))

    def _is_own(self, payload: Any) -> bool:
        sid = payload[0] if isinstance(payload, list) else str(payload.get("sid", payload.get("value", "")))
        return str(sid).rpartition(".")[0] in self._scripts or sid in self._scripts


async def _insist(call: Callable[[], Awaitable[Any]]) -> Any:
    """Call until there is an answer, be it an error."""
    while True:
        try:
            return await call()
        except (TimedOut, Overloaded, LogUnavailable):
            await asyncio.sleep(0.1)
        except CallError as error:
            if error.status >= 503:
                await asyncio.sleep(0.1)
                continue
            return {"error": error.code, "detail": error.detail}
