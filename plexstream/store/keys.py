"""Keys of pieces, in an order that keeps an actor's pieces together."""

from __future__ import annotations

from plexstream.model.journal.snapshot import Piece

PieceKey = tuple[int, str, str, str | None]
Due = tuple[int, str, str]  # when a timer is due, whose it is, its id
DUE = b"\xf0"
"""Begins the keys of the order in which timers are due. No piece is of such a kind."""
_SIGN = 1 << 63
_ENTRY = Piece.ENTRY.value


def encode_key(key: PieceKey) -> bytes:
    """The bytes of a piece's key. An address has no NUL, nor has the name of a field: they end there."""
    kind, address, name, entry = key
    head = b"%c%b\0%b" % (kind, address.encode(), name.encode())
    return head if entry is None else head + b"\0" + entry.encode()


def prefix(kind: int, address: str | None, name: str | None) -> bytes:
    """What the keys of a scan begin with."""
    if address is None:
        return bytes((kind,))
    head = b"%c%b\0" % (kind, address.encode())
    return head if name is None else head + name.encode() + b"\0"


def after(start: bytes) -> bytes:
    """The first key that does not begin with `start`."""
    assert start[-1] < 255
    return start[:-1] + bytes((start[-1] + 1,))


def entry_range(address: str, name: str, start: str, stop: str | None) -> tuple[bytes, bytes]:
    """The first key of some entries of a collection, and the first one behind them."""
    head = prefix(_ENTRY, address, name)
    return head + start.encode(), after(head) if stop is None else head + stop.encode()


def encode_due(due: Due) -> bytes:
    """A key that sorts timers by due time, actor, id."""
    time, actor, id = due
    return b"%b%b%b\0%b" % (DUE, (time + _SIGN).to_bytes(8, "big"), actor.encode(), id.encode())


def decode_due(key: bytes) -> Due:
    """The inverse of `encode_due`."""
    actor, _, id = key[9:].partition(b"\0")
    return int.from_bytes(key[1:9], "big") - _SIGN, actor.decode(), id.decode()
