"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from plexstream.client.blobs import AsyncBlobs, Container
from plexstream.client.coordination import Keyed, run_async
from plexstream.client.http.asynchronous import AsyncHttp
from plexstream.client.http.over_http import Answer, Attempt, Failed, exchange
from plexstream.client.invocation import AsyncInvocation, begun
from plexstream.client.request import (
    Request,
    action,
    completion,
    encode,
    goal,
    look_up,
    request,
    result,
    settlement,
)
from plexstream.edge.calls.calls import DEFAULT_TIMEOUT, Calls
from plexstream.edge.calls.loop import LoopCalls
from plexstream.edge.http.routes.system.invocations import look, look_on
from plexstream.log.base import Log
from plexstream.model.messages.idempotency import read_id
from plexstream.model.topics.topics import Topics
from plexstream.sdk.host.coordination.operation import Operation


class AsyncClient(Keyed):
    """`plexstream.Client` for one asyncio event loop.

        async with AsyncClient("http://localhost:8080") as client:
            await client.ask("account/alice", "deposit", amount=5)

    Arguments and errors as of `Client`. Made with a ``kafka://`` url it connects at once, which blocks for
    some milliseconds.
    """

    def __init__(
        self, url: str | None = None, *, log: Log | None = None, topics: Topics | None = None
    ) -> None:
        goes = goal(url, log, topics)
        self._log = goes.log if goes.owned else None
        self._url = goes.url
        self._calls: Calls | None = None
        self._on_loop: LoopCalls | None = None
        self._http: AsyncHttp | None = None
        if goes.log is None:
            self._http = AsyncHttp(goes.url)
            return
        try:
            self._calls = Calls(goes.log, goes.topics)
        except BaseException:
            if self._log is not None:
                self._log.close()
            raise

    async def ask(
        self,
        target: str,
        handler: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        **named: Any,
    ) -> Any:
        """As `Client.ask`."""
        call = request(False, target, handler, arguments, named, timeout, idempotency_key)
        if self._calls is None:
            return result(await self._make(call))
        on_loop = self._on_loop or self._here()  # at once: a coroutine more costs a tenth of an ask
        return result(
            await on_loop.ask(
                call.target, call.handler, call.payload, timeout=call.timeout, idempotency_key=idempotency_key
            )
        )

    async def tell(
        self,
        target: str,
        handler: str,
        arguments: Mapping[str, Any] | None = None,
        /,
        *,
        timeout: float | None = None,
        idempotency_key: str = "",
        **named: Any,
    ) -> AsyncInvocation:
        """As `Client.tell`."""
        call = request(True, target, handler, arguments, named, timeout, idempotency_key)
        return AsyncInvocation(begun(await self._make(call)), self._look)

    def invocation(self, id: str) -> AsyncInvocation:
        """As `Client.invocation`."""
        read_id(id)
        return AsyncInvocation(id, self._look)

    async def _look(self, id: str, wait: float, timeout: float | None) -> bytes:
        if self._calls is not None:
            steps = look(id, wait, DEFAULT_TIMEOUT if timeout is None else timeout)
            return await look_on(self._here(), steps)
        return await self._make(look_up(id, wait, timeout))

    async def resolve_awakeable(self, id: str, value: Any = None, *, timeout: float | None = None) -> None:
        """As `Client.resolve_awakeable`."""
        await self._make(completion(id, {"value": value}, timeout))

    async def reject_awakeable(self, id: str, reason: str, *, timeout: float | None = None) -> None:
        """As `Client.reject_awakeable`."""
        await self._make(completion(id, {"error": reason}, timeout))

    async def resolve_promise(
        self, target: str, name: str, value: Any = None, *, timeout: float | None = None
    ) -> None:
        """As `Client.resolve_promise`."""
        await self._make(settlement(target, name, {"value": value}, timeout))

    async def reject_promise(
        self, target: str, name: str, reason: str, *, timeout: float | None = None
    ) -> None:
        """As `Client.reject_promise`."""
        await self._make(settlement(target, name, {"error": reason}, timeout))

    async def cancel(self, invocation: str, *, timeout: float | None = None) -> int:
        """As `Client.cancel`."""
        return await self._act("cancel", invocation, timeout)

    async def kill(self, invocation: str, *, timeout: float | None = None) -> int:
        """As `Client.kill`."""
        return await self._act("kill", invocation, timeout)

    async def pause(self, invocation: str, *, timeout: float | None = None) -> int:
        """As `Client.pause`."""
        return await self._act("pause", invocation, timeout)

    async def resume(self, invocation: str, *, timeout: float | None = None) -> int:
        """As `Client.resume`."""
        return await self._act("resume", invocation, timeout)

    async def restart(self, invocation: str, step: int = 0, *, timeout: float | None = None) -> int:
        """As `Client.restart`."""
        return await self._act("restart", invocation, timeout, {"from": step})

    async def _act(
        self, what: str, invocation: str, timeout: float | None, more: dict[str, int] | None = None
    ) -> int:
        return int(result(await self._make(action(what, invocation, timeout, more)))["invocation"])

    def _here(self) -> LoopCalls:
        if self._on_loop is None:
            assert self._calls is not None
            self._on_loop = LoopCalls(self._calls)
        return self._on_loop

    async def _make(self, call: Request) -> bytes:
        if self._calls is not None:
            on_loop = self._here()
            how: Any = {"timeout": call.timeout, "idempotency_key": call.idempotency_key}
            if call.tell:
                id, done = on_loop.begin(call.target, call.handler, call.payload, **how)
                await done
                return encode({"id": id})
            ask = on_loop.ask_while_wanted if call.waits else on_loop.ask
            return await ask(call.target, call.handler, call.payload, **how)
        steps = exchange(call)
        step = next(steps)
        while True:
            answer: Answer | Failed | None = None
            if isinstance(step, Attempt):
                assert self._http is not None
                answer = await self._http.send(step)
            else:
                await asyncio.sleep(step.seconds)
            try:
                step = steps.send(answer)
            except StopIteration as end:
                return bytes(end.value)

    @property
    def blobs(self) -> AsyncBlobs:
        """As `Client.blobs`."""
        return AsyncBlobs(Container(self._url))

    def _operation(self, steps: Operation[Any], key: str) -> Any:
        return run_async(steps, key, self._make)

    async def close(self) -> None:
        """End it. Calls that wait get an error."""
        if self._calls is not None:
            await asyncio.to_thread(self._calls.close)
        if self._http is not None:
            await self._http.close()
        if self._log is not None:
            await asyncio.to_thread(self._log.close)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
