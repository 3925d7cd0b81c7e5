"""Which actor and handler an HTTP path names.

Works on the raw path: a percent-encoded slash must not become a separator, nor `%2e%2e` a parent.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from plexstream.edge.http.problems import Problem
from plexstream.model.errors import BadAddress, BadArguments
from plexstream.model.messages import address
from plexstream.model.messages.control import refuse_system

ACTORS = b"/v1/actors/"
WAITING = "/v1/waiting/"
"""The same for asks that may be answered much later: whose caller goes away, waits no more."""
MAX_PATH = 4096  # bytes; an address has at most 512, and three for each of them when percent-encoded


class Route(NamedTuple):
    """A handler of an actor, and whether the path ends in ``/send``."""

    target: str
    handler: str
    send: bool


def route(raw_path: bytes) -> Route:
    """The route of a path below `ACTORS`.

    Raises:
        Problem: 400 for a path whose parts cannot be an address, 404 for one of no such shape, 422 for a
            handler that is none of an actor's.
    """
    found = _route(raw_path)
    if isinstance(found, Problem):
        # A fresh one each time: the cached one would collect tracebacks.
        raise Problem(found.status, found.code, found.detail)
    return found


@lru_cache(maxsize=16_384)
def _route(raw_path: bytes) -> Route | Problem:
    if len(raw_path) > MAX_PATH:
        return Problem(400, "bad_address", f"a path of {len(raw_path)} bytes; at most {MAX_PATH} are allowed")
    try:
        parts = parts_of(raw_path[len(ACTORS) :]) if len(raw_path) > len(ACTORS) else []
    except BadAddress as error:
        return Problem(400, "bad_address", str(error))
    send = False
    if len(parts) in (4, 6) and parts[-1] == "send":
        send = True
        parts.pop()
    if len(parts) not in (3, 5):
        return Problem(
            404, "not_found",
            f"no such route: write {ACTORS.decode()}type/id/handler or "
            f"{ACTORS.decode()}tenant/namespace/type/id/handler, each with or without /send",
        )  # fmt: skip
    try:
        target = address.full("/".join(parts[:-1]))
    except BadAddress as error:
        return Problem(400, "bad_address", str(error))
    try:
        refuse_system(parts[-1])
    except BadArguments as error:
        return Problem(error.status, error.code, error.detail)
    return Route(target, parts[-1], send)


def parts_of(raw: bytes) -> list[str]:
    """The parts of a path, decoded.

    Raises:
        BadAddress: one of them is no printable text, or has a slash in it.
    """
    return [_part(part) for part in raw.split(b"/")]


def text_of(raw: bytes) -> str:
    """A part of a path that may be any text, decoded. Raises BadAddress: it is no UTF-8."""
    try:
        return unquote_to_bytes(raw).decode()
    except UnicodeDecodeError:
        raise BadAddress(f"{raw[:60]!r} in the path is not UTF-8, percent-encoded or not") from None


def _part(raw: bytes) -> str:
    try:
        part = (unquote_to_bytes(raw) if b"%" in raw else raw).decode()
    except UnicodeDecodeError:
        raise BadAddress(f"{raw[:60]!r} in the path is not UTF-8, percent-encoded or not") from None
    if not part:
        raise BadAddress("a part of the path is empty: leave out the '/' that is too many")
    if part in (".", "..") or "/" in part or not part.isprintable():
        raise BadAddress(f"{part[:60]!r} in the path is not allowed: use printable text without slashes")
    return part
