"""Timers in memory: they belong to an actor that is loaded, and are gone with it. No journal has them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from typing import NamedTuple

from plexstream.model.journal.journal import Out, OutKind
from plexstream.model.messages.message import TELL, Envelope
from plexstream.processor.actors.actor import Actor

TICK = "tick"
"""The cause of the turns that these timers make."""
_KIND = OutKind.TICK.value


class _Tick(NamedTuple):
    due: int
    number: int  # no two are the same, so that no two actors are compared
    actor: Actor
    out: Out


class Ticks:
    """Timers in memory by due time."""

    def __init__(self) -> None:
        self._heap: list[_Tick] = []
        self._number = 0

    def take(self, actor: Actor, outs: Sequence[Out], now: int) -> list[Out]:
        """Set and end what a turn has set and ended; returns its other outgoing items."""
        rest = []
        for out in outs:
            if out.kind != _KIND:
                rest.append(out)
            elif out.handler:
                actor.tick(out)
                self._push(actor, out, now + out.due)
            else:
                actor.untick(out.id)
        return rest

    def next_due(self) -> int | None:
        """When the next one is due at the earliest, in ms since the epoch."""
        return self._heap[0].due if self._heap else None

    def pop_due(self, now: int) -> list[tuple[Actor, Envelope]]:
        """What is due, each once, however often it was due meanwhile; nothing for actors that are busy."""
        found = []
        while self._heap and self._heap[0].due <= now:
            _, _, actor, out = heapq.heappop(self._heap)
            if actor.evicted or actor.ticks.get(out.id) is not out:
                continue
            self._push(actor, out, now + out.due)
            if actor.queue is None:
                e = Envelope(TELL, out.id, actor.address, out.handler, out.payload, actor.address, time=now)
                found.append((actor, e))
        return found

    def _push(self, actor: Actor, out: Out, due: int) -> None:
        self._number += 1
        heapq.heappush(self._heap, _Tick(due, self._number, actor, out))
