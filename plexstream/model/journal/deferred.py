"""Deferred replies: who waits for an answer that a later turn gives, and the token that gives it.

All of it is ordinary durable state of the actor that owes the answer, in two collections. A *call* is named
by its id and whom to answer (`call_name`).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from plexstream.model.messages.message import deadline_of
from plexstream.model.messages.text import joined, taken_apart

CALLS = "$calls"
"""Collection: calls that a later turn is to answer, by `call_name`: a `Deferred` each."""
KEYED = "$keyed"
"""Collection: of `CALLS`, those with an idempotency key: who gets the same answer (`Pending`), by name."""

REPLY, WITHDRAW, SWEEP = "$reply", "$withdraw", "$sweep"
"""Handlers of the system's messages to an actor that owes answers: of another actor that has the token, of
who has asked and waits no more, and of itself, after its end, to tell those who are left."""

SAME = "same"
"""The note of an answer to a call that no handler answered: it is that of another call with the same key."""
TOLD = ""

_TOKEN = re.compile(r"def_([A-Za-z0-9_-]+)\.([0-9a-f]{16})", re.ASCII)
_MAX_TOKEN = 4_000


class Deferred(NamedTuple):
    """One who waits.

    Attributes:
        secret: of the token; empty: there is none, another call's answers this one, too.
        number: of the turn or invocation that left the answer to a later one.
        since: in ms since the Unix epoch.
        handler: what was called.
        outcome: names that of the call's idempotency key; empty: it has none.
        gone: it has withdrawn.
        turn: number of the actor's latest turn when it was left: an end tells those up to its own.
    """

    secret: str
    number: int
    since: int
    handler: str
    outcome: str = ""
    gone: bool = False
    turn: int = 0


class Pending(NamedTuple):
    """A call with an idempotency key that is answered later: its handler, the digest of its arguments, and
    the names of all calls that get its answer; `TOLD` among them, where tells were as well."""

    handler: str
    digest: str
    calls: list[str]


class Token(NamedTuple):
    """What answers a call: the actor that owes the answer, the call, and the secret."""

    owner: str
    call: str
    secret: str


class Standing(Enum):
    """How a call stands that a token names."""

    WAITS = "waits"
    GONE = "gone"  # whoever asked waits no more
    ANSWERED = "answered"
    FORGED = "forged"  # the secret is another


def call_name(id: str, reply_to: str) -> str:
    """What names a call that is answered later: by which id, and whom to answer."""
    return joined(id, reply_to)


def read_call(name: str) -> tuple[str, str]:
    """The id of a call and whom to answer."""
    return taken_apart(name)


def make_token(owner: str, call: str, secret: str) -> str:
    """The token as users keep it: letters, digits, ``_``, ``-`` and ``.``."""
    named = base64.urlsafe_b64encode(joined(owner, call).encode()).decode().rstrip("=")
    return f"def_{named}.{secret}"


def read_token(token: object) -> Token:
    """Take a token apart. Raises ValueError: it is none."""
    found = _read_token(token) if isinstance(token, str) and len(token) < _MAX_TOKEN else None
    if found is None:
        shown = repr(token)[:80]
        raise ValueError(f"{shown} is no token of a deferred reply: give what host.defer returned")
    return found


@lru_cache(maxsize=1024)
def _read_token(token: str) -> Token | None:
    match = _TOKEN.fullmatch(token)
    if match is None:
        return None
    try:
        named = base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)).decode()
    except ValueError:
        return None
    owner, call = taken_apart(named)
    return Token(owner, call, match[2]) if owner and all(read_call(call)) else None


def encode_deferred(entry: Deferred) -> bytes:
    """One who waits, as the JSON of an entry."""
    return json.dumps(entry, separators=(",", ":")).encode()


def decode_deferred(data: bytes) -> Deferred:
    """The one who waits that an entry is."""
    return Deferred(*json.loads(data))


def decode_pending(data: bytes) -> Pending:
    """What an entry of `KEYED` says."""
    return Pending(*json.loads(data))


def is_there(call: str, entry: Deferred, now: int) -> bool:
    """Whether who made a call waits for its answer: has not withdrawn, and its deadline has not passed."""
    due = deadline_of(read_call(call)[0])
    return not (entry.gone or 0 < due <= now)


def is_waited_for(get: Callable[[str, str], bytes | None], call: str, entry: Deferred, now: int) -> bool:
    """Whether anybody waits for the answer to a call, be it under its idempotency key.

    Parameters:
        get: finds the entry of a collection by its key.
        now: in ms since the Unix epoch.
    """
    if is_there(call, entry, now):
        return True
    keyed = get(KEYED, entry.outcome) if entry.outcome else None
    for other in decode_pending(keyed).calls if keyed is not None else ():
        if other == TOLD:
            return True  # its sender may look for the outcome
        found = get(CALLS, other) if other != call else None
        if found is not None and is_there(other, decode_deferred(found), now):
            return True
    return False


def standing(get: Callable[[str, str], bytes | None], token: Token, now: int) -> Standing:
    """How the call of a token stands; parameters as of `is_waited_for`."""
    data = get(CALLS, token.call)
    if data is None:
        return Standing.ANSWERED
    entry = decode_deferred(data)
    if entry.secret != token.secret:
        return Standing.FORGED
    return Standing.WAITS if is_waited_for(get, token.call, entry, now) else Standing.GONE
