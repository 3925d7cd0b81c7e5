"""Requests of one asyncio event loop: each caller has a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

import httptools

from plexstream.client.http.connecting import addresses, first
from plexstream.client.http.over_http import IDLE_S, Answer, Attempt, Failed, Fault, closed, failed
from plexstream.client.http.wire import Answers, Origin

_TICK = 0.01  # seconds that an attempt may end after its time


class _Connection(asyncio.Protocol):
    """Has one request on its way, or none."""

    until: float
    """When it is given up, on the loop's clock: the end of its request's time, or of its idleness."""

    def __init__(self, pool: _Pool) -> None:
        self._pool = pool
        self._answers = Answers()
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[Answer | Failed] | None = None
        self.is_lost = False

    def exchange(self, request: bytes, until: float) -> asyncio.Future[Answer | Failed]:
        """Send a request. The future gets its answer, or why there is none."""
        self.until = until
        waiter: asyncio.Future[Answer | Failed] = self._pool.loop.create_future()
        if self._transport is None or self._transport.is_closing():  # it would drop the request
            waiter.set_result(failed(Fault.NOT_SENT, ConnectionError("the server closed the connection")))
        else:
            self._waiter = waiter
            self._transport.write(request)
        return waiter

    def is_open(self) -> bool:
        """Whether it can carry a request, as far as this loop has heard."""
        return self._transport is not None and not self._transport.is_closing()

    def give_up(self, error: BaseException, fault: Fault) -> None:
        """Close it; who waits is told so."""
        self._end(failed(fault, error))
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """It is `until`."""
        self.give_up(TimeoutError("the answer is late"), Fault.LATE)

    def _end(self, with_what: Answer | Failed) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(with_what)

    # asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        try:
            answer = self._answers.feed(data)
        except httptools.HttpParserError as error:
            self.give_up(error, Fault.BROKEN)
            return
        if answer is not None:
            self._answered(answer, self._answers.keeps)
        elif self._waiter is None:  # nobody has asked
            self.give_up(ConnectionError("an answer without a request"), Fault.BROKEN)

    def _answered(self, answer: Answer, keeps: bool) -> None:
        waiter, self._waiter = self._waiter, None
        if keeps and waiter is not None and not waiter.done():
            self._pool.release(self)
        elif self._transport is not None:
            self._transport.abort()
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def eof_received(self) -> None:
        answer = self._answers.end() if self._waiter is not None else None
        if answer is not None:
            self._answered(answer, False)

    def connection_lost(self, error: Exception | None) -> None:
        self.is_lost = True
        self._pool.lost(self)
        self._end(failed(Fault.BROKEN, error or ConnectionError("the server closed the connection")))


class _Pool:
    """The connections of one event loop. One timer watches all: most end long before their time."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._open: dict[_Connection, None] = {}
        self._idle: dict[_Connection, None] = {}  # the longest idle first
        self._timer: asyncio.TimerHandle | None = None
        self._next = float("inf")
        self._emptied: asyncio.Future[None] | None = None

    def take(self, now: float) -> _Connection | None:
        """The connection that was used last, if any is idle and not for too long."""
        while self._idle:
            connection, _ = self._idle.popitem()
            if connection.until > now and connection.is_open():
                return connection
            connection.expire()
        return None

    def add(self, connection: _Connection) -> None:
        """A new one, which may have been lost meanwhile."""
        if not connection.is_lost:
            self._open[connection] = None

    def watch(self, until: float) -> None:
        """Some connection is to be looked at then."""
        if until < self._next:
            if self._timer is not None:
                self._timer.cancel()
            self._next = until
            self._timer = self.loop.call_at(until, self._look)

    def release(self, connection: _Connection) -> None:
        """It has nothing to do."""
        connection.until = self.loop.time() + IDLE_S
        self._idle[connection] = None
        self.watch(connection.until)

    def lost(self, connection: _Connection) -> None:
        """It is closed."""
        self._open.pop(connection, None)
        self._idle.pop(connection, None)
        if self._emptied is not None and not self._open and not self._emptied.done():
            self._emptied.set_result(None)

    def _look(self) -> None:
        self._timer, self._next = None, float("inf")
        now = self.loop.time()
        earliest = self._next
        for connection in list(self._open):
            if connection.until <= now:
                self._idle.pop(connection, None)
                connection.expire()
            elif connection.until < earliest:
                earliest = connection.until
        if earliest < self._next:
            self.watch(max(earliest, now + _TICK))

    async def close(self) -> None:
        """Close all, and wait until they are."""
        if self._timer is not None:
            self._timer.cancel()
        if not self._open:
            return
        self._emptied = self.loop.create_future()
        for connection in list(self._open):
            connection.give_up(ConnectionError("the client was closed"), Fault.BROKEN)
        await self._emptied


class AsyncHttp:
    """Sends to the server at `url`, on one event loop at a time. Raises ConfigError for no such url."""

    def __init__(self, url: str) -> None:
        self._origin = Origin(url)
        self._pool: _Pool | None = None
        self._closed = False

    async def send(self, attempt: Attempt) -> Answer | Failed:
        """Make one attempt. Raises LogUnavailable after `close`."""
        self._check_open()
        pool = self._pool
        loop = asyncio.get_running_loop()
        if pool is None or pool.loop is not loop:  # the connections of another loop are of no use here
            pool = self._pool = _Pool(loop)
        now = loop.time()
        until = now + attempt.timeout
        request = self._origin.request(attempt.method, attempt.path, attempt.headers, attempt.content)
        connection = pool.take(now)
        if connection is None:
            try:
                connection = await self._connect(pool, attempt.timeout)
            except (OSError, ValueError) as error:  # no such name, refused, no certificate, late
                return failed(Fault.NOT_SENT, error)
            self._check_open(connection)
        pool.watch(until)
        answer = connection.exchange(request, until)
        try:
            return await answer
        except asyncio.CancelledError:
            connection.give_up(ConnectionError("cancelled"), Fault.BROKEN)
            raise

    def _check_open(self, connection: _Connection | None = None) -> None:
        if self._closed:
            if connection is not None:
                connection.give_up(ConnectionError(), Fault.NOT_SENT)
            raise closed()

    async def _connect(self, pool: _Pool, timeout: float) -> _Connection:
        of, loop = self._origin, pool.loop
        named: Any = {"ssl": of.tls, "server_hostname": of.host} if of.tls else {}

        def connect(address: str) -> Coroutine[Any, Any, tuple[asyncio.BaseTransport, _Connection]]:
            return loop.create_connection(lambda: _Connection(pool), address, of.port, **named)

        async with asyncio.timeout(timeout):
            _, connection = await first(connect, await addresses(loop, of.host, of.port))
        connection.until = pool.loop.time() + timeout
        pool.add(connection)
        return connection

    async def close(self) -> None:
        """End it. What is under way gets a fault."""
        self._closed = True
        if self._pool is not None and self._pool.loop is asyncio.get_running_loop():
            await self._pool.close()
