"""Tenure: at most one holder at a time, by leases, with a token that rises from one to the next."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import count, milliseconds, patience, text
from plexstream.coordination.held.line import Line, Row, Waited
from plexstream.coordination.held.tokens import next_token
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_LEASE: Final = 30 * 86400
"""Seconds of a lease. Less than what a lock's state is kept for, without a turn."""
MAX_NAME: Final = 900
"""Bytes of a holder's UTF-8."""
_LEASE = "lease"
_ON = "on"


class Words(NamedTuple):
    """What a kind of tenure calls things: in answers, and in refusals.

    Attributes:
        thing: what is held.
        holder, token: the keys of an answer.
        again: what to do once a tenure is over.
    """

    thing: str
    holder: str
    token: str
    again: str


class Grant(NamedTuple):
    """One tenure: its token, whose it is, since when and until when, in ms since the epoch."""

    token: int
    holder: str
    since: int
    due: int


class Tenured(Waited, Protocol):
    """An actor that is held.

    Attributes:
        held: ``state(default_factory=list)``: a `Grant`; empty: nobody holds it.
        newest: ``state(default=0)``, the newest token.
        ended: ``state(default_factory=list)``: token of the tenure that was last to end, how, and when.
        waiting: ``state_map()`` of who waits for it.
    """

    held: list[Any]
    newest: int
    ended: list[Any]
    waiting: StateMap[int, Row]


class Tenure:
    """The tenure of an actor, for one turn. The agenda's entries ``lease``, ``on`` and ``w…`` are its own.

    Parameters:
        owner: the actor.
        words: what it calls things.
        changed: called with each new tenure, and with None where one ends and nobody comes next.
    """

    def __init__(
        self, owner: Tenured, words: Words, changed: Callable[[Grant | None], None] | None = None
    ) -> None:
        self._owner = owner
        self._words = words
        self._changed = changed
        self._line = Line(owner, "w", owner.waiting)

    def take(self, holder: str, lease: float, wait: float | None) -> dict[str, Any] | None:
        """Hold it now, or wait for it; what the holder is told, or None.

        Parameters:
            holder: whose it is to be, for people.
            lease: for how many seconds, from when it is got.
            wait: seconds; 0: not at all; None: for ever.

        Raises:
            Reject: an argument is none that can be.
        """
        text(self._words.holder, holder, MAX_NAME, least=0)
        length = milliseconds("lease", lease, MAX_LEASE)
        limit = patience("wait", wait)
        self.settle()
        if not self._owner.held and not len(self._line):
            return self._told(self._begin(self._grant(holder, length)))
        if limit != 0:
            self._line.join(limit, holder, length)
        return None

    def renew(self, token: int, lease: float) -> dict[str, Any]:
        """Let the lease end so many seconds from now. Raises Reject: `token` does not hold it."""
        length = milliseconds("lease", lease, MAX_LEASE)
        before = self._of(token)
        grant = before._replace(due=host.now() + length)
        self._owner.held = list(grant)
        Agenda(self._owner).move(before.due, grant.due, _LEASE)
        return self._told(grant)

    def give_up(self, token: int, how: str) -> None:
        """End it; who is next gets it. Raises Reject: `token` does not hold it."""
        self._end(self._of(token), how)
        self._hand_on()

    def current(self) -> Grant | None:
        """Who holds it at the turn's time."""
        held = self._owner.held
        grant = Grant(*held) if held else None
        return grant if grant and grant.due > host.now() else None

    def settle(self) -> None:
        """What is due by the turn's time is done, be the alarm late."""
        if self._owner.held and self.current() is None:
            self._end(Grant(*self._owner.held), "its lease ended")
        self._hand_on()

    def alarm(self, what: str) -> None:
        """Deal with an entry of the agenda that is its own. `settle` is to be called behind the last."""
        waited = len(self._line)
        self._line.end(what)
        if waited and not len(self._line) and not self._owner.held and self._changed is not None:
            self._changed(None)  # only a turn that finds nobody says so, and there was one left to look at

    def status(self, limit: int) -> dict[str, Any]:
        """Who holds it, and the first `limit` who wait, each since when and until when."""
        count("limit", limit, 1_000)
        grant, words = self.current(), self._words
        waiting = [
            {words.holder: w.wish[0], "since": w.since, "due": w.until or None}
            for w in self._line.shown(limit)
        ]
        return {
            words.holder: grant and grant.holder,
            words.token: grant and grant.token,
            "since": grant and grant.since,
            "due": grant and grant.due,
            "newest": self._owner.newest,
            "waits": len(self._line),
            "waiting": waiting,
        }

    def _grant(self, holder: str, length: int) -> Grant:
        now = host.now()
        return Grant(next_token(self._owner.newest), holder, now, now + length)

    def _begin(self, grant: Grant) -> Grant:
        self._owner.newest = grant.token
        self._owner.held = list(grant)
        Agenda(self._owner).put(grant.due, _LEASE)
        if self._changed is not None:
            self._changed(grant)
        return grant

    def _end(self, grant: Grant, how: str) -> None:
        self._owner.held = []
        self._owner.ended = [grant.token, how, min(grant.due, host.now())]
        Agenda(self._owner).drop(grant.due, _LEASE)
        if self._changed is not None and not len(self._line):
            self._changed(None)

    def _hand_on(self) -> None:
        if self._owner.held or not len(self._line):
            return
        wish = self._line.serve(lambda w: self._told(self._grant(*w)))
        if wish is not None:
            self._begin(self._grant(*wish))
        elif self._line.more:
            Agenda(self._owner).put(host.now(), _ON)
        elif self._changed is not None:
            self._changed(None)

    def _told(self, grant: Grant) -> dict[str, Any]:
        return {self._words.holder: grant.holder, self._words.token: grant.token, "due": grant.due}

    def _of(self, token: int) -> Grant:
        grant = self.current()
        if grant is None or grant.token != token:
            raise Reject(self._why_not(token, grant))
        return grant

    def _why_not(self, token: int, grant: Grant | None) -> str:
        owner, words, now = self._owner, self._words, host.now()
        held = Grant(*owner.held) if owner.held else None
        if token > owner.newest:
            past = "was never given"
        elif held is not None and held.token == token:
            past = f"is over: its lease ended {now - held.due} ms ago"
        elif owner.ended and owner.ended[0] == token:
            past = f"is over: {owner.ended[1]} {now - owner.ended[2]} ms ago"
        else:
            past = "is over, or was never given"
        whose = "nobody holds"
        if grant is not None:
            whose = f"{grant.holder!r} holds" if grant.holder else "somebody without a name holds"
        return f"{host.self_id()}: {words.token} {token} {past}; {whose} the {words.thing} now: {words.again}"
