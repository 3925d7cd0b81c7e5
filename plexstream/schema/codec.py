"""Everything that is encoded, in one place: the only one that would know of encryption or of a registry."""

from __future__ import annotations

from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Step, Turn
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.messages.message import Applied, DeadLetter, Envelope
from plexstream.schema import avro
from plexstream.schema.records import envelope, journal, snapshot, step, turn
from plexstream.schema.records.applied import encode_applied
from plexstream.schema.records.journal import decode_partition, encode_partition, is_claim
from plexstream.schema.shapes import (
    COMPILED,
    decoder,
    encoder,
    envelope_decoder,
    envelope_encoder,
    journal_decoder,
    journal_encoder,
    keyed_turns,
)

__all__ = [
    "COMPILED", "compiled_encode", "compiled_envelope", "decode_applied", "decode_dead_letter",
    "decode_envelope", "decode_journal", "decode_partition", "decode_snapshot", "decode_step",
    "encode_applied", "encode_dead_letter", "encode_envelope", "encode_journal", "encode_partition",
    "encode_snapshot", "encode_step", "encode_turn", "is_claim", "keyed_turns", "turn_prefix",
]  # fmt: skip

encode_envelope = encoder(Envelope, envelope.encode_envelope)
decode_envelope = decoder(Envelope, envelope.decode_envelope)
encode_turn = encoder(Turn, turn.encode_turn)
encode_step = encoder(Step, step.encode_step)
encode_snapshot = encoder(Snapshot, snapshot.encode_snapshot)
decode_snapshot = decoder(Snapshot, snapshot.decode_snapshot)
encode_journal = journal_encoder(journal.encode_journal)
decode_journal = journal_decoder(journal.decode_journal)
compiled_envelope = envelope_decoder()
"""Decodes envelopes alone, and returns None for all else; None where it is not compiled."""
compiled_encode = envelope_encoder()
"""Encodes envelopes; None for those that only Python knows, or where it is not compiled."""
turn_prefix = avro.prefix("Turn")
"""What turns begin with, as they are written today."""


def decode_step(data: bytes) -> Step:
    """Decode a step. Raises Malformed."""
    record = decode_journal(data)
    if type(record) is not Step:
        raise Malformed(f"{len(data)} bytes are a {type(record).__name__}, not a Step")
    return record


def encode_dead_letter(letter: DeadLetter) -> bytes:
    """Encode a dead letter."""
    return avro.encode("DeadLetter", letter._asdict())


def decode_dead_letter(data: bytes) -> DeadLetter:
    """Decode a dead letter. Raises Malformed."""
    return DeadLetter(**avro.decode("DeadLetter", data))


def decode_applied(data: bytes) -> Applied:
    """Decode what a tuple space has applied. Raises Malformed."""
    return Applied(**avro.decode("TupleSpace", data))
