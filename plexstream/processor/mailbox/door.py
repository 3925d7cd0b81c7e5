"""What becomes of a message: it is executed, waits for its actor, is refused, or tried again."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import islice
from typing import Any

from plexstream.model import idempotency
from plexstream.model.address import type_of
from plexstream.model.attempt import FIELD, encode_attempt
from plexstream.model.control import RESULT
from plexstream.model.errors import FAILURES, Failed
from plexstream.model.host import Result
from plexstream.model.journal import (
    DONE,
    Change,
    Out,
    OutKind,
    Step,
    Turn,
)
from plexstream.model.life import CALLS, SIGNALS, START, STARTED, call_name
from plexstream.model.message import ASK, ERROR, REPLY, TELL, TOO_LARGE, Envelope
from plexstream.model.text import said
from plexstream.processor import limits
from plexstream.processor.actors.actors import Actor, Refusal, Waiting
from plexstream.processor.actors.calls import OUTS, pending, take
from plexstream.processor.actors.lives import OVERTAKES, WAKE, Ruling, life_change
from plexstream.processor.actors.recurring import again, arm
from plexstream.processor.journal.fold import MAILBOX, TIMER
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.turns import bad_record, plain_turn, refusal, same_calls_full, tried_turn
from plexstream.processor.records import Answer, BadRecord, Group, error_body
from plexstream.processor.state.kept import OVERLOADED, Kept, answer_out, result_out
from plexstream.processor.waiting.commands import system
from plexstream.processor.waiting.invocation import PARKED, Cause, Invocation, Opening, cause_of

_OUT_REPLY, _OUT_ERROR = OutKind.REPLY.value, OutKind.ERROR.value
_OUT_CANCEL, _OUT_TICK = OutKind.CANCEL.value, OutKind.TICK.value
_TAKEN = OUTS | {_OUT_TICK}
"""Outs of a handler that do not leave, or not only."""
_ENDS = frozenset(("poisoned", "stopped"))  # also a series of timers
_LOOKED_AT = 1_000
"""Messages that wait for their trial among which one is looked for that is due."""
_KEY = Envelope._fields.index("idempotency_key")
_new = tuple.__new__  # a named tuple's own costs twice the time


class Handling(Ledger):
    """Handles messages."""

    # Messages

    @property
    def position(self) -> int:
        """The mailbox offset to read from."""
        return self.inbox.position

    def receive(self, messages: Sequence[tuple[int, Envelope | BadRecord]], now: int) -> None:
        """Handle mailbox records by their offsets: each is executed, queued, or dropped as a repetition."""
        self._clock(now)
        inbox, care = self.inbox, self._care
        for offset, message in messages:
            if type(message) is BadRecord:
                if inbox.admit(offset, "", 0, 0):
                    self._append_turn(bad_record(self.claim, offset, message, self.now))
                continue
            assert type(message) is Envelope
            if inbox.admit(offset, message.origin, message.origin_seq, message.origin_index):
                if offset == care.poison:
                    care.poison = -1
                    self.put_aside(MAILBOX, offset, message, self.fold.attempts)
                elif care.left or care.held:
                    inbox.wait(offset, len(message.payload))
                    care.held.append(Waiting(MAILBOX, offset, message))
                else:
                    self._execute(MAILBOX, offset, message)
        if care.held:
            self._with_care()

    def _execute(self, topic: str, offset: int, e: Envelope) -> None:
        if e.kind > ASK:
            self.invocations.answers.reply(offset, e)
            return
        if e.idempotency_key:
            e = _marked(e)
        actor = self.actors.active.get(e.target)
        if actor is None:
            if e.handler == RESULT:
                self.outcomes.tell(offset, e)
                return
            loaded = self.actors.load(e.target, self.now)
            if type(loaded) is Refusal:
                code, detail = loaded
                if "malformed" in e.headers:  # a record of a source that names no actor
                    code, detail = "malformed", e.headers["malformed"]
                self._refuse(topic, offset, e, code, detail, None, 1)
                return
            assert type(loaded) is Actor
            actor = loaded
        if e.headers and TOO_LARGE in e.headers:  # what has come in its place says so
            self._refuse(topic, offset, e, "too_large", e.headers[TOO_LARGE], None, 1)
            return
        if e.handler.startswith("$"):
            if e.handler == RESULT:
                self.outcomes.tell(offset, e)
                return
            if system(self, actor, topic, offset, e):
                return
        must_read = bool(e.headers) and e.headers.get("read_only") == "1"
        if actor.queue is not None and not must_read and self._wait(actor, topic, offset, e):
            return
        self._invoke(actor, topic, offset, e, must_read)

    def _wait(self, actor: Actor, topic: str, offset: int, e: Envelope) -> bool:
        """Let a message wait for its busy actor; False where it need not."""
        holder, queue = actor.holder, actor.queue
        assert queue is not None
        if holder is None and e.handler in OVERTAKES:
            return False
        if holder is not None:
            if e.handler in actor.info.shared or e.handler in OVERTAKES:
                return False
            if e.headers and holder.reference() in e.headers.get("chain", "").split("\n"):
                detail = f"{actor.address} is asked by what it waits for: {e.headers['chain']}"
                self._refuse(topic, offset, e, "deadlock", detail.replace("\n", " -> "), None, 1)
                return True
            if e.idempotency_key and self._same_call(actor, topic, offset, e):
                return True
            self.invocations.crowd(actor)
        queue.append(Waiting(topic, offset, e))
        if offset >= 0:
            self.inbox.wait(offset, len(e.payload))
        return True

    def enter(self, actor: Actor, inv: Invocation) -> None:
        """Let a message through the door that has waited in the journal for its turn, or for its next try."""
        self._invoke(actor, PARKED, -1, inv.envelope(), False, inv)

    def _invoke(
        self, actor: Actor, topic: str, offset: int, e: Envelope, must_read: bool,
        inv: Invocation | None = None,
    ) -> bool:  # fmt: skip
        """The door: judge a message, run its handler and note what that did; False: it will be tried again.

        Every message comes through here, whether it has just arrived, was queued, parked, or failed before.
        `inv`: the invocation that it is in the journal, if it is one.
        """
        if e.idempotency_key:
            if self._answer_again(actor, topic, offset, e, inv):
                return True
            if self._same_call(actor, topic, offset, e, inv):
                return True
        now = self.now
        handler, payload = e.handler, e.payload
        ruling: Ruling | None = None
        fresh = False
        dropped: list[Change] = []
        if actor.life is not None or handler in SIGNALS:
            ruling = self.actors.lives.rule(actor.address, actor.life, actor.seq > 0, actor.info, e)
            handler, payload, fresh = ruling.handler, ruling.payload, ruling.fresh
            ends = fresh or (ruling.life is not None and ruling.life.stopped)
            if ends and actor.address in self.invocations.live:
                why = f"{actor.address} was started anew or killed by {e.handler}"
                self.invocations.controls.kill_all(actor, why, inv)
        if fresh or self.expired(actor):
            fresh = True
            try:
                dropped = self._expire(actor)
            except Exception as error:  # the user's hook
                what = f"{actor.address} cannot be renewed: {said(error)}"
                return self._failed(actor, topic, offset, e, Result("failed", b"", [], [], False, what), inv)
        seq = actor.seq + 1 if inv is None else inv.number
        if actor.instance is None:
            self.actors.twin(actor)
        init = fresh or (actor.raw and (inv is actor.holder or not self._is_initialising(actor)))
        if handler:
            result = self.host.invoke(
                actor.instance, handler, payload, seq, now, e.sender, e.id, must_read,
                e.headers.get("chain", "") if e.headers else "", init,
                e.reply_to if e.kind == ASK else "",
            )  # fmt: skip
        else:  # no code runs: the actor's first turn may be still to come
            assert ruling is not None
            seq = actor.seq
            result = Result(ruling.code, b"null", [], [], False, ruling.detail)
        actor.last = now
        if type(result) is not Result:
            tried = self.actors.tried(actor, e)
            opening = self._opening(actor, e, ruling, dropped if fresh else None, init)
            call = e if ruling is None else e._replace(handler=handler, payload=payload)
            cause = cause_of(topic, offset, e)
            outs = again(e, now, result.outs)
            self.invocations.begin(actor, cause, call, seq, result, opening, tried, outs, inv)  # type: ignore[arg-type]
            return True
        code, value, patch, outs, read_only, _, _, _ = result
        if code:
            shown = e if ruling is None or not handler else e._replace(handler=handler, payload=payload)
            return self._failed(actor, topic, offset, e, result, inv, shown)
        if inv is not None:
            opening = self._opening(actor, e, ruling, dropped if fresh else None, init and bool(handler))
            if ruling is not None:
                opening = opening._replace(outs=ruling.outs)
            self.invocations.came_to(inv, result, opening, again(e, now, outs))
            return True
        calls: Sequence[Change] = ()
        later = False
        for out in outs:
            if out.kind in _TAKEN and not read_only:
                outs = self.ticks.take(actor, outs, now)
                outs, calls, later = take(self.pieces, actor.address, outs, e.handler, e.idempotency_key)
                break
        for out in outs:
            if out.handler in SIGNALS:
                ruling = self.actors.lives.sent(actor.address, ruling, actor.life, outs, calls)
                outs, calls = [], ()
                break
        kind = e.kind
        later = later and kind == ASK
        ended = self.actors.end_trying(actor, e) if actor.tried is not None else None
        if read_only and not (e.idempotency_key if kind == TELL else "/" in e.reply_to):
            if kind == ASK:
                self._pending_answers.append(Answer(e.reply_to, e.id, REPLY, value))
            if offset >= 0 and not ended:
                self.inbox.finish(offset)
                return True
            patch, outs = [], []  # a timer is finished by its turn
        else:
            stopped = ruling is not None and ruling.life is not None and ruling.life.stopped
            if ruling is not None and ruling.fresh:
                actor.armed = not actor.info.crons
            if not actor.armed and handler and not stopped:
                actor.armed = True
                outs.extend(arm(actor.info, actor.address, self.pieces, now))
            if actor.raw and handler:
                ran = self.actors.mark_raw(actor) if read_only or not init else self.actors.initialised(actor)
                patch = [*patch, *ran]
            if kind == ASK and not later:
                outs.append(_new(Out, (_OUT_REPLY, e.id, e.reply_to, "", value, "", "", 0)))
            elif kind == TELL and e.idempotency_key:
                outs.extend(result_out(kind, e.idempotency_key, value))
        if calls:
            patch = [*patch, *calls]
        if ruling is not None:
            outs = [*ruling.outs, *outs]
            patch = [*patch, *ruling.changes, *self.actors.live_on(actor, ruling.life)]
        if topic == TIMER and not (actor.life is not None and actor.life.stopped):
            outs.extend(again(e, now, outs))
        if ended:
            patch = [*patch, *ended]
        if fresh:
            if actor.tried is not None:
                patch.append(Change(FIELD, None, encode_attempt(actor.tried)))  # of another message
            if actor.life is not None and (ruling is None or not ruling.fresh):
                patch.append(life_change(actor.life))  # the state expires, the life goes on
            actor.reader.hidden = False
        actor.seq = seq
        actor.time = now
        actor.group = self._number
        turn: Turn | Step = _new(Turn, (
            self.claim, actor.address, seq, topic, offset, now, 0, fresh, "" if later else e.idempotency_key,
            [*dropped, *patch] if fresh else patch, e.handler, e.id, e.sender, kind,
            e.origin, e.origin_seq, e.origin_index, outs, 0,
        ))  # fmt: skip
        if actor.holder is not None:
            turn = self.invocations.meanwhile(actor, turn)  # type: ignore[arg-type]
        if patch or outs or e.idempotency_key or fresh or offset < 0:
            self.pieces.run_ahead(turn)
        self._pending.append(turn)
        self.running_ahead += 1
        if self.inbox.waiting:
            self.inbox.finish(offset)
        if patch and actor.address in self.invocations.live:
            self.invocations.settled(actor, patch)
        return True

    @staticmethod
    def _is_initialising(actor: Actor) -> bool:
        """Whether the init hook has run before a handler that waits, and others do not see that yet."""
        holder = actor.holder
        return holder is not None and (holder.begun or holder.task is not None)

    def _opening(
        self, actor: Actor, e: Envelope, ruling: Ruling | None, dropped: list[Change] | None, init: bool
    ) -> Opening:
        """What a handler's first stretch does besides, where that is a step."""
        changes: list[Change] = []
        outs: list[Out] = []
        life = None
        if dropped is not None:
            if actor.life is not None and (ruling is None or not ruling.fresh):
                dropped = [*dropped, life_change(actor.life)]  # the state expires, the life goes on
            if actor.tried is not None and self.actors.tried(actor, e) is None:
                dropped = [*dropped, Change(FIELD, None, encode_attempt(actor.tried))]  # of another message
        if ruling is not None:
            if ruling.fresh:
                actor.armed = not actor.info.crons
            changes, life = ruling.changes, ruling.life
            # A start that waits is over when its handler has ended.
            outs = [o for o in ruling.outs if o.handler != STARTED] if e.handler == START else ruling.outs
        return Opening(changes, outs, life, dropped, init if actor.info.init else None)

    def change(
        self, actor: Actor, cause: Cause, e: Envelope, patch: list[Change], outs: list[Out]
    ) -> None:
        """The system itself changes an actor's state, as a turn."""
        fresh = self.expired(actor)
        changes = patch
        if fresh:
            try:
                changes = [*self._expire(actor), *patch]
            except Exception as error:  # the user's hook
                raise Failed(f"{actor.address} cannot be renewed: {said(error)}") from error
            if actor.life is not None:
                changes.append(life_change(actor.life))
            actor.reader.hidden = False
        actor.seq += 1
        actor.time = self.now
        turn = Turn(
            self.claim, actor.address, actor.seq, cause.topic, cause.offset, self.now, DONE, fresh, "",
            [*changes, *self.actors.mark_raw(actor)], e.handler, e.id, e.sender, e.kind, e.origin,
            e.origin_seq, e.origin_index, outs,
        )  # fmt: skip
        if actor.instance is not None:
            self.host.apply(actor.instance, patch)
        self.append(actor, self.invocations.meanwhile(actor, turn))
        self.invocations.settled(actor, patch)

    def expired(self, actor: Actor) -> bool:
        """Whether the state of an actor is past its time to live."""
        ttl = actor.info.state_ttl
        # Without a time it has had attempts at its first message alone, and no turn.
        old = ttl and actor.time and self.now - actor.time > ttl
        return bool(old) and not self.invocations.keeps(actor.address) and not self._is_waited_for(actor)

    def _is_waited_for(self, actor: Actor) -> bool:
        """Whether somebody waits for an answer that the actor is to give later."""
        return any(True for _ in self.pieces.entries(actor.address, CALLS))

    def _expire(self, actor: Actor) -> list[Change]:
        """Begin anew: the state is past its time to live."""
        self.actors.renew(actor)
        entries = self.pieces.entries(actor.address)
        return [Change(field, key, None) for field, key, _ in entries if field[:1] != "$"]

    def is_known(self, inv: Invocation) -> bool:
        """Whether what a message of the journal comes to is kept, so that nothing runs for it."""
        e = inv.envelope()
        return bool(e.idempotency_key) and not inv.begun and self._kept(e) is not None

    def _kept(self, e: Envelope) -> Kept | None:
        """What is kept for the idempotency key of a message."""
        name = idempotency.name(e.handler, e.idempotency_key)
        return self.pieces.outcome(e.target, name, self.now)

    def _answer_again(
        self, actor: Actor, topic: str, offset: int, e: Envelope, inv: Invocation | None
    ) -> bool:
        """Answer with what is kept for the idempotency key, if anything is."""
        kept = self._kept(e)
        if kept is None:
            return False
        if idempotency.differs(kept.digest, idempotency.digest_of(e.idempotency_key)):
            self._conflict(topic, offset, e, inv)
        elif inv is not None:
            self.invocations.finish(inv, answer_out(kept, e.kind, e.id, e.reply_to))
        elif e.kind == ASK and "/" in e.reply_to:
            actor.seq += 1
            self._append_turn(
                plain_turn(
                    self.claim, MAILBOX, offset, e, self.now, actor.seq, DONE,
                    answer_out(kept, ASK, e.id, e.reply_to), self.actors.mark_raw(actor),
                )
            )
        else:
            self._tell_kept(offset, e, kept)
        return True

    def _tell_kept(self, offset: int, e: Envelope, kept: Kept) -> None:
        if e.kind == ASK:
            self._pending_answers.append(Answer(e.reply_to, e.id, kept.kind, kept.payload))
        self.inbox.finish(offset)

    def _same_call(
        self, actor: Actor, topic: str, offset: int, e: Envelope, inv: Invocation | None = None
    ) -> bool:
        """Whether a handler is under way for this idempotency key: then its outcome is that of this call."""
        first = self.invocations.under_way(e, inv)
        if first is None:
            return self._answered_later(actor, topic, offset, e, inv)
        known = idempotency.digest_of(first.begin.idempotency_key)
        if idempotency.differs(known, idempotency.digest_of(e.idempotency_key)):
            self._conflict(topic, offset, e, inv)
        elif inv is None and (full := same_calls_full(len(first.behind), first.behind_bytes)):
            self._refuse(topic, offset, e, OVERLOADED, f"{first.reference()}: {full}", None, 1)
        else:
            self.invocations.attach(first, actor, topic, offset, e, inv)
        return True

    def _answered_later(
        self, actor: Actor, topic: str, offset: int, e: Envelope, inv: Invocation | None
    ) -> bool:
        """Whether a later turn is to answer this idempotency key's call: then it answers this one, too."""
        outcome = idempotency.name(e.handler, e.idempotency_key)
        call = pending(self.pieces, actor.address, outcome)
        if call is None:
            return False
        if idempotency.differs(call.digest, idempotency.digest_of(e.idempotency_key)):
            self._conflict(topic, offset, e, inv)
            return True
        if inv is None and e.kind == ASK and (full := same_calls_full(len(call.calls))):
            self._refuse(topic, offset, e, OVERLOADED, f"{actor.address}.{e.handler}: {full}", None, 1)
            return True
        patch = call.joined(outcome, call_name(e.id, e.reply_to)) if e.kind == ASK else call.told(outcome)
        if inv is not None:
            self.invocations.finish(inv, [], patch)
        elif patch:
            self.change(actor, cause_of(topic, offset, e), e, patch, [])
        else:
            self.inbox.finish(offset)
        return True

    def _conflict(self, topic: str, offset: int, e: Envelope, inv: Invocation | None) -> None:
        """The idempotency key was used with other arguments."""
        detail = idempotency.conflict(e.target, e.handler)
        if inv is not None:
            result = Result(idempotency.CONFLICT, b"", [], [], False, detail)
            self.invocations.came_to(inv, result, None, [])
        else:
            self._refuse(topic, offset, e, idempotency.CONFLICT, detail, None, 1)

    # Failures

    def _failed(
        self, actor: Actor, topic: str, offset: int, e: Envelope, result: Result,
        inv: Invocation | None = None, shown: Envelope | None = None,
    ) -> bool:  # fmt: skip
        """`shown`: the message as the code got it: so it is put aside, whether its handler waited or not."""
        if inv is not None:
            self.invocations.came_to(inv, result, None, [], shown)
            return True
        info = actor.info
        waits = e.kind == ASK and e.handler in info.retried
        retry = info.retried.get(e.handler, info.retry)
        tried = self.actors.tried(actor, e)
        attempts, began = (1, self.now) if tried is None else (tried.number + 1, tried.began)
        retried = result.code in FAILURES and e.handler != START and attempts < retry.attempts
        shared = e.handler in info.shared and (info.concurrent or actor.holder is not None)
        long = retried and self.now + retry.delay(attempts, e.id) - began >= limits.PARK_AFTER
        if result.patch or (retried and (waits or (e.kind == TELL and (shared or long)))):
            # Others go on meanwhile, or the mailbox. Or it is a workflow's run: what became of it is kept.
            outs = again(e, self.now)
            self.invocations.begin_failed(actor, cause_of(topic, offset, e), e, result, tried, outs, shown)
            return True
        if retried and e.kind == TELL:
            attempt = self.actors.try_again(actor, e, self.now, retry, result)
            actor.group = self._number
            self._append_turn(tried_turn(self.claim, offset, e, self.now, actor.seq + 1, attempt))
            if actor.queue is None:
                actor.queue = deque()
            if actor.holder is None:
                self.actors.busy[actor.address] = actor
            actor.queue.appendleft(Waiting(topic, offset, e))
            if offset >= 0:
                self.inbox.wait(offset, len(e.payload))
            return False
        if result.read_only and e.kind == ASK and "/" not in e.reply_to:
            body = error_body(result.code, result.detail, result.data)
            self._pending_answers.append(Answer(e.reply_to, e.id, ERROR, body))
            self.inbox.finish(offset)
            return True
        actor.group = self._number
        seq = actor.seq + 1
        self._refuse(topic, offset, e, result.code, result.detail, result.data, attempts, seq, shown)
        return True

    def refuse(self, topic: str, offset: int, e: Envelope, code: str, detail: str, data: Any) -> None:
        """Answer a message of the system with an error."""
        self._refuse(topic, offset, e, code, detail, data, 1)

    def put_aside(self, topic: str, offset: int, e: Envelope, deaths: int) -> None:
        """A message that has killed its process so many times in a row is not tried again."""
        awaited = e.kind > ASK or e.handler == WAKE
        if not (awaited and self.invocations.answers.poisoned(topic, offset, e, deaths)):
            detail = f"it killed its process {deaths} times in a row"
            self._refuse(topic, offset, e, "poisoned", detail, None, deaths)

    def _refuse(
        self, topic: str, offset: int, e: Envelope, code: str, detail: str, data: Any, attempts: int,
        seq: int = 0, shown: Envelope | None = None,
    ) -> None:  # fmt: skip
        if e.idempotency_key:
            e = _marked(e)
            kept = self._kept(e)
            same = kept is not None and kept.digest == idempotency.digest_of(e.idempotency_key)
            if kept is not None and same and "/" not in e.reply_to:
                self._tell_kept(offset, e, kept)  # it is its repetition that fails
                return
            if kept is not None:
                e = e._replace(idempotency_key="")  # what is kept is that of another
        changes, notices = self.actors.failed(e, code, detail)
        turn = refusal(
            self.claim, topic, offset, e, self.now, seq, code, detail, data, attempts, changes, notices, shown
        )
        # Where the failure ends the actor's life, it has taken the timer back.
        ended = code == "stopped" or any(o.kind == _OUT_CANCEL and o.id == e.id for o in notices)
        if topic == TIMER and code not in _ENDS and not ended:
            turn = turn._replace(outs=[*turn.outs, *again(e, self.now)])
        self._append_turn(turn)

    def _retry(self, actor: Actor) -> None:
        """Try the head of a busy actor's queue again, and go on with what waits behind it."""
        queue = actor.queue
        assert queue is not None
        while queue:
            if not self._may_try(actor, queue[0]):
                return
            head = queue.popleft()
            e = head.envelope
            if head.topic == TIMER and not self.timers.live(e.sender, e.id, e.origin_seq):
                continue  # taken back while it waited
            if head.topic == PARKED:
                if self.invocations.unpark(actor, head.parked) and actor.holder is not None:
                    self.actors.busy.pop(actor.address, None)
                    self.let_pass(actor)
                    return  # it has the actor
                continue
            if not self._invoke(actor, head.topic, head.offset, head.envelope, False):
                return  # it put itself back at the head
            if actor.holder is not None:
                self.invocations.crowd(actor)
                self.let_pass(actor)
                return  # it waits
            self.inbox.finish(head.offset)
        actor.queue = None
        self.actors.busy.pop(actor.address, None)

    def let_pass(self, actor: Actor) -> None:
        """A handler has the actor: messages in its queue that run beside it need not wait for its end."""
        shared = actor.info.shared
        for waiting in [w for w in actor.queue or () if w.envelope.handler in shared]:
            if actor.holder is None or waiting not in (actor.queue or ()) or self._care.left:
                return  # the queue goes on by itself, or is tried one by one
            assert actor.queue is not None
            actor.queue.remove(waiting)
            e = waiting.envelope
            if waiting.topic == PARKED:
                self.invocations.unpark(actor, waiting.parked)
            elif waiting.topic != TIMER or self.timers.live(e.sender, e.id, e.origin_seq):
                self._invoke(actor, waiting.topic, waiting.offset, e, False)
                self.inbox.finish(waiting.offset)

    def _may_try(self, actor: Actor, head: Waiting) -> bool:
        """Whether the head of a queue is handled now: while care is taken it is announced first."""
        care = self._care
        if not care.left or head.topic != MAILBOX:
            return True
        if self.quiet and care.announced(head.offset):
            care.tried()
            return True
        if actor not in care.actors:
            care.actors.append(actor)
        return False

    # For handlers that wait

    def go_on(self, actor: Actor) -> None:
        """The handler that waited has ended: others get their turn."""
        if actor.queue is not None and not self._releasing:
            self._retry(actor)

    def base_of(self, actor: Actor, fields: list[Change], patch: Sequence[Change] = ()) -> list[Change]:
        """The whole state of an actor from its plain fields and its entries, with `patch` on top of these."""
        entries = {(f, k): value for f, k, value in self.pieces.entries(actor.address)}
        for field, key, value in patch:
            if key is not None and value is None:
                entries.pop((field, key), None)
            elif key is not None and value is not None:
                entries[field, key] = value
        return [*fields, *(Change(f, k, value) for (f, k), value in entries.items())]

    def sent(
        self, actor: Actor | None, outs: list[Out], handler: str = "", mark: str = ""
    ) -> tuple[list[Out], list[Change]]:
        """What a waiting handler has sent, as it leaves with its step; changes of the actor's life.

        Parameters:
            handler, mark: with its end, what was called, and the mark of the call's idempotency key.
        """
        assert actor is not None
        changes: list[Change] = []
        if outs:
            outs = self.ticks.take(actor, outs, self.now)
            outs, changes, _ = take(self.pieces, actor.address, outs, handler, mark, all=True)
        if any(out.handler in SIGNALS for out in outs):
            ruling = self.actors.lives.sent(actor.address, None, actor.life, outs, changes)
            outs = ruling.outs
            changes = [*ruling.changes, *self.actors.live_on(actor, ruling.life)]
        if not actor.armed:
            actor.armed = True
            outs = [*outs, *arm(actor.info, actor.address, self.pieces, self.now)]
        return outs, changes

    # With care

    def will_wait(self, e: Envelope) -> bool:
        """Whether a message would wait for its actor, in a queue or in the journal."""
        at_once = e.handler in OVERTAKES or (e.handler.startswith("$") and e.handler not in SIGNALS)
        if e.kind > ASK or at_once:
            return False
        if e.headers and e.headers.get("read_only") == "1":
            return False
        actor = self.actors.active.get(e.target)
        if actor is not None:
            return actor.queue is not None and not (actor.holder and e.handler in actor.info.shared)
        # It is not loaded for that: who has handlers that wait and are not shared is held by one of them.
        waiting = self.invocations.live.get(e.target)
        info = self.host.type_info(type_of(e.target)) if waiting else None
        if not waiting or info is None or e.handler in info.shared:
            return False
        return any(inv.begin.handler not in info.shared for inv in waiting.values())

    def _next_held(self) -> Waiting | None:
        """The first message that may be tried now: none overtakes another one of its actor."""
        care, passed, later = self._care, set[str](), []
        for waiting in islice(care.held, _LOOKED_AT):
            target = waiting.envelope.target
            if target in passed:
                continue
            at = self.actors.not_before(waiting.envelope)
            if at <= self.now:
                return waiting
            later.append(at)
            passed.add(target)
        care.until = min(later, default=0)
        return None

    def _with_care(self) -> None:
        """After crashes in a row: one message at a time, each announced before it is tried."""
        care = self._care
        if self._releasing:
            return  # the next owner reads them again
        while care.left and care.timer is None and self.quiet:
            actor = care.actors[0] if care.actors else None
            if actor is not None and not actor.queue:
                care.actors.popleft()
                continue
            waiting = actor.queue[0] if actor is not None and actor.queue else self._next_held()
            if waiting is None:
                break
            if actor is None and self.will_wait(waiting.envelope):
                care.held.remove(waiting)  # what waits has not been tried
                self._execute(waiting.topic, waiting.offset, waiting.envelope)
                continue
            if not care.announced(waiting.offset):
                care.announce(waiting.offset)
                self._pending.append(self._mark(attempt=waiting.offset))
                return
            if actor is not None:
                care.actors.popleft()
                self._retry(actor)
                continue
            care.tried()
            care.held.remove(waiting)
            self._execute(waiting.topic, waiting.offset, waiting.envelope)
        if not care.left and care.timer is None:
            self._care_is_over()

    def _care_is_over(self) -> None:
        """What was held for its trial goes on, in its order and before anything that comes now."""
        care = self._care
        actors, held = list(care.actors), list(care.held)
        care.actors.clear()
        care.held.clear()
        for actor in actors:
            if actor.queue:
                self._retry(actor)
        for one in held:
            self._execute(one.topic, one.offset, one.envelope)

    def _apply(self, group: Group, offsets: Sequence[int]) -> None:
        super()._apply(group, offsets)
        if self.outcomes.awaited:
            self.outcomes.came(group.records)
        if self._care.held or self._care.actors:
            self._with_care()


def _marked(e: Envelope) -> Envelope:
    """A message whose idempotency key says what arguments it is used with, too."""
    mark = idempotency.mark(e.idempotency_key, e.payload)
    return e if mark == e.idempotency_key else _new(Envelope, (*e[:_KEY], mark, *e[_KEY + 1 :]))
