"""Turns of handlers that others run beside: an instance of their own, and what they may change."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.turn.beside import Beside
from plexstream.hosts.native.turn.turn import Turn
from plexstream.model.host import Reader
from plexstream.model.journal.journal import Change
from plexstream.model.journal.workflow import PROMISES

Activate = Callable[[str, str, Mapping[str, bytes], Reader], Instance]


def stand_beside(turn: Turn, beside: Beside, activate: Activate) -> None:
    """Give a handler that others run beside an instance of its own. Raises what the user's hooks do."""
    actor: Instance = turn.instance
    own = activate(actor.type.name, actor.address, beside.fields(), beside)
    own.migrated = ()  # whoever changes the state writes that
    own.stand_alone()
    turn.instance, turn.beside, turn.actor = own, beside, actor


def changed_beside(turn: Turn, room: int) -> list[Change]:
    """What a handler has changed that others run beside: promises, and what the init hook did before it.

    Raises:
        TypeError: anything else.
    """
    instance, bound, beside = turn.instance, turn.bound, turn.beside
    waits = beside is not None and beside.waits
    if waits or bound.shared:
        own = [c for c in instance.changes() if c.field != PROMISES]
        if own != turn.opening:
            others = [c for c in own if c not in turn.opening] + [c for c in turn.opening if c not in own]
            names = ", ".join(sorted({c.field for c in others}))
            how = "is shared" if bound.shared else f"is a {bound.role} handler that waits"
            raise TypeError(
                f"{instance.type.name}.{bound.name} {how}, but changed {names}: it runs beside others, and "
                "may read the state, resolve promises and send; host.tell the actor itself to change it"
            )
    patch: list[Change] = instance.take_changes(room)
    turn.opening = []
    if turn.actor is not None:
        if patch:
            turn.actor.apply(patch)
        turn.actor = None
    return patch
