"""What a client is answered whose request never gets as far as to be one."""

from __future__ import annotations

from plexstream.edge.http.limits import HttpLimits
from plexstream.edge.http.problems import TRY_AGAIN, Problem


def unreadable(error: object) -> Problem:
    """Bytes that are no HTTP."""
    return Problem(400, "bad_request", f"this is no HTTP request that can be read: {error}")


def upgrade() -> Problem:
    """Another protocol is asked for."""
    detail = "Upgrade is not supported, only HTTP/1.1: leave that header out"
    return Problem(501, "not_supported", detail)


def connections(limits: HttpLimits) -> Problem:
    """As many are open as may be, and none is idle."""
    return Problem(
        503, "overloaded",
        f"{limits.connections} connections are open, as many as max_connections in [http] allows: use fewer, "
        "or try again later", headers=(TRY_AGAIN,),
    )  # fmt: skip


def url(limits: HttpLimits) -> Problem:
    """Path and query are too long."""
    return Problem(
        414, "url_too_long",
        f"path and query have more than {limits.url_bytes} bytes: send arguments in the body of a POST",
    )  # fmt: skip


def headers(limits: HttpLimits) -> Problem:
    """There are too many."""
    return Problem(431, "headers_too_large", f"more than {limits.headers} headers: send fewer")


def header_bytes(limits: HttpLimits) -> Problem:
    """They are too long."""
    detail = f"the headers have more than {limits.header_bytes} bytes: send less"
    return Problem(431, "headers_too_large", detail)


def chunks() -> Problem:
    """A body whose frames are most of it."""
    return Problem(400, "bad_request", "the body's chunks are much smaller than what is around them")


def bodies(limits: HttpLimits) -> Problem:
    """All clients together send more than is kept in memory."""
    return Problem(
        503, "overloaded",
        f"the bodies of requests that are under way have more than {limits.body_bytes} bytes together: try "
        "again later", headers=(TRY_AGAIN,),
    )  # fmt: skip


def late(limits: HttpLimits) -> Problem:
    """The request takes too long to arrive."""
    return Problem(
        408, "request_too_slow",
        f"the request was not there as a whole after {limits.request_s:g} s: send it faster, or in parts",
    )  # fmt: skip
