"""Pieces of state, by hand: a takeover without a state store reads them all."""

from __future__ import annotations

from plexstream.model.errors import Malformed
from plexstream.model.journal.snapshot import Snapshot
from plexstream.schema.avro import HEADER, prefix
from plexstream.schema.records.varint import SOME, absent, blob, cached_long, long, read, read_length, string

_SNAPSHOT = prefix("Snapshot")


def encode_snapshot(snapshot: Snapshot) -> bytes:
    """Encode a piece of state."""
    kind, address, name, key, offset, seq, time, data = snapshot
    return b"".join((
        _SNAPSHOT, cached_long(kind), string(address), blob(name.encode()) if name else b"\x00",
        b"\x00" if key is None else b"\x02" + blob(key.encode()),
        long(offset), cached_long(seq), cached_long(time), blob(data),
    ))  # fmt: skip


def decode_snapshot(data: bytes) -> Snapshot:
    """Decode a piece of state. Raises Malformed."""
    if data[:HEADER] != _SNAPSHOT:
        start = data[:HEADER].hex() or "nothing"
        raise Malformed(f"{len(data)} bytes are no Snapshot: they begin with {start}")
    try:
        return _snapshot(data)
    except IndexError:
        raise Malformed(f"a Snapshot of {len(data)} bytes ends too early") from None
    except UnicodeDecodeError as error:
        raise Malformed(f"a Snapshot holds text that is no UTF-8: {error.reason}") from None


def _snapshot(d: bytes) -> Snapshot:
    kind, at = read(d, HEADER)
    n, at = read_length(d, at)
    address, at = d[at : at + n].decode(), at + n
    n, at = read_length(d, at)
    name, at = d[at : at + n].decode(), at + n
    key = None
    if d[at] == SOME:
        n, at = read_length(d, at + 1)
        key, at = d[at : at + n].decode(), at + n
    else:
        at = absent(d, at)
    offset, at = read(d, at)
    seq, at = read(d, at)
    time, at = read(d, at)
    n, at = read_length(d, at)
    if at + n != len(d):
        raise Malformed(f"a Snapshot ends at byte {at + n} of {len(d)}")
    return Snapshot(kind, address, name, key, offset, seq, time, d[at:])
