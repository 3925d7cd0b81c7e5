"""Changes that the system itself makes of an actor's state."""

from __future__ import annotations

from plexstream.model.host import ActorHost
from plexstream.model.journal.journal import Change, Out
from plexstream.model.messages.message import Envelope
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.lives import life_change
from plexstream.processor.actors.times.expiry import Expiry
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.turns import turn_changed
from plexstream.processor.waiting.invocation.invocation import Cause
from plexstream.processor.waiting.invocations import Invocations


class Changes:
    """Makes turns of them, each caused by a message that runs no handler."""

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, expiry: Expiry, invocations: Invocations
    ) -> None:
        self._host = host
        self._ledger = ledger
        self._actors = actors
        self._expiry = expiry
        self._invocations = invocations

    def change(
        self, actor: Actor | None, cause: Cause, e: Envelope, patch: list[Change], outs: list[Out]
    ) -> None:
        """Change the state of a message's actor by `patch`; None: it cannot be loaded.

        Raises:
            Failed: it has expired, and its class does not let it begin anew.
        """
        ledger = self._ledger
        if actor is None:
            number = self._actors.number(e.target)  # of the turn before, as where no code runs
            ledger.append(
                turn_changed(
                    ledger.claim, cause.topic, cause.offset, e, ledger.now, number, False, outs, patch
                )
            )
            return
        fresh = self._expiry.expired(actor)
        changes = patch
        if fresh:
            changes = [*self._expiry.renew(actor), *patch]
            if actor.life is not None:
                changes.append(life_change(actor.life))
            actor.reader.hidden = False
        actor.seq += 1
        actor.time = ledger.now
        changes = [*changes, *self._actors.mark_raw(actor)]
        turn = turn_changed(
            ledger.claim, cause.topic, cause.offset, e, ledger.now, actor.seq, fresh, outs, changes
        )
        if actor.instance is not None:
            self._host.apply(actor.instance, patch)
        self._actors.append(actor, self._invocations.meanwhile(actor, turn))
        self._invocations.settled(actor, patch)
