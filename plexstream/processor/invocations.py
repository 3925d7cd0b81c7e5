"""Handlers that wait: what they wait for, what comes about, and how they end.

Each stretch of such a handler is a `Step` in the journal. The handler itself is only a cache of its steps: it
can be dropped at any time, and runs again from its start when it is needed (DESIGN 7).
"""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from plexstream.model.host import Again, Effect, EffectResult, Outcome, Result, Suspended
from plexstream.model.journal import (
    DONE,
    FAILED,
    MEANWHILE,
    REJECTED,
    WAITING,
    Begin,
    Change,
    Command,
    CommandKind,
    Completion,
    Control,
    Out,
    OutKind,
    Step,
    Turn,
)
from plexstream.model.message import ASK, ERROR, TELL, Envelope
from plexstream.model.snapshot import Snapshot
from plexstream.processor.actors import Actor, PastReader, Refusal, Waiting
from plexstream.processor.deadlock import probe_queue
from plexstream.processor.fold import MAILBOX, TIMER
from plexstream.processor.invocation import PARKED, WAKE, Cause, Invocation, begin_of, cause_of, no_cause
from plexstream.processor.records import error_body
from plexstream.processor.recurring import again

if TYPE_CHECKING:
    from plexstream.processor.processor import Processor

_log = logging.getLogger("plexstream.processor")
_ASK, _RUN, _SLEEP, _AWAKEABLE, _PROMISE = (
    k.value
    for k in (
        CommandKind.ASK, CommandKind.RUN, CommandKind.SLEEP, CommandKind.AWAKEABLE, CommandKind.PROMISE
    )
)  # fmt: skip
_REPLY, _ERROR, _DEAD = OutKind.REPLY.value, OutKind.ERROR.value, OutKind.DEADLETTER.value
_TIMER, _CANCEL_TIMER = OutKind.TIMER.value, OutKind.CANCEL.value
_CANCEL, _PAUSE, _RESUME = Control.CANCEL.value, Control.PAUSE.value, Control.RESUME.value
PROMISES = "@promise"
NOTED = Completion(Control.NOTED, False, b"null")
RUN_ANNOUNCED = 1_000
"""Milliseconds after which an effect that still runs gets a record, so that others see what is waited for."""
STUCK_RETRY = 10_000
"""Milliseconds after which a handler whose code does not fit its history is tried again."""
REVIVED_AT_ONCE = 500
KEPT_TASKS = 20_000
"""Waiting handlers of a partition in memory; others run again from their start when they go on."""
PROBE_AFTER = 1_000
"""Milliseconds after which asks that wait for a waiting handler look for a circle, again and again."""
PARK_AFTER = 5_000
"""Milliseconds after which a message that waits for a waiting handler is copied into the journal."""


class EffectCall(NamedTuple):
    """An effect that may start now."""

    address: str
    invocation: int
    number: int
    effect: Effect


