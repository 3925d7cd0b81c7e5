"""What ``host.defer``, ``host.reply`` and ``host.reject`` do in a turn."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Protocol

from plexstream.hosts.native.actor.instance import Instance
from plexstream.model.errors import AlreadyDone, UnknownInvocation
from plexstream.model.journal.deferred import (
    REPLY,
    Standing,
    Token,
    call_name,
    make_token,
    read_call,
    read_token,
    standing,
)
from plexstream.model.journal.journal import Out, OutKind
from plexstream.model.messages.text import joined, text

MAX_DETAIL = 2_000
"""Characters of an error's text."""

_TELL, _REPLY, _ERROR, _LATER, _OVER = (
    k.value for k in (OutKind.TELL, OutKind.REPLY, OutKind.ERROR, OutKind.LATER, OutKind.OVER)
)
_ANSWERS = frozenset((_REPLY, _ERROR))


class RunningTurn(Protocol):
    """What the functions here need of the turn.

    Attributes:
        caller: who waits for its answer, as `call_name` says; empty: nobody.
        deferred: what `_here` has found of its `outs`.
    """

    address: str
    caller: str
    instance: Instance
    outs: list[Out]
    deferred: tuple[list[Out], int, dict[str, str]] | None

    def now(self) -> int: ...
    def may_wait(self) -> bool:
        """Whether its handler is run again where it waits."""

    def look(self, name: str, find: Callable[[], Any]) -> Any:
        """What `find` returns, or what it returned when the handler ran before."""


def defer(turn: RunningTurn, salt: str) -> str:
    """Leave the answer to the turn's caller to a later turn; the token for that.

    Parameters:
        salt: what nobody outside knows.
    """
    named = joined(salt, turn.address, turn.caller)
    secret = blake2b(named.encode(), digest_size=8).hexdigest()
    turn.outs.append(Out(_LATER, turn.caller, "", "", b"", secret))
    return make_token(turn.address, turn.caller, secret)


def answer(
    turn: RunningTurn, token: str, value: Any, error: Any, encode: Callable[[Any], bytes]
) -> bool:
    """Answer the call of a token, by `value`, or by `error` where there is one; False: nobody waits.

    Raises:
        ValueError: it is no token.
        UnknownInvocation: this actor has not given it.
        AlreadyDone: the call has its answer.
    """
    if token == "":
        return False
    given = read_token(token)
    if given.owner != turn.address:
        said = {"token": token, "value": value} if error is None else {"token": token, "error": error}
        turn.outs.append(Out(_TELL, "", given.owner, REPLY, encode(said)))
        return True
    id, reply_to = read_call(given.call)
    data = encode(value if error is None else error)
    how = _found(turn, given, f"reply {id}")
    if how is Standing.ANSWERED:
        raise AlreadyDone(f"the call {id} of {turn.address} has its answer already: the first one counts")
    if how is Standing.GONE:
        turn.outs.append(Out(_OVER, given.call, "", "", b""))
        return False
    turn.outs.append(Out(_REPLY if error is None else _ERROR, id, reply_to, "", data))
    return True


def refusal(code: str, detail: str, data: Any) -> dict[str, Any]:
    """An error that an answer is."""
    body = {"code": code, "detail": text(detail, MAX_DETAIL)}
    return body if data is None else {**body, "data": data}


def awaited(turn: RunningTurn, token: str) -> bool:
    """Whether somebody waits for the answer to a token's call.

    Raises:
        ValueError: it is no token, or one of another actor, who alone knows.
        UnknownInvocation: this actor has not given it.
    """
    if token == "":
        return False
    given = read_token(token)
    if given.owner != turn.address:
        raise ValueError(f"host.awaited: the token is of {given.owner}, and {turn.address} cannot know")
    return _found(turn, given, f"awaited {read_call(given.call)[0]}") is Standing.WAITS


def _found(turn: RunningTurn, token: Token, name: str) -> Standing:
    """How a call stands, seen again where the handler runs again. Raises UnknownInvocation."""

    def find() -> str:
        return _standing(turn, token).value

    how = Standing(turn.look(name, find) if turn.may_wait() else find())
    if how is Standing.FORGED:
        raise UnknownInvocation(f"{turn.address} has deferred no reply by this token: its secret is another")
    return how


def _standing(turn: RunningTurn, token: Token) -> Standing:
    secret = _here(turn).get(token.call)
    if secret is None:
        return standing(turn.instance.reader.get, token, turn.now())
    if not secret:
        return Standing.ANSWERED
    return Standing.WAITS if secret == token.secret else Standing.FORGED


def _here(turn: RunningTurn) -> dict[str, str]:
    """The calls that this turn itself has left to a later one, with their secrets, or answered: ""."""
    outs, known = turn.outs, turn.deferred
    if known is None or known[0] is not outs or known[1] > len(outs):
        known = outs, 0, {}
    found = known[2]
    for out in outs[known[1] :] if known[1] else outs:
        if out.kind == _LATER:
            found[out.id] = out.key
        elif out.kind == _OVER:
            found[out.id] = ""
        elif out.kind in _ANSWERS:
            found[call_name(out.id, out.target)] = ""
    turn.deferred = outs, len(outs), found
    return found
