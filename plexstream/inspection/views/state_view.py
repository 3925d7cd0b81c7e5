"""An actor's state for people and programs: plain values instead of pieces, and what differs between two."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

from plexstream.inspection.history import Progress, Rebuilt, rebuild
from plexstream.log.base import Log
from plexstream.log.installation import count_of
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.journal.timer import decode_timer
from plexstream.model.messages.address import full, partition_of, type_of
from plexstream.model.topics.topics import Topics
from plexstream.processor.state.ports import Store
from plexstream.sdk.running.collections.keys import readable

_ACTOR, _ENTRY, _TIMER = Piece.ACTOR.value, Piece.ENTRY.value, Piece.TIMER.value
_LIST_ENDS = "#"
_decode = msgspec.json.Decoder().decode


class ActorState(NamedTuple):
    """What an actor is as of a journal offset, inclusive."""

    address: str
    partition: int
    as_of: int
    turn: int  # number of its latest turn; 0: there is no such actor
    time: int  # of that turn
    changed_at: int  # journal offset of that turn
    state: dict[str, Any]
    timers: list[dict[str, Any]]


class Difference(NamedTuple):
    """A field, or an entry of one, that is not the same; `MISSING` stands for what is not there."""

    path: str
    before: Any
    after: Any


MISSING: Any = msgspec.UNSET


def state_at(
    log: Log, topics: Topics, address: str, at: int | None = None, progress: Progress | None = None
) -> ActorState:
    """The state of an actor after the journal record at offset `at`; None: now.

    Raises:
        BadAddress: `address` is none.
        HistoryGone: the state as of `at` cannot be told any more.
    """
    address = full(address)
    count = count_of(log, topics) or 1
    partition = partition_of(address, count)
    until = None if at is None else at + 1
    found = rebuild(log, topics, partition, until=until, wanted=address.__eq__, progress=progress)
    return view(found, address, partition)


def view(found: Rebuilt, address: str, partition: int) -> ActorState:
    """An actor of a rebuilt partition."""
    core = found.store.get((_ACTOR, address, "", None))
    return ActorState(
        address, partition, found.next - 1, core.seq if core else 0, core.time if core else 0,
        core.offset if core else -1, fields_of(found.store, address, core),
        list(_timers(found.store, address)),
    )  # fmt: skip


def fields_of(store: Store, address: str, core: Snapshot | None) -> dict[str, Any]:
    """Plain fields and collections of an actor, decoded."""
    state: dict[str, Any] = dict(_decode(core.data)) if core else {}
    collections: dict[str, dict[str, Any]] = {}
    for piece in store.scan(_ENTRY, address):
        collections.setdefault(piece.name, {})[piece.key or ""] = _decode(piece.data)
    for name, entries in collections.items():
        state[name] = _as_list(entries)
    return state


def _shown(key: str, entries: dict[str, Any]) -> str:
    """A key for people; as it is stored, where a text of the collection looks like that."""
    shown = readable(key)
    return key if shown in entries else shown


def _as_list(entries: dict[str, Any]) -> Any:
    """Items in order, where the entries are those of a `state_list`: numbers, and the ends beside them."""
    ends = entries.get(_LIST_ENDS)
    if isinstance(ends, list) and len(ends) == 2 and all(isinstance(e, int) for e in ends):
        first, end = ends  # of a map it is a value like any other, which may be any numbers
        if end - first == len(entries) - 1 and all(str(n) in entries for n in range(first, end)):
            return [entries[str(n)] for n in range(first, end)]
    return {_shown(key, entries): value for key, value in entries.items()}


def _timers(store: Store, address: str) -> Iterator[dict[str, Any]]:
    for piece in store.scan(_TIMER, address):
        to, handler, schedule, payload = decode_timer(piece.data)
        yield {
            "id": piece.name, "due": piece.time, "to": to, "handler": handler,
            **({"schedule": schedule} if schedule else {}), "arguments": _decode(payload or b"null"),
        }  # fmt: skip


def actors(store: Store, type_name: str | None = None) -> Iterator[Snapshot]:
    """The actors of a store, by address, of one type or of all."""
    for piece in store.scan(_ACTOR):
        if type_name in (None, type_of(piece.address)):
            yield piece


def differences(before: ActorState, after: ActorState) -> list[Difference]:
    """Fields that differ, and within dicts and lists only what differs in them."""
    found = list(_compare("", before.state, after.state))
    old, new = ({t["id"]: t for t in s.timers} for s in (before, after))
    changed = (id for id in sorted({*old, *new}) if old.get(id) != new.get(id))
    found += [Difference(f"timer {id}", old.get(id, MISSING), new.get(id, MISSING)) for id in changed]
    return found


def _compare(path: str, before: Any, after: Any) -> Iterator[Difference]:
    if type(before) is dict and type(after) is dict:
        for key in {**before, **after}:
            inner = f"{path}.{key}" if path else key
            yield from _compare(inner, before.get(key, MISSING), after.get(key, MISSING))
    elif type(before) is list and type(after) is list:
        for index in range(max(len(before), len(after))):
            old = before[index] if index < len(before) else MISSING
            new = after[index] if index < len(after) else MISSING
            yield from _compare(f"{path}[{index}]", old, new)
    elif before != after or type(before) is not type(after):
        yield Difference(path, before, after)
