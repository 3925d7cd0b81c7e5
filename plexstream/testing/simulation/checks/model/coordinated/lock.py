"""A lock as it ought to be: one holder, tokens that rise, leases to the millisecond, waiters in order."""

from __future__ import annotations

from typing import Any

from plexstream.testing.simulation.checks.model.coordinated.handled import (
    Handled,
    Line,
    Waiter,
    claim_that,
    ms,
    until,
)


class Lock:
    """One lock.

    Attributes:
        grants: how often it was given.
        waited: how many of those had waited.
    """

    def __init__(self) -> None:
        self.line = Line()
        self._token = self._due = 0
        self._newest = 0
        self.grants = self.waited = 0

    def take(self, h: Handled) -> None:
        """A turn. Raises Violation."""
        name, now = h.handler, h.now
        if name == "acquire":
            claim_that(h.call, "nobody waits for its answer")
            wish = h.of("holder", ""), ms(h.of("lease", 30.0))
            self.line.waiters.append(Waiter(h.call, until(now, h.of("wait", 0)), wish))
        elif name in ("release", "renew"):
            claim_that(self._held_by(h.of("token"), now), f"{name}, by one who does not hold it")
            if name == "release":
                self._token = 0
            else:
                self._due = now + ms(h.of("lease", 30.0))
        for answer in h.answers:
            claim_that(not answer.failed, f"{answer} is no answer of a lock")
            waiter = self.line.find(answer.call)
            if waiter is not None:
                self._answer(waiter, answer.value, now, h.call)
                self.line.leave(waiter)
            elif name == "renew":
                claim_that(answer.value["due"] == self._due, f"{answer} tells another end of the lease")
            else:
                claim_that(name == "release" and answer.call == h.call, f"{answer}: nobody waits for that")
        if name != "renew":
            first = self.line.first(now)
            claim_that(self._held(now) or not first, f"{first and first.call} waits, and nobody holds it")

    def refused(self, h: Handled) -> None:
        """A turn that was rejected. Raises Violation: it should not be."""
        if h.handler in ("release", "renew") and h.of("lease", 1) > 0:
            claim_that(not self._held_by(h.of("token"), h.now), f"{h.handler} of who holds it is refused")

    def _answer(self, waiter: Waiter, value: Any, now: int, own: str) -> None:
        first = self.line.first(now, own)
        if value is None:
            early = waiter.until - now
            claim_that(early <= 0, f"{waiter.call} is told {early} ms early that it has waited in vain")
            free = waiter.call == own and first is waiter and not self._held(now)
            claim_that(not free, f"{waiter.call} does not get it, and it is free")
            return
        claim_that(not self._held(now), f"{value} is given, and {self._token} holds it")
        claim_that(first is waiter, f"{waiter.call} is served before {first and first.call}")
        holder, lease = waiter.wish
        claim_that(value["token"] > self._newest, f"{value}: the token before was {self._newest}")
        claim_that(value["due"] == now + lease, f"{value}: its lease is {lease} ms from {now}")
        claim_that(not holder or value["holder"] == holder, f"{value} is of {holder}")
        self._newest = self._token = value["token"]
        self._due = value["due"]
        self.grants += 1
        self.waited += waiter.call != own

    def _held(self, now: int) -> bool:
        return self._token != 0 and self._due > now

    def _held_by(self, token: Any, now: int) -> bool:
        return self._held(now) and token == self._token
