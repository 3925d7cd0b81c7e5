"""Handlers that wait, and replies that are deferred, as the log has them: for what, and since when."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import msgspec

from plexstream.inspection.history import Progress, entries, rebuild
from plexstream.log.base import Log
from plexstream.log.installation import count_of
from plexstream.model.journal.attempt import FIELD, Attempt, decode_attempt
from plexstream.model.journal.deferred import CALLS, decode_deferred, read_call
from plexstream.model.journal.journal import Command, CommandKind, Completion, Step, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.messages.address import partition_of, type_of
from plexstream.model.messages.awakeable import make_id
from plexstream.model.messages.message import ASK, deadline_of
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.sums.snapshots import split_fields
from plexstream.processor.state.histories.histories import own_step
from plexstream.processor.state.ports import Store
from plexstream.processor.waiting.invocation import invocation as waiting
from plexstream.processor.waiting.invocation.machine import State
from plexstream.schema.codec import decode_step
from plexstream.store.rocks import RocksStore

_ACTOR, _ENTRY, _STEP = Piece.ACTOR.value, Piece.ENTRY.value, Piece.STEP.value
_FIELD = f'"{FIELD}"'.encode()
WAITS, PAUSED, QUEUED, RUNS, RETRIES = "waits", "paused", "queued", "runs", "tries again"
STUCK, DEFERRED = "stuck", "deferred"


class Tried(NamedTuple):
    """The latest of some attempts, which has failed: number `attempt` of at most `of`."""

    attempt: int
    of: int
    next: int  # when it is tried again
    error: str


class Wait(NamedTuple):
    """Something that a handler has asked for and does not have.

    `what` names it: target and handler of an ask, the step's name of a run, the promise's name, or the id
    that completes an awakeable; of a reply that is deferred, who waits for it: an actor, or empty for one
    outside.
    """

    number: int
    kind: str  # ask, run, sleep, awakeable, promise or reply
    what: str
    since: int  # ms since the Unix epoch, like all times here
    due: int  # of a sleep, and of a reply from when on nobody waits for it, if that is known; else 0
    tried: Tried | None = None  # of a run that has failed


class Invocation(NamedTuple):
    """A handler that has not ended, named ``address#number``; number 0: a tell that failed before it waited.

    `status`: it "waits"; it is "paused"; it is "queued" behind another handler of its actor; it "runs", or
    is about to; it "tries again" after a failure, which `tried` tells; it is "stuck": its code asks for
    something else than is recorded of it, as `stuck` tells; its reply is "deferred": it has ended, and a
    later turn is to answer who waits.
    """

    address: str
    number: int
    handler: str
    kind: str  # ask or tell
    caller: str  # who asked: an actor, or empty for one outside
    message: str  # id of the message
    status: str
    began: int
    since: int  # of its latest step
    steps: int
    waits: list[Wait]
    tried: Tried | None
    restarts: int = 0  # from a step
    stuck: str = ""  # what differs


def invocations(
    log: Log, topics: Topics, partition: int, type_name: str | None = None, progress: Progress | None = None
) -> Iterator[Invocation]:
    """The handlers of a partition that have not ended, by address and number.

    Raises:
        HistoryGone: the log alone does not tell.
    """
    with tempfile.TemporaryDirectory(prefix="plexstream-ps-") as folder:
        store = RocksStore(Path(folder))  # there may be more than fit into memory
        try:
            wanted = None if type_name is None else lambda address: type_of(address) == type_name
            rebuild(log, topics, partition, store=store, wanted=wanted, progress=progress)
            yield from pending(store)
            yield from retried(store)
            yield from deferred(store)
        finally:
            store.close()


def pending(store: Store, address: str | None = None) -> Iterator[Invocation]:
    """The handlers in a store that have not ended, of an actor or of all."""
    before = ""
    pieces = groupby(store.scan(_STEP, address), key=lambda piece: (piece.address, piece.name))
    for (of, name), group in pieces:
        yield _sum(of, int(name), (decode_step(p.data) for p in group), behind=of == before)
        before = of


def retried(store: Store, address: str | None = None) -> Iterator[Invocation]:
    """The tells in a store that failed before they waited, and are to be tried again: an actor's, or all."""
    for piece in store.scan(_ACTOR, address):
        if _FIELD not in piece.data:
            continue
        found = decode_attempt(split_fields(piece.data).get(FIELD))
        if found is not None:
            id = found.cause.rpartition("/")[0]
            yield Invocation(
                piece.address, 0, found.handler, "tell", "", id, RETRIES, found.began, found.began, 0, [],
                tried(found),
            )  # fmt: skip


