"""What happens with a tuple that is written: who waits for it gets it, the first take to itself."""

from __future__ import annotations

from typing import Any, Protocol

from plexstream.coordination.space.content import Content, Entry, Kept, Tuple
from plexstream.coordination.space.search import Budget
from plexstream.coordination.space.waiting import NOTIFY, READ, TAKE, Expecting, Waiting, Walk, answer
from plexstream.sdk.host.host import host

GO_ON = "offer_on"
"""The handler by which a space goes on with an offer that was too much for one turn."""


class Offering(Kept, Expecting, Protocol):
    """The state of a space's actor."""


class Offers:
    """Gives what is written to those who wait for it.

    First the takes, in order of arrival, until one has it; then all reads, which saw it before; then whoever
    has subscribed. What a turn has no budget for the space tells itself. A take that arrives meanwhile may
    have the tuple before one that waits; the reads and subscriptions get its value all the same.
    """

    def __init__(self, owner: Offering, budget: Budget) -> None:
        self._owner = owner
        self._budget = budget
        self._content = Content(owner)
        self._waiting = Waiting(owner)

    def write(self, tuple: Tuple, due: int, by: str) -> Entry:
        """Write a tuple. Raises Reject: it is none."""
        entry = self._content.announce(tuple, due, by)
        if not self._owner.queued:
            self._content.keep(entry)
            return entry
        self._budget.spend(entry.bytes)  # which the turn keeps and publishes
        self._give(entry, TAKE, 0, self._owner.arrivals, False)
        return entry

    def offer(self, entry: Entry) -> None:
        """Offer one that is kept already."""
        if self._owner.queued:
            self._give(entry, TAKE, 0, self._owner.arrivals, True)

    def go_on(self, entry: list[Any], kind: int, after: int, last: int) -> None:
        """Offer one again, from where another turn has stopped."""
        self._give(Entry(*entry), kind, after, last, True)

    def _give(self, entry: Entry, kind: int, after: int, last: int, kept: bool) -> None:
        if kind == TAKE:
            stopped = self._to_take(entry, after, last, kept)
            if stopped is not None:
                self._later(entry, TAKE, stopped, last)
                return
            kind, after = READ, 0
        if kind == READ:
            stopped = self._to_reads(entry, after, last)
            if stopped is not None:
                self._later(entry, READ, stopped, last)
                return
            after = 0
        stopped = self._to_subscriptions(entry, after, last)
        if stopped is not None:
            self._later(entry, NOTIFY, stopped, last)

    def _to_take(self, entry: Entry, after: int, last: int, kept: bool) -> int | None:
        if kept and self._content.get(len(entry.tuple), entry.id) is None:
            return None  # somebody has taken it meanwhile
        walk = Walk(self._owner, TAKE, entry.tuple, after, last, self._budget)
        for found in walk:
            self._waiting.remove(found)
            if answer(found.row[0], entry.answer()):
                by = found.row[4]
                if kept:
                    self._content.take(entry, by, by)
                else:
                    self._content.taken(entry, by, by)
                return None
        if not kept:
            self._content.keep(entry)
        return walk.after

    def _to_reads(self, entry: Entry, after: int, last: int) -> int | None:
        walk = Walk(self._owner, READ, entry.tuple, after, last, self._budget)
        for found in walk:
            self._waiting.remove(found)
            if answer(found.row[0], entry.answer()):
                self._budget.spend(entry.bytes)
        return walk.after

    def _to_subscriptions(self, entry: Entry, after: int, last: int) -> int | None:
        walk = Walk(self._owner, NOTIFY, entry.tuple, after, last, self._budget)
        for found in walk:
            self._waiting.tell(found, entry.tuple)
            self._budget.spend(entry.bytes)
        return walk.after

    def _later(self, entry: Entry, kind: int, after: int, last: int) -> None:
        host.tell(host.self_id(), GO_ON, entry=list(entry), kind=kind, after=after, last=last)
