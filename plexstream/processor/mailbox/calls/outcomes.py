"""What has become of calls, for who asks by their ids: read from what is there, without loading the actor."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from plexstream.model.errors import BadArguments, CallError, UnknownInvocation
from plexstream.model.journal.attempt import Attempt
from plexstream.model.journal.journal import Mark, Step, Turn
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK, ERROR, REPLY, Envelope
from plexstream.processor.actors.actor import Waiting
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.calls import pending
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import Answer, error_body, error_of
from plexstream.processor.journal.sums.fold import MAILBOX
from plexstream.processor.mailbox.care import Care
from plexstream.processor.state.histories.kept import Kept, of_others
from plexstream.processor.waiting.invocation.invocation import Invocation
from plexstream.processor.waiting.invocation.machine import State
from plexstream.processor.waiting.invocations import Invocations

MAX_AWAITED = 10_000
"""Who may wait at once for outcomes of a partition: more are told how it stands, and ask again."""
MAX_WAIT = 60_000  # ms
_WORDS = {
    State.PARKED: "queued", State.READY: "running", State.RETRYING: "retrying", State.PAUSED: "paused",
    State.STUCK: "stuck",
}  # fmt: skip
_ENDS = {"cancelled": "cancelled", "killed": "killed"}


class _Wanted(NamedTuple):
    """Whose outcome is asked for: see `idempotency.InvocationId`. `wait`: in ms, for its end."""

    address: str
    name: str
    digest: str
    wait: int


class Outcomes:
    """Answers who asks for outcomes, at once or when they have come.

    Attributes:
        awaited: how many wait. They are in memory alone: who hears nothing asks again.
    """

    def __init__(
        self, ledger: Ledger, actors: Actors, refusals: Refusals, care: Care, invocations: Invocations
    ) -> None:
        self._ledger = ledger
        self._actors = actors
        self._refusals = refusals
        self._care = care
        self._invocations = invocations
        self.awaited = 0
        self._waiting: dict[tuple[str, str], dict[str, tuple[_Wanted, str]]] = {}
        self._until: deque[tuple[int, tuple[str, str], str]] = deque()

    def tell(self, offset: int, e: Envelope) -> None:
        """Answer a message that asks for an outcome. Nothing of it is in the journal."""
        if e.kind == ASK and "/" in e.reply_to:
            what = f"{e.handler} is answered to callers outside alone"
            self._refusals.refuse(MAILBOX, offset, e, "bad_arguments", what)
            return
        self._ledger.inbox.finish(offset)
        if e.kind != ASK:
            return
        try:
            wanted = _wanted(e)
            known = self._known(wanted)
            if known is None and wanted.wait and self._wait(wanted, e):
                return
            kind, body = REPLY, known or self._standing(wanted)
        except CallError as error:
            kind, body = ERROR, error_body(error.code, error.detail, error.data)
        self._ledger.answer(Answer(e.reply_to, e.id, kind, body))

    def came(self, records: Sequence[Turn | Step | Mark]) -> None:
        """These are on the log: who waits for what they came to is told."""
        for record in records if self._waiting else ():
            if type(record) is Mark:
                continue
            assert type(record) is Turn or type(record) is Step
            for out in record.outs:
                if of_others(out):
                    self._came(record.actor, out.id)
            if record.idempotency_key:
                self._came(record.actor, idempotency.name(record.handler, record.idempotency_key))

    def _came(self, address: str, name: str) -> None:
        for id, (wanted, reply_to) in self._waiting.pop((address, name), {}).items():
            self.awaited -= 1
            body = self._known(wanted)
            if body is not None:
                self._ledger.answers.append(Answer(reply_to, id, REPLY, body))

    # What is there

    def _known(self, wanted: _Wanted) -> bytes | None:
        """What it came to; None where it has not ended, or is not known."""
        kept = self._ledger.pieces.outcome(wanted.address, wanted.name, self._ledger.now)
        return None if kept is None else _ended(wanted, kept)

    def _standing(self, wanted: _Wanted) -> bytes:
        """How something stands that has not ended. Raises UnknownInvocation."""
        inv = self.live(wanted.address, wanted.name, wanted.digest)
        if inv is not None:
            status = _WORDS.get(inv.state) or ("waiting" if inv.outstanding else "running")
            return _body(status, inv.begin.handler, inv.tried.get(-1), inv.number, inv.stuck)
        call = pending(self._ledger.pieces, wanted.address, wanted.name)
        if call is not None and not idempotency.differs(call.digest, wanted.digest):
            return _body("waiting", call.handler, None)
        for waiting, tried in self._queued(wanted.address):
            e = waiting.envelope
            key = e.idempotency_key and idempotency.mark(e.idempotency_key, e.payload)
            if key and idempotency.names(e.handler, key, wanted.name, wanted.digest):
                return _body("retrying" if tried is not None else "queued", e.handler, tried)
        raise UnknownInvocation(
            f"{wanted.address} knows of no such invocation: it never was, has ended too long ago, or was an "
            "ask that failed, of which nothing is kept, so that it may be tried again"
        )

    def live(self, address: str, name: str, digest: str) -> Invocation | None:
        """The invocation in the journal that an id names, if it has not ended."""
        found = None
        for inv in self._invocations.roster.keyed.get((address, name), {}).values():
            if not idempotency.differs(idempotency.digest_of(inv.begin.idempotency_key), digest):
                if inv.state is not State.PARKED:
                    return inv  # the others wait for it
                found = found or inv
        return found

    def _queued(self, address: str) -> Iterator[tuple[Waiting, Attempt | None]]:
        """Messages that are held, with the latest attempt of those that have failed."""
        actor = self._actors.active.get(address)
        for waiting in actor.queue or () if actor is not None else ():
            assert actor is not None
            yield waiting, self._actors.tried(actor, waiting.envelope)
        for waiting in self._care.held:
            if waiting.envelope.target == address:
                yield waiting, None

    # Who waits

    def _wait(self, wanted: _Wanted, e: Envelope) -> bool:
        """Answer when it has ended; False where too many wait, or nothing of it is known."""
        self._forget()
        if self.awaited >= MAX_AWAITED:
            return False
        self._standing(wanted)
        key = (wanted.address, wanted.name)
        self._waiting.setdefault(key, {})[e.id] = (wanted, e.reply_to)
        self._until.append((self._ledger.now + wanted.wait, key, e.id))
        self.awaited += 1
        return True

    def _forget(self) -> None:
        """Those whose time is over have gone."""
        while self._until and self._until[0][0] < self._ledger.now:
            _, key, id = self._until.popleft()
            waiting = self._waiting.get(key, {})
            if waiting.pop(id, None) is not None:
                self.awaited -= 1
            if not waiting:
                self._waiting.pop(key, None)


def _wanted(e: Envelope) -> _Wanted:
    try:
        said: Any = json.loads(e.payload)
        name, digest, wait = said["name"], said.get("digest", ""), said.get("wait", 0)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError):
        raise BadArguments(f"{e.handler}: give an object with a name") from None
    if not (type(name) is str and type(digest) is str and type(wait) is int):
        raise BadArguments(f"{e.handler}: name and digest are texts, wait is a number of milliseconds")
    return _Wanted(e.target, name, digest, max(0, min(wait, MAX_WAIT)))


def _ended(wanted: _Wanted, kept: Kept) -> bytes:
    """The outcome, as callers read it: the result is as its handler gave it, digit by digit."""
    if idempotency.differs(kept.digest, wanted.digest):
        detail = idempotency.conflict(wanted.address, "this handler")
        kept = Kept(ERROR, error_body(idempotency.CONFLICT, detail, None), "")
    if kept.kind == REPLY:
        return b'{"status":"done","result":%b}' % kept.payload
    status = _ENDS.get(error_of(kept.payload)[0], "failed")
    return b'{"status":"%b","error":%b}' % (status.encode(), kept.payload)


def _body(status: str, handler: str, tried: Attempt | None, number: int = 0, stuck: str = "") -> bytes:
    said: dict[str, Any] = {"status": status, "handler": handler}
    if number:
        said["number"] = number
    if stuck:
        said["stuck"] = stuck
    if tried is not None:
        said["attempts"] = {
            "failed": tried.number, "of": tried.of, "next": tried.next,
            "error": {"code": tried.code, "detail": tried.detail},
        }  # fmt: skip
    return json.dumps(said).encode()
