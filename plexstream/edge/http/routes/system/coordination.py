"""Coordination over HTTP: each operation of a noun by its path.

    POST /v1/{noun}/{name}/{operation}    the operation's arguments by name, as a JSON object
    GET  /v1/{noun}/{name}/{operation}    of those that only read, arguments from the query

The answer is what the operation returns, as JSON.
"""

from __future__ import annotations

import asyncio
import inspect
from typing import Any, NamedTuple

import msgspec

from plexstream.edge.calls.calls import MAX_TIMEOUT
from plexstream.edge.calls.loop import LoopCalls
from plexstream.edge.http.problems import Problem
from plexstream.edge.http.routes.actors import check_arguments, query_arguments
from plexstream.edge.http.routes.paths import MAX_PATH, text_of
from plexstream.model.errors import BadArguments, Rejected
from plexstream.model.messages import address
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.nouns import noun_class
from plexstream.sdk.host.coordination.operation import (
    Call,
    Course,
    Noun,
    Operation,
    Outcome,
    operations,
)

SHAPE = "/v1/{noun}/{name}/{operation}"
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


class Operated(NamedTuple):
    """An operation of a noun that a request asks for, with its arguments."""

    steps: Operation[Any]
    reads: bool


def operated(method: str, raw_path: bytes, query: bytes, body: bytes) -> Operated:
    """What a request asks for.

    Raises:
        Problem: 400 for what cannot be read, 404 for what is not there, 405 for a change by GET.
        BadArguments: it takes others.
    """
    if len(raw_path) > MAX_PATH:
        raise Problem(400, "bad_address", f"a path of {len(raw_path)} bytes; at most {MAX_PATH} are allowed")
    parts = raw_path.split(b"/")[2:]
    if len(parts) != 3 or not all(parts):
        raise Problem(404, "not_found", f"no such route: write {SHAPE}")
    word, name, operation = (text_of(part) for part in parts)
    kind = noun_class(word)
    there = operations(kind) if kind is not None else {}
    if kind is None or operation not in there:
        known = ", ".join(there)
        raise Problem(404, "not_found", f"{word} has no operation {operation[:80]!r}: it has {known}")
    if method != "POST":
        if not there[operation]:
            detail = f"{operation} may change something: use POST, not {method}"
            raise Problem(405, "method_not_allowed", detail, headers=((b"allow", b"POST, OPTIONS"),))
        body = query_arguments(query)
    body = body or b"{}"
    check_arguments(body)
    bound = _bound(kind, name, operation)
    takes = inspect.signature(bound)
    try:
        given = _decode(body)
    except (ValueError, RecursionError) as error:  # 1e999, a number of 5,000 digits
        raise Problem(400, "bad_json", f"the body has what JSON cannot be read of: {error}") from None
    if method != "POST":
        given = {key: _read(text, takes.parameters.get(key)) for key, text in given.items()}
    try:
        takes.bind(**given)
    except TypeError as error:
        names = ", ".join(takes.parameters) or "no arguments"
        raise BadArguments(f"{operation}: {error}; it takes {names}") from None
    return Operated(bound(**given), there[operation])


def _bound(kind: type[Noun], name: str, operation: str) -> Any:
    try:
        return getattr(kind(lambda steps: steps, name), operation)
    except ValueError as error:
        raise BadArguments(str(error)) from None


def _read(text: str, parameter: inspect.Parameter | None) -> Any:
    """An argument of a query: where no text is wanted, and it is JSON, what it says."""
    if parameter is None or parameter.annotation in ("str", str):
        return text
    try:
        return _decode(text)
    except (msgspec.DecodeError, RecursionError):
        return text


async def run(steps: Operation[Any], calls: LoopCalls, timeout: float, key: str) -> bytes:
    """Run an operation; its result as JSON.

    Parameters:
        timeout: of each of its calls, in seconds, beside what it waits by its own arguments.
        key: an idempotency key, of which each call gets one of its own.

    Raises:
        BadArguments: the operation refuses its arguments.
        Rejected: it refuses what its calls have come to. And what they raise.
    """
    course = Course(steps)
    try:
        wanted = course.begin()
    except (TypeError, ValueError, AttributeError) as wrong:  # of its own checks
        raise BadArguments(str(wrong)) from None
    try:
        while wanted:
            keys = course.keys(key, wanted)
            asks = [_ask(calls, call, timeout, own) for call, own in zip(wanted, keys, strict=True)]
            found = await asyncio.gather(*asks, return_exceptions=True)
            wanted = course.go_on([_outcome(one) for one in found])
    except Reject as refusal:
        raise Rejected(refusal.reason, refusal.data) from None
    return _encode(course.value)


def _ask(calls: LoopCalls, call: Call, timeout: float, key: str) -> asyncio.Future[bytes]:
    limit = MAX_TIMEOUT if call.wait is None else min(MAX_TIMEOUT, timeout + call.wait)
    limit = limit if call.limit is None else min(limit, call.limit)
    target = address.full(f"{call.type}/{call.id}")
    ask = calls.ask if call.wait == 0 else calls.ask_while_wanted
    return ask(target, call.handler, _encode(call.arguments), timeout=limit, idempotency_key=key)


def _outcome(found: bytes | BaseException) -> Outcome:
    if isinstance(found, Exception):
        return Outcome(None, found)
    if isinstance(found, BaseException):
        raise found
    return Outcome(_decode(found), None)
