"""Pools: one pool, whose members are lent."""

from __future__ import annotations

from functools import partial
from typing import Any

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import count, milliseconds, patience, text
from plexstream.coordination.held.line import Line, Row
from plexstream.coordination.held.members import BUSY, IDLE, UNHEALTHY, Member, Members
from plexstream.coordination.held.tokens import next_token
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_MEMBER = 512
"""Bytes of a member's name, as of an address."""
MAX_PAGE = 1_000
_ON = "on"
_LEASE = "c"

Checkout = list[Any]  # member, for whom, since when, until when (ms)


@actor(name="plex.pool")
class Pool:
    """Lends each of its members to one at a time: who was used least recently first, to who came first.

    A member is any text, most often an actor's address.
    """

    members: StateMap[str, Member] = state_map()
    idle: StateMap[tuple[int, int], str] = state_map()
    counts: dict[str, int] = state(default_factory=dict)
    ticks: int = state(default=0)
    lent: StateMap[int, Checkout] = state_map()
    newest: int = state(default=0)
    waiting: StateMap[int, Row] = state_map()
    lines: dict[str, int] = state(default_factory=dict)
    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)

    @handler("add")
    def add(self, members: list[str]) -> int:
        """Have members, all healthy; how many were none, or set aside. 1,000 at a time."""
        count("the number of members", len(members), MAX_PAGE)
        checked = [text("member", one, MAX_MEMBER) for one in members]
        added = sum(Members(self).add(one) for one in checked)
        self._serve()
        return added

    @handler("remove")
    def remove(self, member: str) -> bool:
        """Lend it no more. Who has it keeps it until check-in. Whether it was a member."""
        return Members(self).remove(member)

    @handler("mend")
    def mend(self, member: str) -> bool:
        """Lend one again that was set aside. Whether it was."""
        mended = Members(self).mend(member)
        self._serve()
        return mended

    @handler("checkout")
    def checkout(
        self, wait: float | None = 0, lease: float = 60.0, holder: str = ""
    ) -> dict[str, Any] | None:
        """Borrow a member: number of the checkout, member, when the lease is due (ms); None: not in time.

        Parameters:
            wait: seconds; 0: not at all; None: for ever. Who came first is first.
            lease: seconds after which the member goes back by itself, and counts as lost.
            holder: for whom, for people; default: the actor that asks.
        """
        limit, length = patience("wait", wait), milliseconds("lease", lease)
        name = text("holder", holder or host.sender(), MAX_MEMBER, least=0)
        line = self._due()
        member = Members(self).first()
        if member is not None and not len(line):
            return self._lend(member, name, length)
        if limit == 0:
            self._count("timeouts")
        else:
            line.join(limit, name, length)
        return None

    @handler("renew")
    def renew(self, checkout: int, lease: float = 60.0) -> dict[str, Any]:
        """Let the lease end `lease` seconds from now, which may be sooner. Rejected once it has ended."""
        length = milliseconds("lease", lease)
        member, name, since, before = self._of(checkout)
        due = host.now() + length
        self.lent[checkout] = [member, name, since, due]
        Agenda(self).move(before, due, f"{_LEASE}{checkout}")
        return _told(checkout, member, due)

    @handler("checkin")
    def checkin(self, checkout: int, healthy: bool = True) -> None:
        """Give a member back; unhealthy: it is set aside, until it is mended or added again.

        Rejected where there is no such checkout (any more).
        """
        member, _, _, due = self._of(checkout)
        Agenda(self).drop(due, f"{_LEASE}{checkout}")
        self._back(checkout, member, healthy)
        self._serve()

    @handler("metrics", read_only=True)
    def metrics(self) -> dict[str, int]:
        """How many members there are, and how, how many wait, and what has been so far.

        `checkouts` came to something, `timeouts` to nothing, and of the former `lost` ended by their lease.
        """
        by_kind = {how: Members(self).count(how) for how in (IDLE, BUSY, UNHEALTHY)}
        ever = {what: self.counts.get(what, 0) for what in ("checkouts", "timeouts", "lost")}
        waiting = len(Line(self, "w", self.waiting))
        return {"size": sum(by_kind.values()), **by_kind, "waiting": waiting, **ever}

    @handler("list", read_only=True)
    def page(self, after: str = "", limit: int = 100) -> list[list[str]]:
        """Members behind `after`, in order, and how each is."""
        return Members(self).page(after, count("limit", limit, MAX_PAGE))

    @handler("status", read_only=True)
    def status(self, limit: int = 100) -> dict[str, Any]:
        """The oldest `limit` checkouts, and the first who wait: for whom, since when, until when (ms)."""
        count("limit", limit, MAX_PAGE)
        lent = self.lent.range(limit=limit)
        waiting = Line(self, "w", self.waiting).shown(limit)
        return {
            "lent": [
                {"checkout": number, "member": member, "holder": name, "since": since, "due": due}
                for number, (member, name, since, due) in lent
            ],
            "waiting": [{"holder": w.wish[0], "since": w.since, "due": w.until or None} for w in waiting],
        }

    @handler("__alarm__")
    def alarm(self) -> None:
        """End what is over."""
        self._serve(self._end_due())

    def _due(self) -> Line:
        """What is due is done, be the alarm late. The line of this turn."""
        if not 0 < self.armed <= host.now():
            return Line(self, "w", self.waiting)
        return self._serve(self._end_due())

    def _end_due(self) -> Line:
        line = Line(self, "w", self.waiting)
        for what in Agenda(self).due():
            if not line.end(what) and what.startswith(_LEASE):
                self._lose(int(what[1:]))
        return line

    def _serve(self, line: Line | None = None) -> Line:
        if line is None:
            line = Line(self, "w", self.waiting)
        members = Members(self)
        while len(line) and (member := members.first()) is not None:
            wish = line.serve(partial(_offer, next_token(self.newest), member))
            if wish is None:
                break
            self._lend(member, *wish)
        if line.more and members.count(IDLE):
            Agenda(self).put(host.now(), _ON)
        if line.late:
            self._count("timeouts", line.late)
        return line

    def _lend(self, member: str, name: str, length: int) -> dict[str, Any]:
        now = host.now()
        number = self.newest = next_token(self.newest)
        Members(self).use(member)
        self.lent[number] = [member, name, now, now + length]
        Agenda(self).put(now + length, f"{_LEASE}{number}")
        self._count("checkouts")
        return _told(number, member, now + length)

    def _of(self, checkout: int) -> Checkout:
        row = self.lent.get(checkout) if 0 < checkout <= self.newest else None
        if row is None:
            raise Reject(
                f"{host.self_id()}: there is no checkout {checkout}, or it was checked in, or its lease has "
                "ended: check out again"
            )
        if row[3] <= host.now():
            ago = host.now() - row[3]
            over = f"the lease of checkout {checkout} ended {ago} ms ago"
            raise Reject(f"{host.self_id()}: {over}: check out again")
        return row

    def _lose(self, checkout: int) -> None:
        row = self.lent.get(checkout)
        if row is not None and row[3] <= host.now():
            self._count("lost")
            self._back(checkout, row[0], True)

    def _back(self, checkout: int, member: str, healthy: bool) -> None:
        del self.lent[checkout]
        Members(self).back(member, healthy)

    def _count(self, what: str, by: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + by


def _offer(checkout: int, member: str, wish: list[Any]) -> dict[str, Any]:
    return _told(checkout, member, host.now() + wish[1])


def _told(checkout: int, member: str, due: int) -> dict[str, Any]:
    return {"checkout": checkout, "member": member, "due": due}
