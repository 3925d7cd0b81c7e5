"""A registry: names with addresses and labels, perhaps for a time, and who is told of changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plexstream.coordination.common.addresses import address_or_sender, checked_tell
from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import count, milliseconds, text
from plexstream.coordination.common.spread import (
    GO_ON,
    News,
    Place,
    Receiver,
    check_not_behind,
    go_on,
    spread,
)
from plexstream.coordination.groups.ends import has_ended
from plexstream.coordination.groups.entries import MAX_NAME, Entries, Entry, Labels, checked_labels
from plexstream.coordination.groups.entries import Row as EntryRow
from plexstream.coordination.groups.watches import NAME, PREFIX, Watches
from plexstream.coordination.groups.watches import Row as WatchRow
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_PAGE = 200
"""Entries that one answer has at most."""
MAX_HANDLER = 100
"""Bytes of the name of a watch's handler: with address and target it has to fit into one key."""
AT_ONCE = 64
"""Entries and watches that one turn forgets, at most: each may have 36 rows of state, of up to 1 KB."""
_ENTRY = "@"
_SWEEP = "_sweep"

Thing = str
"""An entry, `_ENTRY` and its name, or a watch, its target, a line feed and its handler: of one address."""


@actor(name="plex.registry")
class Registry:
    """Knows the addresses of names.

    Every address is monitored: what has ended is forgotten, and its watches with it.
    """

    entries: StateMap[tuple[str, str], EntryRow] = state_map()
    labelled: StateMap[tuple[str, str, str, str], int] = state_map()
    label_sizes: StateMap[tuple[str, str], int] = state_map()
    size: int = state(default=0)
    watches: StateMap[tuple[str, str, str], WatchRow] = state_map()
    prefixes: dict[str, int] = state(default_factory=dict)
    watching: int = state(default=0)
    held: StateMap[tuple[str, Thing], int] = state_map()
    """By address, what there is of it, and the number of the call that has set it last."""
    calls: int = state(default=0)
    monitors: StateMap[str, str] = state_map()
    """The references of the monitors, by address."""
    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)
    noted: int = state(default=0)
    told: int = state(default=0)
    under_way: StateMap[int, News] = state_map()
    place: Place = state(default_factory=list)
    going_on: int = state(default=0)

    @handler("register")
    def register(
        self, name: str, address: str = "", ttl: float | None = None, labels: Labels | None = None
    ) -> bool:
        """Give a name an address (one more), or an address that it has other labels and another end.

        Parameters:
            name: any printable text.
            address: of an actor; "": the one that asks.
            ttl: seconds for which this holds if no heartbeat comes; null: until it is taken back.
            labels: to be found by.

        Returns:
            Whether the name did not have the address.
        """
        key, now = _key(name, address), host.now()
        length = 0 if ttl is None else milliseconds("ttl", ttl)
        labels = checked_labels(labels or {})
        check_not_behind(self)
        entries, before, news = Entries(self), Entries(self).get(key), []
        if before is not None and not before.lives(now):
            news += self._forget_entry(key, before, "expired")
            before = None
        since = now if before is None else before.since
        entry = Entry(labels, length, length and now + length, since)
        entries.put(key, entry, before)
        self._hold(key[1], _ENTRY + name, 0 if before is None else before.ends, entry.ends)
        if before is None or before.labels != labels:
            news += self._news("registered", key, entry)
        spread(self, news)
        return before is None

    @handler("unregister")
    def unregister(self, name: str, address: str = "") -> bool:
        """Take an address from a name. Whether it was there."""
        key = _key(name, address)
        entry = Entries(self).get(key)
        if entry is None:
            return False
        check_not_behind(self)
        lives = entry.lives(host.now())
        spread(self, self._forget_entry(key, entry, "unregistered" if lives else "expired"))
        return lives

    @handler("heartbeat")
    def heartbeat(self, name: str, address: str = "", ttl: float | None = None) -> float | None:
        """Let an address hold for its ttl from now on, or for another one: the seconds; null: for ever."""
        key, now = _key(name, address), host.now()
        entries, entry = Entries(self), Entries(self).get(key)
        if entry is None or not entry.lives(now):
            raise Reject(f"{name!r} has no address {key[1]!r} (any more): register it again")
        length = entry.ttl if ttl is None else milliseconds("ttl", ttl)
        if not length:
            return None
        renewed = entry._replace(ttl=length, ends=now + length)
        entries.put(key, renewed, entry)
        Agenda(self).move(entry.ends, renewed.ends, _due(key[1], _ENTRY + name))
        return length / 1000

    @handler("lookup", read_only=True)
    def lookup(self, name: str, after: str = "", limit: int = MAX_PAGE) -> dict[str, Any]:
        """A page of the entries of a name, in the order of their addresses, behind the address `after`.

        Returns:
            ``entries``, and ``next``: the address behind which others may follow; null where none do.
        """
        count("limit", limit, MAX_PAGE)
        return Entries(self).of_name(name, after, limit, host.now())

    @handler("discover", read_only=True)
    def discover(
        self, labels: Labels | None = None, prefix: str = "", after: list[str] | None = None,
        limit: int = MAX_PAGE,
    ) -> dict[str, Any]:  # fmt: skip
        """A page of entries with all these labels, and names that begin so.

        Parameters:
            labels: the entry has these, and perhaps others.
            prefix: of the name.
            after: what the page before had as ``next``.
            limit: entries at most. There may be fewer though others follow.

        Returns:
            ``entries``, and ``next``: null where no others follow.
        """
        count("limit", limit, MAX_PAGE)
        if after is not None and len(after) != 2:
            raise Reject(f"after is {after!r:.80}: give what the page before had as next")
        return Entries(self).page(labels or {}, prefix, after or (), limit, host.now())

    @handler("watch")
    def watch(
        self, handler: str, to: str = "", name: str | None = None, prefix: str | None = None,
        ttl: float | None = None,
    ) -> bool:  # fmt: skip
        """Let an actor be told of all that becomes of a name, or of names that begin alike. Again: renew it.

        Parameters:
            to: the actor's address; "": the one that asks.
            handler: it gets ``what, name, address, labels``; `what` is registered (also where labels have
                changed), unregistered, expired (no heartbeat came) or stopped.
            name, prefix: one of the two.
            ttl: seconds for which this holds; null: until it is taken back.

        Returns:
            Whether it was not so before.
        """
        target = _target(name, prefix)
        text("handler", handler, MAX_HANDLER)
        key = (target, address_or_sender("to", to), handler)
        checked_tell("watch", key[1], handler, {})
        ends = 0 if ttl is None else host.now() + milliseconds("ttl", ttl)
        before = Watches(self).get(key)
        if before is not None and 0 < before[1] <= host.now():
            self._forget_watch(key, before)
            before = None
        Watches(self).put(key, ends, before)
        self._hold(key[1], f"{target}\n{handler}", 0 if before is None else before[1], ends)
        return before is None

    @handler("unwatch")
    def unwatch(self, handler: str, to: str = "", name: str | None = None, prefix: str | None = None) -> bool:
        """Take back a `watch`. Whether it was there."""
        key = (_target(name, prefix), address_or_sender("to", to), text("handler", handler, MAX_HANDLER))
        row = Watches(self).get(key)
        if row is not None:
            self._forget_watch(key, row)
        return row is not None and not 0 < row[1] <= host.now()

    @handler("status", read_only=True)
    def status(self) -> dict[str, int]:
        """Entries, watches, and changes of which not everybody has been told."""
        return {"entries": self.size, "watches": self.watching, "under_way": self.noted - self.told}

    @handler("__alarm__")
    def alarm(self) -> None:
        """Forget what has come to its end."""
        news: list[News] = []
        for due in Agenda(self).due(AT_ONCE):
            address, _, thing = due.partition("\n")
            news += self._forget(address, thing, "expired", by=host.now())
        spread(self, news)

    @handler("__down__")
    def down(self, address: str, ref: str, reason: str) -> None:
        """An actor has ended, or has failed and may go on."""
        if self.monitors.get(address) != ref:
            return
        if has_ended(reason):
            del self.monitors[address]
            self._sweep(address, self.calls)
        else:
            self.monitors[address] = host.monitor(address)

    @handler(_SWEEP)
    def sweep(self, address: str, upto: int, after: str) -> None:
        """The next turn's part of what there is of an actor that has ended."""
        if host.sender() != host.self_id():
            raise Reject(f"{_SWEEP} is what {host.self_id()} tells itself")
        self._sweep(address, upto, after)

    @handler(GO_ON)
    def go_on(self) -> None:
        """The next turn's part of what is under way."""
        go_on(self)

    def receivers(self, number: int, news: News, behind: Place) -> Iterator[Receiver]:
        """Whoever watches the name."""
        return Watches(self).receivers(number, news, behind, host.now())

    def _sweep(self, address: str, upto: int, after: Thing = "") -> None:
        """Forget what there is of an address, but for what was set by later calls than that."""
        news: list[News] = []
        for looked_at, ((of, thing), number) in enumerate(self.held.range((address, after))):
            if of != address:
                break
            if looked_at == AT_ONCE:
                host.tell(host.self_id(), _SWEEP, address=address, upto=upto, after=thing)
                break
            if number <= upto:
                news += self._forget(address, thing, "stopped")
        spread(self, news)

    def _forget(self, address: str, thing: Thing, why: str, by: int | None = None) -> list[News]:
        """Forget a thing of an address, if it ends `by` then; the news."""
        if thing[0] == _ENTRY:
            key = (thing[1:], address)
            entry = Entries(self).get(key)
            if entry is None or (by is not None and entry.lives(by)):
                return []
            return self._forget_entry(key, entry, why)
        target, _, handler = thing.partition("\n")
        watch = (target, address, handler)
        row = Watches(self).get(watch)
        if row is not None and (by is None or 0 < row[1] <= by):
            self._forget_watch(watch, row)
        return []

    def _forget_entry(self, key: tuple[str, str], entry: Entry, why: str) -> list[News]:
        Entries(self).drop(key, entry)
        self._let_go(key[1], _ENTRY + key[0], entry.ends)
        return self._news(why, key, entry)

    def _forget_watch(self, key: tuple[str, str, str], row: WatchRow) -> None:
        Watches(self).drop(key)
        self._let_go(key[1], f"{key[0]}\n{key[2]}", row[1])

    def _hold(self, address: str, thing: Thing, before: int, ends: int) -> None:
        self.calls += 1
        self.held[address, thing] = self.calls
        Agenda(self).move(before, ends, _due(address, thing))
        if address not in self.monitors:
            self.monitors[address] = host.monitor(address)

    def _let_go(self, address: str, thing: Thing, ends: int) -> None:
        del self.held[address, thing]
        Agenda(self).move(ends, 0, _due(address, thing))
        ref = self.monitors.get(address)
        if ref is not None and next(self.held.prefix((address,), limit=1), None) is None:
            del self.monitors[address]
            host.demonitor(ref)

    def _news(self, what: str, key: tuple[str, str], entry: Entry) -> list[News]:
        if not Watches(self).concern(key[0]):
            return []
        return [[{"what": what, "name": key[0], "address": key[1], "labels": entry.labels}]]


def _key(name: str, address: str) -> tuple[str, str]:
    return text("a name", name, MAX_NAME), address_or_sender("address", address)


def _due(address: str, thing: Thing) -> str:
    return f"{address}\n{thing}"


def _target(name: str | None, prefix: str | None) -> str:
    if (name is None) == (prefix is None):
        raise Reject("give either name or prefix, to say what is watched")
    if name is not None:
        return NAME + text("a name", name, MAX_NAME)
    return PREFIX + text("a prefix", prefix or "", MAX_NAME, least=0)
