"""Durable execution: calls of handlers with steps, the cost of a step, and many handlers that wait."""

from __future__ import annotations

import signal
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.asks import Asked, ask, asked, discard
from bench.processes import measure
from bench.restate import Restate, served

CALLERS = (1, 64, 256)
WAYS = ("client, Kafka", "client, embedded", "HTTP, Kafka", "HTTP, embedded")


def called(way: str, address: str, seconds: float, work: str) -> list[Asked]:
    """Calls of plexstream, one of `WAYS`; `work` as `bench.load` has it."""
    return ask(way, address, seconds, work, CALLERS)


def called_restate(restate: Restate, sdk: str, seconds: float, work: str) -> list[Asked]:
    """The same calls of Restate, over HTTP."""
    with served(restate, sdk) as url:
        return asked(work, "http", url, "/", str(seconds), *(str(n) for n in CALLERS))


def steps(address: str, calls: int) -> dict[str, float]:
    """Steps a second, and microseconds of CPU time a step. No address: on the embedded log."""
    with _log(address) as where:
        found: dict[str, float] = measure("waiting", "steps", *where, str(calls))
        return found


def resumed(address: str, handlers: int, begin_s: float) -> dict[str, float]:
    """Seconds from a worker's start until so many handlers that were killed -9 in their sleep have ended.

    Parameters:
        begin_s: the sleeps end so many seconds from now: all handlers must have begun by then. The worker
            starts when they are due.
    """
    with _log(address) as where:
        until = time.time() + begin_s
        _park(where, handlers, until)
        time.sleep(max(0.0, until - time.time()))
        found: dict[str, float] = measure("waiting", "resume", *where, str(handlers))
        return found


def memory(address: str, handlers: int) -> dict[str, float]:
    """Bytes of memory of a handler that waits."""
    with _log(address) as where:
        return {"bytes": _park(where, handlers, time.time() + 86_400)["bytes"]}


def _park(where: tuple[str, str, str], handlers: int, until: float) -> dict[str, float]:
    due = str(int(until * 1000))
    found: dict[str, float] = measure("waiting", "park", *where, str(handlers), due, ends=-signal.SIGKILL)
    return found


@contextmanager
def _log(address: str) -> Iterator[tuple[str, str, str]]:
    """URL, prefix and state folder of a log that is deleted afterwards."""
    prefix = f"bench-{uuid.uuid4().hex[:8]}."
    with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
        url = f"kafka://{address}" if address else f"embedded:{folder}/log"
        try:
            yield url, prefix, str(Path(folder) / "state")
        finally:
            if address:
                discard(address, prefix)
