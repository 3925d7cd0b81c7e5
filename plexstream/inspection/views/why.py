"""Why an actor makes no progress, as the log tells it: from its partition down to whom it waits for."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from plexstream.inspection.history import Progress, Rebuilt, entries, read, rebuild
from plexstream.inspection.views.invocations import Invocation, deferred, pending, retried
from plexstream.log.base import Log
from plexstream.log.installation import count_of
from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Claim
from plexstream.model.journal.life import FIELD, decode_life
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages.address import full, parse, partition_of, type_of
from plexstream.model.messages.message import DeadLetter, Envelope
from plexstream.model.messages.text import taken_apart
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.sums.snapshots import split_fields
from plexstream.processor.journal.sums.fold import MAILBOX, Fold
from plexstream.processor.journal.sums.spans import holds
from plexstream.processor.state.ports import Settings
from plexstream.schema.codec import decode_dead_letter, decode_envelope

_ACTOR = Piece.ACTOR.value
_LETTERS = 3
CAREFUL = Settings().careful_turns
"""Turns after which the deaths of earlier owners say nothing of the one that there is."""
_DEEPEST = 20
"""Actors in a chain of asks that are followed."""


class Reason(NamedTuple):
    """Something that keeps the actor, or did. `advice` says what to do about it, where anything is to be."""

    text: str
    advice: str = ""


class Queued(NamedTuple):
    """A message in the mailbox that is not handled yet."""

    offset: int
    id: str
    handler: str
    sender: str
    time: int


class Account(NamedTuple):
    """What there is to say of one actor.

    Attributes:
        backlog: messages of the whole partition that are not handled yet.
        queue: those of them that are for this actor, oldest first; reads since the last mark are among them.
        letters: the latest messages to it that were put aside.
        asked: the accounts of the actors that its handlers wait for, by address; each only once.
    """

    address: str
    partition: int
    reasons: list[Reason]
    backlog: int
    queue: list[Queued]
    invocations: list[Invocation]
    letters: list[DeadLetter]
    asked: dict[str, Account]


def why(
    log: Log, topics: Topics, address: str, progress: Progress | None = None, *, alone: bool = False
) -> Account:
    """Look into an actor, and into those that it waits for.

    Parameters:
        alone: whether no node can be running, as where this process has the embedded log.

    Raises:
        BadAddress: `address` is none.
        HistoryGone: the log alone does not tell.
    """
    return _account(log, topics, full(address), set(), progress, alone)


def _account(
    log: Log, topics: Topics, address: str, seen: set[str], progress: Progress | None, alone: bool
) -> Account:  # fmt: skip
    seen.add(address)
    partition = partition_of(address, count_of(log, topics) or 1)
    found = rebuild(log, topics, partition, wanted=address.__eq__, progress=progress)
    queue, backlog = _queue(log, topics, address, partition, found.fold)
    running = [
        *pending(found.store, address), *retried(found.store, address), *deferred(found.store, address),
    ]  # fmt: skip
    reasons = [*_owner(log, topics, address, partition, found.fold, alone), *_life(found, address)]
    asked: dict[str, Account] = {}
    for wait in (w for invocation in running for w in invocation.waits if w.kind == "ask"):
        target = target_of(wait.what)
        if target not in seen and len(seen) < _DEEPEST:
            asked[target] = _account(log, topics, target, seen, progress, alone)
    letters = list(_letters(log, topics, address, partition))
    return Account(address, partition, reasons, backlog, queue, running, letters, asked)


def target_of(ask: str) -> str:
    """The address of whom an ask goes to."""
    return taken_apart(ask)[0]


def _owner(
    log: Log, topics: Topics, address: str, partition: int, fold: Fold, alone: bool
) -> Iterator[Reason]:  # fmt: skip
    if fold.claim < 0:
        yield Reason(f"no node has ever taken partition {partition}", "start one: plexstream run FILE")
        return
    claims = entries(log, topics, partition, fold.claim, fold.claim + 1)
    found = next((e for e in claims if type(e.record) is Claim), None)
    claim = found.record if found is not None and type(found.record) is Claim else None
    node = claim.node if claim is not None else "its last owner"
    if fold.released:
        text = f"partition {partition} is in nobody's hands: {node} has let go of it in good order"
        yield Reason(text, "start a node, or see why none takes it: plexstream doctor")
    elif alone:
        died = "" if fold.crashes == 0 else f", and so did {_owners(fold.crashes)} before it"
        text = f"partition {partition} is in nobody's hands: {node} ended without letting go of it{died}"
        yield Reason(text, "start a node; the log of the last one, if it has one, says why it ended")
    elif fold.crashes and fold.turns < (1 if fold.crashes == 1 else CAREFUL):  # else it is past
        before = f"{_owners(fold.crashes)} of partition {partition} before {node}"
        text = f"{before} ended without letting go of it"
        more = f" ({node} has done {fold.turns} turns since)" if fold.turns else ""
        yield Reason(text + more, f"the log of {node} says why; /v1/status shows whether it is in service")
    if fold.attempt >= 0:
        text = f"mailbox offset {fold.attempt} is tried with care, for the {_nth(len(fold.attempt_by))} time"
        yield Reason(text, "it may be what ends the process: see the log of the node")
    if claim is not None and type_of(address) not in claim.code:
        known = ", ".join(sorted(claim.code)) or "none"
        text = f"{node} has no actor type {type_of(address)!r}; it has {known}"
        yield Reason(text, "deploy the code, or correct the address")


def _owners(number: int) -> str:
    return "the owner" if number == 1 else f"the {number} owners"


def _nth(number: int) -> str:
    return {1: "1st", 2: "2nd", 3: "3rd"}.get(number, f"{number}th")


def _life(found: Rebuilt, address: str) -> Iterator[Reason]:
    core = found.store.get((_ACTOR, address, "", None))
    life = decode_life(split_fields(core.data).get(FIELD)) if core is not None else None
    if life is None:
        return
    parent = f" by its supervisor {parse(life.parent).short}" if life.parent else ""
    if life.stopped:
        yield Reason(f"it has ended: {life.reason}", f"it takes messages once it is started again{parent}")
    elif life.failed:
        yield Reason(f"it has failed, and {life.parent or 'its supervisor'} has not decided yet")


def _queue(log: Log, topics: Topics, address: str, partition: int, fold: Fold) -> tuple[list[Queued], int]:
    place = (topics.mailbox, partition)
    inbox = fold.inboxes.get(MAILBOX)
    known = inbox.plain(MAILBOX) if inbox is not None else None
    low, done = (known.low, known.spans) if known is not None else (0, ())
    queue: list[Queued] = []
    backlog = 0
    for records in read(log, place, low, log.range(place)[1]):
        for r in records:
            if holds(done, r.offset):
                continue
            backlog += 1
            if r.key != address.encode():
                continue
            try:
                e: Envelope = decode_envelope(r.value or b"")
            except Malformed:
                continue
            queue.append(Queued(r.offset, e.id, e.handler, e.sender, r.time))
    return queue, backlog


def _letters(log: Log, topics: Topics, address: str, partition: int) -> Iterator[DeadLetter]:
    if log.partitions(topics.deadletter) is None:
        return
    place = (topics.deadletter, partition)
    last: deque[DeadLetter] = deque(maxlen=_LETTERS)
    for records in read(log, place, *log.range(place), committed=True):
        for r in records:
            if r.key != address.encode():
                continue
            try:
                last.append(decode_dead_letter(r.value or b""))
            except Malformed:
                continue
    yield from last
