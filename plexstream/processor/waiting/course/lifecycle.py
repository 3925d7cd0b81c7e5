"""How handlers that wait begin, go on and end: what becomes of what a host says."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from plexstream.model.errors import FAILURES
from plexstream.model.host import ActorHost, Again, Effect, Outcome, Result, Suspended
from plexstream.model.journal.attempt import Attempt
from plexstream.model.journal.journal import (
    DONE,
    FAILED,
    REJECTED,
    WAITING,
    Change,
    CommandKind,
    Completion,
    Control,
    Out,
    OutKind,
)
from plexstream.model.journal.life import START
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.calls import Moment
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.sums.fold import MAILBOX
from plexstream.processor.state.histories.history import NOTED, failed
from plexstream.processor.state.histories.kept import result_out
from plexstream.processor.waiting import limits
from plexstream.processor.waiting.course.agenda import Agenda
from plexstream.processor.waiting.course.effects import Effects
from plexstream.processor.waiting.course.endings import Endings, kept_failure, key_of
from plexstream.processor.waiting.course.reach import sleeps_back, withdrawals
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.invocation.invocation import (
    PROMISES,
    Cause,
    Invocation,
    Opening,
    begin_of,
    no_cause,
)
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.processor.waiting.invocation.leaving import Leaving
from plexstream.processor.waiting.invocation.machine import Event, State, move

_log = logging.getLogger("plexstream.processor")
_new = tuple.__new__  # a named tuple's own costs several times as much
_LATER = OutKind.LATER.value
_RUN, _SLEEP = CommandKind.RUN.value, CommandKind.SLEEP.value
_REPLY, _ERROR, _DEAD = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.DEADLETTER.value


class Lifecycle:
    """Lets handlers begin and go on, and says how they end."""

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, leaving: Leaving, journal: Journal,
        roster: Roster, agenda: Agenda, effects: Effects, endings: Endings,
    ) -> None:  # fmt: skip
        self._host = host
        self._ledger = ledger
        self._actors = actors
        self._leaving = leaving
        self._journal = journal
        self._roster = roster
        self._agenda = agenda
        self._effects = effects
        self._endings = endings
        journal.on_record = agenda.recorded

    # Beginning

    def begin(
        self, actor: Actor, cause: Cause, e: Envelope, seq: int, outcome: Suspended | Again, opening: Opening,
        tried: Attempt | None, outs: list[Out], inv: Invocation | None,
    ) -> None:  # fmt: skip
        """A handler has come to its first wait, or goes on as new. `inv`: it waited in the journal before.

        `tried`: the latest attempt at the message that has failed before it waited.
        """
        base = None
        if type(outcome) is Suspended and outcome.base is not None:
            base = self._ledger.pieces.base(actor.address, outcome.base, opening.fresh or ())
        if inv is None:
            inv = Invocation(actor.address, seq, begin_of(e, self._ledger.now, base), 0)
            inv.cause = cause
            actor.seq = seq
            if cause.topic == MAILBOX:
                self._ledger.inbox.waiting.add(cause.offset)
            self._roster.hold(actor, inv)
            if tried is not None:
                self._journal.take_over(inv, actor, e, tried, outs)
                outs = []
            move(inv, Event.BEGIN)
        else:
            inv.begin = begin_of(e, self._ledger.now, base)
            move(inv, Event.RUN)
        inv.opening = opening
        inv.since = self._ledger.now
        self._roster.take_instance(actor, inv)
        self.outcome(inv, outcome, [], no_cause(), outs)

    def begin_failed(
        self, actor: Actor, cause: Cause, e: Envelope, result: Result, tried: Attempt | None, outs: list[Out],
        shown: Envelope | None,
    ) -> None:  # fmt: skip
        """A handler has failed before it waited: it is tried again while others go on, or for long, or ends.

        `tried`: the attempt at the message that has failed before this one. `shown`: as the code got it.
        """
        actor.seq += 1
        inv = Invocation(actor.address, actor.seq, begin_of(e, self._ledger.now, None), 0)
        inv.cause = cause
        self._roster.hold(actor, inv)
        if tried is not None:
            self._journal.take_over(inv, actor, e, tried, outs)
            outs = []
        self.ended(inv, result, [], no_cause(), outs, shown)

    # Going on

    def outcome(
        self, inv: Invocation, outcome: Outcome, completions: list[Completion], cause: Cause,
        outs: list[Out] | None = None,
    ) -> None:  # fmt: skip
        """Take what a host says of a handler."""
        if type(outcome) is Suspended:
            self._suspended(inv, outcome, completions, cause, outs or [])
        elif type(outcome) is Again:
            self._again(inv, outcome, completions, cause, outs or [])
        else:
            assert type(outcome) is Result
            self.ended(inv, outcome, completions, cause, outs or [])

    def _suspended(
        self, inv: Invocation, s: Suspended, completions: list[Completion], cause: Cause, outs: list[Out]
    ) -> None:
        self._agenda.keep(inv, s.task)
        if completions and not cause.topic and not outs and self._journal.stretch(inv, s, completions):
            self._start(inv, s.effects)
            return
        if inv.opening is not None:
            self._live(inv)
        _, commands, came, effects, patch, made, _, ran = s
        known = {c.number for c in came} if came else ()
        waits = bool(inv.outstanding)
        for command in commands:
            if command.number not in known:
                self._roster.wait_for(inv, command)
        inv.has_asked(commands)
        inv.unrecorded.extend(commands)
        assert inv.actor is not None
        made, changes = self._leaving.sent(inv.actor, made)
        sent = [*outs, *made] if outs else made
        patch = [*patch, *changes] if changes else patch
        o = inv.opening
        if (
            completions or sent or came or patch or cause.topic or ran or inv.told_stuck
            or (o is not None and (o.changes or o.outs or o.fresh is not None))
            or (waits and inv.unrecorded) or (inv.steps and not inv.begun)
            or any(c.kind != _RUN for c in commands)
        ):  # fmt: skip
            done = [*completions, *came] if came else completions
            self._journal.record(inv, WAITING, cause, completions=done, patch=patch, outs=sent)
        elif inv.unrecorded:
            # Only side effects, and nothing that has happened yet: the record comes with their results.
            # The earliest first: time does not go back.
            self._agenda.announce.setdefault(inv, self._ledger.now)
        self._start(inv, effects)

    def _start(self, inv: Invocation, effects: Mapping[int, Effect]) -> None:
        """Side effects that were asked for begin once that is on the log."""
        if effects:
            for number, effect in effects.items():
                if inv.number_in_flight(number):
                    self._effects.ask(inv, number, effect)
            self._effects.acknowledged()

    def _live(self, inv: Invocation) -> None:
        """The life that the message gives the actor begins with the handler's first stretch."""
        o, actor = inv.opening, inv.actor
        if o is not None and o.life is not None and actor is not None:
            changes = [*o.changes, *self._actors.live_on(actor, o.life)]
            inv.opening = o._replace(changes=changes, life=None)

    def _again(
        self, inv: Invocation, new_run: Again, completions: list[Completion], cause: Cause, outs: list[Out]
    ) -> None:
        """The run of a workflow goes on as another one, in one record. Its promises end with it."""
        actor = inv.actor
        assert actor is not None
        self._live(inv)
        if inv.cause is not None:
            self._journal.record(inv, WAITING, no_cause(), outs=outs)
            outs = []
        actor.seq += 1
        number = actor.seq
        promises = self._ledger.pieces.collections.entries(actor.address, PROMISES)
        kept = [Change(PROMISES, key, None) for key, _ in promises]
        patch = [c for c in new_run.patch if c.field != PROMISES] + kept
        made, changes = self._leaving.sent(actor, new_run.outs)
        begin = inv.begin._replace(payload=new_run.payload, time=self._ledger.now, base=None)
        self._journal.record(
            inv, DONE, cause, completions=completions, patch=[*patch, *changes],
            outs=[*outs, *made, *sleeps_back(inv), *withdrawals(inv)], next=number, begin=begin,
        )  # fmt: skip
        move(inv, Event.CONTINUE)
        self._endings.forget(inv)
        self._roster.leave(actor, inv)
        if actor.instance is not None:
            self._host.apply(actor.instance, kept)
        new = Invocation(inv.address, number, begin, 1)
        new.continued = True
        new.behind, inv.behind = inv.behind, new.behind
        new.group = actor.group
        self._roster.hold(actor, new)
        move(new, Event.FOLLOW)
        self._agenda.soon(new)

    # Ending

    def ended(
        self, inv: Invocation, result: Result, completions: list[Completion], cause: Cause, outs: list[Out],
        shown: Envelope | None = None,
    ) -> None:  # fmt: skip
        """A handler has come to its end, for now or for good; `shown`: its message, if not as it began."""
        b, code, actor = inv.begin, result.code, inv.actor
        assert actor is not None
        self._agenda.keep(inv, None)
        if code == "non_deterministic":
            self.misfit(inv, result, completions, cause, outs)
            return
        if code and (attempt := self._again_later(inv, actor, result)) is not None:
            if inv.state is State.RUNNING and (inv.unrecorded or not inv.begun):
                self._journal.record(inv, WAITING, no_cause())  # what it had asked for before
            if not inv.begun:
                inv.opening, inv.unrecorded = None, []
            move(inv, Event.FAIL)
            inv.retry_at = attempt.next
            self._agenda.later(inv, inv.retry_at)
            undone = attempt.undone
            back = [*sleeps_back(inv, undone), *withdrawals(inv, undone)] if undone is not None else []
            self._journal.note(inv, cause, [*completions, failed(attempt)], [*outs, *back])
            if undone is not None:
                inv.forget(undone)
            return
        sent, status, patch = [*outs], DONE, result.patch
        later = any(out.kind == _LATER for out in result.outs)
        if not code:
            self._live(inv)
            made, changes = self._leaving.sent(actor, result.outs, self._moment(inv))
            sent += made
            ran = [] if result.read_only else self._initialised(inv, actor)  # no hook runs before a read
            patch = [*patch, *changes, *ran]
            if b.handler == START:
                sent += self._actors.started(actor)
            if b.kind == ASK and not later:
                sent.append(_new(Out, (_REPLY, b.id, b.reply_to, "", result.value, "", "", 0)))
            sent += result_out(b.kind, b.idempotency_key, result.value, result.outs)
        else:
            if not inv.begun:
                inv.opening = None
            status = REJECTED if code == "rejected" else FAILED
            if b.kind == ASK or code != "ignored":
                sent.append(self._endings.failure(inv, code, result.detail, result.data, shown=shown))
            sent += kept_failure(b, code, result.detail, result.data)
            changes, notices = self._endings.life_failed(inv, code, result.detail)
            sent += notices
            if result.outs:  # before a wait, with an answer of which the next came at once
                made, more = self._leaving.sent(actor, result.outs)
                sent, changes = [*made, *sent], [*more, *changes]
            if patch and actor.instance is not None:
                self._host.apply(actor.instance, patch)
            patch = [*patch, *changes]
        key = "" if later and b.kind == ASK else key_of(b, code)
        self._endings.end(inv, status, cause, completions, patch, sent, key, later=later)

    def _moment(self, inv: Invocation) -> Moment:
        b = inv.begin
        latest = self._actors.number(inv.address)
        return Moment(self._ledger.now, b.handler, inv.number, b.idempotency_key, inv.withdrawn, latest)

    def _initialised(self, inv: Invocation, actor: Actor) -> list[Change]:
        init = inv.opening.init if inv.opening is not None else inv.init
        return self._actors.initialised(actor) if init else []

    # Being tried again

    def _again_later(self, inv: Invocation, actor: Actor, result: Result) -> Attempt | None:
        """The attempt that has failed, where the handler is tried again, from what is recorded."""
        info, b = actor.info, inv.begin
        retried = b.kind == TELL or b.handler in info.retried
        retry = info.retried.get(b.handler, info.retry)
        number, now = inv.attempts() + 1, self._ledger.now
        if not retried or result.code not in FAILURES or number >= retry.attempts or b.handler == START:
            return None
        began = inv.tried[-1].began if -1 in inv.tried else now
        due = now + retry.delay(number, inv.reference())
        attempt = Attempt(
            number, retry.attempts, began, due, result.code, result.detail, undone=result.undone
        )
        inv.tried[-1] = attempt
        return attempt

    def misfit(
        self, inv: Invocation, result: Result, completions: list[Completion], cause: Cause, outs: list[Out]
    ) -> None:
        """The code does not fit what is recorded: it is stuck, or ends, as its type says."""
        actor = inv.actor
        assert actor is not None
        _log.error("%s#%d is stuck: %s", inv.address, inv.number, result.detail)
        if inv.cancelled or actor.info.on_stuck != "wait":
            move(inv, Event.MISFIT)
            if completions or cause.topic:
                self._journal.note(inv, cause, completions, outs)
                cause, outs = no_cause(), []
            if inv.cancelled:  # it cannot hear of it
                self._endings.cancelled(inv, cause, outs)
                return
            detail = f"{inv.reference()} is stuck: {result.detail}"
            code = "killed" if actor.info.on_stuck == "kill" else "non_deterministic"
            self._endings.kill(inv, cause, outs, code, detail)
            return
        news = not inv.told_stuck or inv.stuck != result.detail
        move(inv, Event.MISFIT)
        if completions or outs or cause.topic or news:
            told = Completion(Control.STUCK, True, result.detail.encode())
            self._journal.note(inv, cause, [*completions, told, NOTED], outs)
        inv.stuck, inv.told_stuck = result.detail, True
        self._agenda.stuck.add(inv)
        self._agenda.later(inv, self._ledger.now + limits.STUCK_RETRY)
