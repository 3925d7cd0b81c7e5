"""An actor's plain fields."""

from __future__ import annotations

from plexstream.model.journal.snapshot import Piece, Snapshot

_ACTOR = Piece.ACTOR.value


class Core:
    """The plain fields of an actor as of its latest acknowledged turn.

    Attributes:
        noted: `Pieces` knows already that they have changed since they were last flushed, and last saved.
    """

    __slots__ = ("address", "fields", "noted", "offset", "seq", "time")

    def __init__(self, address: str, fields: dict[str, bytes], offset: int, seq: int, time: int) -> None:
        self.address = address
        self.fields = fields
        self.offset = offset
        self.seq = seq
        self.time = time
        self.noted = False

    def snapshot(self) -> Snapshot:
        return Snapshot(
            _ACTOR, self.address, "", None, self.offset, self.seq, self.time, join_fields(self.fields)
        )


def join_fields(fields: dict[str, bytes]) -> bytes:
    """The JSON object of encoded fields. Field names are Python identifiers: they need no escapes."""
    return b"{" + b",".join([b'"%b":%b' % (name.encode(), value) for name, value in fields.items()]) + b"}"
