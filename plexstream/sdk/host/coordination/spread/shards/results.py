"""What shard groups answer: what they are, and what came of a question to all shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.operation import Outcome

Waiting = Mapping[str, Any]


class Definition(NamedTuple):
    """What a group is: the type of its members, how many, and how keys are placed."""

    type: str
    shards: int
    placement: str
    bounds: Sequence[str]


@dataclass(frozen=True, slots=True)
class Status:
    """What a group is, and who waits in it.

    Attributes:
        type, shards, placement, bounds: as it was created.
        barriers: at which somebody waits, or that are broken: ``name``, ``parties``, how many are
            ``waiting``, whether ``broken``, and ``since`` when, in ms since the epoch.
    """

    type: str
    shards: int
    placement: str
    bounds: Sequence[str]
    barriers: Sequence[Waiting]


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a shard has not answered: the error's code, such as ``timed_out``, and what it says."""

    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Gathered:
    """What `ShardGroup.scatter_gather` came to.

    Attributes:
        results: by shard, of those that have answered.
        failures: by shard, of all others.
    """

    results: dict[int, Any]
    failures: dict[int, Failure]


def gathered(outcomes: Sequence[Outcome]) -> Gathered:
    results, failures = {}, {}
    for shard, (value, error) in enumerate(outcomes):
        if error is None:
            results[shard] = value
        else:
            failures[shard] = Failure(str(getattr(error, "code", type(error).__name__)), str(error))
    return Gathered(results, failures)


def too_few(name: str, policy: str, enough: int, found: Gathered) -> Reject:
    shard, first = next(iter(found.failures.items()))
    there = len(found.results)
    failures = {
        str(shard): {"code": why.code, "detail": why.detail} for shard, why in found.failures.items()
    }
    return Reject(
        f"{there} of {there + len(found.failures)} shards of {name!r} answered, and policy {policy} wants "
        f"{enough}: shard {shard}: {first.code}: {first.detail:.200}",
        {"results": {str(shard): value for shard, value in found.results.items()}, "failures": failures},
    )
