"""Elections: at most one leader at a time, by leases, with terms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from plexstream.sdk.host.coordination.operation import (
    OneActor,
    Operation,
    Runner,
    operation,
    reading,
)


@dataclass(frozen=True, slots=True)
class Term:
    """Who leads.

    Attributes:
        leader: the candidate.
        term: its number, greater than all that this election ever had before.
        due: when the lease ends, in ms since the epoch.
    """

    leader: str
    term: int
    due: int


class Election(OneActor):
    """Has a leader, for as long as the lease of a term lasts. It is linearizable.

    A leader may be paused for longer than its lease, and not know that another one leads by then: what it
    writes to should keep the greatest term it has seen, and refuse a lesser one.
    """

    TYPE = "plex.election"

    @operation
    def campaign(
        self, candidate: str = "", lease: float = 30.0, wait: float | None = 0
    ) -> Operation[Term | None]:
        """Lead; None: not in time. Who leads and campaigns again waits like all others.

        Parameters:
            candidate: who is to lead; "": the actor that asks.
            lease: seconds, from when it leads, 30 days at most.
            wait: seconds to wait for it, in order of arrival; 0: not at all; None: as long as it takes.
        """
        said = {"candidate": candidate, "lease": lease, "wait": wait}
        return _term((yield self._call("campaign", said, wait)))

    @operation
    def renew(self, term: Term | int, lease: float = 30.0) -> Operation[Term]:
        """Let the lease end so many seconds from now. Raises Rejected: the term is over."""
        return Term(**(yield self._call("renew", {"term": _number(term), "lease": lease})))

    @operation
    def resign(self, term: Term | int) -> Operation[None]:
        """Let the next candidate lead. Raises Rejected: the term is over."""
        yield self._call("resign", {"term": _number(term)})

    @reading
    def leader(self) -> Operation[Term | None]:
        """Who leads; None: nobody."""
        return _term((yield self._call("leader", {}, reads=True)))

    @operation
    def watch(self, known_term: Term | int = 0, wait: float | None = None) -> Operation[Term | None]:
        """Wait until somebody leads by another term than the one that is known; None: not in time.

        Parameters:
            known_term: 0: whoever leads.
            wait: seconds; 0: not at all; None: as long as it takes.
        """
        said = {"known_term": _number(known_term), "wait": wait}
        return _term((yield self._call("watch", said, wait)))

    @operation
    def observe(self, handler: str, to: str = "", ttl: float | None = None) -> Operation[dict[str, Any]]:
        """Have an actor told of every change from now on: its handler gets `election`, `leader` and `term`.

        `leader` is None, and `term` the latest, where nobody leads any more. To observe again sets a new end.

        Parameters:
            handler: the name of its handler.
            to: its address; "": the actor that asks.
            ttl: seconds after which it is told no more; None: it is until `unobserve`.

        Returns:
            When that is, `due` in ms since the epoch, and who leads now, `current`.
        """
        found: dict[str, Any] = yield self._call("observe", {"handler": handler, "to": to, "ttl": ttl})
        return found

    @operation
    def unobserve(self, handler: str, to: str = "") -> Operation[bool]:
        """Have it told no more; whether it was to be."""
        return bool((yield self._call("unobserve", {"handler": handler, "to": to})))

    @reading
    def status(self, limit: int = 100) -> Operation[dict[str, Any]]:
        """Who leads, how many wait to, and the first of these: each since and until when, in ms."""
        found: dict[str, Any] = yield self._call("status", {"limit": limit}, reads=True)
        return found


class Elections:
    """``host.elections`` and ``client.elections``: the way to each."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def election(self, name: str) -> Election:
        """An election. It is there as soon as somebody campaigns."""
        return Election(self._run, name)


def _term(found: dict[str, Any] | None) -> Term | None:
    return None if found is None else Term(found["leader"], found["term"], found["due"])


def _number(given: Term | int) -> int:
    return given.term if isinstance(given, Term) else given
