"""What callers saw of the steady system actors, as histories that have to be linearizable."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from plexstream.model.messages.address import type_of
from plexstream.model.messages.message import ERROR
from plexstream.testing.linearizability.models.lock import Lock
from plexstream.testing.linearizability.models.queue import Queue
from plexstream.testing.linearizability.models.register import Register
from plexstream.testing.linearizability.models.space import Space
from plexstream.testing.linearizability.operation import NEVER, UNKNOWN, Operation, text
from plexstream.testing.linearizability.search import Report, check_all
from plexstream.testing.simulation.cast.clients import Call
from plexstream.testing.simulation.cast.coordinated import STEADY

STEPS = 50_000
"""Steps of a search, after which it gives up: few do, and those are counted apart."""

Told = tuple[str, str, Any, Any]
"""Which part of an actor, and of a call there: its name, arguments, and answer."""


class Kind(NamedTuple):
    """How calls of one kind of actor are read: by handler, what its model takes; None: of no interest."""

    model: Any
    read: Callable[[str, dict[str, Any], Any], Told | None]


class Refused:
    """The answer of a call that was refused."""


REFUSED = Refused()


def check(calls: Iterable[tuple[str, Call]], long: int) -> Report:
    """Check what callers saw.

    Parameters:
        calls: each with the caller's name.
        long: until when no lease has ended, in ms since the epoch: what was heard later counts as unknown.
    """
    reports = []
    found: dict[str, dict[str, list[Operation]]] = {}
    for caller, call in calls:
        kind = type_of(call.envelope.target)
        if kind in KINDS and f"/{kind}/{STEADY}" in call.envelope.target:
            arguments = json.loads(call.envelope.payload)
            told = KINDS[kind].read(call.envelope.handler, arguments, _answer(call, long))
            if told is not None:
                part, *of = told
                returned = call.replied if of[2] is not UNKNOWN else NEVER
                op = Operation(caller, of[0], of[1], of[2], call.sent, returned)
                found.setdefault(kind, {}).setdefault(f"{call.envelope.target} {part}", []).append(op)
    for kind, histories in found.items():
        reports.append(check_all(histories, KINDS[kind].model, STEPS))
    return Report(
        sum(report.held for report in reports),
        {obj: why for report in reports for obj, why in report.broken.items()},
        {obj: why for report in reports for obj, why in report.gave_up.items()},
    )


def _answer(call: Call, long: int) -> Any:
    if call.reply is None or call.heard_at > long:
        return UNKNOWN
    kind, payload = call.reply
    value = json.loads(payload)
    if kind != ERROR:
        return value
    return REFUSED if value["code"] == "rejected" else UNKNOWN


def _kv(handler: str, a: dict[str, Any], answer: Any) -> Told | None:
    if answer is REFUSED:
        return None
    known = answer is not UNKNOWN
    if handler == "get":
        row = answer[0] if known else None
        return a["keys"][0], "read", None, (text(row[0]), row[1]) if row else None if known else UNKNOWN
    if handler == "put":
        ((key, value),) = a["entries"].items()
        return key, "write", text(value), answer[0] if known else UNKNOWN
    if handler == "cas":
        return a["key"], "cas", (text(a["value"]), a["version"]), tuple(answer) if known else UNKNOWN
    if handler == "delete":
        return a["keys"][0], "delete", None, bool(answer) if known else UNKNOWN
    return a["key"], "increment", a.get("by", 1), answer


def _lock(handler: str, a: dict[str, Any], answer: Any) -> Told | None:
    if handler == "acquire":
        token = answer["token"] if isinstance(answer, dict) else answer
        return None if answer is REFUSED else ("", "acquire", None, token)
    holds = UNKNOWN if answer is UNKNOWN else answer is not REFUSED
    return "", handler, a["token"], holds


def _queue(handler: str, a: dict[str, Any], answer: Any) -> Told | None:
    if handler not in ("send", "receive") or answer is REFUSED:
        return None
    if handler == "send":
        return "", "send", a["messages"][0], answer
    item = answer if answer is UNKNOWN else answer[0]["value"] if answer else None
    return "", "receive", None, item


def _space(handler: str, a: dict[str, Any], answer: Any) -> Told | None:
    if answer is REFUSED:
        return None
    if handler == "write":
        return "", "write", a["tuple"], answer
    known, what = answer is not UNKNOWN, {"peek": "read"}.get(handler, handler)
    if known and handler == "peek":
        answer, decided = answer
        if not decided:
            return None
    if known and handler == "count":
        answer = answer["count"]
    elif known and handler in ("read_all", "take_all"):
        answer = [text(entry["tuple"]) for entry in answer["entries"]]
    elif known and answer is not None:
        answer = text(answer["tuple"])
    return "", what, a["pattern"], answer


KINDS = {
    "plex.kv": Kind(Register(), _kv),
    "plex.lock": Kind(Lock(), _lock),
    "plex.queue": Kind(Queue(), _queue),
    "plex.space": Kind(Space(), _space),
}
"""By the name of the type."""
