"""Locks: mutual exclusion by leases, with fencing tokens."""

from __future__ import annotations

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
class Grant:
    """A lock that is held.

    Attributes:
        holder: whose it is, for people.
        token: the fencing token: greater than all that this lock ever had before. What the holder writes to
            should keep the greatest it has seen, and refuse a lesser one.
        due: when the lease ends, in ms since the epoch.
    """

    holder: str
    token: int
    due: int


class Lock(OneActor):
    """Is held by one at a time. It is linearizable, and not reentrant: who holds it and asks again waits.

    A holder may be paused for longer than its lease, and not know that another one holds the lock by then.
    """

    TYPE = "plex.lock"

    @operation
    def acquire(
        self, holder: str = "", lease: float = 30.0, wait: float | None = 0
    ) -> Operation[Grant | None]:
        """Get the lock; None: not in time.

        Who repeats it under its idempotency key gets the same grant, be it over by then: see its `due`, or
        `check` and `renew` it.

        Parameters:
            holder: whose it is, for people; "": the actor that asks.
            lease: seconds, from when it is got, 30 days at most.
            wait: seconds to wait for it, in order of arrival; 0: not at all; None: as long as it takes.
        """
        said = {"holder": holder, "lease": lease, "wait": wait}
        found = yield self._call("acquire", said, wait)
        return None if found is None else Grant(**found)

    @operation
    def renew(self, token: Grant | int, lease: float = 30.0) -> Operation[Grant]:
        """Let the lease end so many seconds from now. Raises Rejected: the token does not hold the lock."""
        return Grant(**(yield self._call("renew", {"token": _token(token), "lease": lease})))

    @operation
    def release(self, token: Grant | int) -> Operation[None]:
        """Give the lock to who is next. Raises Rejected: the token does not hold it (any more)."""
        yield self._call("release", {"token": _token(token)})

    @reading
    def check(self, token: Grant | int) -> Operation[bool]:
        """Whether no token was given after this one. Another may be, right after the answer."""
        return bool((yield self._call("check", {"token": _token(token)}, reads=True)))

    @reading
    def status(self, limit: int = 100) -> Operation[dict[str, Any]]:
        """Who holds the lock, how many wait, and the first of these: each since and until when, in ms."""
        found: dict[str, Any] = yield self._call("status", {"limit": limit}, reads=True)
        return found

    def hold(self, lease: float = 30.0, wait: float | None = None, holder: str = "") -> Holding[Grant]:
        """Hold it while a block runs: ``with lock.hold() as grant:``, or ``async with``.

        Takes what `acquire` does. Raises TimeoutError: not in time.
        """

        def release(grant: Grant) -> Operation[None]:
            yield from steps_of(self.release)(grant)

        late = f"the lock {self.name!r} was not got within {wait} seconds: wait longer, or try again later"
        return Holding(self._run, lambda: steps_of(self.acquire)(holder, lease, wait), release, late)


class Locks:
    """``host.locks`` and ``client.locks``: the way to each."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def lock(self, name: str) -> Lock:
        """A lock. It is there as soon as somebody acquires it."""
        return Lock(self._run, name)

    def hold(
        self, name: str, lease: float = 30.0, wait: float | None = None, holder: str = ""
    ) -> Holding[Grant]:
        """Hold a lock while a block runs: ``with host.locks.hold("name") as grant:``. See `Lock.hold`."""
        return self.lock(name).hold(lease, wait, holder)


def _token(given: Grant | int) -> int:
    return given.token if isinstance(given, Grant) else given
