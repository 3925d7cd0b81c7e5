"""What tuple spaces have applied, written by hand; whoever reads it has an Avro library."""

from __future__ import annotations

from plexstream.model.messages.message import Applied
from plexstream.schema.avro import prefix
from plexstream.schema.records.varint import blob, cached_long, long, string

_PREFIX = prefix("TupleSpace")
_NOTHING = b"\x00"


def encode_applied(applied: Applied) -> bytes:
    """Encode what a tuple space has applied."""
    number, op, entry, text, due, by, for_whom, time = applied
    return b"".join((
        _PREFIX, long(number), string(op), long(entry), blob(text.encode()),
        long(due) if due else _NOTHING, string(by) if by else _NOTHING,
        string(for_whom) if for_whom else _NOTHING, cached_long(time),
    ))  # fmt: skip
