"""Ids of awakeables: where a value from outside belongs, and the secret that shows it was asked for."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from plexstream.model.errors import UnknownInvocation

_ID = re.compile(r"awk_([A-Za-z0-9_-]+)\.([0-9a-f]{16})", re.ASCII)


class AwakeableId(NamedTuple):
    """`reference` is ``address#invocation.index``."""

    address: str
    reference: str
    secret: str


def make_id(reference: str, secret: str) -> str:
    """The id that goes outside: letters, digits, ``_``, ``-`` and ``.``, so that it fits into an URL."""
    return f"awk_{base64.urlsafe_b64encode(reference.encode()).decode().rstrip('=')}.{secret}"


def read_id(id: str) -> AwakeableId:
    """Take an id apart.

    Raises:
        UnknownInvocation: it is none.
    """
    given: object = id
    if not isinstance(given, str):
        raise UnknownInvocation(f"{given!r} is no id of an awakeable")
    match = _ID.fullmatch(id) if len(id) < 2000 else None
    try:
        if match is None:
            raise ValueError
        text = match[1]
        reference = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
        address, _, _ = reference.rpartition("#")
        if not address:
            raise ValueError
    except ValueError:
        raise UnknownInvocation(f"{id[:80]!r} is no id of an awakeable: they begin with awk_") from None
    return AwakeableId(address, reference, match[2])
