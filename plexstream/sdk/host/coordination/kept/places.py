"""Where in an object store a container has its objects, and what may be said of them."""

from __future__ import annotations

import hashlib
import re
from urllib.parse import quote

from plexstream.sdk.errors import Reject

MAX_TYPE = 200
"""Characters of a content type."""
_MAX_SEGMENT = 200
_OBJECT = re.compile(r"[0-9a-f]{32}")
_HASH = re.compile(r"[0-9a-f]{64}")


def folder_of(owner: str) -> str:
    """The folder of a container, by the address of the actor that keeps its names."""
    parts = owner.split("/")
    return "/".join(map(_segment, parts if len(parts) == 4 else ["default", "default", *parts]))


def check_place(owner: str, hash: str, place: str) -> None:
    """Raises Reject: it is no place where an upload to this container puts bytes of that hash.

    Who is given a name for it reads what is there: so it must be the container's own.
    """
    if not _HASH.fullmatch(hash):
        raise Reject(f"the hash {hash[:80]!r} is none: give the SHA-256 of the bytes, 64 hex digits")
    begins = f"{folder_of(owner)}/sha256/{hash[:2]}/{hash[2:]}."
    if not place.startswith(begins) or not _OBJECT.fullmatch(place[len(begins) :]):
        raise Reject(f"the place {place[:120]!r} is none of {owner}'s with this hash: upload it there")


def check_type(content_type: str) -> None:
    """Raises Reject: it can be no header."""
    if len(content_type) > MAX_TYPE or not (content_type.isascii() and content_type.isprintable()):
        raise Reject(
            f"content type {content_type[:40]!r}: give a line of ASCII, at most {MAX_TYPE} characters, as "
            "text/plain"
        )


def _segment(name: str) -> str:
    plain = quote(name, safe="", errors="surrogatepass").replace("~", "%7E")
    if plain.startswith("."):
        plain = f"%2E{plain[1:]}"
    plain = plain.replace("%", "~")  # which S3 signs as it is
    return plain if len(plain) <= _MAX_SEGMENT else f"~-{hashlib.sha256(plain.encode()).hexdigest()}"
