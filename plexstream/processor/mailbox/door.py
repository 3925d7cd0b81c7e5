"""The door: every message comes through it, is judged, handled, and noted with all that it did."""

from __future__ import annotations

from collections.abc import Sequence

from plexstream.model.errors import Failed
from plexstream.model.host import ActorHost, Outcome, Result
from plexstream.model.journal.attempt import FIELD, encode_attempt
from plexstream.model.journal.journal import Change, Out, OutKind, Step, Turn
from plexstream.model.journal.life import SIGNALS, START, STARTED
from plexstream.model.messages.control import RESULT
from plexstream.model.messages.message import ASK, REPLY, TELL, TOO_LARGE, Envelope
from plexstream.processor.actors.actor import Actor, Refusal, Waiting
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.calls import OUTS, Moment, take
from plexstream.processor.actors.lives.lives import OVERTAKES, life_change
from plexstream.processor.actors.lives.signals import Ruling
from plexstream.processor.actors.refusals import Refusals, marked
from plexstream.processor.actors.times.expiry import Expiry
from plexstream.processor.actors.times.recurring import again, arm
from plexstream.processor.actors.times.ticks import Ticks
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import Answer
from plexstream.processor.journal.sums.fold import MAILBOX, TIMER
from plexstream.processor.mailbox.calls.commands import Commands
from plexstream.processor.mailbox.calls.outcomes import Outcomes
from plexstream.processor.mailbox.calls.repeats import Repeats
from plexstream.processor.mailbox.care import Care
from plexstream.processor.mailbox.failures import Failures
from plexstream.processor.state.histories.kept import result_out
from plexstream.processor.waiting.invocation.invocation import Invocation, Opening, cause_of
from plexstream.processor.waiting.invocations import Invocations

_OUT_REPLY, _OUT_TICK = OutKind.REPLY.value, OutKind.TICK.value
_TAKEN = OUTS | {_OUT_TICK}
"""Outs of a handler that do not leave, or not only."""
_new = tuple.__new__  # a named tuple's own costs twice the time


