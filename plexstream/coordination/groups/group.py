"""Process groups: who is in one, and messages to all of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from plexstream.coordination.common.addresses import address, address_or_sender, checked_tell
from plexstream.coordination.common.checks import count, text
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
from plexstream.sdk.declaring.declare import actor, handler
from plexstream.sdk.declaring.fields import state, state_map
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

MESSAGE = "message"
"""The handler that gets what is published without the name of one; an actor without it takes it as ``*``."""
MAX_PAGE = 1_000
"""Members that one answer has at most."""
MAX_TOPICS = 100
"""Of one member."""
MAX_TOPIC = 200
"""Bytes of a topic's UTF-8."""

Row = list[Any]  # number of the latest message when it joined, reference of its monitor, its topics


@actor(name="plex.group")
class Group:
    """Knows the members of a group, and tells all of them what is published.

    What is published has an order, the same for all members. Each member gets what was published between its
    joining and its leaving: not what was under way when it came, and nothing more once it has left.

    A member that is "" is the actor that asks.
    """

    rows: StateMap[str, Row] = state_map()
    size: int = state(default=0)
    subscribed: StateMap[tuple[str, str], int] = state_map()
    """By topic and member, the number of the latest message when the member came to the topic."""
    sizes: StateMap[str, int] = state_map()
    """Members by topic."""
    noted: int = state(default=0)
    told: int = state(default=0)
    under_way: StateMap[int, News] = state_map()
    place: Place = state(default_factory=list)
    going_on: int = state(default=0)

    @handler("join")
    def join(self, member: str = "", topics: list[str] | None = None) -> bool:
        """Take in an actor, and these topics besides those that it has. Whether it was no member before."""
        member = address_or_sender("member", member)
        named = [text("a topic", topic, MAX_TOPIC) for topic in dict.fromkeys(topics or ())]
        row = self.rows.get(member)
        is_new = row is None
        if row is None:
            row = [self.noted, host.monitor(member), []]
            self.size += 1
        more = [topic for topic in named if topic not in row[2]]
        if len(row[2]) + len(more) > MAX_TOPICS:
            raise Reject(f"{member} would have {len(row[2]) + len(more)} topics: at most {MAX_TOPICS}")
        for topic in more:
            self.subscribed[topic, member] = self.noted
            self.sizes[topic] = self.sizes.get(topic, 0) + 1
        if is_new or more:
            self.rows[member] = [row[0], row[1], [*row[2], *more]]
        return is_new

    @handler("leave")
    def leave(self, member: str = "", topics: list[str] | None = None) -> bool:
        """Let an actor go; with `topics`, from these alone. Whether it was there (in one of these topics)."""
        member = address_or_sender("member", member)
        row = self.rows.get(member)
        if row is None:
            return False
        if topics is None:
            host.demonitor(row[1])
            self._drop(member, row)
            return True
        left = [topic for topic in row[2] if topic in topics]
        if left:
            self._unsubscribe(member, left)
            self.rows[member] = [row[0], row[1], [topic for topic in row[2] if topic not in left]]
        return bool(left)

    @handler("members", read_only=True)
    def members(self, topic: str = "", after: str = "", limit: int = MAX_PAGE) -> list[str]:
        """Members (of a topic), by the order of their addresses, behind `after`."""
        count("limit", limit, MAX_PAGE)
        return list(islice((place[0] for place, _ in self._behind(topic, after)), limit))

    @handler("first", read_only=True)
    def first(self, topic: str = "") -> str | None:
        """The member (of a topic) whose address is the least; null: there is none."""
        return next((place[0] for place, _ in self._behind(topic, "")), None)

    @handler("count", read_only=True)
    def count(self, topic: str = "") -> int:
        """How many members there are (of a topic)."""
        return self.sizes.get(topic, 0) if topic else self.size

    @handler("is_member", read_only=True)
    def is_member(self, member: str = "", topic: str = "") -> bool:
        """Whether an actor is in the group (in a topic of it)."""
        member = address_or_sender("member", member)
        return (topic, member) in self.subscribed if topic else member in self.rows

    @handler("topics", read_only=True)
    def topics(self, after: str = "", limit: int = MAX_PAGE) -> dict[str, int]:
        """Topics that have members, in order, behind `after`, and how many each has."""
        count("limit", limit, MAX_PAGE)
        behind = (row for row in self.sizes.range(after or None) if row[0] != after)
        return dict(islice(behind, limit))

    @handler("publish")
    def publish(
        self, payload: dict[str, Any], handler: str = MESSAGE, topic: str = "", sender: str = ""
    ) -> int:
        """Tell every member (of a topic) but the sender. Answers how many these are.

        Parameters:
            payload: the arguments of their handler.
            handler: its name; "": `MESSAGE`.
            topic: "": all members.
            sender: who is not told; "": the actor that this comes from.
        """
        check_not_behind(self)
        sender = address("sender", sender) if sender else host.sender()
        handler = handler or MESSAGE
        checked_tell("publish", host.self_id(), handler, payload)
        to = self.count(topic)
        if to:
            to -= (topic, sender) in self.subscribed if topic else sender in self.rows
        if to:
            spread(self, [[payload, handler, topic, sender]])
        return to

    @handler("status", read_only=True)
    def status(self) -> dict[str, int]:
        """Members, messages that were published, and how many of these have not reached everybody."""
        return {"members": self.size, "published": self.noted, "under_way": self.noted - self.told}

    @handler(GO_ON)
    def go_on(self) -> None:
        """The next turn's part of what is under way."""
        go_on(self)

    @handler("__down__")
    def down(self, address: str, ref: str, reason: str) -> None:
        """A member has ended, or has failed and may go on."""
        row = self.rows.get(address)
        if row is None or row[1] != ref:
            return
        if has_ended(reason):
            self._drop(address, row)
        else:
            self.rows[address] = [row[0], host.monitor(address), row[2]]

    def receivers(self, number: int, news: News, behind: Place) -> Iterator[Receiver]:
        """Members of the topic that came before this was published."""
        _, handler, topic, sender = news
        for place, since in self._behind(topic, behind[0] if behind else ""):
            told = since < number and place[0] != sender
            yield Receiver(place, place[0] if told else "", handler)

    def _behind(self, topic: str, after: str) -> Iterator[tuple[Place, int]]:
        """Members (of a topic) in order, with the number of the latest message when each came."""
        if not topic:
            for member, row in self.rows.range(after or None):
                if member != after:
                    yield [member], row[0]
            return
        for (of, member), since in self.subscribed.range((topic, after)):
            if of != topic:
                return
            if member != after:
                yield [member], since

    def _drop(self, member: str, row: Row) -> None:
        del self.rows[member]
        self.size -= 1
        self._unsubscribe(member, row[2])

    def _unsubscribe(self, member: str, topics: list[str]) -> None:
        for topic in topics:
            del self.subscribed[topic, member]
            self.sizes[topic] -= 1
            if not self.sizes[topic]:
                del self.sizes[topic]
