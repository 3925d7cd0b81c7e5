"""A shard group: what it is, who its members are, and what is said to all of them."""

from __future__ import annotations

import json
from typing import Any

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import count
from plexstream.coordination.shards.barriers import MAX_WORK, Barriers, Row, Waiter
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.spread.shards.placement import PLACEMENTS
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_SHARDS = 1_000
MAX_TYPE = 100
"""Bytes of the name of the members' type."""
MAX_BOUNDS = 100_000
"""Bytes of all bounds of a range placement: every operation reads them."""
MAX_ARGS = 8_000
"""Bytes of the arguments of the members' init handler, as JSON: each member is sent them."""
MAX_BROADCAST = 3_000_000
"""Bytes that all members together are told by one turn."""
_AROUND = 600  # bytes of a message beside its arguments: an address, a handler
_AT_ONCE = 100  # members that one turn starts

_LIVES = "already_started"
_ALIVE = "it lives already, as it is: give the group another name, or leave out args"

Definition = dict[str, Any]  # type, shards, placement, bounds, args


@actor(name="plex.shards")
class Group:
    """Knows what a group is. Operations on its members are their callers' own: nothing passes through here
    but what concerns all of them at once."""

    definition: Definition | None = state(default=None)
    barriers: StateMap[str, Row] = state_map()
    waiters: StateMap[tuple[str, int], Waiter] = state_map()
    known: int = state(default=0)
    serial: int = state(default=0)
    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)

    @handler("create")
    async def create(
        self,
        type: str,
        shards: int,
        placement: str = "hash",
        bounds: list[str] | None = None,
        args: dict[str, Any] | None = None,
    ) -> dict[str, str]:
        """Make the group, and start its members where there are `args`. The same again changes nothing.

        Answers why members have not started, by shard: then those that have are stopped, and there is none.
        """
        wanted = _checked(type, shards, placement, bounds or [], args)
        if self.definition is not None:
            if self.definition != wanted:
                raise Reject(
                    f"shard group {_own()!r} is there, and is another: {_told(self.definition)}. Delete it "
                    f"first, or give the new one ({_told(wanted)}) another name"
                )
            return {}
        started, failed = await _start(wanted)
        if failed:
            for shard in started:
                host.stop(_member(wanted, shard))
            return {shard: _ALIVE if why == _LIVES else why for shard, why in failed.items()}
        self.definition = wanted
        return {}

    @handler("start")
    async def start(self) -> dict[str, str]:
        """Start those members that have ended, with their arguments. Answers why others have not."""
        group = self._there()
        if group["args"] is None:
            raise Reject(
                f"the members of shard group {_own()!r} are there whenever they are called: it was created "
                "without args, so there is nothing to start"
            )
        _, failed = await _start(group)
        return {shard: why for shard, why in failed.items() if why != _LIVES}

    @handler("get", read_only=True)
    def get(self) -> Definition:
        """What the group is."""
        return self._there()

    @handler("status", read_only=True)
    def status(self) -> list[Any]:
        """What the group is, and its barriers: name, parties, who wait, whether broken, since when in ms."""
        group = self._there()
        return [group, [[name, *row[:4]] for name, row in self.barriers.range()]]

    @handler("broadcast")
    def broadcast(self, handler: str, arguments: dict[str, Any]) -> int:
        """Tell every member, all or none. Answers how many."""
        group = self._there()
        if not handler or handler.startswith("$"):
            raise Reject(f"{handler!r} is no handler of a member: give the name of one")
        number: int = group["shards"]
        most = MAX_BROADCAST // number - _AROUND
        if len(json.dumps(arguments, ensure_ascii=False).encode(errors="replace")) > most:
            raise Reject(
                f"the arguments have more than {most} bytes, which is what {number} members can be told at "
                "once: give smaller ones, or let the members fetch what is large"
            )
        for shard in range(number):
            host.tell(_member(group, shard), handler, arguments)
        return number

    @handler("barrier")
    def barrier(self, name: str, parties: int, wait: float | None = None) -> None:
        """Wait until so many do; answers the how manieth it was to come, from 0."""
        self._there()
        Barriers(self).arrive(name, parties, wait)

    @handler("reset_barrier")
    def reset_barrier(self, name: str) -> int:
        """Make a barrier anew: who waits is rejected. Answers how many were."""
        self._there()
        return Barriers(self).reset(name)

    @handler("delete")
    def delete(self) -> bool:
        """Forget the group, and stop the members that it has started. Whether there was one."""
        group = self.definition
        if group is None:
            return False
        waiting = Barriers(self).waited_at()
        if waiting is not None:
            raise Reject(f"at barrier {waiting!r} of shard group {_own()!r} somebody waits: reset it first")
        for name in [name for name, _ in self.barriers.range()]:
            Barriers(self).reset(name)
        if group["args"] is not None:
            for shard in range(group["shards"]):
                host.stop(_member(group, shard))
        self.definition = None
        return True

    @handler("__alarm__")
    def alarm(self) -> None:
        """Break barriers at which somebody has waited for too long."""
        barriers, agenda, work = Barriers(self), Agenda(self), 0
        for what in agenda.due():
            if work < MAX_WORK:
                work += barriers.due(what)
            else:  # with the next turn
                agenda.put(host.now(), what)

    def _there(self) -> Definition:
        if self.definition is None:
            raise Reject(f"there is no shard group {_own()!r}: create it")
        return self.definition


