"""The processor of one partition: messages in, turns out, and nothing leaves before the log has its turn.

It owns the partition from its claim on (DESIGN 4). It runs ahead of the log: turns are executed on
state that is not acknowledged yet, and all of it is forgotten when the claim is lost.

Inputs: `receive`, `acknowledged`, `gap`, `tick`, `relayed`, `emitted`, `saved`, `release`.
Outputs, taken by the driver: `take` (records to append), `outbox`, `answers`.
"""

from __future__ import annotations

from plexstream.model.address import type_of
from plexstream.model.host import ActorHost, EffectResult
from plexstream.model.journal import (
    FAILED,
)
from plexstream.model.snapshot import Snapshot
from plexstream.model.text import said
from plexstream.processor.actors.actors import Actor, Refusal
from plexstream.processor.actors.lives import WAKE, life_change
from plexstream.processor.actors.recurring import left_out, timer_message
from plexstream.processor.actors.ticks import TICK
from plexstream.processor.journal.fold import PASSED, TIMER
from plexstream.processor.journal.restore import Restore
from plexstream.processor.journal.turns import forward
from plexstream.processor.mailbox.door import Handling
from plexstream.processor.mailbox.outcomes import Outcomes
from plexstream.processor.ports import Settings
from plexstream.processor.waiting.effects import EffectCall
from plexstream.processor.waiting.invocation import TRIAL
from plexstream.processor.waiting.invocations import Invocations

_DUE_AT_ONCE = 1000


