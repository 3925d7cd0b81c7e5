"""Attempts that have failed: what is written down of one, so that counting goes on after a crash."""

from __future__ import annotations

import json
from typing import NamedTuple

from plexstream.model.journal.journal import Completion, Control

FIELD = "$attempt"
"""Field in which an actor keeps what became of a tell that is to be tried again. No class can declare it."""
MAX_DETAIL = 2_000
"""Characters of an error that are kept with an attempt."""


class Undone(NamedTuple):
    """What a handler does again that is recorded of it: all from command `at` on, and those in `again`.

    `sent`: how many outgoing items the handler had made by then; -1: as it asks for command `at`.
    """

    at: int
    sent: int = -1
    again: tuple[int, ...] = ()

    def has(self, number: int) -> bool:
        """Whether it takes back a command."""
        return number >= self.at or number in self.again


class Attempt(NamedTuple):
    """The latest of some attempts, which has failed and is not the last. Times are in ms since the epoch.

    `step`: the command whose effect it was; -1: the handler itself. `cause`: its message, where that waits
    outside of the journal. `undone`: what the next attempt asks for again, as it has made this one fail.
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
    undone: Undone | None = None


def encode_attempt(a: Attempt) -> bytes:
    """An attempt as the JSON of an error whose `data` is about the attempt."""
    data: dict[str, object] = {"attempt": a.number, "of": a.of, "began": a.began, "next": a.next}
    if a.step >= 0:
        data["step"] = a.step
    if a.undone is not None:
        data["again"] = a.undone
    body = {"code": a.code, "detail": a.detail[:MAX_DETAIL], "data": data}
    if a.cause:
        body.update(cause=a.cause, handler=a.handler)
    return json.dumps(body, separators=(",", ":")).encode()


def decode_attempt(value: bytes | None) -> Attempt | None:
    """The inverse of `encode_attempt`; None where there is none, or an error that tells of no attempt."""
    if value is None:
        return None
    try:
        body = json.loads(value)
        data = body["data"]
        undone = None
        if "again" in data:
            at, sent, again = data["again"]
            undone = Undone(at, sent, tuple(again))
        return Attempt(
            data["attempt"], data["of"], data["began"], data["next"], body["code"], body["detail"],
            data.get("step", -1), body.get("cause", ""), body.get("handler", ""), undone,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError):
        return None


def undone_by(completion: Completion) -> Undone | None:
    """What a restart from a step, or an attempt that has failed, takes back; None where it is neither."""
    if completion.number == Control.RESTART:
        return Undone(int(completion.value))
    if completion.number == Control.NOTED and completion.failed:
        attempt = decode_attempt(completion.value)
        return None if attempt is None else attempt.undone
    return None
