"""Pools: members that are lent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plexstream.sdk.host.coordination.held.holding import Holding
from plexstream.sdk.host.coordination.operation import (
    OneActor,
    Operation,
    Runner,
    operation,
    reading,
    steps_of,
)


@dataclass(frozen=True, slots=True)
class Checkout:
    """A member that is lent.

    Attributes:
        checkout: its number, by which it is given back.
        member: most often an actor's address.
        due: when the lease ends, in ms since the epoch.
    """

    checkout: int
    member: str
    due: int


class Pool(OneActor):
    """Lends each member to one at a time: who was used least recently first, to who came first."""

    TYPE = "plex.pool"

    @operation
    def add(self, members: str | Sequence[str]) -> Operation[int]:
        """Have members, up to 1,000 at a time, all healthy; how many were none, or set aside."""
        given = [members] if isinstance(members, str) else list(members)
        return int((yield self._call("add", {"members": given})))

    @operation
    def remove(self, member: str) -> Operation[bool]:
        """Lend it no more; who has it keeps it until check-in. Whether it was a member."""
        return bool((yield self._call("remove", {"member": member})))

    @operation
    def mend(self, member: str) -> Operation[bool]:
        """Lend one again that was set aside. Whether it was."""
        return bool((yield self._call("mend", {"member": member})))

    @operation
    def checkout(
        self, wait: float | None = 0, lease: float = 60.0, holder: str = ""
    ) -> Operation[Checkout | None]:
        """Borrow a member; None: not in time.

        Parameters:
            wait: seconds to wait for one, in order of arrival; 0: not at all; None: as long as it takes.
            lease: seconds after which it goes back by itself, and counts as lost.
            holder: for whom, for people; "": the actor that asks.
        """
        said = {"wait": wait, "lease": lease, "holder": holder}
        found = yield self._call("checkout", said, wait)
        return None if found is None else Checkout(**found)

    @operation
    def renew(self, checkout: Checkout | int, lease: float = 60.0) -> Operation[Checkout]:
        """Let the lease end so many seconds from now. Raises Rejected: it has ended."""
        return Checkout(**(yield self._call("renew", {"checkout": _number(checkout), "lease": lease})))

    @operation
    def checkin(self, checkout: Checkout | int, healthy: bool = True) -> Operation[None]:
        """Give a member back. Raises Rejected: there is no such checkout (any more).

        Parameters:
            healthy: False: it is set aside, until it is mended or added again.
        """
        yield self._call("checkin", {"checkout": _number(checkout), "healthy": healthy})

    @reading
    def metrics(self) -> Operation[dict[str, int]]:
        """How many members are idle, busy, unhealthy, how many wait, and how many checkouts there were.

        Of these `checkouts` came to something, `timeouts` to nothing, and `lost` ended by their lease.
        """
        found: dict[str, int] = yield self._call("metrics", {}, reads=True)
        return found

    @reading
    def members(self, after: str = "", limit: int = 100) -> Operation[dict[str, str]]:
        """Members behind `after`, in order, `limit` at most, and how each is."""
        found = yield self._call("list", {"after": after, "limit": limit}, reads=True)
        return dict(found)

    @reading
    def status(self, limit: int = 100) -> Operation[dict[str, Any]]:
        """Who has which member, and who waits, the first of each: since and until when, in ms."""
        found: dict[str, Any] = yield self._call("status", {"limit": limit}, reads=True)
        return found

    def borrow(self, wait: float | None = None, lease: float = 60.0, holder: str = "") -> Holding[Checkout]:
        """Have a member while a block runs: ``with pool.borrow() as checkout:``, or ``async with``.

        Takes what `checkout` does. Raises TimeoutError: not in time.
        """

        def check_in(checkout: Checkout) -> Operation[None]:
            yield from steps_of(self.checkin)(checkout)

        late = f"no member of the pool {self.name!r} within {wait} seconds: wait longer, or add some"
        return Holding(self._run, lambda: steps_of(self.checkout)(wait, lease, holder), check_in, late)


class Pools:
    """``host.pools`` and ``client.pools``: the way to each."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def pool(self, name: str) -> Pool:
        """A pool. It is there as soon as somebody adds a member."""
        return Pool(self._run, name)


def _number(given: Checkout | int) -> int:
    return given.checkout if isinstance(given, Checkout) else given
