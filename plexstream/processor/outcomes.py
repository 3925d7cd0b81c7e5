"""How handlers that wait begin, go on and end."""

from __future__ import annotations

import logging

from plexstream.model.attempt import Attempt
from plexstream.model.host import Again, EffectResult, Outcome, Result, Suspended
from plexstream.model.journal import (
    DONE,
    FAILED,
    REJECTED,
    WAITING,
    Change,
    Command,
    CommandKind,
    Completion,
    Control,
    Out,
    OutKind,
)
from plexstream.model.message import ASK, ERROR, TELL, Envelope
from plexstream.model.snapshot import Snapshot
from plexstream.processor.actors import Actor
from plexstream.processor.fold import MAILBOX, TIMER
from plexstream.processor.invocation import (
    NOTED,
    PROMISES,
    STUCK_RETRY,
    Cause,
    Invocation,
    begin_of,
    failed,
    no_cause,
)
from plexstream.processor.records import error_body
from plexstream.processor.recurring import again
from plexstream.processor.steps import EffectCall, Steps

_log = logging.getLogger("plexstream.processor")
_ASK, _RUN = CommandKind.ASK.value, CommandKind.RUN.value
_SLEEP, _PROMISE = CommandKind.SLEEP.value, CommandKind.PROMISE.value
_REPLY, _ERROR, _DEAD = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.DEADLETTER.value
_PAUSE, _RESUME, _RESTART = Control.PAUSE.value, Control.RESUME.value, Control.RESTART.value


