"""Queues: each message goes to one receiver."""

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


@dataclass(frozen=True, slots=True)
class Message:
    """A message that was received.

    Attributes:
        id: its number in the queue.
        receipt: by which its receiver holds it: for `ack`, `nack` and `extend`.
        value: what was sent.
        attempt: how often it has been received, 1 for the first time.
        due: when the receipt is worth nothing any more, in ms since the epoch.
    """

    id: int
    receipt: str
    value: Any
    attempt: int
    due: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was received too often without being acknowledged.

    Attributes:
        id: its number in the queue.
        value: what was sent.
        attempts: how often it was received.
        sent, died: when, in ms since the epoch.
    """

    id: int
    value: Any
    attempts: int
    sent: int
    died: int


Given = str | Message
"""A receipt, or the message that has it."""


class Queue(OneActor):
    """Messages in the order in which they were sent, each for one receiver until it is acknowledged.

    A receiver holds a message for a time; unless it is acknowledged by then, it takes its old place again,
    and is a dead letter after so many attempts. All of it is linearizable: a queue is one actor.
    """

    TYPE = "plex.queue"

    @operation
    def send(self, value: Any, delay: float = 0, wait: float | None = 0) -> Operation[int]:
        """Send a message, any JSON.

        Parameters:
            delay: seconds before it can be received.
            wait: seconds to wait for a place in a full queue; 0: it is refused; None: as long as it takes.

        Returns:
            Its number.
        """
        (number,) = yield self._call("send", {"messages": [value], "delay": delay, "wait": wait}, wait)
        return int(number)

    @operation
    def send_many(
        self, values: Sequence[Any], delay: float = 0, wait: float | None = 0
    ) -> Operation[list[int]]:
        """Send up to 1,000 messages, all or none, as `send` does; their numbers."""
        said = {"messages": list(values), "delay": delay, "wait": wait}
        numbers: list[int] = yield self._call("send", said, wait)
        return numbers

    @operation
    def receive(
        self, limit: int = 1, wait: float | None = 0, visibility: float | None = None
    ) -> Operation[list[Message]]:
        """Receive messages, first sent first; nobody else gets them before their time is over.

        Parameters:
            limit: how many at most, up to 1,000; fewer come where there are fewer, or where they are large.
            wait: seconds to wait for the first one; 0: not at all; None: as long as it takes.
            visibility: seconds until what is not acknowledged is visible again; None: as configured.

        Returns:
            An empty list where none came in time.
        """
        said = {"limit": limit, "wait": wait, "visibility": visibility}
        return [Message(**message) for message in (yield self._call("receive", said, wait))]

    @operation
    def ack(self, receipts: Given | Sequence[Given]) -> Operation[int]:
        """Say that messages are done: all of them, or none where one receipt holds no message any more."""
        return int((yield self._call("ack", {"receipts": _receipts(receipts)})))

    @operation
    def nack(self, receipts: Given | Sequence[Given], delay: float = 0) -> Operation[int]:
        """Say that messages are not done: they are visible again, at once or after some seconds."""
        return int((yield self._call("nack", {"receipts": _receipts(receipts), "delay": delay})))

    @operation
    def extend(self, receipt: Given, visibility: float) -> Operation[int]:
        """Hold a message for so many seconds from now on. Until when, in ms since the epoch."""
        (text,) = _receipts(receipt)
        return int((yield self._call("extend", {"receipt": text, "visibility": visibility})))

    @reading
    def depth(self) -> Operation[dict[str, Any]]:
        """How many messages are ready, delayed, in flight and dead, who waits, and what is configured."""
        found: dict[str, Any] = yield self._call("depth", {}, reads=True)
        return found

    @operation
    def configure(
        self, bound: int | None = None, visibility: float | None = None, attempts: int | None = None,
        out: str | None = None,
    ) -> Operation[dict[str, Any]]:  # fmt: skip
        """Set what is given; the rest stays as it is.

        Parameters:
            bound: messages that it has at most, beside dead letters; 0: any number, as at first.
            visibility: seconds that a receiver has, unless it says otherwise; 30 at first.
            attempts: how often a message is received before it is a dead letter; 5 at first.
            out: name of the output topic that gets each message as well, as from `host.emit`; "": none.

        Returns:
            All of it.
        """
        said = {"bound": bound, "visibility": visibility, "attempts": attempts, "out": out}
        found: dict[str, Any] = yield self._call("configure", said)
        return found

    @reading
    def dead(self, after: int = 0, limit: int = 100) -> Operation[list[DeadLetter]]:
        """Dead letters by number, behind `after`; fewer than `limit` come where they are large."""
        found = yield self._call("dead", {"after": after, "limit": limit}, reads=True)
        return [DeadLetter(**letter) for letter in found]

    @operation
    def redrive(self, ids: Sequence[int]) -> Operation[int]:
        """Make messages of dead letters again, at their old places, with all attempts before them."""
        return int((yield self._call("redrive", {"ids": list(ids)})))

    @operation
    def drop(self, ids: Sequence[int]) -> Operation[int]:
        """Forget dead letters."""
        return int((yield self._call("drop", {"ids": list(ids)})))

    @operation
    def purge(self) -> Operation[int]:
        """Forget all messages, be they held or not, but no dead letter. How many there were."""
        return int((yield self._call("purge", {})))


class Queues:
    """``host.queues`` and ``client.queues``: the way to each."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def queue(self, name: str) -> Queue:
        """A queue. It is there as soon as something is sent to it."""
        return Queue(self._run, name)


def _receipts(given: Given | Sequence[Given]) -> list[str]:
    several = [given] if isinstance(given, str | Message) else given
    return [one.receipt if isinstance(one, Message) else one for one in several]
