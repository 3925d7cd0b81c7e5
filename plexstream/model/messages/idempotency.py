"""Idempotency keys, and the ids of invocations: by what a call and its outcome are found again.

A key belongs to one handler of one actor. In messages and in the journal it stands as a *mark*, the key
together with a digest of the arguments that it was used for; the outcome is kept under a *name*, a hash of
handler and key. An invocation's id is made of address, name and digest: whoever has it finds the actor's
partition, and nothing in it tells the key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from contextlib import suppress
from functools import lru_cache
from typing import NamedTuple

import msgspec

from plexstream.model.errors import BadAddress, UnknownInvocation
from plexstream.model.messages import address

CONFLICT = "idempotency_conflict"
PREFIX = "inv_"
"""With what ids begin: no address does, which has a slash."""
_END = "\0"
_ID = re.compile(r"inv_([A-Za-z0-9_-]{1,800})\.([A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{11})?", re.ASCII)
_decode = msgspec.json.Decoder().decode
_sorted = msgspec.json.Encoder(order="sorted").encode


def mark(key: str, payload: bytes) -> str:
    """The mark of a key that is used with the arguments `payload`; a mark stays as it is."""
    return key if _END in key else f"{key}{_END}{digest(payload)}"


def own_mark(id: str) -> str:
    """The mark of a message that has no key, and whose outcome is kept under its own id."""
    return f"{id}{_END}"


def has_key(mark: str) -> bool:
    """Whether a caller has given a key: else nobody can repeat it, and its outcome is kept for less long."""
    return mark[-1:] != _END


def digest(payload: bytes) -> str:
    """A digest of arguments: the same for the same JSON, whatever its spaces and the order of its keys."""
    # What is no JSON, or none that can be read, stands for itself.
    with suppress(msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        payload = _sorted(_decode(payload))
    return _text(hashlib.blake2b(payload, digest_size=8).digest())


def digest_of(mark: str) -> str:
    """The digest in a mark; empty where it has none."""
    _, end, found = mark.rpartition(_END)
    return found if end else ""


@lru_cache(maxsize=16_384)
def name(handler: str, mark: str) -> str:
    """Under which an actor keeps the outcome of what a mark was used for."""
    key, end, _ = mark.rpartition(_END)
    told = f"{handler}{_END}{key if end else mark}".encode(errors="surrogatepass")
    return _text(hashlib.blake2b(told, digest_size=16).digest())


def differs(kept: str, digest: str) -> bool:
    """Whether two digests are of different arguments, as far as both are known."""
    return bool(kept and digest) and kept != digest


def names(handler: str, mark: str, wanted: str, digest: str) -> bool:
    """Whether a call with this mark is the one that `wanted`, a name, and `digest` are of."""
    return name(handler, mark) == wanted and not differs(digest_of(mark), digest)


def conflict(actor: str, handler: str) -> str:
    """What is said of a key that was used before with other arguments."""
    return (
        f"the idempotency key was used for {actor}.{handler} with other arguments: nothing was done; "
        "repeat the call as it was, or give another key"
    )


class InvocationId(NamedTuple):
    """What an id says: whose it is, under which name its outcome is kept, the digest of its arguments."""

    address: str
    name: str
    digest: str


def make_id(target: str, handler: str, mark: str) -> str:
    """The id of an invocation: letters, digits, ``_``, ``-`` and ``.``, so that it fits into an URL."""
    return f"{PREFIX}{_text(target.encode())}.{name(handler, mark)}.{digest_of(mark)}"


def read_id(id: str) -> InvocationId:
    """Take an id apart.

    Raises:
        UnknownInvocation: it is none.
    """
    match = _ID.fullmatch(id) if len(id) < 1000 else None
    try:
        if match is None:
            raise ValueError
        text = match[1]
        target = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True).decode()
        if address.full(target) != target:
            raise ValueError
    except (ValueError, binascii.Error, BadAddress):
        what = "they begin with inv_, and a 202 or a tell gives them"
        if id.startswith(PREFIX):
            what = "it is not whole, or was changed; copy all of what a 202, a tell or call --detach gave"
        elif "#" in id:
            what = "it is the name of a handler that waits, which `plexstream ps` lists; they begin with inv_"
        raise UnknownInvocation(f"{id[:80]!r} is no id of an invocation: {what}") from None
    return InvocationId(target, match[2], match[3] or "")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")
