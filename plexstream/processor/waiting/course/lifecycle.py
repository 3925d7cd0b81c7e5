"""How handlers that wait begin, go on and end: what becomes of what a host says."""

from __future__ import annotations

import json
import logging
from collections import deque

from plexstream.model.attempt import Attempt
from plexstream.model.errors import FAILURES
from plexstream.model.host import ActorHost, Again, Outcome, Result, Suspended
from plexstream.model.journal import (
    DONE,
    FAILED,
    REJECTED,
    WAITING,
    Begin,
    Change,
    CommandKind,
    Completion,
    Control,
    Out,
    OutKind,
)
from plexstream.model.life import ON_STOP, START, STOP
from plexstream.model.message import ASK, TELL, Envelope
from plexstream.model.workflow import RESULT, WORKFLOW
from plexstream.processor import limits
from plexstream.processor.actors.actor import Actor, Waiting
from plexstream.processor.actors.actors import Actors
from plexstream.processor.journal.fold import MAILBOX
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.records import error_body
from plexstream.processor.state.history import NOTED, failed
from plexstream.processor.state.kept import answer_out, is_kept, kept_out, outcome_among, result_out
from plexstream.processor.waiting.course.agenda import Agenda
from plexstream.processor.waiting.course.effects import Effects
from plexstream.processor.waiting.course.ports import Door
from plexstream.processor.waiting.course.reach import reach_down, sleeps_back
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.invocation.invocation import (
    PARKED,
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
_LATER = OutKind.LATER.value
_RUN, _SLEEP = CommandKind.RUN.value, CommandKind.SLEEP.value
_REPLY, _ERROR, _DEAD = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.DEADLETTER.value


class Lifecycle:
    """Lets handlers begin, go on and end.

    Attributes:
        door: lets others go on once nobody holds their actor any more.
    """

    door: Door

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, leaving: Leaving, journal: Journal,
        roster: Roster, agenda: Agenda, effects: Effects,
    ) -> None:  # fmt: skip
        self._host = host
        self._ledger = ledger
        self._actors = actors
        self._leaving = leaving
        self._journal = journal
        self._roster = roster
        self._agenda = agenda
        self._effects = effects
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
        self._live(inv)
        known = {c.number for c in s.done} if s.done else ()
        waits = bool(inv.outstanding)
        for command in s.commands:
            if command.number not in known:
                self._roster.wait_for(inv, command)
        inv.has_asked(s.commands)
        inv.unrecorded.extend(s.commands)
        assert inv.actor is not None
        made, changes = self._leaving.sent(inv.actor, s.outs)
        sent = [*outs, *made]
        patch = [*s.patch, *changes]
        o = inv.opening
        if (
            completions or sent or s.done or patch or cause.topic or s.ran or inv.told_stuck
            or (o is not None and (o.changes or o.outs or o.fresh is not None))
            or (waits and inv.unrecorded) or (inv.steps and not inv.begun)
            or any(c.kind != _RUN for c in s.commands)
        ):  # fmt: skip
            done = [*completions, *s.done]
            self._journal.record(inv, WAITING, cause, completions=done, patch=patch, outs=sent)
        elif inv.unrecorded:
            # Only side effects, and nothing that has happened yet: the record comes with their results.
            # The earliest first: time does not go back.
            self._agenda.announce.setdefault(inv, self._ledger.now)
        for number, effect in s.effects.items():
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
        promises = self._ledger.pieces.entries(actor.address, PROMISES)
        kept = [Change(PROMISES, key, None) for _, key, _ in promises]
        patch = [c for c in new_run.patch if c.field != PROMISES] + kept
        made, changes = self._leaving.sent(actor, new_run.outs)
        begin = inv.begin._replace(payload=new_run.payload, time=self._ledger.now, base=None)
        self._journal.record(
            inv, DONE, cause, completions=completions, patch=[*patch, *changes],
            outs=[*outs, *made, *sleeps_back(inv)], next=number, begin=begin,
        )  # fmt: skip
        move(inv, Event.CONTINUE)
        self.forget(inv)
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
            back = sleeps_back(inv, undone) if undone is not None else []
            self._journal.note(inv, cause, [*completions, failed(attempt)], [*outs, *back])
            if undone is not None:
                inv.forget(undone)
            return
        sent, status, patch = [*outs], DONE, result.patch
        later = any(out.kind == _LATER for out in result.outs)
        if not code:
            self._live(inv)
            made, changes = self._leaving.sent(actor, result.outs, b.handler, b.idempotency_key)
            sent += made
            ran = [] if result.read_only else self._initialised(inv, actor)  # no hook runs before a read
            patch = [*patch, *changes, *ran]
            if b.handler == START:
                sent += self._actors.started(actor)
            if b.kind == ASK and not later:
                sent.append(Out(_REPLY, b.id, b.reply_to, "", result.value))
            sent += result_out(b.kind, b.idempotency_key, result.value, result.outs)
        else:
            if not inv.begun:
                inv.opening = None
            status = REJECTED if code == "rejected" else FAILED
            if b.kind == ASK or code != "ignored":
                sent.append(self._failure(inv, code, result.detail, result.data, shown=shown))
            sent += _kept_failure(b, code, result.detail, result.data)
            changes, notices = self._life_failed(inv, code, result.detail)
            sent += notices
            if result.outs:  # before a wait, with an answer of which the next came at once
                made, more = self._leaving.sent(actor, result.outs)
                sent, changes = [*made, *sent], [*more, *changes]
            if patch and actor.instance is not None:
                self._host.apply(actor.instance, patch)
            patch = [*patch, *changes]
        key = "" if later and b.kind == ASK else _key(b, code)
        self.end(inv, status, cause, completions, patch, sent, key, later=later)

    def _initialised(self, inv: Invocation, actor: Actor) -> list[Change]:
        init = inv.opening.init if inv.opening is not None else inv.init
        return self._actors.initialised(actor) if init else []

    def _failure(
        self, inv: Invocation, code: str, detail: str, data: object, attempts: int = 0,
        shown: Envelope | None = None,
    ) -> Out:  # fmt: skip
        b = inv.begin
        if b.kind == ASK:
            return Out(_ERROR, b.id, b.reply_to, "", error_body(code, detail, data))
        times = attempts or inv.attempts() + 1
        m = shown or b
        return Out(_DEAD, b.id, inv.address, m.handler, m.payload, code, detail, times)

    def end(
        self, inv: Invocation, status: int, cause: Cause, completions: list[Completion], patch: list[Change],
        outs: list[Out], key: str = "", event: Event = Event.END, free: bool = True,
        later: bool = False,
    ) -> None:  # fmt: skip
        """Nothing is left of a handler but its result; whoever waits for its actor goes on.

        `later`: its answer is left to another turn.
        """
        actor = inv.actor
        if status != DONE and not inv.begun:
            completions = [*completions, NOTED]  # nothing has taken effect: it keeps no state alive
        outs = [*outs, *sleeps_back(inv)]
        inv.unrecorded = [c for c in inv.unrecorded if c.kind != _SLEEP]  # of no use to anybody any more
        self._journal.record(inv, status, cause, completions=completions, patch=patch, outs=outs, key=key)
        move(inv, event)
        self.forget(inv)
        held = actor is not None and actor.holder is inv
        if actor is not None:
            self._roster.leave(actor, inv)
        if inv.behind and actor is not None:
            self._tell_same(inv, actor, outs, bool(key), later)
        if held and free and actor is not None:
            self.door.go_on(actor)

    def _tell_same(self, inv: Invocation, actor: Actor, outs: list[Out], kept: bool, later: bool) -> None:
        """What a handler came to is what the same calls come to; where it is not kept, tells are handled.

        Where it is to come `later`, all of them are: they find that another turn is to answer them, too.
        """
        outcome = outcome_among(outs, inv.begin.kind, inv.begin.id)
        behind, inv.behind = inv.behind, deque()
        own: list[Invocation] = []
        for same in behind:
            b = same.begin
            if same.state is State.PARKED and (kept or (b.kind == ASK and not later)):
                said = answer_out(outcome, b.kind, b.id, b.reply_to)
                self.end(same, DONE, no_cause(), [NOTED], [], said, free=False)
            elif not same.ended:
                own.append(same)
        for same in reversed(own):
            if not same.holds():
                actor.queue = actor.queue or deque()
                actor.queue.appendleft(Waiting(PARKED, -1, same.envelope(), same.number))
            elif same.state is State.PARKED:
                move(same, Event.FREE)
                self._agenda.soon(same)

    def kill(
        self, inv: Invocation, cause: Cause, outs: list[Out], code: str, detail: str, free: bool = True,
        attempts: int = 0, lives: bool = True,
    ) -> None:  # fmt: skip
        """End a handler without a word to its code, and all that it waits for.

        `lives`: its actor's life does not end or begin anew with it anyway.
        """
        b = inv.begin
        if inv.task is not None:
            self._host.drop(inv.task)
            self._agenda.keep(inv, None)
        if not inv.begun:
            inv.opening = None
        if b.kind == ASK or code == "poisoned":
            outs = [*outs, self._failure(inv, code, detail, None, attempts)]
        outs = [*outs, *_kept_failure(b, code, detail), *reach_down(inv, "$end")]
        patch = self._result_of_run(inv, code, detail)
        if lives and (code == "poisoned" or b.handler in (START, STOP, ON_STOP)):
            changes, notices = self._life_failed(inv, code, detail)
            patch, outs = [*patch, *changes], [*outs, *notices]
        self.end(inv, FAILED, cause, [], patch, outs, _key(b, code), event=Event.KILL, free=free)

    def _life_failed(self, inv: Invocation, code: str, detail: str) -> tuple[list[Change], list[Out]]:
        """What a handler's failure does to its actor's life: a start that had begun ends as a failed one.

        A stop that is cut short ends it, too: who has asked for that may wait for it for ever.
        """
        actors, handler, actor = self._actors, inv.begin.handler, inv.actor
        cut_short = handler in (STOP, ON_STOP) and code in ("killed", "cancelled")
        if actor is not None and actor.life is not None and (cut_short or (handler == START and inv.begun)):
            return actors.start_failed(actor, code, detail)
        return actors.failed(inv.envelope(), code, detail)

    def _result_of_run(self, inv: Invocation, code: str, detail: str) -> list[Change]:
        """A workflow's run that was ended from outside has that as its result, for every later caller."""
        info = self._host.type_info(inv.address.split("/")[2])
        if info is None or inv.begin.handler != info.run:
            return []
        if not (inv.begun or inv.continued or -1 in inv.tried):
            return []  # one more caller, who waited for the run
        value = json.dumps(["e", {"code": code, "detail": detail, "data": None}], separators=(",", ":"))
        change = Change(WORKFLOW, RESULT, value.encode())
        if inv.actor is not None and inv.actor.instance is not None:
            self._host.apply(inv.actor.instance, [change])
        return [change]

    def cancelled(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """A handler that has not begun, or cannot go on, is cancelled."""
        detail = f"{inv.reference()} was cancelled" + ("" if inv.begun else " before it began")
        code = Result("cancelled", b"", self._result_of_run(inv, "cancelled", detail), [], False, detail)
        outs = [*outs, *reach_down(inv, "$cancel")]
        sent = [*outs, self._failure(inv, code.code, detail, None)]
        sent += _kept_failure(inv.begin, code.code, detail)
        if not inv.begun:
            inv.opening = None
        changes, notices = self._life_failed(inv, code.code, detail)
        done = [Completion(Control.CANCEL, True, error_body("cancelled", detail, None))]
        key = _key(inv.begin, code.code)
        self.end(inv, FAILED, cause, done, [*code.patch, *changes], [*sent, *notices], key)

    def forget(self, inv: Invocation) -> None:
        """Nothing is to be done with it any more."""
        self._agenda.forget(inv)
        self._roster.remove(inv)

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
                self.cancelled(inv, cause, outs)
                return
            detail = f"{inv.reference()} is stuck: {result.detail}"
            code = "killed" if actor.info.on_stuck == "kill" else "non_deterministic"
            self.kill(inv, cause, outs, code, detail)
            return
        news = not inv.told_stuck or inv.stuck != result.detail
        move(inv, Event.MISFIT)
        if completions or outs or cause.topic or news:
            told = Completion(Control.STUCK, True, result.detail.encode())
            self._journal.note(inv, cause, [*completions, told, NOTED], outs)
        inv.stuck, inv.told_stuck = result.detail, True
        self._agenda.stuck.add(inv)
        self._agenda.later(inv, self._ledger.now + limits.STUCK_RETRY)


def _key(b: Begin, code: str) -> str:
    """For which idempotency key it is kept that a message came to `code`; empty: for none."""
    return b.idempotency_key if is_kept(b.kind, code) else ""


def _kept_failure(b: Begin, code: str, detail: str, data: object = None) -> list[Out]:
    """What of a failure is kept that nobody is told of."""
    return [kept_out(error_body(code, detail, data), True)] if b.kind == TELL and _key(b, code) else []
