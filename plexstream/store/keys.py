"""Keys of pieces, in an order that keeps an actor's pieces together."""

from __future__ import annotations

PieceKey = tuple[int, str, str, str | None]


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
