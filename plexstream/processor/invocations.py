"""Handlers that wait: what they wait for, what comes about, and how they end.

Each stretch of such a handler is a `Step` in the journal. The handler itself is only a cache of its steps: it
can be dropped at any time, and runs again from its start when it is needed (DESIGN 7).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from plexstream.model.host import Result, Suspended
from plexstream.model.journal import (
    DONE,
    FAILED,
    WAITING,
    Begin,
    Change,
    CommandKind,
    Completion,
    Control,
    Out,
    OutKind,
)
from plexstream.model.message import ASK, Envelope
from plexstream.processor.actors import Actor, PastReader, Waiting
from plexstream.processor.deadlock import probe_queue
from plexstream.processor.fold import TIMER
from plexstream.processor.invocation import (
    NOTED,
    PARKED,
    PROMISES,
    STUCK_RETRY,
    WAKE,
    Invocation,
    begin_of,
    cause_of,
    effective,
    no_cause,
)
from plexstream.processor.outcomes import Outcomes
from plexstream.processor.records import error_body
from plexstream.processor.recurring import again

if TYPE_CHECKING:
    from plexstream.processor.processor import Processor

_RUN, _PROMISE = CommandKind.RUN.value, CommandKind.PROMISE.value
_ERROR, _DEAD = OutKind.ERROR.value, OutKind.DEADLETTER.value
_CANCEL = Control.CANCEL.value
RUN_ANNOUNCED = 1_000
"""Milliseconds after which an effect that still runs gets a record, so that others see what is waited for."""
REVIVED_AT_ONCE = 500
KEPT_TASKS = 20_000
"""Waiting handlers of a partition in memory; others run again from their start when they go on."""
PROBE_AFTER = 1_000
"""Milliseconds after which asks that wait for a waiting handler look for a circle, again and again."""
PARK_AFTER = 5_000
"""Milliseconds after which a message that waits for a waiting handler is copied into the journal."""


class Invocations(Outcomes):
    """The handlers of one partition that wait: brought back from the journal, put aside, let go on in time.

    Made of `Steps`, which writes their records, and `Outcomes`, which knows how they begin, go on and end.
    """

    def __init__(self, processor: Processor) -> None:
        super().__init__(processor)
        histories = processor.pieces.histories
        for address, pending in histories.pending.items():
            for number in sorted(pending):
                self._restore(address, number, pending[number].begin, pending[number].steps)
            if len(pending) > 1:
                self._to_load.append(address)  # some wait for others: perhaps in a circle
        processor.actors.on_load = self._attach

    def _restore(self, address: str, number: int, begin: Begin, steps: int) -> None:
        inv = Invocation(address, number, begin, steps)
        self.live.setdefault(address, {})[number] = inv
        for step in self.p.pieces.histories.read(address, number):
            inv.note(step)
        again = inv.retry_at or inv.effects_due()
        if again:
            self._retries[inv] = again
            return
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

    def tick(self) -> None:
        """Let handlers go on that were restored, failed, or wait for effects to be announced."""
        p = self.p
        self._drop_tasks()
        if self.crowded:
            self._see_to_crowds()
        for _ in range(min(len(self._to_load), REVIVED_AT_ONCE)):
            address = self._to_load.popleft()
            if address not in p.actors.active:
                p.actors.load(address, p.now)
        for inv in [i for i, at in self._retries.items() if at <= p.now]:
            del self._retries[inv]
            inv.retry_at = 0
            self._to_revive.append(inv)
        if p.careful or self._on_trial is not None:
            self._revive_with_care()
        else:
            for _ in range(min(len(self._to_revive), REVIVED_AT_ONCE)):
                self._revive(self._to_revive.popleft())
        self._release_retries()
        while self._announce:
            inv, since = next(iter(self._announce.items()))
            if p.now - since < RUN_ANNOUNCED:
                break
            self._record(inv, WAITING, no_cause())  # which takes it out

    def next_due(self) -> int | None:
        """When `tick` has something to do, in ms since the epoch."""
        times = [*self._retries.values()]
        if self._later:
            times.append(self._later[0][0])
        if self._announce:
            times.append(next(iter(self._announce.values())) + RUN_ANNOUNCED)
        if self._to_revive or self._to_load:
            times.append(self.p.now)
        if self.crowded:
            times.append(self._probed_at + PROBE_AFTER)
        return min(times, default=None)

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

    def _revive_with_care(self) -> None:
        """After crashes in a row: one at a time, announced before. What killed its process is ended."""
        p = self.p
        if not p.quiet or (self._on_trial is None and p.suspects_a_timer()):
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
        history = effective(p.pieces.histories.read(inv.address, inv.number))
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
        if past is not None and inv.restarted and type(outcome) is Suspended:
            # What others see is the state of the step that it goes on from.
            self._record(inv, WAITING, no_cause(), completions=[NOTED], patch=self._undone(inv))
        inv.restarted = False
        self._outcome(inv, outcome, [], no_cause())
        if not inv.ended:
            for command in list(inv.outstanding.values()):
                if command.kind == _PROMISE:
                    value = p.pieces.promise(inv.address, PROMISES, command.name)
                    if value is not None:
                        self._fulfil(inv, command.name, value)

    def poisoned(self, topic: str, offset: int, e: Envelope, deaths: int) -> bool:
        """What a handler waited for killed its process: it gets an error instead. False: none waits for it.

        The error is on the log before the handler hears of it, which may kill the process again.
        """
        if e.handler == WAKE:
            inv, number, after = self._find(f"{e.target}#{e.id.replace('~', '.')}")
        else:
            inv, number, after = self._find(e.id)
        late = inv is not None and e.kind > ASK and inv.asked.get(number, 0) != after
        if inv is None or number not in inv.outstanding or late or not self._ready(inv):
            return False
        if inv.task is not None:
            self.p.host.drop(inv.task)
            self._keep(inv, None)
        detail = f"what {inv.reference()} waited for killed its process {deaths} times in a row"
        failure = Completion(number, True, error_body("poisoned", detail, None))
        dead = Out(_DEAD, e.id, e.target, e.handler, e.payload, "poisoned", detail, deaths)
        self.complete(inv, failure, cause_of(topic, offset, e), [dead])
        return True

    def _undone(self, inv: Invocation) -> list[Change]:
        """What makes the state that others see that of a handler's own instance."""
        own = {c.field: c.value for c in self.p.host.fields(inv.instance)}
        seen = {f: v for f, v in self.p.pieces.core(inv.address).fields.items() if f[:1] != "$"}
        gone = [Change(field, None, None) for field in seen.keys() - own.keys()]
        return gone + [Change(f, None, value) for f, value in own.items() if seen.get(f) != value]

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

    def _drop_tasks(self) -> None:
        """Take handlers out of memory that have waited longest, if nothing of theirs runs."""
        if len(self._kept) <= KEPT_TASKS:
            return
        for inv in list(self._kept)[: max(1, KEPT_TASKS // 5)]:
            if not (inv.running or inv.unrecorded or inv.group > self.p.actors.acknowledged_group):
                self.p.host.drop(inv.task)
                self._keep(inv, None)
                inv.instance = None

    def abandon(self) -> None:
        """The partition is gone."""
        for found in self.live.values():
            for inv in found.values():
                if inv.task is not None:
                    self.p.host.drop(inv.task)
        self.live.clear()