def deferred(store: Store, address: str | None = None) -> Iterator[Invocation]:
    """The calls in a store that a later turn is to answer, of an actor or of all, and who waits."""
    for piece in store.scan(_ENTRY, address, CALLS) if address is not None else store.scan(_ENTRY):
        if piece.name != CALLS or piece.key is None:
            continue
        entry = decode_deferred(piece.data)
        if entry.gone:
            continue
        id, reply_to = read_call(piece.key)
        caller = reply_to if "/" in reply_to else ""
        wait = Wait(0, "reply", caller, entry.since, deadline_of(id))
        yield Invocation(
            piece.address, entry.number, entry.handler, "ask", caller, id, DEFERRED, entry.since, entry.since,
            0, [wait], None,
        )  # fmt: skip


def tried(a: Attempt) -> Tried:
    """An attempt that has failed, for people and programs."""
    return Tried(a.number, a.of, a.next, f"{a.code}: {a.detail}")


def _sum(address: str, number: int, steps: Iterable[Step], behind: bool) -> Invocation:
    """What the steps of an invocation say, folded as its processor does."""
    history = [own_step(step, number) for step in steps]
    begin = next(step.begin for step in history if step.begin is not None)
    inv = waiting.Invocation(address, number, begin, len(history))
    inv.restore(history)
    asked = {command.number: step.time for step in history for command in step.commands}
    attempts = {step: tried(attempt) for step, attempt in inv.tried.items()}
    waits = [
        _wait(address, number, command, asked[n])._replace(tried=attempts.get(n))
        for n, command in inv.outstanding.items()
    ]
    if inv.state is State.PAUSED:
        status = PAUSED
    elif inv.state is State.STUCK:
        status = STUCK
    elif inv.state is State.RETRYING:
        status = RETRIES
    elif inv.state is State.PARKED:
        status = QUEUED if behind else RUNS
    else:
        status = RUNS if inv.news or not waits else WAITS
    kind = "ask" if begin.kind == ASK else "tell"
    return Invocation(
        address, number, begin.handler, kind, begin.sender, begin.id, status, begin.time, inv.since,
        len(history), waits, attempts.get(-1), inv.restarts, inv.stuck,
    )  # fmt: skip


def _wait(address: str, number: int, command: Command, time: int) -> Wait:
    kind = CommandKind(command.kind)
    what = command.name
    if kind == CommandKind.AWAKEABLE:
        what = make_id(f"{address}#{number}.{command.number}", command.name)
    return Wait(command.number, kind.name.lower(), what, time, command.due)


def failure_of(completion: Completion) -> str:
    """What an error says, for people."""
    try:
        body = msgspec.json.decode(completion.value, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        return completion.value.decode(errors="replace")
    return f"{body.get('code', 'error')}: {body.get('detail', '')}"


class Recorded(NamedTuple):
    """A step, or the one turn of a handler that did not wait, and its journal offset."""

    offset: int
    step: Step | Turn


def recorded(
    log: Log, topics: Topics, address: str, number: int, progress: Progress | None = None
) -> list[Recorded]:
    """What the log still has of an invocation, in order; of one that has ended, what is not trimmed.

    Raises:
        HistoryGone: the log alone does not tell.
    """
    partition = partition_of(address, count_of(log, topics) or 1)
    found: dict[int, Recorded] = {}
    store = rebuild(log, topics, partition, wanted=address.__eq__, progress=progress).store
    for piece in store.scan(_STEP, address, f"{number:020}"):
        _note(found, number, _of_piece(piece))
    first, end = log.range((topics.journal, partition))
    for entry in entries(log, topics, partition, first, end, progress=progress):
        r = entry.record
        if entry.counts and isinstance(r, Step | Turn) and r.actor == address:
            _note(found, number, Recorded(entry.offset, r))
    return [found[at] for at in sorted(found)]


def _of_piece(piece: Snapshot) -> Recorded:
    return Recorded(piece.offset, decode_step(piece.data))


def _note(found: dict[int, Recorded], number: int, r: Recorded) -> None:
    step = r.step
    if type(step) is Turn:
        ours = step.seq == number and not found
    else:
        assert type(step) is Step
        ours = number in (step.invocation, step.next)
    if ours:
        found[r.offset] = r
