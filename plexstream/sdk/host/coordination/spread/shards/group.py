"""Shard groups: data-parallel actors, each with a part of the keys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.operation import (
    Call,
    Noun,
    Operation,
    Outcome,
    Runner,
    actor_id,
    operation,
    patience,
    reading,
    together,
)
from plexstream.sdk.host.coordination.spread.shards.placement import place
from plexstream.sdk.host.coordination.spread.shards.reducers import REDUCERS, reduced
from plexstream.sdk.host.coordination.spread.shards.results import (
    Definition,
    Gathered,
    Status,
    gathered,
    too_few,
)
from plexstream.sdk.spec import MAX_SECONDS

POLICIES = ("all", "any", "quorum", "partial")
Arguments = Mapping[str, Any]


class ShardGroup(Noun):
    """Actors of one type that share data by key: ``TYPE/GROUP~0`` and on, one for each shard.

    The members are ordinary actors of the application, and this calls their handlers. What goes to several
    goes to them at the same time, and takes effect in each by itself: there is no transaction over shards.
    In a handler each call is a step, so that a crash repeats none. An error of a member is raised, once all
    have answered; `scatter_gather` reports them instead.

    How many shards there are stands for good: what moves with another number is in the members' own state.
    For more shards create another group and tell it what the members of this one have; with the placement
    ``consistent`` nearly all keys keep the number of their shard.
    """

    @operation
    def create(
        self,
        type: str,
        shards: int,
        placement: str = "hash",
        bounds: Sequence[str] | None = None,
        args: Arguments | None = None,
    ) -> Operation[bool]:
        """Make the group. The same again changes nothing.

        Members need no start: like all actors they are there once they are called. With `args` they are
        started, and it is waited until their init handlers have run. A member that was started ends by its
        first failure; then it is stopped, until `start`.

        Parameters:
            type: of the members, one of the application's.
            shards: how many, at most 1,000.
            placement: of keys: ``hash``, ``consistent`` (few keys have another shard where there are more),
                or ``range``, by their order as texts.
            bounds: of a range: the least key of each shard but the first.
            args: for the init handler of each, with ``shard`` and ``shards`` besides; without one they fill
                the state fields of those names, which have to be there.

        Raises:
            Rejected: another group has this name; or a member has not started, and there is no group.
        """
        made = {"type": type, "shards": shards, "placement": placement, "bounds": bounds, "args": args}
        self._refuse((yield self._call("create", made)), "have not started, so there is no group")
        return True

    @operation
    def start(self) -> Operation[bool]:
        """Start again those members that have ended. Of a group that was created with `args`."""
        self._refuse((yield self._call("start", {})), "have not started")
        return True

    @reading
    def members(self) -> Operation[Sequence[str]]:
        """The addresses of the members, by shard."""
        group = yield from self._definition()
        return [f"{group.type}/{actor_id(self.name, shard)}" for shard in range(group.shards)]

    @reading
    def status(self) -> Operation[Status]:
        """What the group is, and who waits at its barriers."""
        row, barriers = yield self._call("status", {}, reads=True)
        shown = [
            {"name": name, "parties": parties, "waiting": waiting, "broken": broken, "since": since}
            for name, parties, waiting, broken, since in barriers
        ]
        return Status(*_definition(row), shown)

    @reading
    def locate(self, key: str) -> Operation[int]:
        """The shard that a key belongs to."""
        _keys([key])
        group = yield from self._definition()
        return _shard(group, key)

    @operation
    def bulk_update(self, updates: Mapping[str, Any], handler: str) -> Operation[dict[int, Any]]:
        """Send each key's update to its shard, in one message for all keys of a shard.

        Parameters:
            updates: by key, whatever the handler takes.
            handler: of the members: it gets ``updates``, those of its own keys.

        Returns:
            What it returned, by shard, of those shards that have any of the keys.
        """
        _checked(handler)
        _keys(_object("updates", updates, "by key"))
        group = yield from self._definition()
        parts: dict[int, dict[str, Any]] = {}
        for key, update in updates.items():
            parts.setdefault(_shard(group, key), {})[key] = update
        calls = [self._to(group, shard, handler, {"updates": parts[shard]}) for shard in sorted(parts)]
        return dict(zip(sorted(parts), (yield from together(calls)), strict=True))

    @operation
    def map(self, handler: str, arguments: Arguments | None = None) -> Operation[Sequence[Any]]:
        """Call a handler of every member; returns the results, by shard."""
        given = _asked(handler, arguments)
        group = yield from self._definition()
        return (yield from self._mapped(group, handler, given))

    @operation
    def reduce(
        self, handler: str, arguments: Arguments | None = None, by: str | Mapping[str, str] = "concat"
    ) -> Operation[Any]:
        """Call a handler of every member, and make one value of the results.

        Parameters:
            by: ``sum`` of numbers, or of lists or objects of them, place by place; ``min`` or ``max`` of
                numbers or texts; ``concat`` of lists; ``merge`` of objects, of a key the latest shard's; or
                ``{"actor": "type/id", "handler": name}``, which gets ``results``, by shard.

        Raises:
            Rejected: a result does not go with the others; it says of which shard.
        """
        given = _asked(handler, arguments)
        _reducer(by)
        group = yield from self._definition()
        return (yield from self._reduced(group, handler, given, by))

    @operation
    def all_reduce(
        self,
        handler: str,
        to: str,
        arguments: Arguments | None = None,
        by: str | Mapping[str, str] = "concat",
    ) -> Operation[Any]:
        """`reduce`, and then let every member know what came of it. All have it when this returns.

        Parameters:
            to: a handler of the members, which gets it as ``value``.
        """
        given = _asked(handler, arguments)
        _reducer(by)
        _checked(to)
        group = yield from self._definition()
        value = yield from self._reduced(group, handler, given, by)
        yield from self._mapped(group, to, {"value": value})
        return value

    @operation
    def scatter_gather(
        self,
        handler: str,
        arguments: Arguments | Sequence[Arguments] | None = None,
        policy: str = "all",
        deadline: float | None = None,
    ) -> Operation[Gathered]:
        """Call a handler of every member, and report what each has come to.

        It waits for all, or until the deadline; then the policy says whether enough have answered.

        Parameters:
            arguments: the same for all, or a list with those of each shard.
            policy: ``all`` have to answer; ``any``, one at least; ``quorum``, more than half; ``partial``,
                none need.
            deadline: seconds after which a shard that has not answered counts as ``timed_out``; what it was
                told may take effect all the same. None: as long as calls take.

        Raises:
            Rejected: too few have answered; its data has the results and failures of all.
        """
        if policy not in POLICIES:
            raise ValueError(f"policy is {policy!r:.80}: give one of {', '.join(POLICIES)}")
        _deadline(deadline)
        each = [_asked(handler, own) for own in (arguments if _is_list(arguments) else [arguments])]
        group = yield from self._definition()
        outcomes: list[Outcome] = yield [
            self._to(group, shard, handler, own, deadline)
            for shard, own in enumerate(_by_shard(group, each, _is_list(arguments)))
        ]
        found = gathered(outcomes)
        enough = {"all": group.shards, "any": 1, "quorum": group.shards // 2 + 1, "partial": 0}[policy]
        if len(found.results) < enough:
            raise too_few(self.name, policy, enough, found)
        return found

    @operation
    def broadcast(self, handler: str, arguments: Arguments | None = None) -> Operation[int]:
        """Tell every member, all or none, without waiting for what they do. Returns how many there are.

        They are told by the group: that is who their `host.sender` is. So all of it is one turn's: the
        arguments are 3 MB at most, divided by the number of members.
        """
        said = {"handler": handler, "arguments": dict(_asked(handler, arguments))}
        number: int = yield self._call("broadcast", said)
        return number

    @operation
    def barrier(self, barrier: str, parties: int, wait: float | None = None) -> Operation[int]:
        """Wait until so many do: the last to come releases all, and the barrier is as new.

        Who has gone, since it was cancelled, killed, or had a time limit of its own, counts no more.

        Parameters:
            barrier: its name in this group.
            parties: how many have to come, at most 1,000.
            wait: seconds; where they pass before all have come, the barrier is broken for all that wait and
                those to come, until `reset_barrier`. 0: it breaks unless all others wait. None: for ever.

        Returns:
            The how manieth it was to come, from 0.

        Raises:
            Rejected: it is or was broken, was reset, or others wait there for another number of parties.
        """
        said = {"name": barrier, "parties": parties, "wait": patience(wait)}
        number: int = yield self._call("barrier", said, wait=wait)
        return number

    @operation
    def reset_barrier(self, barrier: str) -> Operation[int]:
        """Make a barrier anew, also one that is broken: who waits is rejected. Returns how many did."""
        number: int = yield self._call("reset_barrier", {"name": barrier})
        return number

    @operation
    def delete(self) -> Operation[bool]:
        """Forget the group; whether there was one. Raises Rejected: somebody waits at a barrier.

        Members that were started are stopped. Others keep their state, also for a group of the same name.
        """
        return bool((yield self._call("delete", {})))

    # Calls

    def _definition(self) -> Operation[Definition]:
        return _definition((yield self._call("get", {}, reads=True)))

    def _mapped(
        self, group: Definition, handler: str, arguments: Arguments
    ) -> Operation[Sequence[Any]]:
        calls = (self._to(group, shard, handler, arguments) for shard in range(group.shards))
        return (yield from together(calls))

    def _reduced(
        self, group: Definition, handler: str, arguments: Arguments, by: str | Mapping[str, str]
    ) -> Operation[Any]:
        answers = yield from self._mapped(group, handler, arguments)
        if isinstance(by, str):
            return reduced(by, answers)
        type, _, id = by["actor"].partition("/")
        return (yield Call(type, id, by["handler"], {"results": answers}))

    def _refuse(self, failed: Mapping[str, str], so: str) -> None:
        if failed:
            why = "; ".join(f"{shard}: {detail}" for shard, detail in list(failed.items())[:5])
            raise Reject(f"shards of {self.name!r} {so}: {why}", dict(failed))

    def _call(
        self, handler: str, arguments: dict[str, Any], reads: bool = False, wait: float | None = 0.0
    ) -> Call:
        return Call("plex.shards", actor_id(self.name), handler, arguments, wait, reads)

    def _to(
        self, group: Definition, shard: int, handler: str, arguments: Arguments, limit: float | None = None
    ) -> Call:
        return Call(group.type, actor_id(self.name, shard), handler, dict(arguments), limit=limit)


class ShardGroups:
    """``host.shards`` and ``client.shards``: the way to shard groups, by name."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def group(self, name: str) -> ShardGroup:
        """A shard group, which `ShardGroup.create` makes."""
        return ShardGroup(self._run, name)


