"""How a finished call gets back to its caller: to a future of any thread (here), or to a loop."""

from __future__ import annotations

import logging
from typing import Any, Protocol

from plexstream.log.base import Place

log = logging.getLogger(__name__)

Done = tuple[Any, bytes | None, Exception | None]
"""A finished call: whatever its caller gave as waiter, and the result or the error."""


class Sink(Protocol):
    """Takes finished calls. Called from the threads of `Calls`; must neither block nor raise."""

    def deliver(self, done: list[Done]) -> None: ...


Pending = tuple[Sink, Any, float, int, str, float, Place, str]
"""A call that waits: sink, waiter, deadline, kind, what it is for people, timeout in seconds, partition, and
what its caller can do without an answer."""


def deliver(batches: dict[Sink, list[Done]]) -> None:
    """Hand finished calls to their sinks."""
    for sink, done in batches.items():
        try:
            sink.deliver(done)
        except Exception:  # a fault of one caller's must not end the thread that serves all
            log.exception("delivering %d finished calls failed", len(done))


class FutureSink:
    """Finishes `concurrent.futures` futures. Their callbacks run on a thread of `Calls`: keep them short."""

    def deliver(self, done: list[Done]) -> None:
        for future, result, error in done:
            if not future.set_running_or_notify_cancel():
                continue
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)


FUTURES = FutureSink()
