"""What makes one value of the answers of all shards."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from plexstream.sdk.errors import Reject

MAX_DEPTH = 16
"""Of lists and dicts within each other that `sum` adds up."""

_OF = {
    "sum": "give numbers, or lists or dicts of them that are alike",
    "min": "give numbers, or texts",
    "max": "give numbers, or texts",
    "concat": "give lists",
    "merge": "give objects",
}


def reduced(by: str, answers: Sequence[Any]) -> Any:
    """One value of the answers of the shards, which are in order, one at least.

    Parameters:
        by: ``sum``: of numbers; of lists, which have one length, place by place; of dicts key by key,
            where a key that is missing adds nothing; and of these within each other. ``min``, ``max``: of
            numbers, or of texts. ``concat``: lists, one behind the other. ``merge``: dicts, of a key that
            several have the latest shard's.

    Raises:
        ValueError: there is no such reducer.
        Reject: a shard's answer does not go with it, or with those before; it says which.
    """
    if by not in REDUCERS:
        raise ValueError(f"by is {by!r:.80}: give one of {', '.join(REDUCERS)}, or an actor and its handler")
    reducer = REDUCERS[by]
    total = reducer(None, answers[0], 0, by)
    for shard, answer in enumerate(answers[1:], 1):
        total = reducer(total, answer, shard, by)
    return total


def _sum(total: Any, answer: Any, shard: int, by: str) -> Any:
    return _added(total, answer, shard, 0)


def _added(total: Any, answer: Any, shard: int, depth: int) -> Any:
    """Both; `total` is None where there is nothing before."""
    if depth > MAX_DEPTH:
        raise Reject(f"sum: shard {shard} answered lists or objects more than {MAX_DEPTH} deep")
    if isinstance(answer, Mapping) and (total is None or isinstance(total, Mapping)):
        found = dict(total or {})
        for key, value in answer.items():
            found[key] = _added(found.get(key), value, shard, depth + 1)
        return found
    if isinstance(answer, list) and (total is None or isinstance(total, list)):
        before = [None] * len(answer) if total is None else total
        if len(before) != len(answer):
            raise Reject(
                f"sum: shard {shard} answered a list of {len(answer)}, and those before {len(before)}: "
                "give lists of one length"
            )
        return [_added(a, b, shard, depth + 1) for a, b in zip(before, answer, strict=True)]
    if _is_number(answer) and (total is None or _is_number(total)):
        try:
            added = answer if total is None else total + answer
            if math.isfinite(added):
                return added
        except OverflowError:  # of a whole number that no float is as great as
            pass
        raise Reject(f"sum: with shard {shard} it is greater than numbers of JSON are")
    raise _misfit("sum", answer, shard, total)


def _least(total: Any, answer: Any, shard: int, by: str) -> Any:
    return _one(total, answer, shard, by, min)


def _greatest(total: Any, answer: Any, shard: int, by: str) -> Any:
    return _one(total, answer, shard, by, max)


def _one(total: Any, answer: Any, shard: int, by: str, choose: Callable[[Any, Any], Any]) -> Any:
    alike = isinstance(answer, str) and (total is None or isinstance(total, str))
    if not alike and not (_is_number(answer) and (total is None or _is_number(total))):
        raise _misfit(by, answer, shard, total)
    return answer if total is None else choose(total, answer)


def _concat(total: Any, answer: Any, shard: int, by: str) -> Any:
    if not isinstance(answer, list):
        raise _misfit(by, answer, shard, None)
    found = [] if total is None else total
    found += answer
    return found


def _merge(total: Any, answer: Any, shard: int, by: str) -> Any:
    if not isinstance(answer, Mapping):
        raise _misfit(by, answer, shard, None)
    found = {} if total is None else total
    found.update(answer)
    return found


REDUCERS: Mapping[str, Callable[[Any, Any, int, str], Any]] = {
    "concat": _concat, "sum": _sum, "min": _least, "max": _greatest, "merge": _merge,
}  # fmt: skip


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _misfit(by: str, answer: Any, shard: int, total: Any) -> Reject:
    before = "" if total is None else f", and those before came to {total!r:.80}"
    return Reject(f"{by}: shard {shard} answered {answer!r:.80}{before}: {_OF[by]}")
