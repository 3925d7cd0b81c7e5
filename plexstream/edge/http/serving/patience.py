"""How long a connection waits for its client: to send what it began, to take what is written, to be gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from plexstream.edge.http.serving.shared import Connections

LEAST_RATE = 1 << 10
"""Bytes a second that a client has to take of an answer."""
LINGER_S = 1.0
"""How long is read on, and thrown away, after an answer that ends a connection: what is closed with something
unread takes its answer back."""
DISCARD = 16 << 20
"""Bytes that are thrown away so."""


class Arriving:
    """The time that a request has to arrive as a whole.

    Parameters:
        late: called when it is over.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float, late: Callable[[], None]) -> None:
        self._loop = loop
        self._seconds = seconds
        self._late = late
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """It runs from now on, unless it does."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._over)

    def end(self) -> None:
        """It has arrived, or will not."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _over(self) -> None:
        self._timer = None
        self._late()


class Taking:
    """While more is written than the client has taken, it must take some. Else the connection is cut off.

    Parameters:
        seconds: in which it must take `LEAST_RATE` each.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, seconds: float) -> None:
        self._transport = transport
        self._loop = loop
        self._seconds = seconds
        self._unsent = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """There is more than the client has taken."""
        if self._timer is None:
            self._watch()

    def end(self) -> None:
        """It has taken enough, or is gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _watch(self) -> None:
        self._unsent = self._transport.get_write_buffer_size()
        self._timer = self._loop.call_later(self._seconds, self._look)

    def _look(self) -> None:
        taken = self._unsent - self._transport.get_write_buffer_size()
        if taken < LEAST_RATE * self._seconds:
            self._transport.abort()
        else:
            self._watch()


class Ending:
    """The end of a connection comes, whatever its client does: the first time limit that is set counts.

    Parameters:
        all: count those over the limit that are given time to read why.
    """

    def __init__(
        self, all: Connections, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._all = all
        self._transport = transport
        self._loop = loop
        self._timer: asyncio.TimerHandle | None = None
        self._lingers = False
        self._discarded = 0

    def within(self, seconds: float) -> None:
        """It is cut off after so long, at the latest."""
        if self._timer is None:
            self._timer = self._loop.call_later(seconds, self._transport.abort)

    def linger(self, over_limit: bool) -> None:
        """It has its last answer, and time to read it."""
        if self._timer is None:
            self._lingers = over_limit
            self._all.lingering += over_limit
            self.within(LINGER_S)

    def discard(self, count: int) -> None:
        """So many bytes come, and nobody reads them."""
        self._discarded += count
        if self._discarded > DISCARD:
            self._transport.abort()

    def over(self) -> None:
        """The connection is gone."""
        self._all.lingering -= self._lingers
        self._lingers = False
        if self._timer is not None:
            self._timer.cancel()
