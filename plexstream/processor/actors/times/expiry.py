"""When the state of an actor is past its time to live, and how it begins anew."""

from __future__ import annotations

from collections.abc import Callable

from plexstream.model.errors import Failed
from plexstream.model.journal.journal import Change
from plexstream.model.journal.life import CALLS
from plexstream.model.messages.text import said
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.journal.ledger import Ledger


class Expiry:
    """Looks whether state has expired, and lets it go.

    Attributes:
        keeps: whether a handler works with the state of an address: it does not expire then.
    """

    def __init__(self, ledger: Ledger, actors: Actors) -> None:
        self._ledger = ledger
        self._actors = actors
        self.keeps: Callable[[str], bool] = lambda _: False

    def expired(self, actor: Actor) -> bool:
        """Whether the state of an actor is past its time to live."""
        ttl = actor.info.state_ttl
        # Without a time it has had attempts at its first message alone, and no turn.
        old = ttl and actor.time and self._ledger.now - actor.time > ttl
        return bool(old) and not self.keeps(actor.address) and not self._is_waited_for(actor)

    def _is_waited_for(self, actor: Actor) -> bool:
        """Whether somebody waits for an answer that the actor is to give later."""
        return any(True for _ in self._ledger.pieces.collections.entries(actor.address, CALLS, chunk=1))

    def renew(self, actor: Actor) -> list[Change]:
        """Make an actor's state that of a new one: what goes with the turn that says so.

        Raises:
            Failed: its class does not let it.
        """
        try:
            self._actors.renew(actor)
        except Exception as error:  # the user's hook
            raise Failed(f"{actor.address} cannot be renewed: {said(error)}") from error
        entries = self._ledger.pieces.collections.of_actor(actor.address)
        return [Change(field, key, None) for field, key, _ in entries if field[:1] != "$"]