def _own() -> str:
    return host.self_id().rpartition("/")[2]


def _member(group: Definition, shard: int) -> str:
    parts = host.self_id().split("/")
    own = f"{group['type']}/{parts[-1]}~{shard}"
    return f"{parts[0]}/{parts[1]}/{own}" if len(parts) == 4 else own


async def _start(group: Definition) -> tuple[list[int], dict[str, str]]:
    """Start the members: those that were not running before and have started, and why others have not."""
    started: list[int] = []
    failed: dict[str, str] = {}
    shards: int = group["shards"] if group["args"] is not None else 0
    for first in range(0, shards, _AT_ONCE):
        begun = range(first, min(first + _AT_ONCE, shards))
        starts = [_started(group, shard) for shard in begun]
        for shard, start in zip(begun, starts, strict=True):
            try:
                await start
            except Exception as error:
                code = getattr(error, "code", None)
                if code in (None, "cancelled"):
                    raise
                failed[str(shard)] = _LIVES if code == _LIVES else str(error)
            else:
                started.append(shard)
        if set(failed.values()) - {_LIVES}:
            break
    return started, failed


def _started(group: Definition, shard: int) -> Any:
    """The step that starts a member."""
    type, _, id = _member(group, shard).rpartition("/")
    return host.spawn(type, id, {**group["args"], "shard": shard, "shards": group["shards"]}, wait=True)


def _checked(
    type: str, shards: int, placement: str, bounds: list[str], args: dict[str, Any] | None
) -> Definition:
    size = len(type.encode(errors="replace"))
    if not 0 < size <= MAX_TYPE or "/" in type or not type.isprintable() or type in (".", ".."):
        raise Reject(f"{type!r:.120} is no actor type: give the name of one, of 1 to {MAX_TYPE} bytes")
    if type.startswith("plex."):
        raise Reject(f"{type!r} is a type of the system's own: give one of your application")
    count("shards", shards, MAX_SHARDS)
    if placement not in PLACEMENTS:
        raise Reject(f"placement is {placement!r:.80}: give one of {', '.join(PLACEMENTS)}")
    if placement != "range" and bounds:
        raise Reject(f"bounds go with the placement range, not {placement}: leave them out")
    if placement == "range" and (len(bounds) != shards - 1 or sorted(set(bounds)) != bounds):
        raise Reject(
            f"{len(bounds)} bounds for {shards} shards: give {shards - 1}, each greater than the one before: "
            "the least keys of all shards but the first"
        )
    if sum(len(bound.encode(errors="replace")) for bound in bounds) > MAX_BOUNDS:
        raise Reject(f"the bounds are larger than {MAX_BOUNDS} bytes in all: give shorter ones")
    if args is not None and len(json.dumps(args)) > MAX_ARGS:
        raise Reject(f"the args are more than {MAX_ARGS} bytes of JSON: let the members fetch what is large")
    return {"type": type, "shards": shards, "placement": placement, "bounds": bounds, "args": args}


def _told(group: Definition) -> str:
    more = "" if group["args"] is None else f", args {group['args']!r:.80}"
    bounds = f" at {group['bounds']!r:.80}" if group["bounds"] else ""
    return f"{group['shards']} shards of {group['type']} by {group['placement']}{bounds}{more}"
