"""Turns that run no handler, by what they are for. Those of handlers are made at the door."""

from __future__ import annotations

from typing import Any

from plexstream.model.journal.journal import DONE, FAILED, REJECTED, Change, Out, OutKind, Turn
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.model.messages.text import text
from plexstream.processor.journal.records import BadRecord, error_body
from plexstream.processor.journal.sums.fold import MAILBOX, TIMER, TRIED
from plexstream.processor.state.histories.kept import is_kept, kept_out

MAX_DETAIL = 4_000
_ERROR, _DEAD, _TELL = OutKind.ERROR.value, OutKind.DEADLETTER.value, OutKind.TELL.value


def turn_refused(
    claim: int, topic: str, offset: int, e: Envelope, now: int, seq: int,
    code: str, detail: str, data: Any, attempts: int,
    changes: list[Change], notices: list[Out], shown: Envelope | None = None,
) -> Turn:  # fmt: skip
    """A turn without effect: the caller gets an error, or the message is put aside, as it is `shown`.

    `changes` are those of the actor's life alone, `notices` tell others of its end.
    """
    detail = text(detail, MAX_DETAIL)  # of a handler's making, perhaps
    outs = list(notices)
    if e.kind == ASK:
        outs.insert(0, Out(_ERROR, e.id, e.reply_to, "", error_body(code, detail, data)))
    elif code != "ignored":  # nothing is wrong with a start that is not to be
        m = shown or e
        outs.insert(0, Out(_DEAD, e.id, e.target, m.handler, m.payload, code, detail, attempts))
    key = e.idempotency_key if is_kept(e.kind, code) else ""
    if key and e.kind == TELL:
        outs.append(kept_out(error_body(code, detail, data), True))
    status = REJECTED if code == "rejected" else FAILED
    return _turn(claim, topic, offset, e, now, seq, status, outs, changes, key)


def turn_answered(claim: int, offset: int, e: Envelope, now: int, seq: int, outs: list[Out],
    changes: list[Change],
) -> Turn:  # fmt: skip
    """A call of the mailbox gets what is kept for it."""
    return _turn(claim, MAILBOX, offset, e, now, seq, DONE, outs, changes)


def turn_changed(
    claim: int, topic: str, offset: int, e: Envelope, now: int, seq: int, fresh: bool, outs: list[Out],
    changes: list[Change],
) -> Turn:  # fmt: skip
    """The system itself changes an actor's state; `fresh`: what it was before has expired."""
    return _turn(claim, topic, offset, e, now, seq, DONE, outs, changes, fresh=fresh)


def turn_tried(claim: int, offset: int, e: Envelope, now: int, seq: int, attempt: Change) -> Turn:
    """An attempt that has failed and is not the last: its message is not done yet."""
    return _turn(claim, TRIED, offset, e, now, seq, FAILED, [], [attempt])


def turn_left_out(claim: int, e: Envelope, now: int, outs: list[Out]) -> Turn:
    """A firing of a timer that runs no handler."""
    return _turn(claim, TIMER, -1, e, now, 0, REJECTED, outs, [])


def turn_malformed(claim: int, offset: int, bad: BadRecord, now: int) -> Turn:
    """What is no message is put aside, byte by byte."""
    out = Out(_DEAD, "", "", "", bad.raw, "malformed", bad.detail, 1)
    return Turn(
        claim, "", 0, MAILBOX, offset, now, FAILED, False, "", [], "", "", "", TELL, "", 0, 0, [out]
    )  # fmt: skip


def turn_forwarded(claim: int, actor: str, seq: int, now: int, e: Envelope) -> Turn:
    """A turn by which `actor` sends the message of its timer on to another."""
    return Turn(
        claim, actor, seq, TIMER, -1, now, 0, False, "", [], "", e.id,
        actor, TELL, "", 0, 0, [Out(_TELL, "", e.target, e.handler, e.payload)],
    )  # fmt: skip


def _turn(
    claim: int, topic: str, offset: int, e: Envelope, now: int, seq: int, status: int, outs: list[Out],
    changes: list[Change], key: str = "", fresh: bool = False,
) -> Turn:  # fmt: skip
    return Turn(
        claim, e.target, seq, topic, offset, now, status, fresh, key, changes, e.handler, e.id, e.sender,
        e.kind, e.origin, e.origin_seq, e.origin_index, outs,
    )  # fmt: skip