class Processor(Handling):
    """Handles the messages of one partition under one claim, and lets time pass.

    Made of `Ledger`, which knows the log, and `Handling`, which knows messages.
    """

    def __init__(
        self, partition: int, partitions: int, host: ActorHost, restore: Restore, settings: Settings, now: int
    ) -> None:
        super().__init__(partition, partitions, host, restore, settings, now)
        self.invocations = Invocations(self, self)
        self.outcomes = Outcomes(self)
        self.held = False  # no timer fires: too much that was done is still on its way

    @property
    def careful(self) -> bool:
        """Whether what may kill the process is tried one by one."""
        return self._care.left > 0

    def suspects_a_timer(self) -> bool:
        """Whether a timer is tried next, or was when the process died: what is tried before would hide it."""
        due = self.timers.next_due()
        suspect = bool(self.fold.timer) and TRIAL not in self.fold.timer
        return self._care.timer is not None or (suspect and due is not None and due <= self.now)

    def announce(self, trial: str) -> None:
        """Note in the log what is tried next."""
        self._pending.append(self._mark(timer=trial))

    def suspects(self, trial: str) -> bool:
        """Whether this was tried when the process died."""
        return self.fold.timer == trial

    def deaths_of(self, trial: str) -> int:
        """How many processes it has killed in a row, before this reign."""
        return self.fold.timer_attempts - 1 if self.fold.timer == trial else 0

    def was_tried(self) -> None:
        """One more has been tried."""
        self._care.left = max(0, self._care.left - 1)

    def passed(self, trial: str) -> None:
        """What was announced as `trial` waits again or has ended, and the process lives: no suspect."""
        if self.fold.timer == trial:
            self._pending.append(self._mark(timer=PASSED))

    def effect_done(self, call: EffectCall, result: EffectResult, now: int) -> None:
        """A side effect has come to its end."""
        self._clock(now)
        if not self._releasing:
            self.invocations.effect_done(call, result)

    def _timers_with_care(self) -> None:
        """The same for timers, while no message is held."""
        care = self._care
        if not self.quiet:
            return
        if care.timer is None:
            if care.actors or self._next_held() is not None:
                return
            due = self.timers.pop_due(self.now, 1)
            if not due:
                return
            care.timer, care.told = due[0], False
        timer = care.timer
        if not care.told and self._live(timer) and not self.will_wait(timer_message(timer)):
            care.until = self.actors.not_before(timer_message(timer))
            if care.until <= self.now:
                care.told = True
                self._pending.append(self._mark(timer=f"{timer.address}#{timer.name}"))
            return
        care.timer = None
        care.left = max(0, care.left - 1)
        if not self._live(timer):
            pass  # taken back meanwhile
        elif self.fold.timer_attempts > self.settings.poison_claims:
            self.put_aside(TIMER, -1, timer_message(timer), self.fold.timer_attempts - 1)
        else:
            self._fire(timer)
        if care.told and self.quiet:
            self._pending.append(self._mark(timer=PASSED))  # it waits, or is no more: it was not tried
        self._with_care()

    def tick(self, now: int) -> None:
        """Let time pass: timers, retries, marks."""
        self._clock(now)
        if self._releasing:
            return
        self.invocations.tick()
        if self.held:
            pass
        elif self._care.left or self._care.timer is not None:  # the last one that was announced is tried, too
            self._timers_with_care()
        else:
            for timer in self.timers.pop_due(self.now, _DUE_AT_ONCE):
                if self._live(timer):  # the one before may have taken it back
                    self._fire(timer)
            for actor, e in self.ticks.pop_due(self.now):
                if actor.queue is None and not actor.evicted:  # the one before may have changed that
                    last = actor.last
                    self._invoke(actor, TICK, -1, e, False)
                    actor.last = last  # it does not keep an idle actor in memory
        if self.actors.busy:
            for actor in list(self.actors.busy.values()):
                if actor.retry_at <= self.now:
                    self._retry(actor)
        if self._care.held or self._care.actors:
            self._with_care()
        if self.fold.attempt >= 0 and self.quiet and self.inbox.is_done(self.fold.attempt):
            self._pending.append(self._mark())  # it was tried, left no turn, and has killed nobody
        quiet = not self._moved and not self._since_mark
        if self._since_mark >= self.settings.mark_turns or (
            not quiet and self.now - self._marked_at >= self.settings.mark_interval
        ):
            self._pending.append(self._mark())

    def next_wake(self) -> int | None:
        """When `tick` has something to do next, in ms since the epoch."""
        timers = (None, None) if self.held else (self.timers.next_due(), self.ticks.next_due())
        dues = (
            *timers, self.actors.next_retry(),
            self.invocations.next_due(),
        )  # fmt: skip
        times = [t for t in dues if t is not None]
        if self._care.until > self.now:
            times.append(self._care.until)
        if self._since_mark or self._moved:
            times.append(self._marked_at + self.settings.mark_interval)
        return min(times, default=None)

    def _live(self, timer: Snapshot) -> bool:
        return self.timers.live(timer.address, timer.name, timer.offset)

    def _fire(self, timer: Snapshot) -> None:
        e = timer_message(timer)
        if e.handler == WAKE:
            if not self.invocations.answers.wake(timer):
                # Whoever slept has ended: the timer only has to go.
                self._append_turn(
                    forward(self.claim, timer.address, 0, self.now, e)._replace(outs=[], status=FAILED)
                )
            return
        if e.target == timer.address:
            turn = left_out(self.claim, e, self.now, self.host.type_info(type_of(e.target)))
            if turn is None:
                self._execute(TIMER, -1, e)
            else:
                self._append_turn(turn)
            return
        # Another actor's: a turn of the one that set it sends the message on.
        actor = self.actors.active.get(timer.address) or self.actors.load(timer.address, self.now)
        if type(actor) is Refusal:
            self._refuse(TIMER, -1, e, actor.code, actor.detail, None, 1)
            return
        assert type(actor) is Actor
        turn = forward(self.claim, actor.address, actor.seq + 1, self.now, e)
        if self.expired(actor):
            # The first turn after its time: it is the one that begins anew.
            try:
                turn = turn._replace(fresh=True, patch=self._expire(actor))
            except Exception as error:  # the user's hook
                what = f"{actor.address} cannot be renewed: {said(error)}"
                self._refuse(TIMER, -1, e, "failed", what, None, 1)
                return
            if actor.life is not None:
                turn.patch.append(life_change(actor.life))  # type: ignore[union-attr]
            actor.reader.hidden = False
        turn = turn._replace(patch=[*turn.patch, *self.actors.mark_raw(actor)])
        actor.seq += 1
        actor.time = self.now
        actor.group = self._number
        self._append_turn(turn)

    def let_go(self) -> None:
        """Make no turn any more, by whatever: what waits is the next owner's."""
        self._releasing = True
        self._care.held.clear()
        self._care.actors.clear()

    def release(self, now: int) -> None:
        """Let go in good order: the last record says so. What is in flight is still acknowledged."""
        self._clock(now)
        self._releasing = True
        self._pending.append(self._mark(release=True))
