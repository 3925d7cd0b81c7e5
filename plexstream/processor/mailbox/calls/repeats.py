"""Calls with an idempotency key that came before: each has effect once, and all get the same answer."""

from __future__ import annotations

from plexstream.model.host import Result
from plexstream.model.journal.deferred import call_name
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK, Envelope
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.calls import Moment, joined, pending, told
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.turns import turn_answered
from plexstream.processor.mailbox.calls.changes import Changes
from plexstream.processor.state.histories.kept import OVERLOADED, answer_out
from plexstream.processor.waiting import limits
from plexstream.processor.waiting.invocation.invocation import Invocation, cause_of
from plexstream.processor.waiting.invocations import Invocations


class Repeats:
    """Looks whether a call with a key is a repetition, and what becomes of it then."""

    def __init__(
        self, ledger: Ledger, actors: Actors, refusals: Refusals, changes: Changes, invocations: Invocations
    ) -> None:
        self._ledger = ledger
        self._actors = actors
        self._refusals = refusals
        self._changes = changes
        self._invocations = invocations

    def answered(
        self, actor: Actor, topic: str, offset: int, e: Envelope, inv: Invocation | None
    ) -> bool:
        """Answer with what is kept for the idempotency key, if anything is.

        Parameters:
            inv: the invocation that the message is in the journal, if it is one.
        """
        ledger = self._ledger
        kept = self._refusals.kept(e)
        if kept is None:
            return False
        if idempotency.differs(kept.digest, idempotency.digest_of(e.idempotency_key)):
            self._conflict(topic, offset, e, inv)
        elif inv is not None:
            self._invocations.finish(inv, answer_out(kept, e.kind, e.id, e.reply_to))
        elif e.kind == ASK and "/" in e.reply_to:
            actor.seq += 1
            outs = answer_out(kept, ASK, e.id, e.reply_to)
            raw = self._actors.mark_raw(actor)
            ledger.append(turn_answered(ledger.claim, offset, e, ledger.now, actor.seq, outs, raw))
        else:
            self._refusals.tell_kept(offset, e, kept)
        return True

    def joined(
        self, actor: Actor, topic: str, offset: int, e: Envelope, inv: Invocation | None = None
    ) -> bool:
        """Whether a handler is under way for this idempotency key: then its outcome is that of this call."""
        first = self._invocations.under_way(e, inv)
        if first is None:
            return self._answered_later(actor, topic, offset, e, inv)
        known = idempotency.digest_of(first.begin.idempotency_key)
        if idempotency.differs(known, idempotency.digest_of(e.idempotency_key)):
            self._conflict(topic, offset, e, inv)
        elif inv is None and (full := _full(len(first.behind), first.behind_bytes)):
            self._refusals.refuse(topic, offset, e, OVERLOADED, f"{first.reference()}: {full}")
        else:
            self._invocations.attach(first, actor, topic, offset, e, inv)
        return True

    def _answered_later(
        self, actor: Actor, topic: str, offset: int, e: Envelope, inv: Invocation | None
    ) -> bool:
        """Whether a later turn is to answer this idempotency key's call: then it answers this one, too."""
        outcome = idempotency.name(e.handler, e.idempotency_key)
        call = pending(self._ledger.pieces, actor.address, outcome)
        if call is None:
            return False
        if idempotency.differs(call.digest, idempotency.digest_of(e.idempotency_key)):
            self._conflict(topic, offset, e, inv)
            return True
        if inv is None and e.kind == ASK and (full := _full(len(call.calls))):
            self._refusals.refuse(topic, offset, e, OVERLOADED, f"{actor.address}.{e.handler}: {full}")
            return True
        if e.kind == ASK:
            number, gone = (actor.seq + 1, False) if inv is None else (inv.number, inv.withdrawn)
            turn = max(number, actor.seq)
            moment = Moment(self._ledger.now, e.handler, number, gone=gone, turn=turn)
            name = call_name(e.id, e.reply_to)
            # One that is there already has its token: the same message has come again.
            patch = [] if name in call.calls else joined(call, outcome, name, moment)
        else:
            patch = told(call, outcome)
        if inv is not None:
            self._invocations.finish(inv, [], patch)
        elif patch:
            self._changes.change(actor, cause_of(topic, offset, e), e, patch, [])
        else:
            self._ledger.inbox.finish(offset)
        return True

    def _conflict(self, topic: str, offset: int, e: Envelope, inv: Invocation | None) -> None:
        """The idempotency key was used with other arguments."""
        detail = idempotency.conflict(e.target, e.handler)
        if inv is not None:
            result = Result(idempotency.CONFLICT, b"", [], [], False, detail)
            self._invocations.came_to(inv, result, None, [])
        else:
            self._refusals.refuse(topic, offset, e, idempotency.CONFLICT, detail)


def _full(count: int, size: int = 0) -> str:
    """Why no more repetitions of a call may wait for its outcome; empty: they may."""
    if count < limits.SAME_CALLS and size < limits.SAME_BYTES:
        return ""
    return (
        f"{count} calls with this idempotency key ({size} bytes) wait for its outcome already, at most "
        f"{limits.SAME_CALLS} ({limits.SAME_BYTES} bytes) may: look for it by GET /v1/invocations/…, or "
        "call again once it has ended"
    )
