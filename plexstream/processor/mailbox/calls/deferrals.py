"""What comes for calls that a later turn is to answer: others' answers, withdrawals, the actor's end."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from plexstream.model.errors import AlreadyDone, BadArguments, UnknownInvocation
from plexstream.model.journal.deferred import (
    CALLS,
    REPLY,
    SWEEP,
    WITHDRAW,
    Standing,
    Token,
    call_name,
    decode_deferred,
    encode_deferred,
    read_call,
    read_token,
    standing,
)
from plexstream.model.journal.journal import Change, Out, OutKind
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages.message import ASK, Envelope
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.lives.calls import Moment, end_calls, take
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import error_body
from plexstream.processor.mailbox.calls.changes import Changes
from plexstream.processor.waiting.course.reach import CANCEL, END
from plexstream.processor.waiting.invocation.invocation import Cause, Invocation
from plexstream.processor.waiting.invocations import Invocations

_ENTRY = Piece.ENTRY.value
_REPLY, _ERROR, _DEAD = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.DEADLETTER.value
Take = Callable[[Actor | None, Cause, Envelope, dict[str, Any]], bool | None]


class Deferrals:
    """Does what the messages say. Those of one actor are handled before what waits in its queue.

    Attributes:
        handlers: of such messages, by name; each raises a CallError where one is refused. None of them needs
            the actor's code: it is None where that cannot be loaded.
        unloaded: the same, and what else is for such calls then; False: it was for something else.
    """

    def __init__(self, ledger: Ledger, changes: Changes, invocations: Invocations) -> None:
        self._ledger = ledger
        self._changes = changes
        self._invocations = invocations
        self.handlers: dict[str, Take] = {
            REPLY: self._reply, WITHDRAW: self._withdraw, SWEEP: self._sweep,
        }  # fmt: skip
        self.unloaded: dict[str, Take] = {
            **self.handlers,
            CANCEL: lambda a, cause, e, body: self.end(a, cause, e, str(body.get("ask", "")), "cancelled"),
            END: lambda a, cause, e, body: self.end(a, cause, e, str(body.get("ask", "")), "killed"),
        }

    def _entry(self, e: Envelope, field: str, key: str) -> bytes | None:
        return self._ledger.pieces.entry((_ENTRY, e.target, field, key))

    def _reply(self, actor: Actor | None, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"token": …, "value": …}``, or ``"error": {"code": …, "detail": …, "data": …}``: an answer."""
        token = self._token(e, body)
        how = standing(lambda field, key: self._entry(e, field, key), token, self._ledger.now)
        id, reply_to = read_call(token.call)
        if how is Standing.ANSWERED:
            raise AlreadyDone(f"the call {id} of {e.target} has its answer already")
        if how is Standing.FORGED:
            raise UnknownInvocation(f"{e.target} has deferred no reply by this token")
        out = _answer(e, id, reply_to, body)
        if how is Standing.GONE:
            over = Out(OutKind.OVER, token.call, "", "", b"")
            taken = take(self._ledger.pieces, e.target, [over], Moment(self._ledger.now))
            detail = f"whoever waited for the answer to {id} waits no more"
            outs = [Out(_DEAD, e.id, e.target, e.handler, e.payload, "unknown_invocation", detail, 1)]
        else:
            taken = take(self._ledger.pieces, e.target, [out], Moment(self._ledger.now))
            outs = taken.outs
        self._changes.change(actor, cause, e, taken.changes, outs)

    @staticmethod
    def _token(e: Envelope, body: dict[str, Any]) -> Token:
        try:
            token = read_token(str(body.get("token", "")))
        except ValueError as error:
            raise BadArguments(f"{e.handler}: {error}") from None
        if e.kind == ASK or token.owner != e.target:
            raise BadArguments(f"{e.handler}: it is told, and to {token.owner}, which has deferred the reply")
        return token

    def _withdraw(self, actor: Actor | None, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"ask": id}``, of who asked: it waits for the answer no more. What it asked for goes on.

        An edge says so for its caller, with ``"edge"``: its id, to which the answer would go.
        """
        ask = str(body.get("ask", ""))
        if not e.sender:
            if not self._gone(actor, cause, e._replace(sender=str(body.get("edge", ""))), ask, []):
                self._ledger.inbox.finish(cause.offset)
            return
        if self._gone(actor, cause, e, ask, []):
            return
        inv = self._asked(actor, e, ask)
        if inv is None:
            self._ledger.inbox.finish(cause.offset)
            return
        if actor is not None:
            inv.actor = actor
        self._invocations.controls.withdrawn(inv, cause)

    def end(self, actor: Actor | None, cause: Cause, e: Envelope, ask: str, code: str) -> bool:
        """Whether the answer to an ask was left to a later turn: who has asked was cancelled or killed."""
        detail = f"{e.sender} was {code}, which had asked for it"
        return self._gone(
            actor, cause, e, ask, [Out(_ERROR, ask, e.sender, "", error_body(code, detail, None))]
        )

    def _gone(
        self, actor: Actor | None, cause: Cause, e: Envelope, ask: str, outs: list[Out]
    ) -> bool:
        call = call_name(ask, e.sender)
        data = self._entry(e, CALLS, call)
        if data is None:
            return False
        entry = decode_deferred(data)
        if entry.gone:
            self._ledger.inbox.finish(cause.offset)
            return True
        gone = Change(CALLS, call, encode_deferred(entry._replace(gone=True)))
        self._changes.change(actor, cause, e, [gone], outs)
        return True

    def _asked(self, actor: Actor | None, e: Envelope, ask: str) -> Invocation | None:
        """The ask where it is handled or waits for that: in the journal from now on, if it was not."""
        roster = self._invocations.roster
        if actor is not None and any(_is(waiting.envelope, e, ask) for waiting in actor.queue or ()):
            roster.park_queue(actor)  # all of it: who was before it stays so
        inv = roster.asked.get((e.target, ask))
        return inv if inv is not None and inv.begin.sender == e.sender and not inv.withdrawn else None

    def _sweep(self, actor: Actor | None, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"number": …, "after": …, "why": …}``, of itself: more wait than the turn before could tell."""
        if e.sender != e.target:
            raise BadArguments(f"{e.handler} comes from the actor itself")
        bound, after, why = int(body["number"]), str(body["after"]), str(body["why"])
        ended = end_calls(self._ledger.pieces, e.target, {}, why, bound, after)
        if not (ended.changes or ended.outs):
            self._ledger.inbox.finish(cause.offset)
            return
        self._changes.change(actor, cause, e, ended.changes, ended.outs)


def _is(m: Envelope, e: Envelope, ask: str) -> bool:
    return m.kind == ASK and m.id == ask and m.sender == e.sender


def _answer(e: Envelope, id: str, reply_to: str, body: dict[str, Any]) -> Out:
    error = body.get("error")
    if error is None:
        try:
            value = json.dumps(body.get("value"), allow_nan=False).encode()
        except ValueError as problem:  # Python reads and writes NaN, others do not
            raise BadArguments(f"{e.handler}: the value is no JSON: {problem}") from None
        return Out(_REPLY, id, reply_to, "", value)
    if not isinstance(error, dict) or not isinstance(error.get("detail"), str):
        raise BadArguments(f"{e.handler}: error is an object with a detail, not {error!r}")
    code = str(error.get("code", "rejected"))
    return Out(_ERROR, id, reply_to, "", error_body(code, error["detail"], error.get("data")))
