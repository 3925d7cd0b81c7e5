"""What a request's head must be for it to be heard, whatever it asks for, and what a connection ends with."""

from __future__ import annotations

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from plexstream.edge.http.problems import Header, Problem, answer


def check(version: str, url: bytes, headers: list[Header]) -> None:
    """Raises Problem for a head that is none. Where the whole URL is given, its host becomes the header's."""
    if url[:1] != b"/":
        _take_host(url, headers)
    # The parser takes other versions for 1.1, and leaves codings that it does not know in the body.
    if version not in ("1.0", "1.1"):
        raise Problem(400, "bad_request", f"HTTP/{version} is not spoken here: use HTTP/1.1")
    for name, value in headers:
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            coding = value[:80].decode("latin-1")
            detail = f"Transfer-Encoding {coding!r} is not supported: use chunked alone"
            raise Problem(501, "not_supported", detail)


def _take_host(url: bytes, headers: list[Header]) -> None:
    of = httptools.parse_url(url)
    if not (of.host and of.path):
        raise Problem(400, "bad_request", "the request's target is no path: begin it with /")
    host = of.host if not of.port else b"%s:%d" % (of.host, of.port)
    headers[:] = [h for h in headers if h[0] != b"host"] + [(b"host", host)]


def has_body(headers: list[Header]) -> bool:
    """Whether a request says that it has a body."""
    return any(name in (b"transfer-encoding", b"content-length") and value != b"0" for name, value in headers)


def last_answer(problem: Problem, path: bytes, always: list[Header]) -> bytes:
    """The problem that a connection ends with, as bytes. `always`: headers of all answers."""
    status, headers, body = answer(problem, path.decode("latin-1"))
    lines = [STATUS_LINE[status]]
    for name, value in [*always, *headers, (b"connection", b"close")]:
        lines += [name, b": ", value, b"\r\n"]
    return b"".join([*lines, b"\r\n", body])
