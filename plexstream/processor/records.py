"""What goes into a processor and comes out of it, besides the model."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from plexstream.model.journal import MEANWHILE, Mark, OutKind, Step, Turn

_REPLY, _ERROR = OutKind.REPLY.value, OutKind.ERROR.value


class Fenced(Exception):
    """Another owner has claimed the partition: forget everything, release nothing."""


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
    """Records appended together, and the answers that their acknowledgement releases."""

    number: int
    records: list[Turn | Step | Mark]
    answers: list[Answer]


def error_body(code: str, detail: str, data: Any) -> bytes:
    """The payload of an ERROR, as callers read it."""
    body: dict[str, Any] = {"code": code, "detail": detail}
    if data is not None:
        body["data"] = data
    try:
        return json.dumps(body).encode()
    except (TypeError, ValueError):
        return json.dumps({**body, "data": repr(data)}).encode()


def error_of(body: bytes) -> tuple[str, str]:
    """The code and the text of an error that `error_body` has made."""
    said = json.loads(body)
    return said["code"], said["detail"]


def reply_of(turn: Turn | Step) -> tuple[int, bytes]:
    """The kind (REPLY or ERROR of `Kind`) and payload of a turn's reply; an empty one where it sent none.

    The last step of a handler may also answer the message that let it go on, which is not its reply.
    """
    other = None
    if type(turn) is Step and turn.status != MEANWHILE:
        begun_by = None if turn.begin is None else turn.begin.id
        other = turn.message_id if turn.message_id != begun_by else None
    own = turn.message_id if type(turn) is Turn else None
    for out in reversed(turn.outs):  # before it, answers that the handler has given to earlier calls
        if out.id == other or (own is not None and out.id != own):
            continue
        if out.kind == _REPLY:
            return 2, out.payload
        if out.kind == _ERROR:
            return 3, out.payload
    return 2, b"null"
