"""Process groups: who is in one, and messages to all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from plexstream.sdk.host.coordination.operation import (
    Call,
    Noun,
    Operation,
    Runner,
    actor_id,
    operation,
    reading,
)

MAX_PAGE = 1_000
Topics = str | Sequence[str]
"""One topic, or several."""


class Group(Noun):
    """Actors that hear what is published to all of them, in the same order.

    A member is an address. It stays while what is there fails and goes on, or is restarted, and has left once
    that has ended. It gets what is published between its joining and its leaving.
    """

    @operation
    def join(self, member: str = "", topics: Topics = ()) -> Operation[bool]:
        """Let an actor be a member, and of these topics besides those that it has.

        Parameters:
            member: its address; "": the actor whose handler this is.
            topics: names of at most 200 bytes, at most 100 for one member.

        Returns:
            Whether it was no member before.
        """
        return bool((yield self._call("join", {"member": member, "topics": _several(topics)})))

    @operation
    def leave(self, member: str = "", topics: Topics | None = None) -> Operation[bool]:
        """Let an actor be a member no more.

        Parameters:
            member: its address; "": the actor whose handler this is.
            topics: the ones that it leaves, while it stays a member; None: it leaves the group.

        Returns:
            Whether it was there.
        """
        left = None if topics is None else _several(topics)
        return bool((yield self._call("leave", {"member": member, "topics": left})))

    @reading
    def members(self, topic: str = "", after: str = "", limit: int | None = MAX_PAGE) -> Operation[list[str]]:
        """Members, of a topic where one is given, by their addresses: `limit` at most, behind `after`.

        Those that come and go meanwhile may be seen or not.

        Parameters:
            topic: "": members of any, and of none.
            after: an address.
            limit: None: all there are.
        """
        found: list[str] = []
        while True:
            most = MAX_PAGE if limit is None else min(limit - len(found), MAX_PAGE)
            page = yield self._call("members", {"topic": topic, "after": after, "limit": most}, True)
            found += page
            if len(page) < most or len(found) == limit:
                return found
            after = page[-1]

    @reading
    def first(self, topic: str = "") -> Operation[str | None]:
        """The member, of a topic where one is given, whose address is the least; None: there is none."""
        found: str | None = yield self._call("first", {"topic": topic}, True)
        return found

    @reading
    def count(self, topic: str = "") -> Operation[int]:
        """How many members there are, of a topic where one is given."""
        return int((yield self._call("count", {"topic": topic}, True)))

    @reading
    def is_member(self, member: str = "", topic: str = "") -> Operation[bool]:
        """Whether an actor is a member, of a topic where one is given; "": the one whose handler this is."""
        return bool((yield self._call("is_member", {"member": member, "topic": topic}, True)))

    @reading
    def topics(self, after: str = "", limit: int = MAX_PAGE) -> Operation[dict[str, int]]:
        """Topics that have members, in order, behind `after`, and how many each has."""
        found: dict[str, int] = yield self._call("topics", {"after": after, "limit": limit}, True)
        return found

    @operation
    def publish(
        self, payload: Mapping[str, Any] | None = None, handler: str = "", topic: str = "", sender: str = ""
    ) -> Operation[int]:
        """Send every member a message, but for the sender.

        Parameters:
            payload: the arguments of their handler.
            handler: its name; "": ``message``, which a handler for ``*`` takes as well.
            topic: only to the members of this one; "": to all.
            sender: who does not get it; "": the actor whose handler this is.

        Returns:
            How many members get it.
        """
        said = {"payload": dict(payload or {}), "handler": handler, "topic": topic, "sender": sender}
        return int((yield self._call("publish", said)))

    @reading
    def status(self) -> Operation[dict[str, int]]:
        """``members``, messages that were ``published``, and those that have not reached everybody."""
        found: dict[str, int] = yield self._call("status", {}, True)
        return found

    def _call(self, handler: str, arguments: dict[str, Any], reads: bool = False) -> Call:
        return Call("plex.group", actor_id(self.name), handler, arguments, reads=reads)


class Groups:
    """``host.process_groups``, ``client.groups``: the way to each, and its operations by its name."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def group(self, name: str) -> Group:
        """A group. It is there as soon as somebody joins it."""
        return Group(self._run, name)

    def join(self, group: str, member: str = "", topics: Topics = ()) -> Any:
        """`Group.join`."""
        return self.group(group).join(member, topics)

    def leave(self, group: str, member: str = "", topics: Topics | None = None) -> Any:
        """`Group.leave`."""
        return self.group(group).leave(member, topics)

    def members(self, group: str, topic: str = "", after: str = "", limit: int | None = MAX_PAGE) -> Any:
        """`Group.members`."""
        return self.group(group).members(topic, after, limit)

    def get_members(self, group: str) -> Any:
        """All members of a group."""
        return self.group(group).members(limit=None)

    def first(self, group: str, topic: str = "") -> Any:
        """`Group.first`."""
        return self.group(group).first(topic)

    def publish(
        self, group: str, payload: Mapping[str, Any] | None = None, handler: str = "", topic: str = "",
        sender: str = "",
    ) -> Any:  # fmt: skip
        """`Group.publish`."""
        return self.group(group).publish(payload, handler, topic, sender)

    def broadcast(self, group: str, handler: str, payload: Mapping[str, Any] | None = None) -> Any:
        """`Group.publish` to all members, with the name of the handler in front."""
        return self.group(group).publish(payload, handler)


def _several(topics: Topics) -> list[str]:
    return [topics] if isinstance(topics, str) else list(topics)
