"""What a system actor has to do at some time: any number of entries, and one alarm of the actor for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

AT_ONCE = 1_000
"""Entries that one turn deals with at most; the next turn comes at once. It keeps turns short."""


OVERDUE = 60_000
"""Milliseconds after which an alarm that has not come is set again: it may have been put aside as poison."""


class Timed(Protocol):
    """An actor with an agenda.

    Attributes:
        agenda: ``state_map()`` of what is to be done, by when (ms since the epoch) and what.
        armed: ``state(default=0)``, when the alarm is due; 0: none is set.
    """

    agenda: StateMap[tuple[int, str], int]
    armed: int


class Agenda:
    """The agenda of an actor, which calls `due` in its handler ``__alarm__``, and sets no alarm itself.

    What is due may come late: who reads an entry compares its time with `host.now` and takes it for gone.
    """

    def __init__(self, owner: Timed) -> None:
        self._owner = owner

    def put(self, when: int, what: str) -> None:
        """Note `what` for `when`, in ms since the epoch."""
        owner = self._owner
        owner.agenda[(when, what)] = 0
        if not owner.armed or when < owner.armed:
            self._arm(when)
        elif owner.armed < host.now() - OVERDUE:
            self._arm(host.now())

    def drop(self, when: int, what: str) -> None:
        """Forget it. The alarm may come once for nothing: that costs less than to look who is next."""
        self._owner.agenda.pop((when, what), None)

    def move(self, before: int, when: int, what: str) -> None:
        """Note for another time what may be noted for `before`; 0 for either: for none."""
        if before == when:
            return
        if before:
            self.drop(before, what)
        if when:
            self.put(when, what)

    def due(self, limit: int = AT_ONCE) -> Iterator[str]:
        """Take what is due, the earliest first, `limit` at most. To be gone through to its end."""
        owner, now = self._owner, host.now()
        owner.armed = 0
        found = list(owner.agenda.range(None, (now + 1,), limit=limit))
        for key, _ in found:
            del owner.agenda[key]
        for (_, what), _ in found:
            yield what
        first = owner.agenda.first()
        if first is not None:
            self._arm(first[0][0])

    def _arm(self, when: int) -> None:
        host.alarm.set(max(when, host.now() + 1))
        self._owner.armed = when
