"""Calls for the callers of one asyncio event loop. Their results come back in batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from plexstream.edge.calls.calls import Calls
from plexstream.edge.calls.waiters import Done
from plexstream.log.base import Item
from plexstream.model.errors import CallError, LogError
from plexstream.model.journal.deferred import WITHDRAW
from plexstream.model.messages.message import ASK, TELL

log = logging.getLogger(__name__)


class LoopSink:
    """Finishes futures of one event loop, each batch with a single `call_soon_threadsafe`.

    Waking asyncio's own loop costs 5 µs, and its thread a switch: 256 callers at once pay that once.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def deliver(self, done: list[Done]) -> None:
        hand_over(self._loop, _finish, done)


def hand_over(
    loop: asyncio.AbstractEventLoop, finish: Callable[[list[Done]], None], done: list[Done]
) -> None:
    """Have a batch finished on its event loop."""
    try:
        loop.call_soon_threadsafe(finish, done)
    except RuntimeError:  # the loop is closed: so are its callers and connections
        log.debug("%d calls finished after their event loop", len(done))


def _finish(done: list[Done]) -> None:
    for future, result, error in done:
        if future.done():  # cancelled by its caller
            continue
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


class LoopCalls:
    """`Calls` for the callers of one event loop, the running one by default: cheaper there than `Calls`.

    Use it on that loop only.
    """

    def __init__(self, calls: Calls, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.calls = calls
        self._loop = loop or asyncio.get_running_loop()
        self._sink = LoopSink(self._loop)
        self._submit = calls.submit

    def ask(
        self,
        target: str,
        handler: str,
        payload: bytes,
        *,
        timeout: float = 30.0,
        idempotency_key: str = "",
        headers: dict[str, str] | None = None,
    ) -> asyncio.Future[bytes]:
        """As `Calls.ask`."""
        future: asyncio.Future[bytes] = self._loop.create_future()
        sink = self._sink
        self._submit(ASK, target, handler, payload, timeout, idempotency_key, headers, sink, future)
        return future

    def ask_while_wanted(
        self, target: str, handler: str, payload: bytes, *, timeout: float, idempotency_key: str = ""
    ) -> asyncio.Future[bytes]:
        """As `ask`, of what may be answered much later: who cancels the future waits no more.

        The actor hears of that, and gives what it has to the next.
        """
        future: asyncio.Future[bytes] = self._loop.create_future()
        sink = self._sink
        id = self._submit(ASK, target, handler, payload, timeout, idempotency_key, None, sink, future)

        def withdraw(ended: asyncio.Future[bytes]) -> None:
            if ended.cancelled():
                said = msgspec.json.encode({"ask": id, "edge": self.calls.edge_id})
                with suppress(CallError, LogError):  # its deadline says so, too, if late
                    self._submit(
                        TELL, target, WITHDRAW, said, timeout, "", None, sink, self._loop.create_future()
                    )

        future.add_done_callback(withdraw)
        return future

    def tell(
        self,
        target: str,
        handler: str,
        payload: bytes,
        *,
        timeout: float = 30.0,
        idempotency_key: str = "",
        headers: dict[str, str] | None = None,
    ) -> tuple[str, asyncio.Future[None]]:
        """As `Calls.tell`, with the message's id."""
        future: asyncio.Future[None] = self._loop.create_future()
        sink = self._sink
        id = self._submit(TELL, target, handler, payload, timeout, idempotency_key, headers, sink, future)
        return id, future

    def begin(
        self, target: str, handler: str, payload: bytes, *, timeout: float = 30.0, idempotency_key: str = ""
    ) -> tuple[str, asyncio.Future[None]]:  # fmt: skip
        """As `Calls.begin`."""
        future: asyncio.Future[None] = self._loop.create_future()
        id = self._submit(
            TELL, target, handler, payload, timeout, idempotency_key, None, self._sink, future, keep=True
        )
        return id, future

    def append(
        self, topic: str, partition: int, items: Sequence[Item], *, timeout: float = 30.0
    ) -> asyncio.Future[None]:
        """As `Calls.append`."""
        future: asyncio.Future[None] = self._loop.create_future()
        self.calls.append(topic, partition, items, sink=self._sink, waiter=future, timeout=timeout)
        return future
