"""The processor of one partition: messages in, turns out, and nothing leaves before the log has its turn.

It owns the partition from its claim on (DESIGN 4). It runs ahead of the log: turns are executed on
state that is not acknowledged yet, and all of it is forgotten when the claim is lost.

Inputs: `receive`, `acknowledged`, `gap`, `tick`, `relayed`, `emitted`, `saved`, `release`.
Outputs, taken by the driver: `take` (records to append), `outbox`, `answers`.
"""

from __future__ import annotations

from collections.abc import Sequence

from plexstream.model.host import ActorHost, EffectResult
from plexstream.model.journal.journal import JournalRecord, Mark, Step, Turn
from plexstream.model.messages.message import Envelope
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.actors.times.expiry import Expiry
from plexstream.processor.actors.times.ticks import Ticks
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import BadRecord, EffectCall, Group
from plexstream.processor.journal.restore import Restore
from plexstream.processor.journal.turns import turn_malformed
from plexstream.processor.mailbox.calls.changes import Changes
from plexstream.processor.mailbox.calls.commands import Commands
from plexstream.processor.mailbox.calls.deferrals import Deferrals
from plexstream.processor.mailbox.calls.outcomes import Outcomes
from plexstream.processor.mailbox.calls.repeats import Repeats
from plexstream.processor.mailbox.care import Care
from plexstream.processor.mailbox.door import Door
from plexstream.processor.mailbox.failures import Failures
from plexstream.processor.mailbox.later.firing import Firing
from plexstream.processor.mailbox.later.queues import Queues
from plexstream.processor.mailbox.later.trials import Trials
from plexstream.processor.plain import mailbox
from plexstream.processor.state.ports import Settings
from plexstream.processor.waiting.invocations import Invocations


