"""The handlers of one partition that wait: the parts put together, and what others ask of them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from plexstream.model.host import ActorHost, Again, Result, Suspended
from plexstream.model.journal.attempt import Attempt
from plexstream.model.journal.journal import DONE, Change, Out, Step, Turn
from plexstream.model.messages.message import Envelope
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.actors.times.ticks import Ticks
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import EffectCall
from plexstream.processor.state.histories.history import NOTED
from plexstream.processor.waiting.course.agenda import Agenda
from plexstream.processor.waiting.course.effects import Effects
from plexstream.processor.waiting.course.endings import Endings
from plexstream.processor.waiting.course.lifecycle import Lifecycle
from plexstream.processor.waiting.course.ports import Caring, Door
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.events.answers import Answers
from plexstream.processor.waiting.events.controls import Controls
from plexstream.processor.waiting.events.deadlock import Deadlocks
from plexstream.processor.waiting.events.revival import Revival
from plexstream.processor.waiting.invocation.invocation import Cause, Invocation, Opening, no_cause
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.processor.waiting.invocation.leaving import Leaving
from plexstream.processor.waiting.invocation.machine import SAME, Event, State, move


class Invocations:
    """The waiting half of one partition's processor.

    Attributes:
        live: what has not ended, by address and number.
        roster, answers, controls, deadlocks: the parts that messages of the system are for.
    """

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, refusals: Refusals, ticks: Ticks
    ) -> None:
        self._host = host
        leaving = Leaving(ledger, actors, ticks)
        self.journal = Journal(ledger, actors)
        self.roster = Roster(ledger, actors, self.journal)
        self.agenda = Agenda(ledger)
        self._effects = Effects(ledger)
        parts = (self.journal, self.roster, self.agenda, self._effects)
        self.endings = Endings(host, actors, self.journal, self.roster, self.agenda)
        self.lifecycle = Lifecycle(host, ledger, actors, leaving, *parts, self.endings)
        self.answers = Answers(host, ledger, refusals, *parts, self.lifecycle)
        self.controls = Controls(host, ledger, actors, *parts, self.endings, self.answers)
        self.deadlocks = Deadlocks(ledger, refusals, self.roster, self.endings)
        self._revival = Revival(host, ledger, actors, *parts, self.endings, self.lifecycle, self.answers)
        actors.on_load = self.roster.attach

    def connect(self, door: Door, care: Caring) -> None:
        """Bring back what the journal has; from now on messages go through this door."""
        self.roster.door = self.endings.door = self._revival.door = door
        self._revival.care = care
        self._revival.restore()

    @property
    def live(self) -> dict[str, dict[int, Invocation]]:
        return self.roster.live

    @property
    def crowded(self) -> dict[str, Actor]:
        return self.roster.crowded

    @property
    def effects(self) -> deque[EffectCall]:
        """To be started by the driver, which tells `effect_done`."""
        return self._effects.ready

    @property
    def stuck(self) -> int:
        """How many handlers cannot go on with their code."""
        return len(self.agenda.stuck)

    # Time and the log

    def tick(self) -> None:
        """Let handlers go on whose time has come."""
        self._revival.tick()

    def next_due(self) -> int | None:
        """When `tick` has something to do, in ms since the epoch."""
        return self._revival.next_due()

    def acknowledged(self) -> None:
        """More is on the log: what waits for that goes on."""
        self._effects.acknowledged()
        self.agenda.acknowledged()

    # From the door

    def begin(
        self, actor: Actor, cause: Cause, e: Envelope, seq: int, outcome: Suspended | Again, opening: Opening,
        tried: Attempt | None, outs: list[Out], inv: Invocation | None,
    ) -> None:  # fmt: skip
        """A message's handler has come to its first wait. `inv`: the message was in the journal before."""
        self.lifecycle.begin(actor, cause, e, seq, outcome, opening, tried, outs, inv)
        self.answers.tell_settled()

    def came_to(
        self, inv: Invocation, result: Result, opening: Opening | None, outs: list[Out],
        shown: Envelope | None = None,
    ) -> None:  # fmt: skip
        """The message of an invocation has been handled without a wait; `shown`: as the code got it."""
        inv.opening = opening
        self.lifecycle.ended(inv, result, [], no_cause(), outs, shown)
        self.answers.tell_settled()

    def finish(self, inv: Invocation, outs: list[Out], patch: Sequence[Change] = ()) -> None:
        """The message of an invocation has its answer already, or gets that of another; `patch` notes it."""
        self.endings.end(inv, DONE, no_cause(), [NOTED], [*patch], outs)

    def begin_failed(
        self, actor: Actor, cause: Cause, e: Envelope, result: Result, tried: Attempt | None, outs: list[Out],
        shown: Envelope | None,
    ) -> None:  # fmt: skip
        """A handler has failed before it waited, and is tried again while others go on, or for long."""
        self.lifecycle.begin_failed(actor, cause, e, result, tried, outs, shown)

    def under_way(self, e: Envelope, inv: Invocation | None) -> Invocation | None:
        """Who handles the call of an idempotency key already; `inv`: it is in the journal itself."""
        return self.roster.under_way(e, inv)

    def attach(
        self, first: Invocation, actor: Actor, topic: str, offset: int, e: Envelope, inv: Invocation | None
    ) -> None:  # fmt: skip
        """Let a call wait for the outcome of one like it: in the journal, since that may take months."""
        if inv is None:
            inv = self.roster.park(actor, topic, offset, e)
            if self.roster.shares(actor, e.handler):
                actor.share(inv)
        else:
            move(inv, Event.PARK, SAME)
        first.behind.append(inv)

    def settled(self, actor: Actor, patch: list[Change]) -> None:
        """A turn of the actor has changed `patch`: who waits for one of its promises goes on."""
        self.answers.settled(actor.address, patch)

    def meanwhile(self, actor: Actor, turn: Turn) -> Turn | Step:
        return self.journal.meanwhile(actor, turn)

    def unpark(self, actor: Actor, number: int) -> bool:
        """The actor is free for a message that waits in the journal; False where that has ended."""
        inv = self.roster.unpark(actor, number)
        if inv is not None and inv.state is State.READY:
            self.agenda.soon(inv)
        elif inv is not None and inv.state is State.RETRYING:
            self.agenda.later(inv, inv.retry_at)
        return inv is not None

    def crowd(self, actor: Actor) -> None:
        """A message waits for a waiting handler."""
        self.roster.crowded[actor.address] = actor

    def keeps(self, address: str) -> bool:
        return self.roster.keeps(address)

    def abandon(self) -> None:
        """The partition is gone."""
        for found in self.live.values():
            for inv in found.values():
                if inv.task is not None:
                    self._host.drop(inv.task)
        self.live.clear()
