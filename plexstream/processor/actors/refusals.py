"""A message that comes to nothing: its sender gets an error, or it is put aside."""

from __future__ import annotations

from typing import Any

from plexstream.model.journal.journal import OutKind
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK, Envelope
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.times.recurring import again
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import Answer
from plexstream.processor.journal.sums.fold import TIMER
from plexstream.processor.journal.turns import turn_refused
from plexstream.processor.state.histories.kept import Kept

_CANCEL = OutKind.CANCEL.value
_ENDS = frozenset(("poisoned", "stopped"))  # also a series of timers
_KEY = Envelope._fields.index("idempotency_key")
_new = tuple.__new__  # a named tuple's own costs twice the time


class Refusals:
    """Refuses messages."""

    def __init__(self, ledger: Ledger, actors: Actors) -> None:
        self._ledger = ledger
        self._actors = actors

    def refuse(
        self, topic: str, offset: int, e: Envelope, code: str, detail: str, data: Any = None,
        attempts: int = 1, seq: int = 0, shown: Envelope | None = None,
    ) -> None:  # fmt: skip
        """End a message with an error: a turn without effect, but for what a failure does to a life.

        Parameters:
            attempts: how many there were.
            seq: number of the turn; 0: it takes none.
            shown: the message as the code got it: so it is put aside, whether its handler waited or not.
        """
        ledger = self._ledger
        if e.idempotency_key:
            e = marked(e)
            kept = self.kept(e)
            same = kept is not None and kept.digest == idempotency.digest_of(e.idempotency_key)
            if kept is not None and same and "/" not in e.reply_to:
                self.tell_kept(offset, e, kept)  # it is its repetition that fails
                return
            if kept is not None:
                e = e._replace(idempotency_key="")  # what is kept is that of another
        changes, notices = self._actors.failed(e, code, detail)
        turn = turn_refused(
            ledger.claim, topic, offset, e, ledger.now, seq, code, detail, data, attempts, changes, notices,
            shown,
        )  # fmt: skip
        # Where the failure ends the actor's life, it has taken the timer back.
        ended = code == "stopped" or any(o.kind == _CANCEL and o.id == e.id for o in notices)
        if topic == TIMER and code not in _ENDS and not ended:
            turn = turn._replace(outs=[*turn.outs, *again(e, ledger.now)])
        ledger.append(turn)

    def kept(self, e: Envelope) -> Kept | None:
        """What is kept for the idempotency key of a message."""
        name = idempotency.name(e.handler, e.idempotency_key)
        return self._ledger.pieces.outcome(e.target, name, self._ledger.now)

    def tell_kept(self, offset: int, e: Envelope, kept: Kept) -> None:
        """Answer a message with what is kept, without a turn."""
        if e.kind == ASK:
            self._ledger.answer(Answer(e.reply_to, e.id, kept.kind, kept.payload))
        self._ledger.inbox.finish(offset)


def marked(e: Envelope) -> Envelope:
    """A message whose idempotency key says what arguments it is used with, too."""
    mark = idempotency.mark(e.idempotency_key, e.payload)
    return e if mark == e.idempotency_key else _new(Envelope, (*e[:_KEY], mark, *e[_KEY + 1 :]))