class Processor:
    """Handles the messages of one partition under one claim, and lets time pass.

    Parameters:
        partition: its number; `partitions`: how many there are.
        host: runs the handlers.
        restore: the journal folded up to and with this processor's own claim.
        settings: limits and intervals.
        now: milliseconds since the epoch.

    Attributes:
        held: no timer fires: too much that was done is still on its way.
    """

    def __init__(
        self, partition: int, partitions: int, host: ActorHost, restore: Restore, settings: Settings, now: int
    ) -> None:
        self.held = False
        # The journal, and the state that it makes
        ledger = self.ledger = Ledger(partition, restore, settings, now)
        self.partition, self.claim = partition, ledger.claim
        self.fold, self.pieces = ledger.fold, ledger.pieces
        self.inbox, self.outbox, self.answers = ledger.inbox, ledger.outbox, ledger.answers
        self.timers, self.in_flight = ledger.timers, ledger.in_flight
        # Actors in memory
        actors = self.actors = Actors(host, ledger, partitions)
        ticks = self.ticks = Ticks()
        expiry = Expiry(ledger, actors)
        refusals = Refusals(ledger, actors)
        # Handlers that wait
        invocations = self.invocations = Invocations(host, ledger, actors, refusals, ticks)
        self._effect_done = invocations.answers.effect_done
        expiry.keeps = invocations.keeps
        # The way of a message
        care = self._care = Care(ledger.fold, settings)
        changes = Changes(host, ledger, actors, expiry, invocations)
        repeats = Repeats(ledger, actors, refusals, changes, invocations)
        failures = Failures(ledger, actors, refusals, invocations)
        outcomes = self.outcomes = Outcomes(ledger, actors, refusals, care, invocations)
        deferrals = Deferrals(ledger, changes, invocations)
        commands = Commands(ledger, refusals, expiry, changes, outcomes, deferrals, invocations)
        door = Door(
            host, ledger, actors, ticks, expiry, refusals, repeats, failures, commands, outcomes, care,
            invocations,
        )  # fmt: skip
        active, live = actors.active, invocations.live
        self._plain = mailbox(
            ledger, ledger.inbox, active, Actor, live, host.plain, door.load, door.came,
            ledger.pieces.run_ahead,
        )  # fmt: skip
        self._queues = Queues(host, ledger, actors, care, door, invocations)
        self._firing = Firing(host, ledger, actors, ticks, expiry, refusals, door, invocations)
        self.trials = Trials(ledger, actors, care, door, self._queues, failures, self._firing)
        invocations.connect(self._queues, self.trials)
        ledger.on_applied = self._applied

    # What comes in

    @property
    def now(self) -> int:
        """The partition's time, in ms since the epoch."""
        return self.ledger.now

    @property
    def position(self) -> int:
        """The mailbox offset to read from."""
        return self.inbox.position

    def receive(self, messages: Sequence[tuple[int, Envelope | BadRecord]], now: int) -> None:
        """Handle mailbox records by their offsets: each is executed, queued, or dropped as a repetition."""
        ledger, inbox = self.ledger, self.inbox
        ledger.at(now)
        at = 0
        while at < len(messages):
            if self._plain is not None and not self._care.any and type(messages) is list:
                at = self._plain.receive(messages, at)
                if at == len(messages):
                    break
            offset, message = messages[at]
            at += 1
            if type(message) is BadRecord:
                if inbox.admit(offset, "", 0, 0):
                    ledger.append(turn_malformed(ledger.claim, offset, message, ledger.now))
                continue
            assert type(message) is Envelope
            if inbox.admit(offset, message.origin, message.origin_seq, message.origin_index):
                self.trials.receive(offset, message)
        if self._care.held:
            self.trials.go_on()

    def effect_done(self, call: EffectCall, result: EffectResult, now: int) -> None:
        """A side effect has come to its end."""
        self.ledger.at(now)
        if not self.ledger.releasing:
            self._effect_done(call, result)

    def tick(self, now: int) -> None:
        """Let time pass: timers, retries, marks."""
        self.ledger.at(now)
        if self.ledger.releasing:
            return
        self.invocations.tick()
        if self.held:
            pass
        elif self.trials.of_timers:
            self.trials.fire_one()
        else:
            self._firing.fire_due()
        self._queues.retry_due()
        self._go_on_with_care()
        self.trials.look_back()
        self.ledger.mark_if_due()

    def next_wake(self) -> int | None:
        """When `tick` has something to do next, in ms since the epoch."""
        dues = (
            None if self.held else self._firing.next_due(),
            self.actors.next_retry(),
            self.invocations.next_due(),
            self._care.until if self._care.until > self.now else None,
            self.ledger.next_mark(),
        )
        return min((due for due in dues if due is not None), default=None)

    def _go_on_with_care(self) -> None:
        if self._care.held or self._care.actors:
            self.trials.go_on()

    # To the log and back

    def take(self) -> list[Turn | Step | Mark] | None:
        """Records to append as one group, or None: see `Ledger.take`."""
        return self.ledger.take()

    def pending_bytes(self) -> int:
        """About how large the group is that comes next."""
        return self.ledger.pending_bytes()

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way to the log."""
        return self.ledger.quiet

    @property
    def running_ahead(self) -> int:
        """Turns executed and not acknowledged."""
        return self.ledger.running_ahead

    @property
    def newest(self) -> Turn | Step | Mark | None:
        """The last of its records that is acknowledged."""
        return self.ledger.newest

    def acknowledged(self, offset: int) -> tuple[int, int] | None:
        """The oldest group is on the log: see `Ledger.acknowledged`. Raises Fenced."""
        return self.ledger.acknowledged(offset)

    def gap(self, records: Sequence[tuple[int, JournalRecord | None]]) -> list[int]:
        """What stands in the journal around the oldest group: see `Ledger.gap`. Raises Fenced."""
        return self.ledger.gap(records)

    def _applied(self, group: Group) -> None:
        self.actors.applied(group)
        self.invocations.acknowledged()
        if self.outcomes.awaited:
            self.outcomes.came(group.records)
        self._go_on_with_care()

    # What left

    def relayed(self, offset: int) -> None:
        """All mails and replies of turns up to `offset` have arrived."""
        self.ledger.relayed(offset)

    def emitted(self, offset: int) -> None:
        """All output records of turns up to `offset` are committed."""
        self.ledger.emitted(offset)

    def put_away(self, offset: int) -> None:
        """All dead letters of turns up to `offset` are committed."""
        self.ledger.put_away(offset)

    def settle(self) -> None:
        """Bring the fold up to what has left."""
        self.ledger.settle()

    # The end

    def let_go(self) -> None:
        """Make no turn any more, by whatever: what waits is the next owner's."""
        self.ledger.releasing = True
        self._care.held.clear()
        self._care.actors.clear()

    def release(self, now: int) -> None:
        """Let go in good order: the last record says so. What is in flight is still acknowledged."""
        self.ledger.at(now)
        self.ledger.releasing = True
        self.ledger.mark(release=True)
