"""News for any number of receivers: told in order, some with each turn, however many there are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Protocol

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

GO_ON = "_spread"
"""The handler that calls `go_on`."""
AT_ONCE = 1_000
"""Receivers that one turn looks at, at most."""
_BYTES = 1_000_000
"""Of what one turn tells them, about."""
MAX_UNDER_WAY = 10_000
"""News that have not reached everybody: with more, whoever has any is refused."""
_LOST = 60_000
"""Milliseconds after which it is told to go on again: that message may have become a dead letter."""

News = list[Any]
"""What is told, as a handler's arguments, and whatever else says to whom."""
Place = list[str]
"""Where a receiver stands in their order."""


class Receiver(NamedTuple):
    """Who may be told.

    Attributes:
        place: among those whom this news is for.
        to: an address; "": it is passed, since this news is not for it.
        handler: the name of its handler.
    """

    place: Place
    to: str
    handler: str


class Spreading(Protocol):
    """An actor that spreads news. News have numbers, from 1 on.

    Attributes:
        noted: ``state(default=0)``, the number of the latest.
        told: ``state(default=0)``, the number of the latest that all have been told.
        under_way: ``state_map()``, those in between.
        place: ``state()``, a list: behind whom the first of them goes on.
        going_on: ``state(default=0)``, when it has told itself to go on last, in ms since the epoch.
    """

    noted: int
    told: int
    under_way: StateMap[int, News]
    place: Place
    going_on: int

    def receivers(self, number: int, news: News, behind: Place) -> Iterator[Receiver]:
        """Whom to tell, in order, behind that place; [] is in front of all.

        Who came after a piece of news had its number is passed.
        """


class _Room:
    """What the turn may still do."""

    def __init__(self) -> None:
        self.receivers = AT_ONCE
        self.bytes = _BYTES

    def __bool__(self) -> bool:
        return self.receivers > 0 and self.bytes > 0


def check_not_behind(owner: Spreading) -> None:
    """Raises Reject: too much is under way for somebody to bring more."""
    if owner.noted - owner.told >= MAX_UNDER_WAY and not _is_stuck(owner):
        raise Reject(
            f"{host.self_id()} has {MAX_UNDER_WAY} messages that have not reached everybody: try again later"
        )


def spread(owner: Spreading, news: Iterable[News]) -> None:
    """Tell news, behind those that are under way: now as far as this turn goes, the rest by `go_on`."""
    waiting = list(enumerate(news, owner.noted + 1))
    busy = owner.told < owner.noted
    owner.noted += len(waiting)
    if busy:
        owner.under_way.update(waiting)
        if _is_stuck(owner):
            _go_on_later(owner)
        return
    room = _Room()
    for done, (number, one) in enumerate(waiting):
        if not room or not _told(owner, number, one, room):
            owner.under_way.update(waiting[done:])
            _go_on_later(owner)
            return


def go_on(owner: Spreading) -> None:
    """The next turn's part. Raises Reject: somebody else calls for it."""
    if host.sender() != host.self_id():
        raise Reject(f"{GO_ON} is what {host.self_id()} tells itself")
    room = _Room()
    while owner.told < owner.noted:
        number = owner.told + 1
        if not room or not _told(owner, number, owner.under_way[number], room):
            _go_on_later(owner)
            return
        del owner.under_way[number]


def _go_on_later(owner: Spreading) -> None:
    host.tell(host.self_id(), GO_ON)
    owner.going_on = host.now()


def _is_stuck(owner: Spreading) -> bool:
    return host.now() - owner.going_on > _LOST


def _told(owner: Spreading, number: int, news: News, room: _Room) -> bool:
    """Tell as many as there is room for. Whether these are all."""
    payload = news[0]
    size = len(json.dumps(payload))
    for place, to, handler in owner.receivers(number, news, owner.place):
        room.receivers -= 1
        if to:
            host.tell(to, handler, payload)
            room.bytes -= size
        if not room:
            owner.place = place
            return False
    owner.place = []
    owner.told = number
    return True