class Invocations:
    """The handlers of one partition that wait.

    Attributes:
        live: by address and number.
        effects: to be started by the driver, which tells `effect_done`.
    """

    def __init__(self, processor: Processor) -> None:
        self.p = processor
        self.live: dict[str, dict[int, Invocation]] = {}
        self.effects: deque[EffectCall] = deque()
        self._gated: deque[tuple[int, Invocation, int, Effect]] = deque()
        self._to_revive: deque[Invocation] = deque()
        self._to_load: deque[str] = deque()
        self._on_trial: Invocation | None = None
        self._announce: dict[Invocation, int] = {}  # runs that have no record yet, since when
        self._retries: dict[Invocation, int] = {}
        self._kept: dict[Invocation, None] = {}  # those with a task, the longest first
        self._parked_at = self._probed_at = processor.now
        self.crowded: dict[str, Actor] = {}  # messages wait for their waiting handlers
        histories = processor.pieces.histories
        for address, pending in histories.pending.items():
            for number in sorted(pending):
                self._restore(address, number, pending[number].begin, pending[number].steps)
            if len(pending) > 1:
                self._to_load.append(address)  # some wait for others: perhaps in a circle
        processor.actors.on_load = self._attach

    # From the journal

    def _restore(self, address: str, number: int, begin: Begin, steps: int) -> None:
        inv = Invocation(address, number, begin, steps)
        self.live.setdefault(address, {})[number] = inv
        for step in self.p.pieces.histories.read(address, number):
            inv.note(step)
        kinds = {command.kind for command in inv.outstanding.values()}
        # An effect may be half done, a promise have its value already; others are woken.
        if not kinds or _RUN in kinds or _PROMISE in kinds:
            self._to_revive.append(inv)

    def _attach(self, actor: Actor) -> None:
        """An actor is loaded: give it its handlers that wait."""
        for number, inv in sorted(self.live.get(actor.address, {}).items()):
            inv.actor = actor
            if inv.begin.handler in actor.info.shared and not actor.info.visible:
                actor.shared[number] = inv
            elif actor.holder is None:
                actor.holder = inv
                actor.queue = actor.queue or deque()
            else:
                assert actor.queue is not None
                actor.queue.append(Waiting(PARKED, -1, inv.envelope(), number))
                self.crowded[actor.address] = actor

    def _actor(self, inv: Invocation) -> Actor | None:
        """The actor of an invocation, loaded if it is not; None where it cannot be."""
        actor = self.p.actors.active.get(inv.address)
        if actor is None:
            loaded = self.p.actors.load(inv.address, self.p.now)
            if type(loaded) is Refusal:
                inv.stuck = loaded.detail
                return None
            assert type(loaded) is Actor
            actor = loaded
        return actor

    # Begin

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
        inv.attempts = actor.attempts
        inv.fresh = dropped
        inv.since = p.now
        actor.seq = seq
        actor.time = p.now
        actor.attempts = 0
        self._hold(actor, inv)
        if cause.topic == MAILBOX:
            p.inbox.waiting.add(cause.offset)
        if dropped is not None:
            actor.reader.hidden = False
        self._outcome(inv, outcome, [], no_cause(), again(e, p.now, outcome.outs))

    def begin_failed(self, actor: Actor, cause: Cause, e: Envelope, result: Result) -> None:
        """A handler has failed before it waited, and is tried again while others go on."""
        actor.seq += 1
        inv = Invocation(actor.address, actor.seq, begin_of(e, self.p.now, None), 0)
        inv.actor = actor
        inv.cause = cause
        self._hold(actor, inv)
        self._ended(inv, result, [], no_cause(), again(e, self.p.now))

    def _hold(self, actor: Actor, inv: Invocation) -> None:
        self.live.setdefault(actor.address, {})[inv.number] = inv
        if inv.begin.handler in actor.info.shared:
            actor.shared[inv.number] = inv
            return
        actor.holder = inv
        if actor.queue is None:
            actor.queue = deque()
        self.p.actors.busy.pop(actor.address, None)
        inv.instance = actor.instance
        if not actor.info.visible:
            actor.instance = None  # others read the state as it was

    # What comes about

    def complete(
        self, inv: Invocation, completion: Completion, cause: Cause, outs: list[Out] | None = None
    ) -> None:
        """A command of a handler is done: it is told, and goes on if that is what it waits for."""
        inv.outstanding.pop(completion.number, None)
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
                inv.outstanding[command.number] = command
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
                self._gated.append((inv.group, inv, number, effect))
        self.release_effects()
        if len(self._kept) > KEPT_TASKS:
            self._drop_tasks()

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
        if code and self._again_later(inv, actor, result):
            if completions or outs or cause.topic or not inv.steps:
                failure = Completion(Control.NOTED, True, error_body(code, result.detail, None))
                self._record(inv, WAITING, cause, completions=[*completions, failure], outs=outs)
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
                note = inv.attempts + 1
                sent.append(Out(_DEAD, b.id, inv.address, b.handler, b.payload, code, result.detail, note))
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

    def _cancelled(self, inv: Invocation) -> list[Out]:
        """Its sleeps end with it."""
        return [
            Out(_CANCEL_TIMER, inv.timer(command.number), "", "", b"")
            for command in inv.outstanding.values()
            if command.kind == _SLEEP and command not in inv.unrecorded
        ]

    def pause(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """Keep a handler from going on."""
        inv.paused = True
        self._record(inv, WAITING, cause, completions=[Completion(_PAUSE, False, b"null"), NOTED], outs=outs)
        if inv.task is not None:
            self.p.host.drop(inv.task)  # it runs again when it is resumed
            self._keep(inv, None)

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

    def _forget(self, inv: Invocation) -> None:
        self._keep(inv, None)
        inv.ended = True
        self._announce.pop(inv, None)
        self._retries.pop(inv, None)
        found = self.live.get(inv.address, {})
        found.pop(inv.number, None)
        if not found:
            self.live.pop(inv.address, None)

    # Failures

    def _again_later(self, inv: Invocation, actor: Actor, result: Result) -> bool:
        """Whether a handler that has failed is tried again, from what is recorded."""
        info, b = actor.info, inv.begin
        retried = b.kind == TELL or b.handler in info.retried
        retry = info.retried.get(b.handler, info.retry)
        if not retried or result.code not in ("failed", "error") or inv.attempts + 1 >= retry.attempts:
            return False
        inv.attempts += 1
        inv.retry_at = self.p.now + retry.delay(inv.attempts, inv.reference())
        inv.why = result.detail
        self._retries[inv] = inv.retry_at
        return True

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

    # Records

    def _record(
        self, inv: Invocation, status: int, cause: Cause, *, completions: list[Completion] | None = None,
        patch: list[Change] | None = None, outs: list[Out] | None = None, key: str = "", next: int = 0,
        begin: Begin | None = None,
    ) -> None:  # fmt: skip
        p, actor = self.p, inv.actor
        assert actor is not None
        if inv.cause is not None and cause.topic:
            # A record goes back to one message: that of the handler's beginning comes first.
            self._record(inv, WAITING, no_cause())
        first = inv.steps == 0
        if first and inv.cause is not None and not cause.topic:
            cause, inv.cause = inv.cause, None
        commands, inv.unrecorded = inv.unrecorded, []
        self._announce.pop(inv, None)
        sent = outs if outs is not None else []
        for c in commands:
            if c.kind == _SLEEP:
                sent.append(Out(_TIMER, inv.timer(c.number), inv.address, WAKE, b"", "", "", c.due))
        changes = patch or []
        fresh = inv.fresh is not None and first
        if fresh and inv.fresh is not None:
            changes = [*inv.fresh, *changes]
        step = Step(
            p.claim, inv.address, actor.seq, cause.topic, cause.offset, p.now, status, fresh, key, changes,
            inv.begin.handler, cause.id, cause.sender, cause.kind, cause.origin, cause.origin_seq,
            cause.origin_index, sent, inv.number, inv.steps, next,
            begin if begin is not None else inv.begin if first else None, commands, completions or [],
        )  # fmt: skip
        inv.steps += 1
        actor.time = p.now
        actor.last = p.now
        p.append_step(actor, step)
        inv.group = actor.group

    def meanwhile(self, actor: Actor, turn: Turn) -> Turn | Step:
        """A turn of another handler; as a step of the one that waits, where it changes what that one sees."""
        inv = actor.holder
        if inv is None or not actor.info.visible or not turn.patch:
            return turn
        if inv.cause is not None:
            self._record(inv, WAITING, no_cause())
        step = Step(*turn, inv.number, inv.steps, 0, None, (), ())._replace(status=MEANWHILE)
        inv.steps += 1
        inv.group = self.p.group_number
        return step

    # Inputs

    def reply(self, offset: int, e: Envelope) -> None:
        """An answer to what a handler of this partition has asked for."""
        cause = Cause(MAILBOX, offset, e.sender, e.id, e.kind, e.origin, e.origin_seq, e.origin_index)
        inv, number = self._find(e.id)
        command = inv.outstanding.get(number) if inv is not None else None
        if inv is None or command is None or command.kind != _ASK or not self._ready(inv):
            self.p.inbox.finish(offset)  # it has ended, or does not wait for this any more
            return
        self.complete(inv, Completion(number, e.kind == ERROR, e.payload), cause)

    def _ready(self, inv: Invocation) -> bool:
        inv.actor = self._actor(inv)
        return inv.actor is not None

    def _find(self, reference: str) -> tuple[Invocation | None, int]:
        """The invocation and the command that ``address#invocation.number`` means."""
        address, _, rest = reference.rpartition("#")
        invocation, _, number = rest.partition(".")
        if not (invocation.isdecimal() and number.isdecimal()) or len(rest) > 30:
            return None, -1
        return self.live.get(address, {}).get(int(invocation)), int(number)

    def find(self, reference: str) -> tuple[Invocation | None, Command | None]:
        """The same, with the command if it is not done."""
        inv, number = self._find(reference)
        if inv is None or not self._ready(inv):
            return None, None
        return inv, inv.outstanding.get(number)

    def wake(self, timer: Snapshot) -> bool:
        """The timer of a sleep is due; False where nobody waits for it."""
        invocation, _, number = timer.name.partition("~")
        inv = self.live.get(timer.address, {}).get(int(invocation))
        if inv is None or int(number) not in inv.outstanding:
            return False
        if not self._ready(inv):
            return True
        cause = Cause(TIMER, -1, timer.address, timer.name, TELL, "", timer.offset, 0)
        self.complete(inv, Completion(int(number), False, b"null"), cause)
        return True

    def effect_done(self, call: EffectCall, result: EffectResult) -> None:
        """An effect has come to its end."""
        inv = self.live.get(call.address, {}).get(call.invocation)
        if inv is None or call.number not in inv.outstanding or inv.actor is None:
            return
        inv.running.discard(call.number)
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

    # Time

    def tick(self) -> None:
        """Let handlers go on that were restored, failed, or wait for effects to be announced."""
        p = self.p
        if self.crowded:
            self._see_to_crowds()
        for _ in range(min(len(self._to_load), REVIVED_AT_ONCE)):
            address = self._to_load.popleft()
            if address not in p.actors.active:
                p.actors.load(address, p.now)
        if p.careful or self._on_trial is not None:
            self._revive_with_care()
        else:
            for _ in range(min(len(self._to_revive), REVIVED_AT_ONCE)):
                self._revive(self._to_revive.popleft())
        if self._retries:
            for inv, at in list(self._retries.items()):
                if at <= p.now and not inv.paused:
                    del self._retries[inv]
                    inv.retry_at = 0
                    self._revive(inv)
        while self._announce:
            inv, since = next(iter(self._announce.items()))
            if p.now - since < RUN_ANNOUNCED:
                break
            self._record(inv, WAITING, no_cause())  # which takes it out

    def _see_to_crowds(self) -> None:
        """Look for circles among those who wait, and park what waits for them."""
        p = self.p
        full = len(p.inbox.waiting) >= p.settings.max_waiting  # nothing is read, not even what they wait for
        probe = p.now - self._probed_at >= PROBE_AFTER
        park = full or (probe and p.now - self._parked_at >= PARK_AFTER)
        for address, actor in list(self.crowded.items()) if probe or park else ():
            if actor.holder is None:
                del self.crowded[address]
                continue
            if probe:
                probe_queue(p, actor)
            if park:
                self._park(actor)
        if probe:
            self._probed_at = p.now
        if park:
            self._parked_at = p.now

    def next_due(self) -> int | None:
        """When `tick` has something to do, in ms since the epoch."""
        times = [*self._retries.values()]
        if self._announce:
            times.append(next(iter(self._announce.values())) + RUN_ANNOUNCED)
        if self._to_revive or self._to_load:
            times.append(self.p.now)
        if self.crowded:
            times.append(self._probed_at + PROBE_AFTER)
        return min(times, default=None)

    def _revive_with_care(self) -> None:
        """After crashes in a row: one at a time, announced before. What killed its process is ended."""
        p = self.p
        if not p.quiet:
            return
        inv, self._on_trial = self._on_trial, None
        if inv is None:
            # Who was announced last comes first: only so can it be found guilty in reign after reign.
            suspects = (i for i in self._to_revive if i.trial() == p.fold.timer)
            inv = next(suspects, self._to_revive[0] if self._to_revive else None)
            if inv is not None:
                self._to_revive.remove(inv)
                self._on_trial = inv
                p.announce(inv.trial())
            return
        p.was_tried()
        deaths = p.fold.timer_attempts - 1
        if p.fold.timer != inv.trial() or deaths < p.settings.poison_claims:
            self._revive(inv)
        elif not inv.ended and self._ready(inv):
            b, detail = inv.begin, f"{inv.reference()} killed its process {deaths} times in a row"
            if b.kind == ASK:
                out = Out(_ERROR, b.id, b.reply_to, "", error_body("poisoned", detail, None))
            else:
                out = Out(_DEAD, b.id, inv.address, b.handler, b.payload, "poisoned", detail, deaths)
            self._end(inv, FAILED, no_cause(), [], [], [out])

    def _revive(self, inv: Invocation) -> None:
        """Run a handler again from its start up to where it was."""
        p = self.p
        if inv.ended or inv.task is not None or inv.paused:
            return
        if inv.group > p.actors.acknowledged_group:
            self._to_revive.append(inv)
            return
        actor = inv.actor = self._actor(inv)
        if actor is None:
            self._retries[inv] = p.now + STUCK_RETRY
            return
        if actor.holder is not inv and inv.number not in actor.shared:
            return  # parked: its turn comes
        history = p.pieces.histories.read(inv.address, inv.number)
        begun = any(step.commands for step in history)
        key = inv.begin.idempotency_key
        if key and not begun:
            kept, found = p.pieces.reply(inv.address, key, p.now)
            if found:  # the message was parked while the same call was on its way
                self._end(inv, DONE, no_cause(), [], [], p.kept_reply(kept, inv.begin))
                return
        if not begun and any(c.number == _CANCEL for step in history for c in step.completions):
            detail = f"{inv.reference()} was cancelled before it began"
            self._ended(inv, Result("cancelled", b"", [], [], False, detail), [], no_cause(), None)
            return
        past: PastReader | None = None
        try:
            if inv.begin.base is not None:
                past = p.actors.past(actor, inv.begin.base)
            elif actor.instance is None and inv.instance is not None:
                actor.instance = inv.instance
            else:
                p.actors.twin(actor)
        except Exception as error:  # the user's hook
            self._stuck(inv, Result("", b"", [], [], False, str(error)), [], no_cause(), None)
            return
        inv.instance = actor.instance
        outcome = p.host.replay(inv.instance, inv.begin, inv.number, history)
        if past is not None:
            past.now = actor.reader
        elif inv.number not in actor.shared:
            actor.instance = None
        self._outcome(inv, outcome, [], no_cause())
        if not inv.ended:
            for command in list(inv.outstanding.values()):
                if command.kind == _PROMISE:
                    value = p.pieces.promise(inv.address, PROMISES, command.name)
                    if value is not None:
                        self._fulfil(inv, command.name, value)

    def _park(self, actor: Actor) -> None:
        """Copy what waits for a waiting handler into the journal, so that the mailbox can be trimmed."""
        holder, queue = actor.holder, actor.queue
        if holder is None or not queue:
            return
        if holder.cause is not None:
            self._record(holder, WAITING, no_cause())
        for i, waiting in enumerate(queue):
            if waiting.topic == PARKED:
                continue
            actor.seq += 1
            e = waiting.envelope
            inv = Invocation(actor.address, actor.seq, begin_of(e, self.p.now, None), 0)
            inv.actor = actor
            inv.cause = cause_of(waiting.topic, waiting.offset, e)
            self.live.setdefault(actor.address, {})[inv.number] = inv
            outs = again(e, self.p.now) if waiting.topic == TIMER else []
            self._record(inv, WAITING, no_cause(), completions=[NOTED], outs=outs)
            queue[i] = Waiting(PARKED, -1, e, inv.number)

    def refuse_parked(self, actor: Actor, number: int, code: str, detail: str) -> None:
        """A message that waits in the journal is answered with an error."""
        inv = self.live.get(actor.address, {}).get(number)
        if inv is not None:
            inv.actor = actor
            b = inv.begin
            out = Out(_ERROR, b.id, b.reply_to, "", error_body(code, detail, None))
            self._record(inv, FAILED, no_cause(), outs=[out])
            self._forget(inv)

    def unpark(self, actor: Actor, number: int) -> bool:
        """The actor is free for a message that waits in the journal; False where that has ended."""
        inv = self.live.get(actor.address, {}).get(number)
        if inv is None:
            return False
        actor.holder = inv
        self._to_revive.append(inv)
        if actor.queue:
            self.crowded[actor.address] = actor
        return True

    def release_effects(self) -> None:
        """Effects start once the record of what led to them is on the log."""
        done = self.p.actors.acknowledged_group
        while self._gated and self._gated[0][0] <= done:
            _, inv, number, effect = self._gated.popleft()
            if not inv.ended and number in inv.outstanding and number not in inv.running:
                inv.running.add(number)
                self.effects.append(EffectCall(inv.address, inv.number, number, effect))

    def _drop_tasks(self) -> None:
        """Take handlers out of memory that have waited longest, if nothing of theirs runs."""
        for inv in list(self._kept)[: max(1, KEPT_TASKS // 5)]:
            if not (inv.running or inv.unrecorded or inv.group > self.p.actors.acknowledged_group):
                self.p.host.drop(inv.task)
                self._keep(inv, None)
                inv.instance = None

    def _keep(self, inv: Invocation, task: Any) -> None:
        inv.task = task
        if task is None:
            self._kept.pop(inv, None)
        else:
            self._kept.setdefault(inv)

    def abandon(self) -> None:
        """The partition is gone."""
        for found in self.live.values():
            for inv in found.values():
                if inv.task is not None:
                    self.p.host.drop(inv.task)
        self.live.clear()
