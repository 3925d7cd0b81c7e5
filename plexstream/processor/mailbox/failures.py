"""A handler has failed: it is tried again, now or for long, or its message is refused."""

from __future__ import annotations

from collections import deque

from plexstream.model.errors import FAILURES
from plexstream.model.host import Result
from plexstream.model.journal.life import START
from plexstream.model.messages.message import ASK, ERROR, TELL, Envelope
from plexstream.processor.actors.actor import Actor, Waiting
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.lives import WAKE
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.actors.times.recurring import again
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import Answer, error_body
from plexstream.processor.journal.turns import turn_tried
from plexstream.processor.waiting import limits
from plexstream.processor.waiting.invocation.invocation import Invocation, cause_of
from plexstream.processor.waiting.invocations import Invocations


class Failures:
    """Decides what a failure leads to."""

    def __init__(
        self, ledger: Ledger, actors: Actors, refusals: Refusals, invocations: Invocations
    ) -> None:
        self._ledger = ledger
        self._actors = actors
        self._refusals = refusals
        self._invocations = invocations

    def failed(
        self, actor: Actor, topic: str, offset: int, e: Envelope, result: Result,
        inv: Invocation | None = None, shown: Envelope | None = None,
    ) -> bool:  # fmt: skip
        """A handler has failed; False: its message waits for its next try at the head of the queue.

        `shown`: the message as the code got it: so it is put aside, whether its handler waited or not.
        """
        ledger, invocations = self._ledger, self._invocations
        if inv is not None:
            invocations.came_to(inv, result, None, [], shown)
            return True
        info, now = actor.info, ledger.now
        waits = e.kind == ASK and e.handler in info.retried
        retry = info.retried.get(e.handler, info.retry)
        tried = self._actors.tried(actor, e)
        attempts, began = (1, now) if tried is None else (tried.number + 1, tried.began)
        retried = result.code in FAILURES and e.handler != START and attempts < retry.attempts
        shared = e.handler in info.shared and (info.concurrent or actor.holder is not None)
        long = retried and now + retry.delay(attempts, e.id) - began >= limits.PARK_AFTER
        if result.patch or (retried and (waits or (e.kind == TELL and (shared or long)))):
            # Others go on meanwhile, or the mailbox. Or it is a workflow's run: what became of it is kept.
            outs = again(e, now)
            invocations.begin_failed(actor, cause_of(topic, offset, e), e, result, tried, outs, shown)
            return True
        if retried and e.kind == TELL:
            attempt = self._actors.try_again(actor, e, now, retry, result)
            turn = turn_tried(ledger.claim, offset, e, now, actor.seq + 1, attempt)
            self._actors.append(actor, turn)
            if actor.queue is None:
                actor.queue = deque()
            if actor.holder is None:
                self._actors.busy[actor.address] = actor
            actor.queue.appendleft(Waiting(topic, offset, e))
            if offset >= 0:
                ledger.inbox.wait(offset, len(e.payload))
            return False
        if result.read_only and e.kind == ASK and "/" not in e.reply_to:
            body = error_body(result.code, result.detail, result.data)
            ledger.answer(Answer(e.reply_to, e.id, ERROR, body))
            ledger.inbox.finish(offset)
            return True
        actor.group = ledger.number
        seq = actor.seq + 1
        self._refusals.refuse(
            topic, offset, e, result.code, result.detail, result.data, attempts, seq, shown
        )
        return True

    def put_aside(self, topic: str, offset: int, e: Envelope, deaths: int) -> None:
        """A message that has killed its process so many times in a row is not tried again."""
        awaited = e.kind > ASK or e.handler == WAKE
        if not (awaited and self._invocations.answers.poisoned(topic, offset, e, deaths)):
            detail = f"it killed its process {deaths} times in a row"
            self._refusals.refuse(topic, offset, e, "poisoned", detail, attempts=deaths)
