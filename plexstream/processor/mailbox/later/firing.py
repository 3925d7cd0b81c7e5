"""Timers that are due: each comes to the door as a message, or is sent on."""

from __future__ import annotations

from plexstream.model.errors import Failed
from plexstream.model.host import ActorHost
from plexstream.model.journal.journal import FAILED
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.messages.address import type_of
from plexstream.model.messages.message import Envelope
from plexstream.processor.actors.actor import Actor, Refusal
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.lives import WAKE, life_change
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.actors.times.expiry import Expiry
from plexstream.processor.actors.times.recurring import left_out, timer_message
from plexstream.processor.actors.times.ticks import TICK, Ticks
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.sums.fold import TIMER
from plexstream.processor.journal.turns import turn_forwarded
from plexstream.processor.mailbox.door import Door
from plexstream.processor.waiting.invocations import Invocations

_DUE_AT_ONCE = 1000


class Firing:
    """Lets timers fire, those of the log and those in memory."""

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, ticks: Ticks, expiry: Expiry,
        refusals: Refusals, door: Door, invocations: Invocations,
    ) -> None:  # fmt: skip
        self._host = host
        self._ledger = ledger
        self._actors = actors
        self._ticks = ticks
        self._expiry = expiry
        self._refusals = refusals
        self._door = door
        self._invocations = invocations

    def fire_due(self) -> None:
        """What is due fires."""
        for timer in self._ledger.timers.pop_due(self._ledger.now, _DUE_AT_ONCE):
            if self.live(timer):  # the one before may have taken it back
                self.fire(timer)
        for actor, e in self._ticks.pop_due(self._ledger.now):
            if actor.queue is None and not actor.evicted:  # the one before may have changed that
                last = actor.last
                self._door.invoke(actor, TICK, -1, e, False)
                actor.last = last  # it does not keep an idle actor in memory

    def next_due(self) -> int | None:
        """When the next one is due, in ms since the epoch."""
        dues = (self._ledger.timers.next_due(), self._ticks.next_due())
        return min((due for due in dues if due is not None), default=None)

    def live(self, timer: Snapshot) -> bool:
        """Whether it may fire: no turn has finished it, taken it back or set it anew."""
        return self._ledger.timers.live(timer.address, timer.name, timer.offset)

    def fire(self, timer: Snapshot) -> None:
        """It is due."""
        ledger, e = self._ledger, timer_message(timer)
        if e.handler == WAKE:
            if not self._invocations.answers.wake(timer):
                # Whoever slept has ended: the timer only has to go.
                turn = turn_forwarded(ledger.claim, timer.address, 0, ledger.now, e)
                ledger.append(turn._replace(outs=[], status=FAILED))
        elif e.target == timer.address:
            left = left_out(ledger.claim, e, ledger.now, self._host.type_info(type_of(e.target)))
            if left is None:
                self._door.execute(TIMER, -1, e)
            else:
                ledger.append(left)
        else:
            self._send_on(timer.address, e)

    def _send_on(self, address: str, e: Envelope) -> None:
        """Another actor's: a turn of the one that set it sends the message on."""
        ledger = self._ledger
        actor = self._actors.active.get(address) or self._actors.load(address, ledger.now)
        if type(actor) is Refusal:
            self._refusals.refuse(TIMER, -1, e, actor.code, actor.detail)
            return
        assert type(actor) is Actor
        turn = turn_forwarded(ledger.claim, actor.address, actor.seq + 1, ledger.now, e)
        if self._expiry.expired(actor):
            # The first turn after its time: it is the one that begins anew.
            try:
                turn = turn._replace(fresh=True, patch=self._expiry.renew(actor))
            except Failed as error:
                self._refusals.refuse(TIMER, -1, e, "failed", error.detail)
                return
            if actor.life is not None:
                turn.patch.append(life_change(actor.life))  # type: ignore[union-attr]
            actor.reader.hidden = False
        turn = turn._replace(patch=[*turn.patch, *self._actors.mark_raw(actor)])
        actor.seq += 1
        actor.time = ledger.now
        self._actors.append(actor, turn)
