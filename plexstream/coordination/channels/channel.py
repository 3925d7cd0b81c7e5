"""A channel: what is published is told to all subscribers, or kept for those who fetch it."""

from __future__ import annotations

from itertools import islice, takewhile
from typing import Any, Literal

from plexstream.coordination.channels import said
from plexstream.coordination.channels.fanout import LATER, WHEN, Entry, FanOut, Told
from plexstream.coordination.channels.fetching import Cursor, Fetching
from plexstream.coordination.channels.said import topic as checked_topic
from plexstream.coordination.common.addresses import checked_tell
from plexstream.coordination.common.agenda import AT_ONCE, Agenda
from plexstream.coordination.common.checks import count as _count
from plexstream.coordination.common.line import Line
from plexstream.coordination.common.line import Row as Waiter
from plexstream.coordination.common.room import Room
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MAX_KEPT = 1_000_000_000
MAX_NAME = 200
_WEEK = 7 * 86_400_000


@actor(name="plex.channel")
class Channel:
    """Keeps messages by position, from 1 on, for as long as its retention says.

    A subscriber is told every message, in order, or fetches them from its cursor on, at its own pace. Who
    subscribes again by a name changes what is there by it, and misses nothing.
    """

    log: StateMap[int, Entry] = state_map()
    first: int = state(default=1)
    last: int = state(default=0)
    keep_count: int = state(default=0)
    keep_age: int = state(default=_WEEK)
    trimmed_at: int = state(default=0)
    out: str = state(default="")

    told: StateMap[str, Told] = state_map()
    told_count: int = state(default=0)
    behind: StateMap[str, int] = state_map()
    behind_count: int = state(default=0)
    done: int = state(default=0)
    reached: str = state(default="")

    cursors: StateMap[str, Cursor] = state_map()
    cursor_count: int = state(default=0)
    fetchers: StateMap[int, Waiter] = state_map()
    fetchers_waiting: int = state(default=0)
    arrivals: int = state(default=0)
    woken: int = state(default=0)
    wake_to: int = state(default=0)
    wake_again: bool = state(default=False)

    agenda: StateMap[tuple[int, str], int] = state_map()
    armed: int = state(default=0)

    @handler("configure")
    def configure(
        self, count: int | None = None, age: float | None = None, out: str | None = None
    ) -> dict[str, Any]:
        """Set what is given; the rest stays as it is. Answers all of it.

        Parameters:
            count: messages that are kept at most; 0: any number.
            age: seconds for which they are kept; 0: for ever.
            out: name of the output topic that gets each message as well; "": none does.
        """
        if count is not None:
            self.keep_count = _count("count", count, MAX_KEPT, 0)
        if age is not None:
            self.keep_age = said.delay("age", age)
            if self.trimmed_at:
                Agenda(self).drop(self.trimmed_at, "t")
                self.trimmed_at = 0
        if out is not None:
            self.out = said.output(out)
        self._due()
        self._go_on(Room())
        return self._settings()

    @handler("publish")
    def publish(self, messages: list[Any], topic: str = "") -> list[int]:
        """Publish messages, all or none. Answers their positions.

        Parameters:
            messages: JSON values, at most 1,000.
            topic: what they are about, for subscribers that do not want all.
        """
        sizes, about = said.sizes(messages), checked_topic("topic", topic)
        self._due()
        now, first = host.now(), self.last + 1
        for position, (value, size) in enumerate(zip(messages, sizes, strict=True), first):
            self.log[position] = [value, about, now, size]
            if self.out:
                host.emit(self.out, value)
        self.last += len(messages)
        if self.fetchers_waiting:
            Fetching(self).wake()
        self._go_on(Room(sum(sizes) * (2 if self.out else 1)))
        return list(range(first, self.last + 1))

    @handler("subscribe")
    def subscribe(
        self, name: str, to: str = "", handler: str = "", topic: str = "*",
        start: Literal["now", "start"] = "now",
    ) -> int:  # fmt: skip
        """Subscribe by a name, or change what it subscribes. Answers the position behind which it begins.

        Parameters:
            name: of the subscription.
            to, handler: who is told, as ``message``: a dict of channel, position, topic, value, time. With
                neither, the subscriber fetches.
            topic: those of messages that it wants; ``*`` in it is any text.
            start: ``"now"``: with the next message, ``"start"``: with the oldest one that is kept. One that
                is subscribed as it is, told or not, goes on where it is.
        """
        size = len(name.encode(errors="replace"))
        if not 0 < size <= MAX_NAME:
            raise Reject(f"a name of {size} bytes ({name[:40]!r}): give a text of 1 to {MAX_NAME} bytes")
        pattern = checked_topic("topic", topic)
        if bool(to) != bool(handler):
            raise Reject(f"to is {to[:80]!r}, handler {handler[:80]!r}: give both, or neither to fetch")
        room = Room()
        self._catch_up(room)
        since = self.last if start == "now" else self.first - 1
        if to:
            address = checked_tell("to", to, handler, {})
            self._forget_cursor(name)
            return self._tell_from(name, address, handler, pattern, since, room)
        self._forget_told(name)
        cursor = self.cursors.get(name)
        self.cursor_count += cursor is None
        at = since if cursor is None else cursor[1]
        self.cursors[name] = [pattern, at]
        return at

    @handler("unsubscribe")
    def unsubscribe(self, name: str) -> bool:
        """End a subscription. Whether there was one."""
        there = self._forget_told(name) | self._forget_cursor(name)
        if there and self.fetchers_waiting:
            Fetching(self).wake()
            self._go_on(Room())
        return there

    @handler("fetch")
    def fetch(self, subscriber: str, limit: int = 100, wait: float | None = 0) -> Any:
        """Messages behind a subscriber's cursor, which stays where it is until it commits.

        Parameters:
            limit: how many at most; fewer come where there are fewer, or they are large.
            wait: seconds to wait for the first one; 0: not at all; None: as long as it takes.

        Answers a dict of ``messages``, each with position, topic, value and time; ``position``, to commit
        once they are done; and ``missed``, how many were not kept long enough.
        """
        _count("limit", limit, said.MAX_MESSAGES)
        until = -1 if wait == 0 else said.deadline(wait, host.now())
        self._catch_up(Room())
        cursor = self._cursor(subscriber)
        fetching = Fetching(self)
        found, ends = fetching.look(cursor, limit)
        if found or (wait == 0 and ends >= self.last):
            return fetching.answer(cursor, found, ends)
        token = host.defer()
        if not token:
            raise Reject("fetch was told, so nobody gets the messages: ask for them")
        fetching.wait([token, until, subscriber, limit], cursor, ends)
        return None

    @handler("commit")
    def commit(self, subscriber: str, position: int) -> int:
        """Move a subscriber's cursor on: it has all up to this position. Answers how many are behind it."""
        self._catch_up(Room())
        cursor = self._cursor(subscriber)
        if not cursor[1] <= position <= self.last:
            raise Reject(
                f"position is {position}, {subscriber!r} has committed {cursor[1]}, the newest message is "
                f"{self.last}: commit what `fetch` has answered"
            )
        self.cursors[subscriber] = [cursor[0], position]
        return self.last - position

    @handler("status", read_only=True)
    def status(self) -> dict[str, Any]:
        """Which messages are kept, who subscribes and waits, and what is configured."""
        return {
            "first": self.first, "last": self.last, "messages": self.last - self.first + 1,
            "told": self.told_count, "fetching": self.cursor_count, "waiting": self.fetchers_waiting,
            "untold": self.last - self.done, **self._settings(),
        }  # fmt: skip

    @handler("subscribers", read_only=True)
    def subscribers(self, after: str = "", limit: int = 100) -> list[dict[str, Any]]:
        """Subscriptions by name, behind `after`; ``position``: up to where it was told, or committed.

        Fewer than `limit` come where they are more than an answer may have.
        """
        _count("limit", limit, said.MAX_MESSAGES)
        start = after + "\0" if after else None
        told = [
            {"name": name, "to": to, "handler": does, "topic": pattern, "position": self._reached(name)}
            for name, (to, does, pattern, _) in self.told.range(start, limit=limit)
        ]
        fetching = [
            {"name": name, "to": "", "handler": "", "topic": pattern, "position": position}
            for name, (pattern, position) in self.cursors.range(start, limit=limit)
        ]
        answer = said.Answer()
        rows = sorted(told + fetching, key=lambda row: row["name"].encode())[:limit]
        return list(takewhile(lambda row: answer.takes(sum(len(str(one)) for one in row.values()) * 3), rows))

    @handler("__alarm__")
    def alarm(self) -> None:
        """Do what is due."""
        self._due(alarm=True)
        self._go_on(Room())

    # What goes on by itself

    def _catch_up(self, room: Room) -> None:
        """What is due counts, also where the alarm is late."""
        if self._due():
            self._go_on(room)

    def _due(self, alarm: bool = False) -> bool:
        """Do what is due. Whether anything may have been: what comes of it is to go on."""
        if not alarm and not 0 < self.armed <= host.now():
            return False
        line = Line(self, "fetchers", "r")
        for entry in Agenda(self).due():
            if entry == "t":
                self.trimmed_at = 0
            elif entry[0] == "r" and (row := line.timed_out(int(entry[1:]))) is not None:
                Fetching(self).give_up(row)
        return True

    def _go_on(self, room: Room) -> None:
        """Tell, answer and trim; what is too much for one turn goes on with the next."""
        left = FanOut(self, room).go_on() if self.done < self.last or self.behind_count else False
        left |= self.fetchers_waiting > 0 and Fetching(self).serve(room)
        left |= self._trim()
        if left:
            Agenda(self).put(host.now(), "g")

    def _trim(self) -> bool:
        """Forget what is not kept any more, but nothing that all have not been told."""
        over = self.keep_count and self.last - self.first >= self.keep_count
        if self.first > self.last or not (over or (self.keep_age and not self.trimmed_at)):
            return False
        now = host.now()
        for position, entry in islice(self.log.range(), AT_ONCE):
            many = self.keep_count and self.last - position >= self.keep_count
            ends = entry[WHEN] + self.keep_age if self.keep_age else 0
            if position > self.done or not (many or 0 < ends <= now):
                if ends > now and not self.trimmed_at:
                    self.trimmed_at = ends
                    Agenda(self).put(ends, "t")
                return False
            self.log[position] = []  # a deletion reads what it deletes: not what may be large
            del self.log[position]
            self.first = position + 1
        return self.first <= self.last

    # Who fetches

    def _cursor(self, name: str) -> Cursor:
        cursor = self.cursors.get(name)
        if cursor is None:
            there = "is told, and fetches nothing" if name in self.told else "is no subscriber"
            raise Reject(f"{name[:80]!r} {there}: subscribe by a name, without `to`")
        return cursor

    def _forget_cursor(self, name: str) -> bool:
        there = self.cursors.pop(name, None) is not None
        self.cursor_count -= there
        return there

    # Who is told

    def _tell_from(
        self, name: str, to: str, handler: str, pattern: str, since: int, room: Room
    ) -> int:
        before = self.told.get(name)
        if before is not None:
            self.told[name] = [to, handler, pattern, before[3]]
            return self._reached(name)
        self.told_count += 1
        if since == self.last:
            self.told[name] = [to, handler, pattern, since]
            return since
        self.told[name] = [to, handler, pattern, LATER]
        self.behind[name] = since + 1
        self.behind_count += 1
        self._go_on(room)
        return since

    def _reached(self, name: str) -> int:
        """Up to where a subscriber has been told."""
        at = self.behind.get(name)
        if at is not None:
            return at - 1
        reached = self.done + 1 if name <= self.reached else self.done
        since: int = self.told[name][3]
        return max(reached, since)

    def _forget_told(self, name: str) -> bool:
        there = self.told.pop(name, None) is not None
        self.told_count -= there
        if there and self.behind.pop(name, None) is not None:
            self.behind_count -= 1
        return there

    def _settings(self) -> dict[str, Any]:
        return {"count": self.keep_count, "age": self.keep_age / 1000, "out": self.out}
