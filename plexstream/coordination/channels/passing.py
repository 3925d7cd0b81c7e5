"""Who waits at a queue: senders are let in, receivers get what is ready, as much as goes into one turn."""

from __future__ import annotations

from typing import Protocol

from plexstream.coordination.channels.messages import Keeper, Messages
from plexstream.coordination.common.line import Line, Row
from plexstream.coordination.common.room import Room
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap


class Waited(Keeper, Protocol):
    """The queue.

    Attributes:
        senders: who waits for a place: token, until when, messages, their bytes, and their delay in ms.
        receivers: who waits for messages: token, until when, how many, and how long it holds them, in ms.
        bound: messages that the queue has at most; 0: any number.
    """

    senders: StateMap[int, Row]
    senders_waiting: int
    receivers: StateMap[int, Row]
    receivers_waiting: int
    bound: int


class Senders:
    """Those who wait for a place in a queue.

    Attributes:
        line: in which they do.
    """

    def __init__(self, owner: Waited) -> None:
        self._of = owner
        self.line = Line(owner, "senders", "s")

    def admit(self, room: Room) -> bool:
        """Let them in as long as there are places. Whether this is too much for one turn."""
        of, line, kept = self._of, self.line, Messages(self._of)
        while len(line):
            if not room:
                return True
            number, row = line.first()
            token, until, messages, sizes, after = row
            if token and not host.awaited(token):  # who has gone holds nobody up
                room.takes(0)
                line.leave(number, row)
                host.reply(token)
                continue
            late = 0 < until <= host.now() or 0 < of.bound < len(messages)
            if not late and of.bound and of.size + len(messages) > of.bound:
                return False
            if not room.takes(self.moved(sizes), len(messages)):
                return True
            line.leave(number, row)
            if late:
                self._turn_away(row)
            elif not token or host.reply(token, kept.numbers(len(messages))):
                kept.take_in(messages, sizes, after)
        return False

    def end(self, number: int, room: Room) -> bool:
        """The time of one is up. Whether there was room to turn it away."""
        row = self._of.senders.get(number)
        if row is None:
            return True
        if not room.takes(sum(row[3]), len(row[3])):
            return False
        self.line.timed_out(number)
        self._turn_away(row)
        return True

    def moved(self, sizes: list[int]) -> int:
        """Bytes that it takes to take in messages of so many."""
        return sum(sizes) * (2 if self._of.out else 1)

    def full(self, count: int) -> str:
        """Why so many messages are turned away."""
        of, waiting = self._of, len(self.line)
        before = f", and {waiting} wait before" if waiting else ""
        more = f"; {count} more do not fit" if count > 1 else ""
        return f"the queue has {of.size} messages, its bound: {of.bound}{before}{more}: wait, or send later"

    def _turn_away(self, row: Row) -> None:
        token, _, messages, sizes, _ = row
        if token:
            host.reject(token, self.full(len(messages)))
        else:
            Messages(self._of).bury(messages, sizes)


def serve(owner: Waited, room: Room) -> bool:
    """Give receivers what is ready. Whether this is too much for one turn."""
    line, kept = Line(owner, "receivers", "r"), Messages(owner)
    while len(line) and kept.ready:
        if not room:
            return True
        number, row = line.first()
        token, until, limit, lasts = row
        if 0 < until <= host.now() or not host.awaited(token):
            room.takes(0)
            line.leave(number, row)
            host.reply(token, [])
            continue
        picked = kept.pick(min(limit, room.units))
        if not room.takes(sum(one[0] for _, one in picked), len(picked)):
            return True
        line.leave(number, row)
        host.reply(token, kept.shown(picked, lasts))
        kept.lend(picked, lasts)
    return False
