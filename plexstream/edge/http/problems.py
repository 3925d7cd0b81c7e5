"""Errors as HTTP answers: RFC 9457 problem documents with a stable `code`."""

from __future__ import annotations

from asyncio import CancelledError
from typing import Any

import msgspec

from plexstream.model.errors import BadAddress, CallError, LogError, LogUnavailable, TopicMissing
from plexstream.model.messages.again import STOPPED

Header = tuple[bytes, bytes]
Answer = tuple[int, list[Header], bytes]
"""Status, headers, body: all that an answer consists of."""

TRY_AGAIN = (b"retry-after", b"1")
_encode = msgspec.json.Encoder(enc_hook=repr).encode


class Problem(Exception):
    """A request that is answered by a problem document. Raised by the parts of the HTTP edge."""

    def __init__(
        self, status: int, code: str, detail: str, *, data: object = None, headers: tuple[Header, ...] = ()
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.data = data
        self.headers = headers


def of(error: BaseException) -> Problem:
    """The problem that stands for `error`. What is no error of plexstream's gives away nothing."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, CancelledError):  # the server ends
        return stopping()
    if isinstance(error, CallError):
        headers: tuple[Header, ...] = ()
        if error.status == 405:
            headers = ((b"allow", b"POST, OPTIONS"),)
        elif error.status == 503:
            headers = (TRY_AGAIN,)
        return Problem(error.status, error.code, error.detail, data=error.data, headers=headers)
    if isinstance(error, BadAddress):
        return Problem(400, "bad_address", str(error))
    if isinstance(error, TopicMissing):
        return Problem(404, "topic_missing", str(error))
    if isinstance(error, LogUnavailable):
        return Problem(503, "log_unavailable", str(error), headers=(TRY_AGAIN,))
    if isinstance(error, LogError):
        return Problem(503, "log_error", str(error), headers=(TRY_AGAIN,))
    return Problem(500, "internal", "the server failed; its own log says why")


def stopping() -> Problem:
    """The server ends before the request has its answer."""
    return Problem(
        503, "shutting_down", f"this node is being stopped, and {STOPPED}", headers=(TRY_AGAIN,),
    )  # fmt: skip


def answer(problem: Problem, instance: str, request_id: bytes = b"") -> Answer:
    """`problem` as an answer. `instance` is the path that was asked for."""
    body: dict[str, Any] = {
        "type": f"urn:plexstream:problem:{problem.code}",
        "title": title(problem.code),
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "code": problem.code,
    }
    if problem.data is not None:
        body["data"] = problem.data
    if request_id:
        body["request_id"] = request_id.decode("latin-1")
    content = _encode(_clean(body))
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(content))]
    if request_id:
        headers.append((b"x-request-id", request_id))
    return problem.status, [*headers, *problem.headers], content


def title(code: str) -> str:
    """A short title for people: ``timed_out`` is "Timed out"."""
    return code.replace("_", " ").capitalize()


def _clean(body: dict[str, Any]) -> dict[str, Any]:
    # Text that came in as bytes may hold lone surrogates, which JSON in UTF-8 cannot carry.
    return {k: v.encode(errors="replace").decode() if isinstance(v, str) else v for k, v in body.items()}
