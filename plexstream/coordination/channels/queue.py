"""A queue: each message goes to one receiver, and comes back unless that one acknowledges it in time."""

from __future__ import annotations

from typing import Any

from plexstream.coordination.channels import said
from plexstream.coordination.channels.messages import FORGIVEN, SENT, TRIES, WHEN, Messages, Row
from plexstream.coordination.channels.passing import Senders, serve
from plexstream.coordination.common.agenda import Agenda
from plexstream.coordination.common.checks import count, milliseconds
from plexstream.coordination.common.line import Line
from plexstream.coordination.common.line import Row as Waiter
from plexstream.coordination.common.room import Room
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_BOUND = 1_000_000_000
MAX_ATTEMPTS = 1_000


@actor(name="plex.queue")
class Queue:
    """Keeps messages in the order in which they were sent, until they are acknowledged.

    A receiver holds what it has received by a receipt, for the visibility timeout. Then the message takes its
    old place again, at most `attempts` times: after that it is a dead letter. With a bound, senders wait
    while there are so many messages, in order of arrival, or are refused.
    """

    values: StateMap[int, Any] = state_map()
    ready: StateMap[int, Row] = state_map()
    delayed: StateMap[int, Row] = state_map()
    held: StateMap[int, Row] = state_map()
    dead: StateMap[int, Row] = state_map()
    last: int = state(default=0)
    head: int = state(default=1)
    size: int = state(default=0)
    delayed_count: int = state(default=0)
    held_count: int = state(default=0)
    dead_count: int = state(default=0)
    purged: int = state(default=0)

    receivers: StateMap[int, Waiter] = state_map()
    receivers_waiting: int = state(default=0)
    senders: StateMap[int, Waiter] = state_map()
    senders_waiting: int = state(default=0)
    arrivals: int = state(default=0)

    bound: int = state(default=0)
    visibility: int = state(default=30_000)
    attempts: int = state(default=5)
    out: str = state(default="")

    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)

    @handler("configure")
    def configure(
        self, bound: int | None = None, visibility: float | None = None, attempts: int | None = None,
        out: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        """Set what is given; the rest stays as it is. Answers all of it.

        Parameters:
            bound: messages that it has at most, beside dead letters; 0: any number.
            visibility: seconds that a receiver has, unless it says otherwise.
            attempts: how often a message is received, before it is a dead letter.
            out: name of the output topic that gets each message as well; "": none does.
        """
        if bound is not None:
            self.bound = count("bound", bound, MAX_BOUND, 0)
        if visibility is not None:
            self.visibility = milliseconds("visibility", visibility)
        if attempts is not None:
            self.attempts = count("attempts", attempts, MAX_ATTEMPTS)
        if out is not None:
            self.out = said.output(out)
        room = Room()
        self._due(room)
        self._go_on(room)
        return self._settings()

    @handler("send")
    def send(self, messages: list[Any], delay: float = 0, wait: float | None = 0) -> Any:
        """Send messages, all or none. Answers their numbers.

        Parameters:
            messages: JSON values, at most 1,000.
            delay: seconds before they can be received.
            wait: seconds to wait for a place in a full queue; 0: it is refused; None: as long as it takes.
                What nobody waits for the answer of (a tell) and finds no place in time is a dead letter.
        """
        sizes, after = said.sizes(messages), said.delay("delay", delay)
        if self.bound and len(messages) > self.bound:
            raise Reject(f"{len(messages)} messages at once, the queue's bound: {self.bound}: send fewer")
        until = -1 if wait == 0 else said.deadline(wait, host.now())
        senders = Senders(self)
        room = Room(senders.moved(sizes))
        self._catch_up(room)
        if self.senders_waiting and not 0 < self.bound <= self.size:  # who waits there has gone, perhaps
            self._go_on(room)
        if self.senders_waiting or (self.bound and self.size + len(messages) > self.bound):
            if until < 0:
                raise Reject(senders.full(len(messages)))
            senders.line.join([host.defer(), until, messages, sizes, after])
            return None
        kept = Messages(self)
        numbers = kept.numbers(len(messages))
        kept.take_in(messages, sizes, after)
        if self.receivers_waiting:
            self._go_on(room)
        return numbers

    @handler("receive")
    def receive(self, limit: int = 1, wait: float | None = 0, visibility: float | None = None) -> Any:
        """Receive messages, the first that were sent first: each goes to nobody else until its time is over.

        Parameters:
            limit: how many at most; fewer come where there are fewer, or they are large.
            wait: seconds to wait for the first one; 0: not at all; None: as long as it takes.
            visibility: seconds until they are visible again, unless they are acknowledged.

        Answers a list of messages, each with ``id``, ``receipt``, ``value``, ``attempt`` (from 1 on) and
        ``due``, when its time is over, in ms since the epoch. It is empty where none came in time.
        """
        count("limit", limit, said.MAX_MESSAGES)
        lasts = self.visibility if visibility is None else milliseconds("visibility", visibility)
        until = -1 if wait == 0 else said.deadline(wait, host.now())
        self._catch_up(Room())
        kept = Messages(self)
        if kept.ready and not self.receivers_waiting:
            picked = kept.pick(limit)
            shown = kept.shown(picked, lasts)
            kept.lend(picked, lasts)
            return shown
        if until < 0:
            return []
        token = host.defer()
        if not token:
            raise Reject("receive was told, so nobody gets the messages: ask for them")
        Line(self, "receivers", "r").join([token, until, limit, lasts])
        return None

    @handler("ack")
    def ack(self, receipts: list[str]) -> int:
        """Messages are done, all or none. Answers how many."""
        room = Room()
        found = self._held_by(receipts, room)
        kept = Messages(self)
        for number, row in found:
            kept.finish(number, row)
        if self.senders_waiting:
            self._go_on(room)
        return len(found)

    @handler("nack")
    def nack(self, receipts: list[str], delay: float = 0) -> int:
        """Messages are not done, all or none: they are visible again, after so many seconds."""
        after = said.delay("delay", delay)
        room = Room()
        found = self._held_by(receipts, room)
        kept = Messages(self)
        for number, row in found:
            kept.give_back(number, row, after)
        self._go_on(room)
        return len(found)

    @handler("extend")
    def extend(self, receipt: str, visibility: float) -> int:
        """Hold a message for so many seconds from now on. Answers until when, in ms since the epoch."""
        lasts = milliseconds("visibility", visibility)
        ((number, row),) = self._held_by([receipt], Room())
        return Messages(self).extend(number, row, lasts)

    @handler("purge")
    def purge(self) -> int:
        """All messages are gone, be they held or not, but no dead letter. Answers how many."""
        room = Room()
        self._due(room)
        gone = Messages(self).purge()
        self._go_on(room)
        return gone

    @handler("depth", read_only=True)
    def depth(self) -> dict[str, Any]:
        """How many messages are where, who waits, and what is configured."""
        return {
            "ready": Messages(self).ready, "delayed": self.delayed_count, "in_flight": self.held_count,
            "dead": self.dead_count, "receivers": self.receivers_waiting, "senders": self.senders_waiting,
            **self._settings(),
        }  # fmt: skip

    @handler("dead", read_only=True)
    def dead_letters(self, after: int = 0, limit: int = 100) -> list[dict[str, Any]]:
        """Dead letters by number, behind `after`; fewer than `limit` where they are large."""
        count("limit", limit, said.MAX_MESSAGES)
        count("after", after, 1 << 62, 0)
        return [
            {
                "id": number, "value": value, "attempts": row[TRIES] - row[FORGIVEN], "sent": row[SENT],
                "died": row[WHEN],
            }
            for number, row, value in Messages(self).dead(after, limit)
        ]  # fmt: skip

    @handler("redrive")
    def redrive(self, ids: list[int]) -> int:
        """Dead letters are messages again, at their old places, with all attempts. Answers how many."""
        count("the number of ids", len(ids), said.MAX_MESSAGES)
        room = Room()
        self._catch_up(room)
        if self.bound and self.size + len(set(ids)) > self.bound:
            raise Reject(Senders(self).full(len(set(ids))))
        if self.purged:
            raise Reject("the queue is being purged: redrive again in a moment")
        kept = Messages(self)
        found = kept.take_dead(ids)
        for number, row in found:
            kept.revive(number, row)
        self._go_on(room)
        return len(found)

    @handler("drop")
    def drop(self, ids: list[int]) -> int:
        """Forget dead letters. Answers how many."""
        count("the number of ids", len(ids), said.MAX_MESSAGES)
        kept = Messages(self)
        found = kept.take_dead(ids)
        for number, _ in found:
            kept.drop(number)
        return len(found)

    @handler("__alarm__")
    def alarm(self) -> None:
        """Do what is due."""
        room = Room()
        self._due(room, alarm=True)
        self._go_on(room)

    def _held_by(self, receipts: list[str], room: Room) -> list[tuple[int, Row]]:
        count("the number of receipts", len(receipts), said.MAX_MESSAGES)
        self._catch_up(room)
        return Messages(self).by_receipt(receipts)

    def _catch_up(self, room: Room) -> None:
        """What is due counts, also where the alarm is late."""
        if self._due(room):
            self._go_on(room)

    def _due(self, room: Room, alarm: bool = False) -> bool:
        """Do what is due. Whether anything may have been: what comes of it is to go on."""
        if not alarm and not 0 < self.armed <= host.now():
            return False
        kept, receivers, senders = Messages(self), Line(self, "receivers", "r"), Senders(self)
        for entry in Agenda(self).due():
            what, number = entry[0], int(entry[1:] or 0)
            if what == "r":
                if (row := receivers.timed_out(number)) is not None:
                    host.reply(row[0], [])
            elif what == "s":
                if not room or not senders.end(number, room):
                    Agenda(self).put(host.now(), entry)  # with the next turn
            elif what in "dh":
                kept.come_due(what, number)
        return True

    def _go_on(self, room: Room) -> None:
        """Those who wait get what there is now; what is too much for one turn goes on with the next."""
        left = Messages(self).sweep()
        left |= self.senders_waiting > 0 and Senders(self).admit(room)
        left |= self.receivers_waiting > 0 and serve(self, room)
        if left:
            Agenda(self).put(host.now(), "g")

    def _settings(self) -> dict[str, Any]:
        lasts = self.visibility / 1000
        return {"bound": self.bound, "visibility": lasts, "attempts": self.attempts, "out": self.out}
