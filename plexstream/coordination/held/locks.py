"""Locks: one lock."""

from __future__ import annotations

from typing import Any

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.held.line import Row
from plexstream.coordination.held.tenure import MAX_LEASE, Tenure, Words
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

_WORDS = Words("lock", "holder", "token", "acquire it again")


@actor(name="plex.lock", state_ttl=MAX_LEASE + 86400)
class Lock:
    """Is held by one at a time, for as long as its lease lasts.

    It is not reentrant, and knows a holder by the token alone: who holds it and asks again, be it by the same
    name, waits like all others, or gets null. A holder that was paused may not know that its lease has ended:
    so what it writes to should keep the greatest token it has seen and refuse a lesser one, or `check`.
    """

    held: list[Any] = state(default_factory=list)
    newest: int = state(default=0)
    ended: list[Any] = state(default_factory=list)
    waiting: StateMap[int, Row] = state_map()
    lines: dict[str, int] = state(default_factory=dict)
    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)

    @handler("acquire")
    def acquire(
        self, holder: str = "", lease: float = 30.0, wait: float | None = 0
    ) -> dict[str, Any] | None:
        """Get the lock: holder, token and when the lease is due (ms); None: not within the time.

        Parameters:
            holder: whose it is, for people; default: the actor that asks.
            lease: seconds, 30 days at most, from when it is got.
            wait: seconds; 0: not at all; None: for ever. Who came first is first.
        """
        return self._tenure().take(holder or host.sender(), lease, wait)

    @handler("renew")
    def renew(self, token: int, lease: float = 30.0) -> dict[str, Any]:
        """Let the lease end `lease` seconds from now, which may be sooner. Rejected once it has ended."""
        return self._tenure().renew(token, lease)

    @handler("release")
    def release(self, token: int) -> None:
        """Give the lock to who is next. Rejected where `token` does not hold it (any more)."""
        self._tenure().give_up(token, "it was released")

    @handler("check", read_only=True)
    def check(self, token: int) -> bool:
        """Whether `token` is the newest that was given, be its lease over: nobody got the lock behind it."""
        return token == self.newest > 0

    @handler("status", read_only=True)
    def status(self, limit: int = 100) -> dict[str, Any]:
        """Who holds the lock, and who waits, in order, `limit` of them: since when, until when (ms)."""
        return self._tenure().status(limit)

    @handler("__alarm__")
    def alarm(self) -> None:
        """End what is over."""
        tenure = self._tenure()
        for what in Agenda(self).due():
            tenure.alarm(what)
        tenure.settle()

    def _tenure(self) -> Tenure:
        return Tenure(self, _WORDS)
