"""Everything that is encoded, in one place: the only one that would know of encryption or of a registry."""

from __future__ import annotations

from plexstream.model.message import DeadLetter
from plexstream.model.snapshot import Snapshot
from plexstream.schema import avro
from plexstream.schema.envelope import decode_envelope, encode_envelope
from plexstream.schema.journal import decode_journal, decode_partition, encode_journal, encode_partition, encode_turn
from plexstream.schema.varint import blob, long, string

_SNAPSHOT = avro.prefix("Snapshot")

__all__ = [
    "decode_dead_letter", "decode_envelope", "decode_journal", "decode_partition",
    "decode_snapshot", "encode_dead_letter", "encode_envelope", "encode_journal", "encode_partition", "encode_snapshot",
    "encode_turn",
]  # fmt: skip


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Encode a dead letter."""
    return avro.encode("DeadLetter", letter._asdict())


def decode_dead_letter(data: bytes) -> DeadLetter:
    """Decode a dead letter. Raises Malformed."""
    return DeadLetter(**avro.decode("DeadLetter", data))


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Encode a piece of state."""
    kind, address, name, key, offset, seq, time, data = snapshot
    return b"".join((
        _SNAPSHOT, long(kind), string(address), blob(name.encode()), b"\x00" if key is None else b"\x02" + blob(key.encode()),
        long(offset), long(seq), long(time), blob(data),
    ))  # fmt: skip


def decode_snapshot(data: bytes) -> Snapshot:
    """Decode a piece of state. Raises Malformed."""
    return Snapshot(**avro.decode("Snapshot", data))
