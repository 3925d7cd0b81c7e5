"""What a channel tells its subscribers: every message to all of them, in order, however many there are."""

from __future__ import annotations

from itertools import islice
from typing import Any, Protocol

from plexstream.coordination.channels.said import MAX_READ, matches
from plexstream.coordination.common.room import Room
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

Entry = list[Any]
"""Of the log: value, topic, when it was published in ms since the epoch, bytes."""
VALUE, TOPIC, WHEN, SIZE = range(4)
Told = list[Any]
"""A subscriber that is told: address, handler, pattern, and the position behind which its messages begin."""
LATER = 1 << 62
"""The position of one that is told of what was before: until it has come up, nothing else tells it."""


class Teller(Protocol):
    """The actor that tells.

    Attributes:
        log: messages by position.
        first, last: positions of the oldest and of the newest message in it.
        done: up to this position all have been told.
        reached: of the message behind it, up to this name.
        behind: who is told of what was before, and from which position on.
    """

    log: StateMap[int, Entry]
    first: int
    last: int
    told: StateMap[str, Told]
    told_count: int
    behind: StateMap[str, int]
    behind_count: int
    done: int
    reached: str


class FanOut:
    """Tells as much as goes into one turn, from where the one before has stopped."""

    def __init__(self, owner: Teller, room: Room) -> None:
        self._of = owner
        self._room = room
        self._name = host.self_id()

    def go_on(self) -> bool:
        """Whether something is left for the next turn."""
        return self._tell_all() or self._tell_of_before()

    def _tell_all(self) -> bool:
        of = self._of
        while of.done < of.last:
            if not of.told_count:
                of.done, of.reached = of.last, ""
                break
            if not self._room:
                return True
            entry, position = of.log[of.done + 1], of.done + 1
            start = of.reached + "\0" if of.reached else None
            for name, (to, handler, pattern, since) in of.told.range(start, limit=self._room.units):
                wanted = position > since and matches(pattern, entry[TOPIC])
                if not self._tell(wanted, to, handler, position, entry):
                    return True
                of.reached = name
            if not self._room:
                return True
            of.done, of.reached = position, ""
        return False

    def _tell_of_before(self) -> bool:
        of, left = self._of, MAX_READ
        while of.behind_count:
            found = of.behind.first()
            assert found is not None
            name, start = found
            to, handler, pattern, _ = of.told[name]
            for position, entry in islice(of.log.range(max(start, of.first)), self._room.units):
                if not self._tell(matches(pattern, entry[TOPIC]), to, handler, position, entry):
                    return True
                of.behind[name] = position + 1
                left -= entry[SIZE]
                if left < 0:
                    return True
            if not self._room:
                return True
            del of.behind[name]
            of.behind_count -= 1
            of.told[name] = [to, handler, pattern, of.last]
        return False

    def _tell(self, wanted: bool, to: str, handler: str, position: int, entry: Entry) -> bool:
        """Tell one of a message, if it wants it and there is room for it in this turn."""
        if not self._room or not self._room.takes(entry[SIZE] if wanted else 0):
            return False
        if wanted:
            host.tell(to, handler, {"message": {"channel": self._name, **shown(position, entry)}})
        return True


def shown(position: int, entry: Entry) -> dict[str, Any]:
    """A message as subscribers see it."""
    return {"position": position, "topic": entry[TOPIC], "value": entry[VALUE], "time": entry[WHEN]}
