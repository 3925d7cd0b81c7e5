"""What connections share: how many there are, which are idle, and what all answers begin with."""

from __future__ import annotations

import asyncio
from typing import Protocol

from plexstream.edge.http.limits import HttpLimits
from plexstream.edge.http.problems import Header
from plexstream.edge.http.routes.plain import (
    WHOLE_HEAD,
    WHOLE_HEADERS,
    WHOLE_LINE,
    Leaving,
    PlainCalls,
    lines,
)

NEVER_ASKED = 0.0
"""Stands for since when a connection is idle that has not had a request yet."""


class Shares(Protocol):
    """A connection."""

    loop: asyncio.AbstractEventLoop

    def close(self) -> None: ...


class Connections:
    """What the connections of a server share.

    Parameters:
        plain: takes calls without ASGI; None: there is no such way.

    Attributes:
        takes_whole: whether what `PlainCalls.take_whole` looks at is within the limits, whatever is in it.
    """

    def __init__(self, limits: HttpLimits, plain: PlainCalls | None = None) -> None:
        self.limits = limits
        self.plain = plain
        self.leaving = Leaving() if plain is None else plain.leaving
        self.takes_whole = (
            limits.header_bytes >= WHOLE_HEAD
            and limits.headers >= WHOLE_HEADERS
            and limits.url_bytes >= WHOLE_LINE
        )
        self.open: set[Shares] = set()
        self.idle: dict[Shares, float] = {}  # since when, the longest idle first
        self._sweep: asyncio.TimerHandle | None = None
        self._of: list[Header] | None = None
        self._always = b""
        self.lingering = 0
        self.body_bytes = 0
        self.refused = 0

    def admit(self, connection: Shares) -> bool:
        """Take a new one in, at the cost of the longest idle one if need be; False: all are busy."""
        if len(self.open) >= self.limits.connections:
            if not self.idle:
                self.refused += 1
                return False
            next(iter(self.idle)).close()
        self.open.add(connection)
        self.idle[connection] = NEVER_ASKED
        return True

    def left(self, connection: Shares, held: int) -> None:
        """It is closed. `held`: bytes of bodies that it had."""
        self.open.discard(connection)
        self.idle.pop(connection, None)
        self.body_bytes -= held

    def rest(self, connection: Shares) -> None:
        """It has its answer, and is idle from now on. One timer for all: most are idle for a moment."""
        loop = connection.loop
        self.idle[connection] = loop.time()
        if self._sweep is None:
            self._sweep = loop.call_later(self.limits.keep_alive_s, self._close_idle, loop)

    def _close_idle(self, loop: asyncio.AbstractEventLoop) -> None:
        self._sweep = None
        keeps = self.limits.keep_alive_s
        for connection, since in list(self.idle.items()):
            if since == NEVER_ASKED:  # has a timer of its own
                continue
            if since + keeps > loop.time():
                self._sweep = loop.call_at(since + keeps, self._close_idle, loop)
                return
            connection.close()

    def always(self, headers: list[Header]) -> bytes:
        """The headers of every answer; uvicorn makes new ones each second."""
        if headers is not self._of:
            self._of, self._always = headers, lines(headers)
        return self._always
