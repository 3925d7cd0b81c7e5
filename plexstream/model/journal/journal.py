"""Journal records: what each turn did, and who may write. The journal is the truth."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple


class Status(IntEnum):
    """How a turn ended. Only DONE changes state."""

    DONE = 0
    REJECTED = 1  # the handler refused: rolled back, answered, not retried
    FAILED = 2  # the handler raised, or the message was bad: rolled back, answered or put aside
    WAITING = 3  # of a step: the handler goes on later
    MEANWHILE = 4  # of a step: a turn of another handler, while this one waits


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
    KEPT = 9  # what a tell came to, for who asks for it: the result, or with `key` an ErrorBody. Goes nowhere
    LATER = 10  # a later turn answers the call `id`, by a token with the secret `key`: never in a journal
    OVER = 11  # nobody waits for the answer to the call `id` any more, which is forgotten: never in a journal


DONE, REJECTED, FAILED, WAITING, MEANWHILE = (s.value for s in Status)


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
    process: str = ""  # names the owner's process, another one after each start


class Turn(NamedTuple):
    """One message handled by one actor, all of it. Counts only as the next record under the latest claim."""

    claim: int
    actor: str
    seq: int  # the actor's turn number, from 1
    cause_topic: str  # "mailbox", "timer", ...
    cause_offset: int
    time: int
    status: int
    fresh: bool  # the state before was expired: folded away first
    idempotency_key: str  # a mark (`model.idempotency`): what the turn comes to is kept for it
    patch: tuple[Change, ...] | list[Change]
    handler: str
    message_id: str
    sender: str
    cause_kind: int
    cause_origin: str
    cause_seq: int
    cause_index: int
    outs: tuple[Out, ...] | list[Out]
    ordinal: int = 0  # its number in its reign, from 1; 0: not on the log yet, or of a version of before


class CommandKind(IntEnum):
    """What a handler asked for that takes time, or must be the same when it runs again."""

    ASK = 0  # a message to another actor, `name` is its target and handler, `joined`
    RUN = 1  # a side effect, journaled once
    SLEEP = 2
    AWAKEABLE = 3  # completed from outside; `name` is its secret
    PROMISE = 4  # of this actor, by `name`
    VALUE = 5  # known at once, but perhaps another one later: a look at a promise, a version


class Command(NamedTuple):
    """One thing that a handler asked for, by its place in the order of asking."""

    number: int
    kind: int
    name: str
    due: int = 0  # of a SLEEP, in milliseconds since the Unix epoch; of an ASK, 1: it is detached


class Control(IntEnum):
    """What a completion means that is not of a command, as its `number`."""

    CANCEL = -1  # the handler gets an error where it waits
    PAUSE = -2  # it does not go on
    RESUME = -3
    RESTART = -5  # all from command `value` on is forgotten: the handler runs again from there
    STUCK = -6  # its code does not fit what is recorded; `value`: what differs, as text
    LED = -8  # how many of the step's outgoing items, its first ones, its handler has not sent
    INIT = -7  # whether the actor's init hook ran before the handler, where that cannot be seen otherwise
    SEEN = -9  # what of its actor's state the stretch has seen, where others go on beside it
    WITHDRAWN = -10  # who has asked waits for its answer no more
    NOTED = -4  # the step only takes note: the handler did not go on with it; with an error: of an `Attempt`


class Completion(NamedTuple):
    """What became of a command. `value` is the result as JSON, or an ErrorBody where `failed`."""

    number: int
    failed: bool
    value: bytes


class Begin(NamedTuple):
    """The message that an invocation handles: with it, the mailbox is not needed any more."""

    kind: int
    id: str
    handler: str
    payload: bytes
    sender: str
    reply_to: str
    idempotency_key: str
    time: int  # of the turn that began it
    chain: str  # who waits for this, from the first on: "address#invocation", one a line
    base: tuple[Change, ...] | list[Change] | None  # the state then, where others may change it meanwhile


class Step(NamedTuple):
    """One stretch of a handler that waits: an invocation is its steps, the last of which is DONE or failed.

    The fields up to `outs` are those of a `Turn`: what the step changed and sends, and the message or timer
    that it goes back to. `invocation` is the actor's turn number at which the handler began, `number` counts
    its steps from 0. Where `next` is not 0, the invocation ends and goes on as that one, which has
    `begin`; of what is MEANWHILE, `next` is an invocation of another handler, which ends with it.
    """

    claim: int
    actor: str
    seq: int
    cause_topic: str  # "effect" and "promise" have no offset
    cause_offset: int
    time: int
    status: int
    fresh: bool
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
    invocation: int
    number: int
    next: int
    begin: Begin | None
    commands: tuple[Command, ...] | list[Command]
    completions: tuple[Completion, ...] | list[Completion]
    ordinal: int = 0


class Origin(NamedTuple):
    """The newest message that an inbox has accepted from one origin."""

    origin: str
    seq: int
    item: int


class Span(NamedTuple):
    """Offsets from `first` to `end`, exclusive."""

    first: int
    end: int


class Inbox(NamedTuple):
    """How far an inbox topic is done: all below `low`. From `low` to `next` all but `spans` is waiting.

    `origins` is as of `next`: what was waiting has passed the check already. Marks had `done`, offset by
    offset, before they had `spans`.
    """

    topic: str
    low: int
    next: int
    done: tuple[int, ...] | list[int]
    origins: tuple[Origin, ...] | list[Origin]
    spans: tuple[Span, ...] | list[Span] = ()


class Mark(NamedTuple):
    """Progress, ownership, and nothing else. Counts as a turn does."""

    claim: int
    time: int
    inboxes: tuple[Inbox, ...] | list[Inbox]
    relayed: int  # journal offset below which every message and reply has arrived
    emitted: int  # journal offset below which every output record has
    attempt: int  # mailbox offset about to be tried with care, or -1
    timer: str  # timer (actor#id) about to be tried with care, or ""
    release: bool  # the owner lets go in good order
    alive: str = ""  # the process of `claim`, which has lost it and lives
    ordinal: int = 0


class Partition(NamedTuple):
    """The sum of a journal up to offset `start`.

    From `floor` on something may be owed; from `unsaved` on the snapshot topic may lack something.
    `claims` says which claims were in force from the lower of them to `start`, and `uncounted` which records
    under them did not count.
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
    deaths: tuple[str, ...] = ()  # the processes of `crashes`
    attempt_by: tuple[str, ...] = ()  # those of `attempts`
    timer_by: tuple[str, ...] = ()  # those of `timer_attempts`
    process: str = ""  # that of the reign in force
    ordinal: int = -1  # of the last record of that reign that counted; -1: unknown, -2: one is missing
    unread: int = 0  # records since then that could not be read
    uncounted: tuple[Span, ...] = ()  # offsets of what was appended again, and of what follows a missing one


JournalRecord = Claim | Turn | Step | Mark
