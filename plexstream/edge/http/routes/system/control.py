"""Control over HTTP: completing awakeables and promises, and what is done to handlers that wait.

    POST /v1/awakeables/{id}/resolve|reject
    POST /v1/promises/[{tenant}/{namespace}/]{type}/{id}/{name}/resolve|reject
    POST /v1/invocations/[{tenant}/{namespace}/]{type}/{id}[/{number}]/cancel|kill|pause|resume|restart
    POST /v1/invocations/{invocation id}/cancel|kill|pause|resume|restart

A system outside knows no more than the path: what it posts to ``resolve`` is the value, whatever JSON it is.
"""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec

from plexstream.edge.http.problems import Problem
from plexstream.edge.http.routes.paths import MAX_PATH, parts_of, text_of
from plexstream.model.errors import BadAddress, UnknownInvocation
from plexstream.model.messages import address, idempotency
from plexstream.model.messages.awakeable import read_id
from plexstream.model.messages.control import ACTIONS, COMPLETE, PROMISE

PATHS = {
    "awakeables": "{id}/resolve or reject",
    "promises": "{type}/{id}/{name}/resolve or reject",
    "invocations": f"{{type}}/{{id}}/{{number}}/{', '.join(ACTIONS)}",
}
"""What is below ``/v1/``, with its shape for people."""
_encode = msgspec.json.Encoder().encode


class Order(NamedTuple):
    """A message to the system."""

    target: str
    handler: str
    payload: bytes


class _Rejection(msgspec.Struct, forbid_unknown_fields=True):
    error: str = "rejected from outside"


class _From(msgspec.Struct, forbid_unknown_fields=True):
    at: Annotated[int, msgspec.Meta(ge=0)] = msgspec.field(name="from")


def order(raw_path: bytes, body: bytes) -> Order:
    """What a request asks the system for.

    Raises:
        Problem: 400 for a path or a body that cannot be, 404 for a path of no known shape.
        UnknownInvocation: the id is none of an awakeable, or of an invocation.
    """
    if len(raw_path) > MAX_PATH:
        raise Problem(400, "bad_address", f"a path of {len(raw_path)} bytes; at most {MAX_PATH} are allowed")
    raw = raw_path[1:].split(b"/")
    if not any(raw[2:]):
        raise _no_route(raw[1].decode("latin-1"))
    name = text_of(raw.pop(-2)) if raw[1] == b"promises" and len(raw) in (6, 8) else None
    _, what, *parts = parts_of(b"/".join(raw))
    verb = parts.pop() if parts else ""
    if what == "awakeables" and len(parts) == 1:
        return _awakeable(parts[0], verb, body)
    if name is not None and verb in ("resolve", "reject"):
        return Order(address.full("/".join(parts)), PROMISE, _payload({"name": name}, verb, body))
    if what == "invocations" and len(parts) in (1, 2, 3, 4, 5) and verb in ACTIONS:
        of: dict[str, Any] = {}
        if len(parts) == 1:
            target, of["name"], of["digest"] = idempotency.read_id(parts[0])
        else:
            if len(parts) in (3, 5):
                of["invocation"] = _number(parts.pop())
            target = address.full("/".join(parts))
        if verb == "restart":
            of |= _restart(body)
        return Order(target, ACTIONS[verb], _encode(of))
    raise _no_route(what)


def _awakeable(id: str, verb: str, body: bytes) -> Order:
    if verb not in ("resolve", "reject"):
        raise _no_route("awakeables")
    found = read_id(id)
    try:
        target = address.full(found.address)
    except BadAddress:
        raise UnknownInvocation(f"{id[:80]!r} is no id of an awakeable: they begin with awk_") from None
    return Order(target, COMPLETE, _payload({"id": id}, verb, body))


def _payload(of: dict[str, Any], verb: str, body: bytes) -> bytes:
    try:
        if verb == "resolve":
            body = body or b"null"
            body.decode()
            msgspec.json.decode(body)  # only to see that it is JSON: numbers stay as they are written
            return _encode({**of, "value": msgspec.Raw(body)})
        rejection = msgspec.json.decode(body, type=_Rejection) if body else _Rejection()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        wanted = "the value as JSON" if verb == "resolve" else 'empty, or {"error": "the reason"}'
        raise Problem(400, "bad_json", f"the body must be {wanted}: {error}") from None
    return _encode({**of, "error": rejection.error})


def _restart(body: bytes) -> dict[str, int]:
    try:
        return {"from": msgspec.json.decode(body, type=_From).at if body else 0}
    except (msgspec.DecodeError, RecursionError) as error:
        raise Problem(400, "bad_json", f'the body must be empty, or {{"from": step}}: {error}') from None


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem(
            400, "bad_address", f"{text[:40]!r} is no number of an invocation: `plexstream ps` lists them"
        )
    return int(text)


def is_route(raw_path: bytes, allow: str) -> bool:
    """Whether something is at a path that the methods `allow` take: of orders, which end in a verb."""
    what, *rest = raw_path.split(b"/")[2:] or [b""]
    if "GET" in allow or what.decode("latin-1") not in PATHS:
        return True
    verbs = ACTIONS if what == b"invocations" else ("resolve", "reject")
    return len(rest) > 1 and unquote_to_bytes(rest[-1]).decode("latin-1") in verbs


def _no_route(what: str) -> Problem:
    return Problem(404, "not_found", f"no such route: write /v1/{what}/{PATHS[what]}")
