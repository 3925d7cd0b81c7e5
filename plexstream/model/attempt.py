"""Attempts that have failed: what is written down of one, so that counting goes on after a crash."""

from __future__ import annotations

import json
from typing import NamedTuple

FIELD = "$attempt"
"""Field in which an actor keeps what became of a tell that is to be tried again. No class can declare it."""
MAX_DETAIL = 2_000
"""Characters of an error that are kept with an attempt."""


class Attempt(NamedTuple):
    """The latest of some attempts, which has failed and is not the last. Times are in ms since the epoch.

    `step`: the command whose effect it was; -1: the handler itself. `cause`: its message, where that waits
    outside of the journal.
    """

    number: int  # how many have failed
    of: int  # how many there are at most
    began: int  # the first of them; of a handler: when it failed
    next: int  # when it is tried again
    code: str
    detail: str
    step: int = -1
    cause: str = ""
    handler: str = ""  # of that message


def encode_attempt(a: Attempt) -> bytes:
    """An attempt as the JSON of an error whose `data` is about the attempt."""
    data = {"attempt": a.number, "of": a.of, "began": a.began, "next": a.next}
    if a.step >= 0:
        data["step"] = a.step
    body = {"code": a.code, "detail": a.detail[:MAX_DETAIL], "data": data}
    if a.cause:
        body.update(cause=a.cause, handler=a.handler)
    return json.dumps(body, separators=(",", ":")).encode()


def decode_attempt(value: bytes | None) -> Attempt | None:
    """The inverse of `encode_attempt`; None where there is none, or an error that tells of no attempt."""
    try:
        body = json.loads(value or b"null")
        data = body["data"]
        return Attempt(
            data["attempt"], data["of"], data["began"], data["next"], body["code"], body["detail"],
            data.get("step", -1), body.get("cause", ""), body.get("handler", ""),
        )  # fmt: skip
    except (ValueError, TypeError, KeyError):
        return None
