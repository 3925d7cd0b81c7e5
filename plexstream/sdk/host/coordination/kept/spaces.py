"""Tuple spaces: associative memory that many share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from plexstream.sdk.host.coordination.kept.match import pattern as as_pattern
from plexstream.sdk.host.coordination.kept.tuples.values import canonical
from plexstream.sdk.host.coordination.operation import (
    Call,
    Noun,
    Operation,
    Runner,
    actor_id,
    operation,
    patience,
    reading,
    shard_of,
    together,
)

TYPE = "plex.space"
OPEN = "plex.spread"
"""The type whose actors wait at all shards of a space for whoever leaves the first field open."""
MAX_SHARDS = 256
MAX_PAGE = 1_000
_SHARDED = re.compile(r"(.+)\*(\d{1,4})", re.DOTALL | re.ASCII)

Tuple = list[Any]


@dataclass(frozen=True, slots=True)
class Lease:
    """What somebody has in a space for a while: a tuple, or a subscription.

    Attributes:
        id: for `TupleSpace.renew` and `TupleSpace.cancel`.
        due: when it ends, in ms since the epoch; 0: it does not.
    """

    id: int
    due: int


class TupleSpace(Noun):
    """Tuples, found by patterns. Each operation is linearizable, and published on ``plex.tuplespace``.

    A tuple is a list of 1 to 64 JSON values. A pattern has as many fields. A value matches itself, type
    included: ``1``, ``1.0``, ``True`` and ``"1"`` are four different things. ``None`` or ``"*"`` matches
    anything, a type such as ``str`` what is of it; `plexstream.match` has the rest. The oldest tuple that
    matches is found first; where only a range or a prefix says which, that of the least value.

    A space whose name ends in ``*8`` is spread over eight actors by the first field of its tuples: another
    name is another space. Where a pattern leaves that field open, all are asked, each by itself: a tuple that
    comes meanwhile may be seen or not, and who waits so is served when those are who say that field.
    """

    def __init__(self, run: Runner, name: str) -> None:
        super().__init__(run, name)
        sharded = _SHARDED.fullmatch(name)
        self.shards = 1
        if sharded is not None:
            self.shards = int(sharded[2])
            if not 2 <= self.shards <= MAX_SHARDS:
                raise ValueError(f"space {name!r}: the number of shards is from 2 to {MAX_SHARDS}")

    @operation
    def write_many(
        self, tuples: Sequence[Sequence[Any]], ttl: float | None = None
    ) -> Operation[list[Lease]]:
        """Put many tuples into the space, in their order: in each of its actors all of them, or none."""
        parts: dict[int, list[int]] = {}
        for place, one in enumerate(tuples):
            parts.setdefault(self._of_tuple(one), []).append(place)
        calls = [
            self._call(shard, "write_many", {"tuples": [tuples[place] for place in places], "ttl": ttl})
            for shard, places in parts.items()
        ]
        leases: dict[int, Lease] = {}
        for (shard, places), found in zip(parts.items(), (yield from together(calls)), strict=True):
            leases |= {p: self._lease(shard, one) for p, one in zip(places, found, strict=True)}
        return [leases[place] for place in range(len(tuples))]

    @operation
    def write(self, tuple: Sequence[Any], ttl: float | None = None) -> Operation[Lease]:
        """Put a tuple into the space.

        Parameters:
            ttl: seconds after which it is gone, unless it is renewed; None: it stays.
        """
        shard = self._of_tuple(tuple)
        answer = yield self._call(shard, "write", {"tuple": tuple, "ttl": ttl})
        return self._lease(shard, answer)

    @reading
    def read(self, pattern: Sequence[Any], wait: float | None = 0.0) -> Operation[Any]:
        """A tuple that matches, which stays; None: there was none.

        Parameters:
            wait: seconds for one to come; None: for ever.
        """
        return (yield from self._one("read", pattern, wait))

    @operation
    def take(self, pattern: Sequence[Any], wait: float | None = 0.0) -> Operation[Any]:
        """Take a tuple out that matches: nobody else gets it. None: there was none.

        Who waits is served in the order of arrival.

        Parameters:
            wait: seconds for one to come; None: for ever.
        """
        return (yield from self._one("take", pattern, wait))

    @reading
    def read_all(self, pattern: Sequence[Any], limit: int = 1000) -> Operation[list[Tuple]]:
        """All tuples that match, `limit` at most."""
        return (yield from self._all("read_all", pattern, limit))

    @operation
    def take_all(self, pattern: Sequence[Any], limit: int = 1000) -> Operation[list[Tuple]]:
        """Take all tuples out that match, `limit` at most."""
        return (yield from self._all("take_all", pattern, limit))

    @reading
    def count(self, pattern: Sequence[Any] | None = None) -> Operation[int]:
        """How many tuples match; without a pattern, how many there are."""
        wanted = None if pattern is None else as_pattern(pattern)
        total = 0
        for shard in range(self.shards) if wanted is None else self._of_pattern(wanted):
            after = None
            while True:
                arguments = {"pattern": wanted, "after": after}
                answer = yield self._call(shard, "count", arguments, reads=True)
                total += answer["count"]
                after = answer["after"]
                if after is None:
                    break
        return total

    @operation
    def swap(
        self, pattern: Sequence[Any], tuple: Sequence[Any], ttl: float | None = None
    ) -> Operation[Tuple | None]:
        """Replace a tuple that matches by another, in one. None: there was none, and nothing is written.

        Both are of one shard: the pattern says the first field, if the space is sharded.
        """
        shard = self._same_shard([self._of_pattern(as_pattern(pattern)), [self._of_tuple(tuple)]])
        arguments = {"pattern": as_pattern(pattern), "tuple": tuple, "ttl": ttl}
        old: Tuple | None = _tuple((yield self._call(shard, "swap", arguments)))
        return old

    @operation
    def transaction(self, operations: Sequence[dict[str, Any]]) -> Operation[list[Any]]:
        """Several operations in one: all of them, or none.

        Parameters:
            operations: each a dict with ``op``: ``write`` (tuple, ttl), ``read``, ``take``, ``absent``
                (pattern), ``swap`` (pattern, tuple, ttl). Each sees what those before it have done.

        Returns:
            What each of them gives: ``write`` a `Lease`, ``absent`` None, the others a tuple.

        Raises:
            Rejected: one finds nothing, or ``absent`` something. Its data has the ``index`` of which.
        """
        wanted = [_planned(op) for op in operations]
        shards = [self._of_pattern(op["pattern"]) for op in wanted if "pattern" in op]
        shards += [[self._of_tuple(op["tuple"])] for op in wanted if "tuple" in op]
        shard = self._same_shard(shards)
        results = yield self._call(shard, "transaction", {"operations": wanted})
        return [r and (_tuple(r) if "tuple" in r else self._lease(shard, r)) for r in results]

    @operation
    def notify(
        self, pattern: Sequence[Any], to: str, handler: str, ttl: float | None = None
    ) -> Operation[list[Lease]]:
        """Tell an actor of every tuple that is written and matches, from now on.

        Its handler gets ``space``, ``tuple``, ``subscription`` and ``number``, which rises by one.

        Parameters:
            to: the actor's address.
            ttl: seconds for which it is told, unless that is renewed; None: until it is cancelled.

        Returns:
            The subscription at each actor of the space that may have such tuples: one, unless it is sharded.
        """
        wanted = as_pattern(pattern)
        arguments = {"pattern": wanted, "to": to, "handler": handler, "ttl": ttl}
        shards = self._of_pattern(wanted)
        answers = yield from together(self._call(shard, "notify", arguments) for shard in shards)
        return [self._lease(shard, answer) for shard, answer in zip(shards, answers, strict=True)]

    @operation
    def renew(self, id: Lease | int, ttl: float | None) -> Operation[Lease]:
        """Let a tuple end `ttl` seconds from now; None: never. Raises Rejected: it is not there any more."""
        return (yield from self._renew("renew", id, ttl))

    @operation
    def cancel(self, id: Lease | int) -> Operation[None]:
        """End the lease of a tuple now, which takes it out. Raises Rejected: it is not there any more."""
        yield from self._cancel("cancel", id)

    @operation
    def renew_notify(self, id: Lease | int, ttl: float | None) -> Operation[Lease]:
        """Let a subscription end `ttl` seconds from now; None: never. Raises Rejected: it has ended."""
        return (yield from self._renew("renew_notify", id, ttl))

    @operation
    def cancel_notify(self, id: Lease | int) -> Operation[None]:
        """End a subscription now. Raises Rejected: it has ended."""
        yield from self._cancel("cancel_notify", id)

    @operation
    def configure(self, index: Sequence[int]) -> Operation[None]:
        """Say which fields have an index (0: the first), before there are tuples. By default three have."""
        calls = [self._call(shard, "configure", {"index": index}) for shard in range(self.shards)]
        yield from together(calls)

    @reading
    def status(self) -> Operation[list[dict[str, Any]]]:
        """How each actor of the space is: how many tuples, who waits for what since when, who is told."""
        calls = [self._call(shard, "status", {}, reads=True) for shard in range(self.shards)]
        return (yield from together(calls))

    # What they share

    def _renew(self, what: str, id: Lease | int, ttl: float | None) -> Operation[Lease]:
        shard, own = self._split(id)
        return self._lease(shard, (yield self._call(shard, what, {"id": own, "ttl": ttl})))

    def _cancel(self, what: str, id: Lease | int) -> Operation[None]:
        shard, own = self._split(id)
        yield self._call(shard, what, {"id": own})

    def _one(self, what: str, pattern: Sequence[Any], wait: float | None) -> Operation[Any]:
        wanted = as_pattern(pattern)
        wait = patience(wait)
        shards = self._of_pattern(wanted)
        if len(shards) == 1:
            return _tuple((yield from self._at(shards[0], what, wanted, wait)))
        if what == "read":
            looks = [self._call(shard, "peek", {"pattern": wanted}, reads=True) for shard in shards]
            answers = yield from together(looks)
            there = [found for found, _ in answers if found is not None]
            if there or (wait == 0 and all(decided for _, decided in answers)):
                return _tuple(there[0] if there else None)
        # One call, by one key: what is looked at again may be elsewhere, and two tuples would be taken.
        arguments = {"what": what, "pattern": wanted, "wait": wait, "shards": self.shards}
        return _tuple((yield Call(OPEN, actor_id(self.name), "wait", arguments, wait)))

    def _all(self, what: str, pattern: Sequence[Any], limit: int) -> Operation[list[Tuple]]:
        wanted = as_pattern(pattern)
        given: object = limit
        if type(given) is not int or given < 1:
            raise ValueError(f"limit is {given!r:.80}: give a whole number from 1 on")
        found: list[Tuple] = []
        for shard in self._of_pattern(wanted):
            after = None
            while len(found) < limit:
                arguments = {"pattern": wanted, "limit": min(limit - len(found), MAX_PAGE), "after": after}
                answer = yield self._call(shard, what, arguments, reads=what == "read_all")
                found += map(_tuple, answer["entries"])
                after = answer["after"]
                if after is None:
                    break
        return found

    def _at(self, shard: int, what: str, pattern: Tuple, wait: float | None) -> Operation[Any]:
        if what == "read" and wait == 0:
            entry, decided = yield self._call(shard, "peek", {"pattern": pattern}, reads=True)
            if decided:
                return entry
        return (yield self._call(shard, what, {"pattern": pattern, "wait": wait}, wait))

    def _call(
        self, shard: int, handler: str, arguments: dict[str, Any], wait: float | None = 0.0,
        reads: bool = False,
    ) -> Call:  # fmt: skip
        id = actor_id(self.name, shard) if self.shards > 1 else actor_id(self.name)
        return Call(TYPE, id, handler, arguments, wait, reads)

    def _lease(self, shard: int, answer: dict[str, int]) -> Lease:
        return Lease(answer["id"] * self.shards + shard, answer["due"])

    def _split(self, id: Lease | int) -> tuple[int, int]:
        given = id.id if isinstance(id, Lease) else id
        if type(given) is not int:
            raise ValueError(f"{given!r:.80} is no id of a tuple or subscription: give its Lease, or the id")
        return given % self.shards, given // self.shards

    def _of_tuple(self, tuple: Sequence[Any]) -> int:
        given: object = tuple
        if isinstance(given, str) or not isinstance(given, Sequence) or not given:
            raise ValueError(f"a tuple is a list of 1 to 64 values, not {given!r:.80}")
        return self._of_value(given[0])

    def _of_value(self, value: Any) -> int:
        return 0 if self.shards == 1 else shard_of(canonical(value), self.shards)

    def _of_pattern(self, pattern: Tuple) -> list[int]:
        """The shards that may have what matches."""
        first = pattern[0] if pattern else None
        if self.shards == 1 or len(pattern) == 0:
            return [0]
        if isinstance(first, dict):
            values = [first["is"]] if "is" in first else first.get("in")
            if isinstance(values, list) and values:
                return sorted({self._of_value(value) for value in values})
            return list(range(self.shards))
        return list(range(self.shards)) if first is None or first == "*" else [self._of_value(first)]

    def _same_shard(self, shards: Iterable[list[int]]) -> int:
        found = {tuple(one) for one in shards}
        if len(found) > 1 or any(len(one) != 1 for one in found):
            raise ValueError(
                f"space {self.name!r} is sharded by the first field: what is done in one has to be of one "
                "shard, so let all say the same first field"
            )
        return min(found)[0] if found else 0


class TupleSpaces(TupleSpace):
    """``host.ts`` and ``client.ts``: the space ``default``, and the way to others."""

    def space(self, name: str) -> TupleSpace:
        """Another space; ``jobs*8`` is one that is spread over eight actors."""
        return TupleSpace(self._run, name)


def _tuple(answer: dict[str, Any] | None) -> Any:
    return None if answer is None else answer["tuple"]


def _planned(operation: dict[str, Any]) -> dict[str, Any]:
    given: object = operation
    if not isinstance(given, dict):
        raise ValueError(f'an operation is a dict such as {{"op": "take", "pattern": …}}, not {given!r:.80}')
    return {**given, "pattern": as_pattern(given["pattern"])} if "pattern" in given else given
