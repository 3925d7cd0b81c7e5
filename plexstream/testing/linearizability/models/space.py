"""A bag of tuples: write, read, take by pattern."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from plexstream.testing.linearizability.operation import UNKNOWN, Operation, text

Bag = tuple[str, ...]
"""Tuples as texts, in the order of these: how they came to be there makes no difference."""


class Space:
    """Takes ``write`` tuple; ``read`` and ``take`` pattern, answered a tuple as text or None; ``take_all``
    and ``read_all`` pattern, answered texts in any order; ``count`` pattern, answered a number.

    A pattern has a value for each field, or None for any. What waits and is answered None has found nothing
    at some moment: where it waits, nothing is there.
    """

    def start(self) -> Bag:
        """Nothing is in it."""
        return ()

    def step(self, state: Bag, op: Operation) -> Iterable[Bag]:
        """See `Model`."""
        if op.name == "write":
            return [tuple(sorted((*state, text(op.arguments))))]
        fitting = [t for t in state if fits(op.arguments, json.loads(t))]
        if op.name == "take":
            return self._take(state, fitting, op.answer)
        if op.name == "take_all":
            right = op.answer is UNKNOWN or sorted(op.answer) == fitting
            return [tuple(t for t in state if t not in fitting)] if right else []
        if op.answer is UNKNOWN:
            return []
        expected: dict[str, bool] = {
            "read": op.answer in fitting or (op.answer is None and not fitting),
            "read_all": op.name == "read_all" and sorted(op.answer) == fitting,
            "count": op.answer == len(fitting),
        }
        return [state] if expected[op.name] else []

    @staticmethod
    def _take(state: Bag, fitting: list[str], answer: Any) -> list[Bag]:
        if answer is None:
            return [] if fitting else [state]
        if answer is not UNKNOWN:
            return [_without(state, answer)] if answer in fitting else []
        return [_without(state, t) for t in dict.fromkeys(fitting)]


def fits(pattern: list[Any], of: list[Any]) -> bool:
    """Whether a tuple has these values; None: any."""
    if len(pattern) != len(of):
        return False
    return all(want is None or text(want) == text(have) for want, have in zip(pattern, of, strict=True))


def _without(state: Bag, taken: str) -> Bag:
    at = state.index(taken)
    return (*state[:at], *state[at + 1 :])
