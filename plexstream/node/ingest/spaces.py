"""How the records of a plain topic become tuples of a space."""

from __future__ import annotations

from typing import NamedTuple

from plexstream.log.base import Record
from plexstream.model.messages.address import DEFAULT_NAMESPACE, DEFAULT_TENANT
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.messages.text import shown, words
from plexstream.node.ingest.feed import SHOWN, checked_value, read_json, refused
from plexstream.sdk.host.coordination.operation import actor_id

_TYPE, _HANDLER = "plex.space", "write"


class Fed(NamedTuple):
    """A space that a topic feeds.

    Attributes:
        name: of the space.
        topic: what it is fed from.
        ttl: milliseconds after which a tuple is gone; None: it stays.
    """

    name: str
    topic: str
    ttl: int | None = None


class SpaceFeed:
    """How the records of one topic become tuples of one space: each value is a JSON list, and is written."""

    plain = None
    """C code knows nothing of it."""

    def __init__(self, fed: Fed, max_message: int) -> None:
        self.topic = fed.topic
        self._max_message = max_message
        self._target = f"{DEFAULT_TENANT}/{DEFAULT_NAMESPACE}/{_TYPE}/{actor_id(fed.name)}"
        self._end = b"}" if fed.ttl is None else b',"ttl":%b}' % repr(fed.ttl / 1000).encode()

    def message(self, record: Record, origin: str) -> Envelope:
        """The message for a record. One that is no tuple goes to the dead letters, by way of a mailbox."""
        value = record.value or b""
        try:
            value = checked_value(record, self._max_message)
            found = read_json(value)
            if type(found) is not list:
                raise ValueError(f"the value is no JSON list, as a tuple is: {shown(found, SHOWN)}")
        except ValueError as error:
            if len(value) > self._max_message:
                value = b""  # it stands in its topic
            return self.refused(record, origin, words(error), value)
        return Envelope(
            TELL, f"{origin}/{record.offset}", self._target, _HANDLER, b'{"tuple":' + value + self._end,
            "", "", "", record.time, {}, origin, record.offset, 0,
        )  # fmt: skip

    def refused(self, record: Record, origin: str, why: str, value: bytes = b"") -> Envelope:
        """The message for a record that is none."""
        return refused(record, origin, _HANDLER, why, value)
