"""The search for an order of calls that explains what they answered.

It is that of J. M. Wing and C. Gong (Testing and verifying concurrent objects, 1993): of the calls that were
made before the first return among those not yet ordered, any may come next. With it the cache of G. Lowe
(Testing for linearizability, 2017): what was tried once, the same calls with the same state, is not tried
again; and, as he has it, the call that must return next is tried first, others only where they are needed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol, TypeVar

from plexstream.testing.linearizability.operation import NEVER, Operation

MOST = 60
"""Operations of one history: more may take for ever."""
STEPS = 500_000
"""Steps of a model that one history is worth; about a second."""

S = TypeVar("S", bound=Hashable)


class Model(Protocol[S]):
    """An object as it ought to be, for one caller at a time."""

    def start(self) -> S:
        """Its state before the first call."""

    def step(self, state: S, op: Operation) -> Iterable[S]:
        """The states to which a call may lead that gives its answer; none: it cannot give it there.

        Where the answer is UNKNOWN, those to which any answer may have led by a change: that it changed
        nothing comes to the same as that it took no effect, which the search looks at.
        """


class Verdict(NamedTuple):
    """What came of one history.

    Attributes:
        holds: None: the search gave up.
        steps: of the model.
        why: if it does not hold, for people.
    """

    holds: bool | None
    steps: int
    why: str = ""


class Report(NamedTuple):
    """What came of several histories: how many hold, which do not and why, and which took too long."""

    held: int
    broken: dict[str, str]
    gave_up: dict[str, str]


def check_all(histories: Mapping[str, Sequence[Operation]], model: Model[S], steps: int = STEPS) -> Report:
    """Check the history of each object; parameters as of `check`."""
    verdicts = {obj: check(history, model, steps) for obj, history in histories.items()}
    return Report(
        sum(verdict.holds is True for verdict in verdicts.values()),
        {obj: verdict.why for obj, verdict in verdicts.items() if verdict.holds is False},
        {obj: verdict.why for obj, verdict in verdicts.items() if verdict.holds is None},
    )


def check(history: Sequence[Operation], model: Model[S], steps: int = STEPS) -> Verdict:
    """Look for an order of the calls of one object.

    Parameters:
        history: at most `MOST` operations.
        steps: of the model, after which the search gives up.
    """
    if len(history) > MOST:
        return Verdict(None, 0, f"{len(history)} operations: split them, {MOST} at most are searched")
    ops = sorted(history, key=lambda op: op.called)
    returning = sorted((i for i, op in enumerate(ops) if op.returned < NEVER), key=lambda i: ops[i].returned)
    start = (0, model.start())
    tried, stack, taken, furthest = {start}, [start], 0, (-1, 0)
    while stack:
        done, state = stack.pop()
        first = next((i for i in returning if not done >> i & 1), None)
        if first is None:
            return Verdict(True, taken)
        furthest = max(furthest, (done.bit_count(), first))
        for i in _next(ops, done, first):
            for after in model.step(state, ops[i]):
                taken += 1
                found = (done | 1 << i, after)
                if found not in tried:
                    tried.add(found)
                    stack.append(found)
        if taken > steps:
            return Verdict(None, taken, f"gave up after {taken} steps")
    explained, stuck = furthest
    return Verdict(
        False, taken, f"no order explains it; {explained} of {len(ops)} can be, then not {ops[stuck]}"
    )


def _next(ops: Sequence[Operation], done: int, first: int) -> list[int]:
    """Calls that may come next; the last of them is tried first."""
    end = ops[first].returned
    may = [i for i, op in enumerate(ops) if op.called <= end and i != first and not done >> i & 1]
    return [*reversed(may), first]
