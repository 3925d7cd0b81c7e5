"""When the state of an actor is past its time to live, and how it begins anew."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from plexstream.model.errors import Failed
from plexstream.model.journal.deferred import CALLS, KEYED, Deferred, decode_deferred, is_waited_for
from plexstream.model.journal.journal import Change
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages.text import said
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.journal.ledger import Ledger

_ENTRY = Piece.ENTRY.value
_AT_ONCE = 1_000
"""Calls that nobody waits for any more, of which so many are forgotten with one turn."""


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
        return any(waits for *_, waits in self._calls(actor))

    def _calls(self, actor: Actor) -> Iterator[tuple[str, Deferred, bool]]:
        """Its calls that are to be answered later: which, and whether somebody waits for the answer."""
        pieces, address, now = self._ledger.pieces, actor.address, self._ledger.now

        def get(field: str, key: str) -> bytes | None:
            return pieces.entry((_ENTRY, address, field, key))

        for call, data in pieces.collections.entries(address, CALLS):
            entry = decode_deferred(data)
            yield call, entry, is_waited_for(get, call, entry, now)

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
        gone = [(call, entry) for call, entry, waits in self._calls(actor) if not waits][:_AT_ONCE]
        outcomes = dict.fromkeys(entry.outcome for _, entry in gone if entry.outcome)
        return [
            *(Change(field, key, None) for field, key, _ in entries if field[:1] != "$"),
            *(Change(CALLS, call, None) for call, _ in gone),
            *(Change(KEYED, outcome, None) for outcome in outcomes),
        ]
