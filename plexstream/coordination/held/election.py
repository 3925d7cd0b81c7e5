"""Elections: one election, of at most one leader at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plexstream.coordination.common.addresses import checked_tell
from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import milliseconds, patience, text
from plexstream.coordination.common.spread import GO_ON, News, Place, Receiver, go_on, spread
from plexstream.coordination.held.line import Line, Row
from plexstream.coordination.held.tenure import Grant, Tenure, Words
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

_WORDS = Words("lead", "leader", "term", "campaign again")
_WATCHERS = "v"
_TELL = "tell"
_OBSERVER = "s"
_MAX_HANDLER = 200


@actor(name="plex.election")
class Election:
    """Has a leader, for as long as the lease of a term lasts. Terms are numbers, each above the last.

    A leader is known by its term alone: one that campaigns again, be it by the same name, waits like others.
    """

    held: list[Any] = state(default_factory=list)
    newest: int = state(default=0)
    ended: list[Any] = state(default_factory=list)
    waiting: StateMap[int, Row] = state_map()
    watching: StateMap[int, Row] = state_map()
    reach: int = state(default=0)  # the number of the last who watched when the leader changed
    lines: dict[str, int] = state(default_factory=dict)
    observers: StateMap[tuple[str, str], list[int]] = state_map()  # the latest news it is not told, its end
    noted: int = state(default=0)
    told: int = state(default=0)
    under_way: StateMap[int, News] = state_map()
    place: Place = state(default_factory=list)
    going_on: int = state(default=0)
    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)

    @handler("campaign")
    def campaign(
        self, candidate: str = "", lease: float = 30.0, wait: float | None = 0
    ) -> dict[str, Any] | None:
        """Lead: leader, term and when the lease is due (ms); None: not within the time.

        Parameters:
            candidate: who is to lead; default: the actor that asks.
            lease: seconds, 30 days at most, from when it leads.
            wait: seconds; 0: not at all; None: for ever. Who came first is first.
        """
        name = candidate or host.sender()
        if not name:
            raise Reject(f"{host.self_id()}: a campaign of nobody: give the candidate, by a name")
        return self._tenure().take(name, lease, wait)

    @handler("renew")
    def renew(self, term: int, lease: float = 30.0) -> dict[str, Any]:
        """Let the lease end `lease` seconds from now, which may be sooner. Rejected once it has ended."""
        return self._tenure().renew(term, lease)

    @handler("resign")
    def resign(self, term: int) -> None:
        """Let the next lead. Rejected where `term` does not lead (any more)."""
        self._tenure().give_up(term, "its leader has resigned")

    @handler("leader", read_only=True)
    def leader(self) -> dict[str, Any] | None:
        """Who leads: leader, term, since when and until when (ms); None: nobody."""
        return _shown(self._tenure().current())

    @handler("status", read_only=True)
    def status(self, limit: int = 100) -> dict[str, Any]:
        """Who leads, and who waits to, in order, `limit` of them: since when, until when (ms)."""
        return self._tenure().status(limit)

    @handler("watch")
    def watch(self, known_term: int = 0, wait: float | None = None) -> dict[str, Any] | None:
        """Wait until somebody leads by another term than `known_term`: `leader` as it is then, or None.

        Parameters:
            wait: seconds; 0: not at all; None: for ever.
        """
        limit = patience("wait", wait)
        tenure = self._tenure()
        tenure.settle()
        grant = tenure.current()
        if grant is not None and grant.token != known_term:
            return _shown(grant)
        if limit != 0:
            self._watchers().join(limit)
        return None

    @handler("observe")
    def observe(self, handler: str, to: str = "", ttl: float | None = None) -> dict[str, Any]:
        """Tell an actor of every change from now on: ``handler(election=, leader=, term=)``.

        `leader` is None where nobody leads; `term` is the latest one then. To observe again sets a new end.

        Parameters:
            handler: the name of its handler.
            to: its address; default: the actor that asks.
            ttl: seconds after which it is told no more; None: until `unobserve`.

        Returns:
            When that is (ms, or None), and who leads now.
        """
        key = self._observer(to, handler)
        due = 0 if ttl is None else host.now() + milliseconds("ttl", ttl)
        self._tenure().settle()
        since, before = self.observers.get(key, (0, 0))
        if not since or (before and before <= host.now()):
            since = self.noted + 1
        self.observers[key] = [since, due]
        Agenda(self).move(before, due, _OBSERVER + "\n".join(key))
        return {"due": due or None, "current": _shown(self._tenure().current())}

    @handler("unobserve")
    def unobserve(self, handler: str, to: str = "") -> bool:
        """Tell it no more; whether it was to be told."""
        key = self._observer(to, handler)
        _, due = row = self.observers.pop(key, [0, 0])
        if due:
            Agenda(self).drop(due, _OBSERVER + "\n".join(key))
        return row[0] > 0 and not 0 < due <= host.now()

    @handler("__alarm__")
    def alarm(self) -> None:
        """End what is over."""
        tenure, watchers = self._tenure(), self._watchers()
        for what in Agenda(self).due():
            if what.startswith(_OBSERVER):
                self._forget(what[1:])
            elif not watchers.end(what):
                tenure.alarm(what)
        tenure.settle()
        self._tell_watchers(tenure.current())

    @handler(GO_ON)
    def spread(self) -> None:
        """Tell further observers."""
        go_on(self)

    def receivers(self, number: int, news: News, behind: Place) -> Iterator[Receiver]:
        """Who observes since before that change."""
        now = host.now()
        for key, (since, due) in self.observers.range((behind[0], behind[1]) if behind else None):
            to, handler = key
            if [to, handler] != behind:
                passed = since > number or 0 < due <= now
                yield Receiver([to, handler], "" if passed else to, handler)

    def _tenure(self) -> Tenure:
        return Tenure(self, _WORDS, self._changed)

    def _watchers(self) -> Line:
        return Line(self, _WATCHERS, self.watching)

    def _changed(self, grant: Grant | None) -> None:
        leader = grant and grant.holder
        spread(self, [[{"election": host.self_id(), "leader": leader, "term": self.newest}]])
        line = self._watchers()
        self.reach = line.arrived()
        self._tell_watchers(grant)

    def _tell_watchers(self, grant: Grant | None) -> None:
        if grant is None:
            return  # they wait for who comes next
        line = self._watchers()
        while line.serve(lambda _: _shown(grant), self.reach) is not None:
            pass
        if line.more:
            Agenda(self).put(host.now(), _TELL)

    def _observer(self, to: str, handler: str) -> tuple[str, str]:
        text("handler", handler, _MAX_HANDLER)
        given = to or host.sender()
        if not given:
            raise Reject(f"{host.self_id()}: nobody to tell: give the address of an actor, to=…")
        news = {"election": host.self_id(), "leader": None, "term": 0}
        return checked_tell("to", given, handler, news), handler

    def _forget(self, what: str) -> None:
        to, _, handler = what.partition("\n")
        _, due = self.observers.get((to, handler), [0, 0])
        if 0 < due <= host.now():
            del self.observers[(to, handler)]


def _shown(grant: Grant | None) -> dict[str, Any] | None:
    if grant is None:
        return None
    return {"leader": grant.holder, "term": grant.token, "since": grant.since, "due": grant.due}
