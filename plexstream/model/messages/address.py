"""Addresses of actors, and the partition that each belongs to.

An address is ``tenant/namespace/type/id``; ``type/id`` is short for ``default/default/type/id``.
Its UTF-8 bytes are the record key of everything that concerns the actor.
"""

from __future__ import annotations

from functools import lru_cache
from struct import unpack
from typing import NamedTuple

from plexstream.model.errors import BadAddress
from plexstream.model.process.compiled import WANTED

try:
    if not WANTED:
        raise ImportError
    from plexstream.model.process import _murmur
except ImportError:
    _murmur = None  # type: ignore[assignment]

DEFAULT_TENANT = "default"
DEFAULT_NAMESPACE = "default"
MAX_ADDRESS_BYTES = 512
_SEED = 0x9747B28C
_M = 0x5BD1E995
_U32 = 0xFFFFFFFF


class Address(NamedTuple):
    """The parts of an address. ``str(address)`` is the full form, which keys every record."""

    tenant: str
    namespace: str
    type: str
    id: str

    def __str__(self) -> str:
        return f"{self.tenant}/{self.namespace}/{self.type}/{self.id}"

    @property
    def short(self) -> str:
        """``type/id`` where tenant and namespace are the default ones, else the full form."""
        if self.tenant == DEFAULT_TENANT and self.namespace == DEFAULT_NAMESPACE:
            return f"{self.type}/{self.id}"
        return str(self)


def parse(text: str) -> Address:
    """Read an address in its full or its short form.

    Raises:
        BadAddress: if a part is missing, empty, too long, or holds a slash or a control character.
    """
    given: object = text
    if not isinstance(given, str):
        raise BadAddress(f"{given!r} is no address: write type/id, as text")
    if len(text) > MAX_ADDRESS_BYTES:  # before anything is made of it
        raise _too_long(len(text), text)
    parts = text.split("/")
    if len(parts) == 2:
        address = Address(DEFAULT_TENANT, DEFAULT_NAMESPACE, *parts)
    elif len(parts) == 4:
        address = Address(*parts)
    else:
        raise BadAddress(
            f"address {text!r} has {len(parts)} part{'s' * (len(parts) > 1)}: "
            "write type/id, or tenant/namespace/type/id"
        )
    if "" in parts or "." in parts or ".." in parts or not text.isprintable():
        _check_parts(address, text)
    full = text if len(parts) == 4 else str(address)
    size = len(full) if full.isascii() else len(full.encode())
    if size > MAX_ADDRESS_BYTES:
        raise _too_long(size, text)
    return address


def _check_parts(address: Address, text: str) -> None:
    for name, part in zip(Address._fields, address, strict=True):
        if not part:
            raise BadAddress(f"address {text!r} has an empty {name}: write type/id")
        if part in (".", "..") or not part.isprintable():  # which surrogates are not either
            raise BadAddress(f"address {text!r}: the {name} {part!r} is not allowed; use printable text")


def _too_long(size: int, text: str) -> BadAddress:
    return BadAddress(
        f"address has {size} bytes, at most {MAX_ADDRESS_BYTES} are allowed in its full form: {text[:40]!r}…"
    )


@lru_cache(maxsize=65536)
def full(text: str) -> str:
    """The full form of an address, checked. Raises BadAddress like `parse`."""
    return str(parse(text))


def type_of(address: str) -> str:
    """The actor type in a full address; the empty string where there is none."""
    parts = address.split("/", 3)
    return parts[2] if len(parts) == 4 else ""


def murmur2(data: bytes) -> int:
    """The 32-bit MurmurHash2 that Java's Kafka clients partition by (Austin Appleby's, seed 0x9747b28c)."""
    length = len(data)
    h = _SEED ^ length
    body = length & ~3
    for k in unpack(f"<{body >> 2}I", data[:body]):
        k = (k * _M) & _U32
        h = ((h * _M) & _U32) ^ (((k ^ k >> 24) * _M) & _U32)
    tail = data[body:]
    if tail:
        h ^= int.from_bytes(tail, "little")
        h = (h * _M) & _U32
    h ^= h >> 13
    h = (h * _M) & _U32
    return h ^ (h >> 15)


@lru_cache(maxsize=262_144)
def _partition_of(key: str, partitions: int) -> int:
    return (murmur2(key.encode()) & 0x7FFFFFFF) % partitions


def partition_of(key: str, partitions: int) -> int:
    """The partition of a record key, as Java clients compute it."""
    return _partition_of(key, partitions)


if _murmur is not None:
    partition_of = _murmur.partition_of  # type: ignore[assignment]
