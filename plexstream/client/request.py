"""What a call is, whichever way it goes: its arguments encoded, its result decoded, and where it goes to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import quote

import msgspec

from plexstream.edge.calls.calls import DEFAULT_TIMEOUT, MAX_TIMEOUT
from plexstream.log.base import Log
from plexstream.model.errors import BadAddress, BadArguments, ConfigError, UnknownInvocation
from plexstream.model.messages import address
from plexstream.model.messages.awakeable import read_id
from plexstream.model.messages.control import (
    ACTIONS,
    COMPLETE,
    PROMISE,
    RESULT,
    read_invocation,
    refuse_system,
)
from plexstream.model.messages.idempotency import PREFIX
from plexstream.model.messages.idempotency import read_id as read_invocation_id
from plexstream.model.topics.topics import Topics

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
_new = tuple.__new__  # a named tuple's own costs twice the time


class Request(NamedTuple):
    """One call. `path` and `body`: what it is over HTTP, where it is none of an actor's own handlers."""

    tell: bool
    target: str
    handler: str
    payload: bytes
    timeout: float
    idempotency_key: str
    path: str = ""
    body: bytes = b""
    looks: bool = False  # it only reads, and may be repeated
    waits: bool = False  # the answer may be kept for later: who gives up says so


def request(
    tell: bool,
    target: str,
    handler: str,
    arguments: Mapping[str, Any] | None,
    named: Mapping[str, Any],
    timeout: float | None,
    idempotency_key: str,
) -> Request:
    """Check and encode a call.

    Raises:
        BadAddress: `target` is no address.
        BadArguments: the handler is the system's; the arguments are given both ways, or are no JSON; the
            timeout cannot be.
    """
    refuse_system(handler)
    return _request(tell, target, handler, arguments, named, timeout, idempotency_key)


def _request(
    tell: bool,
    target: str,
    handler: str,
    arguments: Mapping[str, Any] | None,
    named: Mapping[str, Any],
    timeout: float | None,
    idempotency_key: str,
) -> Request:
    if arguments is not None and named:
        raise BadArguments(
            f"{target}.{handler}: give the arguments as one mapping or by name, not both ({', '.join(named)})"
        )
    arguments = named if arguments is None else arguments
    if type(arguments) is not dict and not isinstance(arguments, Mapping):  # nearly all are named ones
        raise BadArguments(f"{target}.{handler}: the arguments are a mapping, not {type(arguments).__name__}")
    try:
        payload = encode(arguments)
    except (TypeError, ValueError, msgspec.EncodeError) as error:
        raise BadArguments(f"{target}.{handler}: the arguments cannot be written as JSON: {error}") from None
    if timeout is None:
        timeout = DEFAULT_TIMEOUT
    if not 0 < timeout <= MAX_TIMEOUT:
        raise BadArguments(f"timeout {timeout!r}: give seconds above 0, at most {MAX_TIMEOUT:.0f}")
    return _new(
        Request,
        (tell, address.full(target), handler, payload, timeout, idempotency_key, "", b"", False, False),
    )


def completion(id: str, outcome: Mapping[str, Any], timeout: float | None) -> Request:
    """Complete an awakeable; `outcome` has its value, or its error.

    Raises:
        UnknownInvocation: `id` is none of an awakeable.
        BadArguments: the value is no JSON; the timeout cannot be.
    """
    found = read_id(id)
    try:
        call = _request(False, found.address, COMPLETE, {"id": id, **outcome}, {}, timeout, "")
    except BadAddress:
        raise UnknownInvocation(f"{id[:80]!r} is no id of an awakeable: they begin with awk_") from None
    return _over_http(call, ("awakeables", id), outcome)


def settlement(target: str, name: str, outcome: Mapping[str, Any], timeout: float | None) -> Request:
    """Complete a promise of the actor `target`. Raises BadAddress, BadArguments."""
    call = _request(False, target, PROMISE, {"name": name, **outcome}, {}, timeout, "")
    return _over_http(call, ("promises", *call.target.split("/"), name), outcome)


def action(
    what: str, invocation: str, timeout: float | None, more: dict[str, int] | None = None
) -> Request:
    """Do something to a handler that waits, `what` of ACTIONS.

    Raises:
        BadAddress, BadArguments: `invocation` is neither ``address#number`` nor an id, or `more` holds what
            is no number of a step.
        UnknownInvocation: it begins like an id, and is none.
    """
    of: dict[str, Any] = {}
    if invocation.startswith(PREFIX):
        target, of["name"], of["digest"] = read_invocation_id(invocation)
        parts = ["invocations", invocation, what]
    else:
        target, number = read_invocation(invocation)
        of = {} if number is None else {"invocation": number}
        parts = ["invocations", *target.split("/"), *map(str, of.values()), what]
    step = (more or {}).get("from", 0)
    if type(step) is not int or step < 0:
        raise BadArguments(f"step is the number of a step, from 0, not {step!r}")
    call = _request(False, target, ACTIONS[what], {**of, **(more or {})}, {}, timeout, "")
    return call._replace(path=_path(parts), body=encode(more) if more else b"")


def look_up(id: str, wait: float, timeout: float | None) -> Request:
    """How an invocation stands. Raises UnknownInvocation, BadArguments."""
    found = read_invocation_id(id)
    if not 0 <= wait <= MAX_TIMEOUT:
        raise BadArguments(f"wait {wait!r}: give seconds from 0 to {MAX_TIMEOUT:.0f}")
    call = _request(False, found.address, RESULT, None, {}, timeout, "")
    path = f"{_path(['invocations', id])}?wait={wait:.3f}"
    return call._replace(timeout=wait + call.timeout, path=path, looks=True)


def _over_http(call: Request, parts: tuple[str, ...], outcome: Mapping[str, Any]) -> Request:
    if "error" in outcome:
        return call._replace(path=_path([*parts, "reject"]), body=encode(outcome))
    return call._replace(path=_path([*parts, "resolve"]), body=encode(outcome["value"]))


def _path(parts: Iterable[str]) -> str:
    return "/v1/" + "/".join(quote(part, safe="") for part in parts)


def result(payload: bytes) -> Any:
    """The value of a result's JSON."""
    return _decode(payload)


class Goal(NamedTuple):
    """Where a client's calls go: over HTTP to `url`, or straight to a log."""

    url: str
    log: Log | None
    owned: bool  # the client opened the log, and closes it
    topics: Topics


def goal(url: str | None, log: Log | None, topics: Topics | None) -> Goal:
    """Where a client made with these arguments sends its calls.

    Raises:
        ConfigError: `url` is missing or of an unknown kind, or both a `url` and a `log` are given.
        LogError: the log at `url` cannot be opened.
    """
    if (url is None) == (log is None):
        raise ConfigError("give a client either a url or a log: Client('http://localhost:8080')")
    names = topics or Topics()
    if log is not None:
        return Goal("", log, False, names)
    assert url is not None
    if url.startswith(("http://", "https://")):
        return Goal(url.rstrip("/"), None, False, names)
    if url.startswith("kafka://"):
        from plexstream.log.open import open_log

        return Goal("", open_log(url), True, names)
    raise ConfigError(f"url {url!r}: write http://host:port, https://host:port or kafka://host:port")
