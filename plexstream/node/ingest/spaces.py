"""How the records of a plain topic become tuples of a space, or messages of a queue or a channel."""

from __future__ import annotations

from typing import NamedTuple

from plexstream.log.base import Record
from plexstream.model.messages.address import DEFAULT_NAMESPACE, DEFAULT_TENANT
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.messages.text import shown, words
from plexstream.node.ingest.feed import SHOWN, checked_value, read_json, refused
from plexstream.sdk.host.coordination.kept.spaces import TupleSpace
from plexstream.sdk.host.coordination.operation import Call, actor_id, steps_of

_PREFIX = f"{DEFAULT_TENANT}/{DEFAULT_NAMESPACE}/"


class _Way(NamedTuple):
    """How a kind of noun is told a record: its type and handler, and what is around the value."""

    type: str
    handler: str
    before: bytes
    behind: bytes


_WAYS = {
    "spaces": _Way("plex.space", "write", b'{"tuple":', b"}"),
    "queues": _Way("plex.queue", "send", b'{"messages":[', b'],"wait":null}'),  # where it is full, in line
    "channels": _Way("plex.channel", "publish", b'{"messages":[', b"]}"),
}


class Fed(NamedTuple):
    """A space, a queue or a channel that a topic feeds.

    Attributes:
        name: of it.
        topic: what it is fed from.
        ttl: milliseconds after which a tuple is gone; None: it stays.
        kind: which of these it is, as in a path.
    """

    name: str
    topic: str
    ttl: int | None = None
    kind: str = "spaces"


class SpaceFeed:
    """How the records of one topic are told one space, queue or channel. A space wants JSON lists."""

    plain = None
    """C code knows nothing of it."""

    def __init__(self, fed: Fed, max_message: int) -> None:
        self.topic = fed.topic
        self._max_message = max_message
        self._way = way = _WAYS[fed.kind]
        self._target = f"{_PREFIX}{way.type}/{actor_id(fed.name)}"
        self._write = None
        if fed.kind == "spaces":
            self._write = steps_of(TupleSpace(lambda _: None, fed.name).write)
        self._behind = way.behind if fed.ttl is None else b',"ttl":%b}' % repr(fed.ttl / 1000).encode()

    def message(self, record: Record, origin: str) -> Envelope:
        """The message for a record. One that is none goes to the dead letters, by way of a mailbox."""
        value = record.value or b""
        try:
            value = checked_value(record, self._max_message)
            found = read_json(value)
            target = self._target if self._write is None else self._home(found)
        except ValueError as error:
            if len(value) > self._max_message:
                value = b""  # it stands in its topic
            return self.refused(record, origin, words(error), value)
        payload = self._way.before + value + self._behind
        return Envelope(
            TELL, f"{origin}/{record.offset}", target, self._way.handler, payload,
            "", "", "", record.time, {}, origin, record.offset, 0,
        )  # fmt: skip

    def _home(self, found: object) -> str:
        """The actor of the space that has such a tuple. Raises ValueError where it is none."""
        if type(found) is not list:
            raise ValueError(f"the value is no JSON list, as a tuple is: {shown(found, SHOWN)}")
        assert self._write is not None
        call = next(self._write(found))
        assert isinstance(call, Call)
        return f"{_PREFIX}{call.type}/{call.id}"

    def refused(self, record: Record, origin: str, why: str, value: bytes = b"") -> Envelope:
        """The message for a record that is none."""
        return refused(record, origin, self._way.handler, why, value)
