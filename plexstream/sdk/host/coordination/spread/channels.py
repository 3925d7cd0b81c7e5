"""Channels: every message goes to all subscribers; and queues and channels by the words of the dialect."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from plexstream.sdk.host.coordination.operation import (
    OneActor,
    Operation,
    Runner,
    operation,
    reading,
)
from plexstream.sdk.host.coordination.spread.queues import Given, Queue

Rows = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Published:
    """A message of a channel.

    Attributes:
        position: its number in the channel, from 1 on.
        topic: what it is about.
        value: what was published.
        time: when, in ms since the epoch.
    """

    position: int
    topic: str
    value: Any
    time: int


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a subscriber has fetched.

    Attributes:
        messages: in order.
        position: to commit once they are done.
        missed: how many were not kept long enough for it.
    """

    messages: list[Published]
    position: int
    missed: int


class Channel(OneActor):
    """Messages for all who subscribe: told to them, in order, or fetched by them at their own pace."""

    TYPE = "plex.channel"

    @operation
    def publish(self, value: Any, topic: str = "") -> Operation[int]:
        """Publish a message, any JSON. Its position.

        Parameters:
            topic: what it is about, for subscribers that do not want all.
        """
        (position,) = yield self._call("publish", {"messages": [value], "topic": topic})
        return int(position)

    @operation
    def publish_many(self, values: Sequence[Any], topic: str = "") -> Operation[list[int]]:
        """Publish up to 1,000 messages, all or none; their positions."""
        positions: list[int] = yield self._call("publish", {"messages": list(values), "topic": topic})
        return positions

    @operation
    def subscribe(
        self, subscriber: str, to: str = "", handler: str = "", topic: str = "*", start: str = "now"
    ) -> Operation[int]:
        """Subscribe by a name, or change what it subscribes. The position behind which it begins.

        Parameters:
            subscriber: its name, 1 to 200 bytes.
            to, handler: the actor that is told, and its handler, which takes ``message``: a dict of channel,
                position, topic, value and time. With neither, the subscriber fetches.
            topic: of the messages that it wants; ``*`` in it is any text.
            start: ``"now"``: with the next message, ``"start"``: with the oldest one that is kept.
        """
        said = {"name": subscriber, "to": to, "handler": handler, "topic": topic, "start": start}
        return int((yield self._call("subscribe", said)))

    @operation
    def unsubscribe(self, subscriber: str) -> Operation[bool]:
        """End a subscription; whether there was one."""
        return bool((yield self._call("unsubscribe", {"name": subscriber})))

    @operation
    def fetch(
        self, subscriber: str, limit: int = 100, wait: float | None = 0
    ) -> Operation[Fetched]:
        """Messages behind a subscriber's cursor, which stays where it is until `commit`.

        Parameters:
            limit: how many at most, up to 1,000; fewer come where there are fewer, or where they are large.
            wait: seconds to wait for the first one; 0: not at all; None: as long as it takes.
        """
        found = yield self._call("fetch", {"subscriber": subscriber, "limit": limit, "wait": wait}, wait)
        messages = [Published(**message) for message in found["messages"]]
        return Fetched(messages, found["position"], found["missed"])

    @operation
    def commit(self, subscriber: str, position: int) -> Operation[int]:
        """Say that a subscriber has all up to a position; how many messages are behind it."""
        return int((yield self._call("commit", {"subscriber": subscriber, "position": position})))

    @reading
    def status(self) -> Operation[dict[str, Any]]:
        """Which messages are kept, how many subscribe and wait, and what is configured."""
        found: dict[str, Any] = yield self._call("status", {}, reads=True)
        return found

    @reading
    def subscribers(self, after: str = "", limit: int = 100) -> Operation[Rows]:
        """Subscriptions by name, behind `after`; ``position``: up to where it was told, or committed.

        Fewer than `limit` come where their names are long; none once there are no more.
        """
        found: Rows = yield self._call("subscribers", {"after": after, "limit": limit}, reads=True)
        return found

    @operation
    def configure(
        self, count: int | None = None, age: float | None = None, out: str | None = None
    ) -> Operation[dict[str, Any]]:
        """Set what is given; the rest stays as it is.

        Parameters:
            count: messages that are kept at most; 0: any number, as at first.
            age: seconds for which they are kept; 0: for ever; a week at first.
            out: name of the output topic that gets each message as well, as from `host.emit`; "": none.

        Returns:
            All of it.
        """
        found: dict[str, Any] = yield self._call("configure", {"count": count, "age": age, "out": out})
        return found


class Channels:
    """``host.channels`` and ``client.channels``: the way to each."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def channel(self, name: str) -> Channel:
        """A channel. It is there as soon as somebody subscribes or publishes."""
        return Channel(self._run, name)


class Dialect:
    """``host.channel``: queues and channels by name, in the words of ported programs."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def create(self, queue: str, **configured: Any) -> Any:
        """`Queue.configure`."""
        return self._queue(queue).configure(**configured)

    def delete(self, queue: str) -> Any:
        """`Queue.purge`: an empty queue is no other than one that is not there, but for its dead letters."""
        return self._queue(queue).purge()

    def send_to_queue(self, queue: str, value: Any, delay: float = 0, wait: float | None = 0) -> Any:
        """`Queue.send`."""
        return self._queue(queue).send(value, delay, wait)

    def receive(
        self, queue: str, limit: int = 1, wait: float | None = 0, visibility: float | None = None
    ) -> Any:
        """`Queue.receive`."""
        return self._queue(queue).receive(limit, wait, visibility)

    def ack(self, queue: str, receipts: Given | Sequence[Given]) -> Any:
        """`Queue.ack`."""
        return self._queue(queue).ack(receipts)

    def nack(self, queue: str, receipts: Given | Sequence[Given], delay: float = 0) -> Any:
        """`Queue.nack`."""
        return self._queue(queue).nack(receipts, delay)

    def depth(self, queue: str) -> Any:
        """`Queue.depth`."""
        return self._queue(queue).depth()

    def publish(self, channel: str, value: Any, topic: str = "") -> Any:
        """`Channel.publish`."""
        return Channel(self._run, channel).publish(value, topic)

    def subscribe(
        self, channel: str, subscriber: str, to: str = "", handler: str = "", topic: str = "*",
        start: str = "now",
    ) -> Any:  # fmt: skip
        """`Channel.subscribe`."""
        return Channel(self._run, channel).subscribe(subscriber, to, handler, topic, start)

    def unsubscribe(self, channel: str, subscriber: str) -> Any:
        """`Channel.unsubscribe`."""
        return Channel(self._run, channel).unsubscribe(subscriber)

    def _queue(self, name: str) -> Queue:
        return Queue(self._run, name)
