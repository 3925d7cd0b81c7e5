"""What a waiting handler has sent, as it leaves with its step."""

from __future__ import annotations

from plexstream.model.journal.journal import Change, Out
from plexstream.model.journal.life import SIGNALS
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.calls import Moment, take
from plexstream.processor.actors.times.recurring import arm
from plexstream.processor.actors.times.ticks import Ticks
from plexstream.processor.journal.ledger import Ledger


class Leaving:
    """Takes out what the processor keeps, and notes what that does to the actor's life."""

    def __init__(self, ledger: Ledger, actors: Actors, ticks: Ticks) -> None:
        self._ledger = ledger
        self._actors = actors
        self._ticks = ticks

    def sent(
        self, actor: Actor, outs: list[Out], moment: Moment | None = None
    ) -> tuple[list[Out], list[Change]]:
        """What leaves, and changes of the actor's life; `moment`: of the handler's end."""
        pieces, now = self._ledger.pieces, self._ledger.now
        changes: list[Change] = []
        if outs:
            outs = self._ticks.take(actor, outs, now)
            outs, changes, _ = take(pieces, actor.address, outs, moment or Moment(now), all=True)
        if outs and any(out.handler in SIGNALS for out in outs):
            ruling = self._actors.lives.sent(actor.address, None, actor.life, outs, changes)
            outs = ruling.outs
            changes = [*ruling.changes, *self._actors.live_on(actor, ruling.life)]
        if not actor.armed:
            actor.armed = True
            outs = [*outs, *arm(actor.info, actor.address, pieces, now)]
        return outs, changes