def _definition(row: Mapping[str, Any]) -> Definition:
    return Definition(row["type"], row["shards"], row["placement"], row["bounds"])


def _shard(group: Definition, key: str) -> int:
    return place(key, group.placement, group.shards, group.bounds)


def _keys(keys: Iterable[object]) -> None:
    """Raises ValueError: one is none."""
    for key in keys:
        if not isinstance(key, str):
            raise ValueError(f"a key is a text, not {key!r:.80}: write str(key)")


def _asked(handler: str, arguments: object) -> Arguments:
    """The arguments of a handler of the members. Raises ValueError: these, or the handler, cannot be."""
    _checked(handler)
    return {} if arguments is None else _object("arguments", arguments, "by name")


def _checked(handler: str) -> None:
    """Raises ValueError: it is no handler that members have; those of the system are not for callers."""
    given: object = handler
    if not isinstance(given, str) or not handler or handler.startswith("$"):
        raise ValueError(f"{handler!r:.80} is no handler of the members: give the name of one")


def _object(what: str, given: object, by: str) -> Arguments:
    if not isinstance(given, Mapping):
        raise ValueError(f"{what} is {given!r:.80}: give an object, {by}")
    return given


def _is_list(given: object) -> TypeGuard[Sequence[Any]]:
    return isinstance(given, list | tuple)


def _reducer(by: object) -> None:
    """Raises ValueError."""
    if isinstance(by, str) and by in REDUCERS:
        return
    if not isinstance(by, Mapping) or set(by) != {"actor", "handler"}:
        raise ValueError(
            f"by is {by!r:.80}: give one of {', '.join(REDUCERS)}, or "
            """{"actor": "type/id", "handler": "name"}"""
        )
    _checked(by["handler"])
    address = by["actor"]
    if not isinstance(address, str) or address.count("/") != 1:
        raise ValueError(f"by names the actor {address!r:.80}: write type/id, one of your own namespace")


def _deadline(seconds: object) -> None:
    """Raises ValueError."""
    if seconds is None:
        return
    number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not number or not 0 < seconds <= MAX_SECONDS:  # type: ignore[operator]
        raise ValueError(f"deadline is {seconds!r:.80}: give seconds above 0, at most {MAX_SECONDS}")


def _by_shard(group: Definition, arguments: Sequence[Arguments], each: bool) -> Sequence[Arguments]:
    if not each:
        return [*arguments] * group.shards
    if len(arguments) != group.shards:
        raise Reject(
            f"{len(arguments)} arguments for {group.shards} shards: give a list with those of each shard"
        )
    return arguments
