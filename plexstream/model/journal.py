"""Journal records: what each turn did, and who may write. The journal is the truth."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Status(IntEnum):
    """How a turn ended. Only DONE changes state."""

    DONE = 0
    REJECTED = 1  # the handler refused: rolled back, answered, not retried
    FAILED = 2  # the handler raised, or the message was bad: rolled back, answered or put aside


class OutKind(IntEnum):
    """What an outgoing item of a turn is."""

    TELL = 0  # to another actor's mailbox
    ASK = 1
    REPLY = 2  # to `target`, an edge or an actor that asked
    ERROR = 3
    EMIT = 4  # to the output topic `target`, under `key`
    TIMER = 5  # `payload` to `handler` of `target` at `due`
    CANCEL = 6  # timer `id` of this actor
    DEADLETTER = 7  # the cause itself, put aside for `key`
    TICK = 8  # `handler` every `due` ms while the actor is in memory, or no more: never in a journal


DONE, REJECTED, FAILED = (s.value for s in Status)


class Change(NamedTuple):
    """One change of state. `key` is None for a plain field; `value` is None where it is deleted."""

    field: str
    key: str | None
    value: bytes | None


class Out(NamedTuple):
    """One outgoing item. `due` is in milliseconds since the Unix epoch, and only timers have it."""

    kind: int
    id: str
    target: str
    handler: str
    payload: bytes
    key: str = ""
    note: str = ""
    due: int = 0


class Claim(NamedTuple):
    """Takes the partition. Its offset names the reign."""

    token: str
    node: str
    time: int
    code: dict[str, str]  # actor type -> version of its code


class Turn(NamedTuple):
    """One message handled by one actor, all of it: it counts only under the latest claim before it."""

    claim: int
    actor: str
    seq: int  # the actor's turn number, from 1
    cause_topic: str  # "mailbox", "timer", ...
    cause_offset: int
    time: int
    status: int
    fresh: bool  # the state before was expired: folded away first
    idempotency_key: str
    patch: tuple[Change, ...] | list[Change]
    handler: str
    message_id: str
    sender: str
    cause_kind: int
    cause_origin: str
    cause_seq: int
    cause_index: int
    outs: tuple[Out, ...] | list[Out]


class Origin(NamedTuple):
    """The newest message that an inbox has accepted from one origin."""

    origin: str
    seq: int
    item: int


class Inbox(NamedTuple):
    """How far an inbox topic is done: all below `low`. From `low` to `next` all but `done` is waiting.

    `origins` is as of `next`: what was waiting has passed the check already.
    """

    topic: str
    low: int
    next: int
    done: tuple[int, ...] | list[int]
    origins: tuple[Origin, ...] | list[Origin]


class Mark(NamedTuple):
    """Progress, ownership, and nothing else. Counts only under the latest claim before it."""

    claim: int
    time: int
    inboxes: tuple[Inbox, ...] | list[Inbox]
    relayed: int  # journal offset below which every message and reply has arrived
    emitted: int  # journal offset below which every output record has
    attempt: int  # mailbox offset about to be tried with care, or -1
    timer: str  # timer (actor#id) about to be tried with care, or ""
    release: bool  # the owner lets go in good order


class Partition(NamedTuple):
    """The sum of a journal up to offset `start`.

    From `floor` on something may be owed; from `unsaved` on the snapshot topic may lack something.
    `claims` says which claims were in force from the lower of them to `start`.
    """

    start: int = 0
    floor: int = 0
    unsaved: int = 0
    claims: tuple[int, ...] = ()
    inboxes: tuple[Inbox, ...] = ()
    relayed: int = 0
    emitted: int = 0
    crashes: int = 0  # reigns in a row that did not end in good order
    turns: int = 0  # of the reign in force
    released: bool = True  # the reign in force ended in good order
    attempt: int = -1  # mailbox offset tried with care, or -1
    attempts: int = 0  # how often in a row
    timer: str = ""  # timer (actor#id) tried with care
    timer_attempts: int = 0  # how often in a row


JournalRecord = Claim | Turn | Mark
