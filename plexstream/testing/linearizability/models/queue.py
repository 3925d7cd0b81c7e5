"""A queue: what is sent first is received first, by one."""

from __future__ import annotations

from typing import Any

from plexstream.testing.linearizability.operation import UNKNOWN, Operation

Line = tuple[str, ...]


class Queue:
    """Takes ``send`` item; ``receive``, answered an item or None. What was received does not come again:
    either it is acknowledged, or its time is longer than the history."""

    def start(self) -> Line:
        """Nothing is in it."""
        return ()

    def step(self, state: Line, op: Operation) -> list[Line]:
        """See `Model`."""
        if op.name == "send":
            return [(*state, op.arguments)]
        return self._receive(state, op.answer)

    @staticmethod
    def _receive(state: Line, answer: Any) -> list[Line]:
        if answer is UNKNOWN:
            return [state[1:]] if state else []
        if answer is None:
            return [] if state else [state]
        return [state[1:]] if state[:1] == (answer,) else []
