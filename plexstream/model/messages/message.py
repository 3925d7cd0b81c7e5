"""Messages to actors, as they stand in mailboxes and replies."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import NamedTuple


class Kind(IntEnum):
    """What an envelope asks of its receiver."""

    TELL = 0  # no answer
    ASK = 1  # answered by REPLY or ERROR to `reply_to`
    REPLY = 2  # payload is the result
    ERROR = 3  # payload is an ErrorBody


TELL, ASK, REPLY, ERROR = Kind.TELL.value, Kind.ASK.value, Kind.REPLY.value, Kind.ERROR.value

TOO_LARGE = "too_large"
"""The header of what has come in the place of a message that its mailbox did not take for its size: why."""


class Envelope(NamedTuple):
    """One message. `time` is in milliseconds since the Unix epoch.

    `origin` and `origin_seq`, `origin_index` say who sent it and its number there, rising along each
    origin: a receiver drops what is not newer. Without an origin there is no such check.
    """

    kind: int
    id: str
    target: str
    handler: str
    payload: bytes
    sender: str = ""
    reply_to: str = ""
    idempotency_key: str = ""
    time: int = 0
    headers: dict[str, str] = {}  # noqa: RUF012  never changed; copied by whoever adds to it
    origin: str = ""
    origin_seq: int = 0
    origin_index: int = 0


_DEADLINE = re.compile(r"~(\d{13})")


def with_deadline(id: str, due: int) -> str:
    """The id of an ask after which nobody waits for its answer from `due` on, in ms since the Unix epoch.

    It is part of the id, as that goes wherever the ask goes, and is what the answer is for.
    """
    return f"{id}~{due:013}"


def deadline_of(id: str) -> int:
    """From when on nobody waits for the answer to an ask; 0: its id does not tell."""
    if id[-14:-13] != "~":
        return 0
    match = _DEADLINE.fullmatch(id[-14:])
    return int(match[1]) if match is not None else 0


class Applied(NamedTuple):
    """What a tuple space has applied, as its topic tells it; the record's key is the space's address."""

    number: int  # rises by one, along each space
    op: str  # "out", "in", "expire" or "renew"
    entry: int  # the tuple's number in its space
    tuple: str  # JSON: a list
    due: int  # when it expires, in ms since the epoch; 0: never
    by: str  # the address of the actor that asked for it; "": none did
    for_whom: str  # and of the one that it was done for
    time: int  # of the turn, in ms since the epoch


class DeadLetter(NamedTuple):
    """A message that could not be handled, with the reason.

    `payload` is the raw record where it was malformed.
    """

    id: str
    target: str
    sender: str
    handler: str
    payload: bytes
    reason: str  # a CallError code, or "malformed"
    detail: str
    attempts: int
    cause_topic: str
    cause_offset: int
    time: int
    origin: str  # the journal partition that put it aside
    origin_seq: int
    origin_index: int
