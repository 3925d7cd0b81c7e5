"""How pieces of state stand in the snapshot topic: their keys, the sums beside them, sentinels."""

from __future__ import annotations

import msgspec

from plexstream.model.journal.journal import Partition
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.processor.state.ports import PieceKey
from plexstream.schema.codec import encode_partition

PARTITION_KEY: PieceKey = (Piece.PARTITION.value, "", "", None)
CODE_KEY: PieceKey = (Piece.PARTITION.value, "", "code", None)
"""Which code served last: claims say so too, but are trimmed."""
SENTINEL = b"\0restore"
_KINDS = {b"%d" % kind: kind.value for kind in Piece}
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def split_fields(data: bytes) -> dict[str, bytes]:
    """The JSON object of an actor's fields, taken apart without decoding the values."""
    return {name: bytes(value) for name, value in _fields.decode(data).items()}


def partition_piece(partition: Partition) -> Snapshot:
    """A partition's sum as a piece of its state."""
    return Snapshot(PARTITION_KEY[0], "", "", None, partition.start, 0, 0, encode_partition(partition))


def read_sentinel(value: bytes | None) -> tuple[int, str]:
    """The claim that a sentinel names, and its life of the journal; -1 where it names none."""
    number, _, life = (value or b"").partition(b" ")
    return int(number) if number.isdigit() and len(number) < 20 else -1, life.decode(errors="replace")


def piece_key(key: bytes) -> PieceKey | None:
    """The piece that a record's key names; the inverse of `snapshot_key`. None where it names none."""
    address, _, rest = key.partition(b"\0")
    number, _, name = rest.partition(b"\0")
    kind = _KINDS.get(number) if rest else Piece.ACTOR.value
    try:
        if kind is None or kind == Piece.ACTOR:
            return None if kind is None or not address else (kind, address.decode(), "", None)
        if kind not in (Piece.ENTRY, Piece.STEP):
            return (kind, address.decode(), name[:-1].decode(), None)  # an idempotency key may have a NUL
        name, _, entry = name.partition(b"\0")
        return (kind, address.decode(), name.decode(), entry.decode())
    except UnicodeDecodeError:
        return None


def snapshot_key(key: PieceKey) -> bytes:
    """The record key of a piece in the snapshot topic: the address alone for an actor's fields."""
    kind, address, name, entry = key
    if kind == Piece.ACTOR:
        return address.encode()
    return b"\0".join((address.encode(), b"%d" % kind, name.encode(), (entry or "").encode()))
