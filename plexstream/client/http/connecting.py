"""The first connection of several addresses, and none that is lost on the way.

asyncio has the same race (`happy_eyeballs_delay`). Where it is cancelled, as by a time limit, in the moment
in which a socket is connected, it forgets that socket, open (seen on CPython 3.11).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

NEXT_ADDRESS_S = 0.25
"""When the next address is tried, too: what RFC 8305 (section 5) recommends."""

P = TypeVar("P")
Connect = Callable[[str], Coroutine[Any, Any, tuple[asyncio.BaseTransport, P]]]
Making = asyncio.Task[tuple[asyncio.BaseTransport, P]]


async def addresses(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[str]:
    """The addresses of a host, in the order in which they are to be tried. Raises OSError: it has none."""
    for family in (socket.AF_INET, socket.AF_INET6):
        with contextlib.suppress(OSError):
            socket.inet_pton(family, host)
            return [host]
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


async def first(connect: Connect[P], addresses: Sequence[str]) -> tuple[asyncio.BaseTransport, P]:
    """Connect to one of some addresses: each is tried when the one before has failed, or takes long.

    Raises:
        OSError: the first one's error, where none can be reached.
    """
    if len(addresses) == 1:
        return await connect(addresses[0])
    tasks: list[Making[P]] = []
    winner: Making[P] | None = None
    try:
        trying: set[Making[P]] = set()
        left = iter(addresses)
        while True:
            address = next(left, None)
            if address is not None:
                tasks.append(asyncio.ensure_future(connect(address)))
                trying.add(tasks[-1])
            elif not trying:
                return tasks[0].result()
            limit = None if address is None else NEXT_ADDRESS_S
            done, trying = await asyncio.wait(trying, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            winner = next((task for task in done if task.exception() is None), None)
            if winner is not None:
                return winner.result()
    finally:
        for task in tasks:
            if task is not winner:
                task.cancel()
                task.add_done_callback(_close)


def _close(task: Making[Any]) -> None:
    if not task.cancelled() and task.exception() is None:
        transport, _ = task.result()
        transport.abort()  # type: ignore[attr-defined]