class Outcomes(Steps):
    """Takes what comes about, and what handlers make of it."""

    def begin(
        self, actor: Actor, cause: Cause, e: Envelope, seq: int, outcome: Suspended | Again,
        dropped: list[Change] | None,
    ) -> None:  # fmt: skip
        """A handler has come to its first wait. `dropped`: the state before, where it had expired."""
        p = self.p
        base = None if outcome.base is None else p.base_of(actor, outcome.base)
        inv = Invocation(actor.address, seq, begin_of(e, p.now, base), 0)
        inv.actor = actor
        inv.cause = cause
        inv.fresh = dropped
        inv.since = p.now
        actor.seq = seq
        actor.time = p.now
        self._hold(actor, inv)
        if cause.topic == MAILBOX:
            p.inbox.waiting.add(cause.offset)
        if dropped is not None:
            actor.reader.hidden = False
        outs = again(e, p.now, outcome.outs)
        tried = p.actors.tried(actor, e)
        if tried is not None:
            inv.tried[-1] = tried = tried._replace(cause="")
            ended = p.actors.end_trying(actor, e)
            self._record(inv, WAITING, no_cause(), completions=[failed(tried)], patch=ended, outs=outs)
            outs = []
        self._outcome(inv, outcome, [], no_cause(), outs)

    def begin_failed(self, actor: Actor, cause: Cause, e: Envelope, result: Result) -> None:
        """A handler has failed before it waited, and is tried again while others go on."""
        actor.seq += 1
        inv = Invocation(actor.address, actor.seq, begin_of(e, self.p.now, None), 0)
        inv.actor = actor
        inv.cause = cause
        self._hold(actor, inv)
        self._ended(inv, result, [], no_cause(), again(e, self.p.now))

    def complete(
        self, inv: Invocation, completion: Completion, cause: Cause, outs: list[Out] | None = None
    ) -> None:
        """A command of a handler is done: it is told, and goes on if that is what it waits for."""
        inv.outstanding.pop(completion.number, None)
        inv.tried.pop(completion.number, None)
        if inv.task is None or inv.paused:
            self._record(inv, WAITING, cause, completions=[completion, NOTED], outs=outs)
            if not (inv.paused or inv.retry_at or inv.stuck):
                self._to_revive.append(inv)
            return  # it is told when it runs again
        outcome = self.p.host.resume(inv.task, completion, self.p.now)
        self._outcome(inv, outcome, [completion], cause, outs)

    def _outcome(
        self, inv: Invocation, outcome: Outcome, completions: list[Completion], cause: Cause,
        outs: list[Out] | None = None,
    ) -> None:  # fmt: skip
        if type(outcome) is Suspended:
            self._suspended(inv, outcome, completions, cause, outs)
        elif type(outcome) is Again:
            self._again(inv, outcome, completions, cause, outs)
        else:
            assert type(outcome) is Result
            self._ended(inv, outcome, completions, cause, outs)

    def _suspended(
        self,
        inv: Invocation,
        s: Suspended,
        completions: list[Completion],
        cause: Cause,
        outs: list[Out] | None,
    ) -> None:
        p = self.p
        self._keep(inv, s.task)
        inv.stuck = ""
        known = {c.number for c in s.done} if s.done else ()
        waits = bool(inv.outstanding)
        for command in s.commands:
            if command.number not in known:
                inv.wait_for(command)
        inv.unrecorded.extend(s.commands)
        made, changes = p.sent(inv.actor, s.outs)
        sent = [*(outs or ()), *made]
        patch = [*s.patch, *changes]
        if (
            completions or sent or s.done or patch or cause.topic or inv.fresh is not None
            or (waits and inv.unrecorded)
            or any(c.kind != _RUN for c in s.commands)
        ):  # fmt: skip
            self._record(inv, WAITING, cause, completions=[*completions, *s.done], patch=patch, outs=sent)
        elif inv.unrecorded:
            # Only side effects, and nothing that has happened yet: the record comes with their results.
            self._announce.setdefault(inv, p.now)  # the earliest first: time does not go back
        for number, effect in s.effects.items():
            if inv.number_in_flight(number):
                self._gate(inv, number, effect)
        self.release_effects()

    def _again(
        self,
        inv: Invocation,
        new_run: Again,
        completions: list[Completion],
        cause: Cause,
        outs: list[Out] | None,
    ) -> None:
        """The run of a workflow goes on as another one, in one record."""
        p = self.p
        actor = inv.actor
        assert actor is not None
        if inv.cause is not None:
            self._record(inv, WAITING, no_cause())
        actor.seq += 1
        number = actor.seq
        base = p.base_of(actor, new_run.base, new_run.patch)
        made, changes = p.sent(actor, new_run.outs)
        begin = inv.begin._replace(payload=new_run.payload, time=p.now, base=base)
        self._record(
            inv, DONE, cause, completions=completions, patch=[*new_run.patch, *changes],
            outs=[*(outs or ()), *made],
            next=number, begin=begin,
        )  # fmt: skip
        self._forget(inv)
        new = Invocation(inv.address, number, begin, 1)
        new.actor = actor
        new.since = p.now
        new.group = actor.group
        self.live.setdefault(inv.address, {})[number] = new
        actor.holder = new
        self._to_revive.append(new)

    def _ended(
        self,
        inv: Invocation,
        result: Result,
        completions: list[Completion],
        cause: Cause,
        outs: list[Out] | None,
    ) -> None:
        b, code = inv.begin, result.code
        actor = inv.actor
        assert actor is not None
        self._keep(inv, None)
        if code == "non_deterministic":
            self._stuck(inv, result, completions, cause, outs)
            return
        if code and (attempt := self._again_later(inv, actor, result)) is not None:
            self._record(inv, WAITING, cause, completions=[*completions, failed(attempt)], outs=outs)
            return
        sent = [*(outs or ())]
        status = DONE
        patch = result.patch
        if not code:
            made, changes = self.p.sent(actor, result.outs)
            sent += made
            patch = [*patch, *changes]
            if b.kind == ASK:
                sent.append(Out(_REPLY, b.id, b.reply_to, "", result.value))
        else:
            status = REJECTED if code == "rejected" else FAILED
            if b.kind == ASK:
                sent.append(Out(_ERROR, b.id, b.reply_to, "", error_body(code, result.detail, result.data)))
            else:
                attempts = inv.attempts() + 1
                dead = Out(_DEAD, b.id, inv.address, b.handler, b.payload, code, result.detail, attempts)
                sent.append(dead)
            changes, notices = self.p.actors.failed(inv.envelope(), code, result.detail)
            patch = [*patch, *changes]
            sent += notices
        key = b.idempotency_key if not code or (code == "rejected" and b.kind == ASK) else ""
        self._end(inv, status, cause, completions, patch, sent, key)

    def _end(
        self, inv: Invocation, status: int, cause: Cause, completions: list[Completion], patch: list[Change],
        outs: list[Out], key: str = "",
    ) -> None:  # fmt: skip
        actor = inv.actor
        assert actor is not None
        outs += self._cancelled(inv)
        inv.unrecorded = [c for c in inv.unrecorded if c.kind != _SLEEP]  # of no use to anybody any more
        self._record(inv, status, cause, completions=completions, patch=patch, outs=outs, key=key)
        if not self._keep_instance(inv, actor):
            actor.instance = None
        self._forget(inv)
        if actor.holder is inv:
            actor.holder = None
            self.p.go_on(actor)
        actor.shared.pop(inv.number, None)

    def end(self, inv: Invocation, status: int, cause: Cause, outs: list[Out]) -> None:
        """End a handler from outside."""
        if inv.task is not None:
            self.p.host.drop(inv.task)
            self._keep(inv, None)
        self._end(inv, status, cause, [], [], outs)

    def end_all(self, actor: Actor, code: str, detail: str) -> None:
        """End every handler of an actor whose life ends or begins anew. What waits for them is next."""
        for inv in list(self.live.get(actor.address, {}).values()):
            if inv.steps and inv.task is None and inv is not actor.holder and inv.number not in actor.shared:
                continue  # a message that waits in the journal for its turn
            inv.actor = actor
            b = inv.begin
            body = error_body(code, detail, None)
            outs = [Out(_ERROR, b.id, b.reply_to, "", body)] if b.kind == ASK else []
            if inv.task is not None:
                self.p.host.drop(inv.task)
            self._keep_instance(inv, actor)
            self._record(inv, FAILED, no_cause(), outs=[*outs, *self._cancelled(inv)])
            self._forget(inv)
        actor.holder = None
        actor.shared.clear()
        if actor.queue is not None:
            self.p.actors.busy[actor.address] = actor  # the next tick goes on with it
            actor.retry_at = self.p.now

    def pause(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """Keep a handler from going on."""
        inv.paused = True
        self._record(inv, WAITING, cause, completions=[Completion(_PAUSE, False, b"null"), NOTED], outs=outs)
        if inv.task is not None:
            self.p.host.drop(inv.task)  # it runs again when it is resumed
            self._keep(inv, None)

    def restart(self, inv: Invocation, at: int, cause: Cause, outs: list[Out]) -> None:
        """Forget what a handler has asked for from command `at` on, and let it run again from there."""
        if inv.cause is not None:
            self._record(inv, WAITING, no_cause())
        cancelled = [o for o in self._cancelled(inv) if int(o.id.partition("~")[2]) >= at]
        inv.forget(at)
        inv.paused, inv.retry_at, inv.stuck, inv.restarted = False, 0, "", True
        self._retries.pop(inv, None)
        completions = [Completion(_RESTART, False, b"%d" % at), Completion(_RESUME, False, b"null"), NOTED]
        self._record(inv, WAITING, cause, completions=completions, outs=[*outs, *cancelled])
        if inv.task is not None:
            self.p.host.drop(inv.task)
            self._keep(inv, None)
            inv.instance = None
        self._to_revive.append(inv)

    def go_on(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """Let a handler go on that was paused, is stuck, or waits to be tried again."""
        inv.paused = False
        inv.retry_at = 0
        self._retries.pop(inv, None)
        self._record(inv, WAITING, cause, completions=[Completion(_RESUME, False, b"null"), NOTED], outs=outs)
        if inv.task is None:
            self._to_revive.append(inv)

    def _keep_instance(self, inv: Invocation, actor: Actor) -> bool:
        """The actor goes on with the instance of the handler that has ended."""
        if inv.instance is not None and actor.holder is inv:
            actor.instance = inv.instance
        return actor.instance is not None

    def _again_later(self, inv: Invocation, actor: Actor, result: Result) -> Attempt | None:
        """The attempt that has failed, where the handler is tried again, from what is recorded."""
        info, b = actor.info, inv.begin
        retried = b.kind == TELL or b.handler in info.retried
        retry = info.retried.get(b.handler, info.retry)
        number, now = inv.attempts() + 1, self.p.now
        if not retried or result.code not in ("failed", "error") or number >= retry.attempts:
            return None
        began = inv.tried[-1].began if -1 in inv.tried else now
        inv.retry_at = now + retry.delay(number, inv.reference())
        self._retries[inv] = inv.retry_at
        attempt = Attempt(number, retry.attempts, began, inv.retry_at, result.code, result.detail)
        inv.tried[-1] = attempt
        return attempt

    def _stuck(
        self,
        inv: Invocation,
        result: Result,
        completions: list[Completion],
        cause: Cause,
        outs: list[Out] | None,
    ) -> None:
        _log.error("%s#%d is stuck: %s", inv.address, inv.number, result.detail)
        if completions or outs or cause.topic:
            self._record(inv, WAITING, cause, completions=[*completions, NOTED], outs=outs)
        inv.stuck = result.detail
        self._retries[inv] = self.p.now + STUCK_RETRY

    def reply(self, offset: int, e: Envelope) -> None:
        """An answer to what a handler of this partition has asked for."""
        cause = Cause(MAILBOX, offset, e.sender, e.id, e.kind, e.origin, e.origin_seq, e.origin_index)
        inv, number, after = self._find(e.id)
        if number < 0 or not e.id.startswith(f"{e.target}#"):
            what = "an error" if e.kind == ERROR else "a reply"
            detail = f"{what} to {e.id!r}, which this actor has not asked for"
            self.p.refuse(MAILBOX, offset, e, "bad_arguments", detail, None)
            return
        command = inv.outstanding.get(number) if inv is not None else None
        late = inv is not None and inv.asked.get(number, 0) != after
        if inv is None or command is None or command.kind != _ASK or late or not self._ready(inv):
            self.p.inbox.finish(offset)  # it has ended, or does not wait for this any more
            return
        self.complete(inv, Completion(number, e.kind == ERROR, e.payload), cause)

    def _find(self, reference: str) -> tuple[Invocation | None, int, int]:
        """The invocation and the command of ``address#invocation.number.restarts``, and how many restarts."""
        address, _, rest = reference.rpartition("#")
        parts = rest.split(".")
        if not all(part.isdecimal() for part in parts) or len(parts) not in (2, 3) or len(rest) > 30:
            return None, -1, 0
        inv = self.live.get(address, {}).get(int(parts[0]))
        return inv, int(parts[1]), int(parts[2]) if len(parts) == 3 else 0

    def find(self, reference: str) -> tuple[Invocation | None, Command | None]:
        """The same, with the command if it is not done."""
        inv, number, _ = self._find(reference)
        if inv is None or not self._ready(inv):
            return None, None
        return inv, inv.outstanding.get(number)

    def wake(self, timer: Snapshot) -> bool:
        """The timer of a sleep is due; False where nobody waits for it."""
        invocation, _, number = timer.name.partition("~")
        inv = self.live.get(timer.address, {}).get(int(invocation))
        command = inv.outstanding.get(int(number)) if inv is not None else None
        if inv is None or command is None or command.kind != _SLEEP:
            return False
        if not self._ready(inv):
            return True
        cause = Cause(TIMER, -1, timer.address, timer.name, TELL, "", timer.offset, 0)
        self.complete(inv, Completion(int(number), False, b"null"), cause)
        return True

    def effect_done(self, call: EffectCall, result: EffectResult) -> None:
        """An effect has come to its end, or is to be tried again."""
        inv = self.live.get(call.address, {}).get(call.invocation)
        if inv is None or inv.actor is None or inv.running.get(call.number) is not call:
            return
        if result.retry_after >= 0:
            self._effect_failed(inv, call, result)
            return
        del inv.running[call.number]
        self.complete(inv, Completion(call.number, result.failed, result.value), no_cause())

    def settled(self, actor: Actor, patch: list[Change]) -> None:
        """A turn of the actor has changed `patch`: who waits for one of its promises goes on."""
        for change in patch:
            if change.field == PROMISES and change.value is not None:
                for inv in list(self.live.get(actor.address, {}).values()):
                    self._fulfil(inv, change.key or "", change.value)

    def _fulfil(self, inv: Invocation, name: str, value: bytes) -> None:
        for command in list(inv.outstanding.values()):
            if command.kind == _PROMISE and command.name == name and not inv.ended:
                failed = value.startswith(b'["e",')
                self.complete(inv, Completion(command.number, failed, value[5:-1]), no_cause())
