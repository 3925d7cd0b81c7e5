"""How a finished call gets back to its caller: to a future of any thread (here), or to a loop."""

from __future__ import annotations

from typing import Any, Protocol

Done = tuple[Any, bytes | None, Exception | None]
"""A finished call: whatever its caller gave as waiter, and the result or the error."""


class Sink(Protocol):
    """Takes finished calls. Called from the threads of `Calls`; must neither block nor raise."""

    def deliver(self, done: list[Done]) -> None: ...


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