class Door:
    """Lets messages to their actors."""

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, ticks: Ticks, expiry: Expiry,
        refusals: Refusals, repeats: Repeats, failures: Failures, commands: Commands, outcomes: Outcomes,
        care: Care, invocations: Invocations,
    ) -> None:  # fmt: skip
        self._host = host
        self._ledger = ledger
        self._actors = actors
        self._ticks = ticks
        self._expiry = expiry
        self._refusals = refusals
        self._repeats = repeats
        self._failures = failures
        self._commands = commands
        self._outcomes = outcomes
        self._care = care
        self._invocations = invocations
        self._refused: tuple[str, Refusal] | None = None  # what could not be loaded just now

    def load(self, address: str) -> bool:
        """Load the actor of the message that comes next; False where it cannot be: why is not asked again."""
        loaded = self._actors.load(address, self._ledger.now)
        self._refused = (address, loaded) if type(loaded) is Refusal else None
        return self._refused is None

    def execute(self, topic: str, offset: int, e: Envelope) -> None:
        """Handle a message: it is executed, waits for its actor, is answered or refused."""
        if e.kind > ASK:
            self._invocations.answers.reply(offset, e)
            return
        if e.idempotency_key:
            e = marked(e)
        actor = self._actors.active.get(e.target)
        if actor is None:
            if e.handler == RESULT:
                self._outcomes.tell(offset, e)
                return
            refused, self._refused = self._refused, None
            if refused is not None and refused[0] == e.target:
                loaded: Actor | Refusal = refused[1]
            else:
                loaded = self._actors.load(e.target, self._ledger.now)
            if type(loaded) is Refusal:
                code, detail = loaded
                if "malformed" in e.headers:  # a record of a source that names no actor
                    code, detail = "malformed", e.headers["malformed"]
                elif self._commands.take_unloaded(topic, offset, e, code):
                    return
                self._refusals.refuse(topic, offset, e, code, detail)
                return
            assert type(loaded) is Actor
            actor = loaded
        if e.headers and TOO_LARGE in e.headers:  # what has come in its place says so
            self._refusals.refuse(topic, offset, e, "too_large", e.headers[TOO_LARGE])
            return
        if e.handler.startswith("$"):
            if e.handler == RESULT:
                self._outcomes.tell(offset, e)
                return
            if self._commands.take(actor, topic, offset, e):
                return
        must_read = bool(e.headers) and e.headers.get("read_only") == "1"
        if actor.queue is not None and not must_read and self._wait(actor, topic, offset, e):
            return
        self.invoke(actor, topic, offset, e, must_read)

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
                self._refusals.refuse(topic, offset, e, "deadlock", detail.replace("\n", " -> "))
                return True
            if e.idempotency_key and self._repeats.joined(actor, topic, offset, e):
                return True
            self._invocations.crowd(actor)
        queue.append(Waiting(topic, offset, e))
        if offset >= 0:
            self._ledger.inbox.wait(offset, len(e.payload))
        return True

    def invoke(
        self, actor: Actor, topic: str, offset: int, e: Envelope, must_read: bool,
        inv: Invocation | None = None,
    ) -> bool:  # fmt: skip
        """The door: judge a message, run its handler and note what that did; False: it will be tried again.

        Every message comes through here, whether it has just arrived, was queued, parked, or failed before.
        `inv`: the invocation that it is in the journal, if it is one.
        """
        if e.idempotency_key:
            if self._repeats.answered(actor, topic, offset, e, inv):
                return True
            if self._repeats.joined(actor, topic, offset, e, inv):
                return True
        now = self._ledger.now
        handler, payload = e.handler, e.payload
        ruling: Ruling | None = None
        fresh = False
        dropped: list[Change] = []
        if actor.life is not None or handler in SIGNALS:
            ruling = self._actors.lives.rule(actor.address, actor.life, actor.seq > 0, actor.info, e)
            handler, payload, fresh = ruling.handler, ruling.payload, ruling.fresh
            ends = fresh or (ruling.life is not None and ruling.life.stopped)
            if ends and actor.address in self._invocations.live:
                why = f"{actor.address} was started anew or killed by {e.handler}"
                self._invocations.controls.kill_all(actor, why, inv)
        if fresh or self._expiry.expired(actor):
            fresh = True
            try:
                dropped = self._expiry.renew(actor)
            except Failed as error:
                failed = Result("failed", b"", [], [], False, error.detail)
                return self._failures.failed(actor, topic, offset, e, failed, inv)
        seq = actor.seq + 1 if inv is None else inv.number
        if actor.instance is None:
            self._actors.twin(actor)
        init = fresh or (actor.raw and (inv is actor.holder or not self._is_initialising(actor)))
        if handler:
            result = self._host.invoke(
                actor.instance, handler, payload, seq, now, e.sender, e.id, must_read,
                e.headers.get("chain", "") if e.headers else "", init,
                e.reply_to if e.kind == ASK else "",
            )  # fmt: skip
        else:  # no code runs: the actor's first turn may be still to come
            assert ruling is not None
            seq = actor.seq
            result = Result(ruling.code, b"null", [], [], False, ruling.detail)
        return self._came(
            actor, topic, offset, e, seq, result, handler, payload, ruling, fresh, dropped, init, inv
        )

    def came(self, actor: Actor, offset: int, e: Envelope, seq: int, result: Outcome) -> bool:
        """The same, where the handler of a message that has just come has run as a plain one.

        Returns whether the next message may be handled so, too.
        """
        self._came(actor, MAILBOX, offset, e, seq, result, e.handler, e.payload, None, False, [], False, None)
        return not self._care.any

    def _came(
        self, actor: Actor, topic: str, offset: int, e: Envelope, seq: int, result: Outcome, handler: str,
        payload: bytes, ruling: Ruling | None, fresh: bool, dropped: list[Change], init: bool,
        inv: Invocation | None,
    ) -> bool:  # fmt: skip
        """Note what a message has come to."""
        ledger, now = self._ledger, self._ledger.now
        actor.last = now
        if type(result) is not Result:
            tried = self._actors.tried(actor, e)
            opening = self._opening(actor, e, ruling, dropped if fresh else None, init)
            call = e if ruling is None else e._replace(handler=handler, payload=payload)
            cause = cause_of(topic, offset, e)
            outs = again(e, now, result.outs)
            self._invocations.begin(actor, cause, call, seq, result, opening, tried, outs, inv)  # type: ignore[arg-type]
            return True
        code, value, patch, outs, read_only, _, _, _ = result
        if code:
            shown = e if ruling is None or not handler else e._replace(handler=handler, payload=payload)
            return self._failures.failed(actor, topic, offset, e, result, inv, shown)
        if inv is not None:
            opening = self._opening(actor, e, ruling, dropped if fresh else None, init and bool(handler))
            if ruling is not None:
                opening = opening._replace(outs=ruling.outs)
            self._invocations.came_to(inv, result, opening, again(e, now, outs))
            return True
        calls: Sequence[Change] = ()
        later = False
        for out in outs:
            if out.kind in _TAKEN and not read_only:
                outs = self._ticks.take(actor, outs, now)
                moment = Moment(now, e.handler, seq, e.idempotency_key, turn=seq)
                outs, calls, later = take(ledger.pieces, actor.address, outs, moment)
                break
        for out in outs:
            if out.handler in SIGNALS:
                ruling = self._actors.lives.sent(actor.address, ruling, actor.life, outs, calls)
                outs, calls = [], ()
                break
        kind = e.kind
        later = later and kind == ASK
        ended = self._actors.end_trying(actor, e) if actor.tried is not None else None
        if read_only and not (e.idempotency_key if kind == TELL else "/" in e.reply_to):
            if kind == ASK:
                ledger.answer(Answer(e.reply_to, e.id, REPLY, value))
            if offset >= 0 and not ended:
                ledger.inbox.finish(offset)
                return True
            patch, outs = [], []  # a timer is finished by its turn
        else:
            stopped = ruling is not None and ruling.life is not None and ruling.life.stopped
            if ruling is not None and ruling.fresh:
                actor.armed = not actor.info.crons
            if not actor.armed and handler and not stopped:
                actor.armed = True
                outs.extend(arm(actor.info, actor.address, ledger.pieces, now))
            if actor.raw and handler:
                no_effect = read_only or not init
                actors = self._actors
                patch = [*patch, *(actors.mark_raw(actor) if no_effect else actors.initialised(actor))]
            if kind == ASK and not later:
                outs.append(_new(Out, (_OUT_REPLY, e.id, e.reply_to, "", value, "", "", 0)))
            elif kind == TELL and e.idempotency_key:
                outs.extend(result_out(kind, e.idempotency_key, value))
        if calls:
            patch = [*patch, *calls]
        if ruling is not None:
            outs = [*ruling.outs, *outs]
            patch = [*patch, *ruling.changes, *self._actors.live_on(actor, ruling.life)]
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
        actor.group = ledger.number
        turn: Turn | Step = _new(Turn, (
            ledger.claim, actor.address, seq, topic, offset, now, 0, fresh,
            "" if later else e.idempotency_key, [*dropped, *patch] if fresh else patch,
            e.handler, e.id, e.sender, kind, e.origin, e.origin_seq, e.origin_index, outs, 0,
        ))  # fmt: skip
        if actor.holder is not None:
            turn = self._invocations.meanwhile(actor, turn)  # type: ignore[arg-type]
        ledger.append(turn, bool(patch or outs or e.idempotency_key or fresh or offset < 0))
        if patch and actor.address in self._invocations.live:
            self._invocations.settled(actor, patch)
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
            if actor.tried is not None and self._actors.tried(actor, e) is None:
                dropped = [*dropped, Change(FIELD, None, encode_attempt(actor.tried))]  # of another message
        if ruling is not None:
            if ruling.fresh:
                actor.armed = not actor.info.crons
            changes, life = ruling.changes, ruling.life
            # A start that waits is over when its handler has ended.
            outs = [o for o in ruling.outs if o.handler != STARTED] if e.handler == START else ruling.outs
        return _new(Opening, (changes, outs, life, dropped, init if actor.info.init else None))
