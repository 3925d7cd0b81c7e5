"""What tuple spaces emit, as the records of the topic that says what they have applied."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Step, Turn
from plexstream.model.messages.message import Applied
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.encode import Output
from plexstream.schema.codec import encode_applied

OUTPUT = "tuplespace"
"""The name that spaces give what they emit. Of all other actors it is an output like any."""
_SPACE = "/plex.space/"
_MAX = (1 << 63) - 1


class _Event(msgspec.Struct, forbid_unknown_fields=True):
    """What a space emits for one operation. `tuple` stays the text that it is."""

    number: Annotated[int, msgspec.Meta(ge=1, le=_MAX)]
    op: Literal["out", "in", "expire", "renew"]
    entry: Annotated[int, msgspec.Meta(ge=0, le=_MAX)]
    tuple: msgspec.Raw
    due: Annotated[int, msgspec.Meta(ge=0, le=_MAX)] = 0
    by: str = ""
    for_whom: str = msgspec.field(name="for", default="")


_decode = msgspec.json.Decoder(_Event).decode


def is_space(actor: str) -> bool:
    """Whether it is a tuple space: an address whose type no application can declare."""
    return _SPACE in actor and actor.split("/")[2] == "plex.space"


def applied(topics: Topics, partition: int, turn: Turn | Step, payload: bytes) -> Output:
    """The record of what a space has applied: in the space's own partition, whatever the topic has by now.

    Raises:
        Malformed: the space has emitted something else.
    """
    try:
        event: Any = _decode(payload)
        text = str(event.tuple, "utf-8")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"it is nothing that a tuple space applies: {error}") from None
    if text[:1] != "[":
        raise Malformed(f"it is nothing that a tuple space applies: {text[:40]} is no list")
    record = Applied(
        event.number, event.op, event.entry, text, event.due, event.by, event.for_whom, turn.time
    )
    return topics.tuplespace, partition, turn.actor.encode(), encode_applied(record)
