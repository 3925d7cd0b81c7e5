"""A lock whose holders have numbers that rise: fencing tokens."""

from __future__ import annotations

from typing import Any, NamedTuple

from plexstream.testing.linearizability.operation import UNKNOWN, Operation


class Holding(NamedTuple):
    """Who holds a lock, by the number; 0: nobody; None: one who has not heard its number, above `least`."""

    holder: int | None
    least: int


class Lock:
    """Takes ``acquire``, answered a number or None; ``release`` and ``renew`` number, answered whether that
    one holds it. No lease ends: those of a history are longer than it is."""

    def start(self) -> Holding:
        """Nobody holds it."""
        return Holding(0, 0)

    def step(self, state: Holding, op: Operation) -> list[Holding]:
        """See `Model`."""
        if op.name == "acquire":
            return self._acquire(state, op.answer)
        number = op.arguments
        may_hold = state.holder == number or (state.holder is None and number > state.least)
        if op.answer is False:
            return [] if state.holder == number else [state]
        if not may_hold:
            return []
        return [Holding(0 if op.name == "release" else number, number)]

    @staticmethod
    def _acquire(state: Holding, answer: Any) -> list[Holding]:
        if answer is UNKNOWN:
            return [] if state.holder != 0 else [Holding(None, state.least)]
        if answer is None:
            return [] if state.holder == 0 else [state]
        return [Holding(answer, answer)] if state.holder == 0 and answer > state.least else []
