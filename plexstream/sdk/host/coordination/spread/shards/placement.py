"""Which shard a key belongs to: pure functions of the key and of how a group is made."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b

from plexstream.sdk.host.coordination.operation import shard_of

PLACEMENTS = ("hash", "consistent", "range")
"""`hash`: CRC-32 of the key's UTF-8, modulo the shards: another number moves nearly all keys.
`consistent`: `consistent_shard`: another number moves as few as can be.
`range`: by the order of keys as texts, at given bounds."""
_JUMP = 1 << 31


def place(key: str, placement: str, shards: int, bounds: Sequence[str] = ()) -> int:
    """The shard of a key, from 0.

    Parameters:
        placement: one of `PLACEMENTS`.
        bounds: of a range: the least key of each shard but the first, in order.
    """
    if placement == "range":
        return bisect_right(bounds, key)
    return consistent_shard(key, shards) if placement == "consistent" else shard_of(key, shards)


def consistent_shard(key: str, shards: int) -> int:
    """The shard of a key by jump consistent hash (Lamping and Veach 2014, arXiv:1406.2294).

    With one shard more, a key stays where it is, or belongs to the new one: the latter are 1 of `shards` + 1.
    A ring of points would do the same less evenly, and be a table that everybody who asks must have; it
    could give up any shard, which members that are numbered never do.

    The key becomes a number by BLAKE2b of its UTF-8, 8 bytes, big endian.
    """
    number = int.from_bytes(blake2b(key.encode(errors="surrogatepass"), digest_size=8).digest(), "big")
    shard, jump = -1, 0
    while jump < shards:
        shard = jump
        number = (number * 2862933555777941757 + 1) & 0xFFFFFFFFFFFFFFFF
        jump = int((shard + 1) * (_JUMP / ((number >> 33) + 1)))
    return shard
