"""Registries: addresses by name and label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from plexstream.sdk.host.coordination.operation import (
    Call,
    Noun,
    Operation,
    actor_id,
    operation,
    reading,
)

MAX_PAGE = 200


@dataclass(frozen=True, slots=True)
class Registered:
    """One address of a name.

    Attributes:
        labels: by which it is found.
        ttl: seconds until it ends without a heartbeat; None: it does not.
        since: when it was registered, in ms since the epoch.
    """

    name: str
    address: str
    labels: dict[str, str]
    ttl: float | None
    since: int


class Registry(Noun):
    """Names with the addresses of actors. What has ended is forgotten, and so is what gets no heartbeat."""

    @operation
    def register(
        self, name: str, address: str = "", ttl: float | None = None, labels: Mapping[str, str] | None = None
    ) -> Operation[bool]:
        """Give a name an address, besides those that it has, or this one other labels and another end.

        Parameters:
            name: any printable text of at most 256 bytes.
            address: of an actor; "": of the one whose handler this is.
            ttl: seconds for which it holds without a `heartbeat`; None: until it is taken back.
            labels: to be found by, at most 16.

        Returns:
            Whether the name did not have the address.
        """
        said = {"name": name, "address": address, "ttl": ttl, "labels": _labels(labels)}
        return bool((yield self._call("register", said)))

    @operation
    def unregister(self, name: str, address: str = "") -> Operation[bool]:
        """Take an address from a name; "": the actor whose handler this is. Whether it was there."""
        return bool((yield self._call("unregister", {"name": name, "address": address})))

    @operation
    def heartbeat(self, name: str, address: str = "", ttl: float | None = None) -> Operation[float | None]:
        """Let an address hold for its ttl from now on.

        Parameters:
            name, address: as they were registered.
            ttl: another one, in seconds; None: the one that it has.

        Returns:
            The ttl; None: it has none.

        Raises:
            Rejected: it is not there (any more): register it again.
        """
        left: float | None = yield self._call("heartbeat", {"name": name, "address": address, "ttl": ttl})
        return left

    @reading
    def lookup(self, name: str, after: str = "", limit: int = MAX_PAGE) -> Operation[list[Registered]]:
        """The addresses of a name, in order: `limit` at most, behind `after`."""
        found: list[Registered] = []
        while True:
            most = min(limit - len(found), MAX_PAGE)
            page = yield self._call("lookup", {"name": name, "after": after, "limit": most}, True)
            found += [Registered(**entry) for entry in page["entries"]]
            if page["next"] is None or len(found) == limit:
                return found
            after = page["next"]

    @reading
    def discover(
        self, labels: Mapping[str, str] | None = None, prefix: str = "", after: Sequence[str] | None = None,
        limit: int = MAX_PAGE,
    ) -> Operation[list[Registered]]:  # fmt: skip
        """What has all these labels, and a name that begins so, in the order of names and addresses.

        What comes and goes meanwhile may be seen or not.

        Parameters:
            labels: it has these, and perhaps others.
            prefix: of its name.
            after: name and address of the one behind which to go on.
            limit: how many at most.
        """
        found: list[Registered] = []
        behind = None if after is None else list(after)
        while True:
            most = min(limit - len(found), MAX_PAGE)
            asked = {"labels": _labels(labels), "prefix": prefix, "after": behind, "limit": most}
            page = yield self._call("discover", asked, True)
            found += [Registered(**entry) for entry in page["entries"]]
            behind = page["next"]
            if behind is None or len(found) == limit:
                return found

    @operation
    def watch(
        self, name: str, handler: str, to: str = "", prefix: bool = False, ttl: float | None = None
    ) -> Operation[bool]:
        """Let an actor be told of what becomes of a name. Again: for another time.

        Parameters:
            name: the whole of it.
            handler: of the actor, at most 100 bytes. It gets ``what, name, address, labels``; `what` is
                ``registered`` (also where labels have changed), ``unregistered``, ``expired`` or ``stopped``.
            to: its address; "": the one whose handler this is.
            prefix: the name is how names begin, all of which are watched; "": all.
            ttl: seconds for which this holds; None: until it is taken back, or the actor ends.

        Returns:
            Whether it was not so before.
        """
        return bool((yield self._call("watch", {**_watch(name, handler, to, prefix), "ttl": ttl})))

    @operation
    def unwatch(self, name: str, handler: str, to: str = "", prefix: bool = False) -> Operation[bool]:
        """Take back a `watch`. Whether it was there."""
        return bool((yield self._call("unwatch", _watch(name, handler, to, prefix))))

    @reading
    def status(self) -> Operation[dict[str, int]]:
        """How many ``entries`` and ``watches`` there are, and changes of which not all were told."""
        found: dict[str, int] = yield self._call("status", {}, True)
        return found

    def _call(self, handler: str, arguments: dict[str, Any], reads: bool = False) -> Call:
        return Call("plex.registry", actor_id(self.name), handler, arguments, reads=reads)


class Registries(Registry):
    """``host.registry`` and ``client.registry``: the registry ``default``, and the way to others."""

    def registry(self, name: str) -> Registry:
        """Another registry."""
        return Registry(self._run, name)


def _watch(name: str, handler: str, to: str, prefix: bool) -> dict[str, Any]:
    return {"to": to, "handler": handler, "prefix" if prefix else "name": name}


def _labels(given: Mapping[str, str] | None) -> dict[str, str]:
    found: object = given or {}
    if not isinstance(found, Mapping):
        raise ValueError(f'labels is {found!r:.80}: give an object of texts, such as {{"zone": "eu"}}')
    return dict(found)
