"""What goes into a processor and comes out of it, besides the model."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from plexstream.model.host import Effect
from plexstream.model.journal.journal import Mark, Step, Turn
from plexstream.model.messages.text import shown, text

_DETAIL = 4_000
_SHOWN = 200


class BadRecord(NamedTuple):
    """An inbox record that is no message."""

    detail: str
    raw: bytes


class Answer(NamedTuple):
    """A reply that no turn carries: of a read-only handler, or kept for an idempotency key.

    With `handler`, a message from `sender` that may get lost.
    """

    reply_to: str
    id: str
    kind: int  # REPLY or ERROR
    payload: bytes
    handler: str = ""
    sender: str = ""


class Group(NamedTuple):
    """Records appended together, and the answers that their acknowledgement releases.

    Attributes:
        records: as they were made: what runs ahead of the log knows them by their identity.
        numbered: as they are on the log.
    """

    number: int
    records: list[Turn | Step | Mark]
    numbered: list[Turn | Step | Mark]
    answers: list[Answer]


class EffectCall(NamedTuple):
    """An effect that may start, as attempt number `attempt`; the first began at `began`, `spent` ms ago."""

    address: str
    invocation: int
    number: int
    effect: Effect
    attempt: int = 1
    began: int = 0
    spent: int = 0


def error_body(code: str, detail: str, data: Any) -> bytes:
    """The payload of an ERROR, as callers read it."""
    body: dict[str, Any] = {"code": code, "detail": text(detail, _DETAIL)}
    if data is not None:
        body["data"] = data
    try:
        return json.dumps(body, allow_nan=False).encode()
    except Exception:  # no JSON, NaN in it, nested too deeply, or what code of users raises
        return json.dumps({**body, "data": shown(data, _SHOWN)}).encode()


def error_of(body: bytes) -> tuple[str, str]:
    """The code and the text of an error that `error_body` has made."""
    said = json.loads(body)
    return said["code"], said["detail"]
