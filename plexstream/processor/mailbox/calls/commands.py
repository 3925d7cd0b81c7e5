"""Messages that the processor handles itself: awakeables, promises, and what is done to handlers that wait.

Each is an ordinary message to the actor, with a handler whose name no actor can declare. Their payload is a
JSON object; the answer to an ask is a JSON object, or an error.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from plexstream.model.errors import AlreadyDone, BadArguments, CallError, UnknownInvocation
from plexstream.model.journal.journal import (
    Change,
    CommandKind,
    Completion,
    Out,
    OutKind,
)
from plexstream.model.messages import idempotency
from plexstream.model.messages.awakeable import read_id
from plexstream.model.messages.message import ASK, REPLY, Envelope
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.actors.times.expiry import Expiry
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import Answer, error_body
from plexstream.processor.mailbox.calls.changes import Changes
from plexstream.processor.mailbox.calls.deferrals import Deferrals
from plexstream.processor.mailbox.calls.outcomes import Outcomes
from plexstream.processor.waiting.events.deadlock import FOUND, PROBE
from plexstream.processor.waiting.invocation.invocation import PROMISES, Cause, Invocation, cause_of
from plexstream.processor.waiting.invocations import Invocations

_REPLY = OutKind.REPLY.value
_A = TypeVar("_A")
_Handle = Callable[[_A, Cause, Envelope, dict[str, Any]], bool | None]


class Commands:
    """Carries them out."""

    def __init__(
        self, ledger: Ledger, refusals: Refusals, expiry: Expiry, changes: Changes, outcomes: Outcomes,
        deferrals: Deferrals, invocations: Invocations,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._refusals = refusals
        self._expiry = expiry
        self._changes = changes
        self._outcomes = outcomes
        self._deferrals = deferrals
        self._invocations = invocations
        self._handlers: dict[str, _Handle[Actor]] = {
            PROBE: invocations.deadlocks.probe,
            FOUND: invocations.deadlocks.found,
            "$complete": self._complete,
            "$promise": self._promise,
            "$cancel": self._cancel,
            "$end": self._end,
            "$pause": self._pause,
            "$resume": self._resume,
            "$restart": self._restart,
            **deferrals.handlers,
        }

    def take(self, actor: Actor, topic: str, offset: int, e: Envelope) -> bool:
        """Handle a message of the system; False where its handler is none of the processor's."""
        handle = self._handlers.get(e.handler)
        return handle is not None and self._do(handle, actor, topic, offset, e)

    def _do(self, handle: _Handle[_A], actor: _A, topic: str, offset: int, e: Envelope) -> bool:
        """Whether it is handled, be it that it was refused."""
        try:
            return handle(actor, cause_of(topic, offset, e), e, _body(e)) is not False
        except CallError as error:
            self._refusals.refuse(topic, offset, e, error.code, error.detail, error.data)
            return True

    def take_unloaded(self, topic: str, offset: int, e: Envelope, code: str) -> bool:
        """The same where the actor cannot be loaded, for what needs no code; `code`: why it cannot."""
        handle = self._deferrals.unloaded.get(e.handler)
        return handle is not None and code != "bad_arguments" and self._do(handle, None, topic, offset, e)

    def _complete(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"id": …, "value": …}`` or ``{"id": …, "error": text}``: an awakeable gets its value."""
        failed, value = _value(e, body, {"id"})
        found = read_id(str(body.get("id", "")))
        inv, command = self._invocations.answers.find(found.reference)
        if inv is None or found.address != actor.address:
            raise UnknownInvocation(f"nobody waits for the awakeable {body['id']}: its handler has ended")
        if command is None:
            raise AlreadyDone(f"the awakeable {body['id']} has its value already, and keeps it")
        if command.kind != CommandKind.AWAKEABLE or command.name != found.secret:
            raise UnknownInvocation(f"{body['id']} is no awakeable that anybody waits for")
        outs = _answer(e, {"address": actor.address, "invocation": inv.number})
        self._invocations.answers.come(inv, [Completion(command.number, failed, value)], cause, outs)

    def _promise(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"name": …, "value": …}`` or with ``"error"``: a promise of the actor gets its value."""
        failed, value = _value(e, body, {"name"})
        name = body.get("name")
        if not isinstance(name, str) or not name:
            raise BadArguments(f"{e.handler}: name is a text, not {name!r}")
        known = self._ledger.pieces.promise(actor.address, PROMISES, name)
        if known is not None and not self._expiry.expired(actor):
            raise AlreadyDone(f"the promise {name!r} of {actor.address} has its value already, and keeps it")
        data = b'["e",%b]' % value if failed else b'["v",%b]' % value
        self._changes.change(actor, cause, e, [Change(PROMISES, name, data)], _answer(e, {"name": name}))

    def _find(self, actor: Actor, e: Envelope, body: dict[str, Any]) -> Invocation:
        """The invocation that is meant: by its number, or the one that waits."""
        number = body.get("invocation")
        live = self._invocations.live.get(actor.address, {})
        if "name" in body:
            named = self._outcomes.live(actor.address, str(body["name"]), str(body.get("digest", "")))
            if named is None:
                what = "has no such invocation that waits; it may have ended"
                raise UnknownInvocation(f"{actor.address} {what}")
            number = named.number
        if number is None and len(live) == 1:
            number = next(iter(live))
        elif number is None and actor.holder is not None:
            number = actor.holder.number
        if not isinstance(number, int) or number not in live:
            known = ", ".join(map(str, sorted(live))) or "none"
            if number is not None:
                what = f"has no invocation {number} that waits; those that do: {known}"
            elif live:
                what = f"has several invocations that wait: say which of {known}"
            else:
                what = "has no invocation that waits"
            raise UnknownInvocation(f"{actor.address} {what}")
        inv = live[number]
        inv.actor = actor
        return inv

    def _cancel(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"invocation": number}``: its handler gets a Cancelled error where it waits."""
        if "ask" in body:
            self._from_above(actor, cause, e, body, "cancelled")
            return
        if self._was_queued(actor, cause, e, body, "cancelled"):
            return
        inv = self._find(actor, e, body)
        self._invocations.controls.cancel(inv, cause, _done(e, inv))

    def _end(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"invocation": number}``: it ends at once, and its caller gets a Killed error."""
        if "ask" in body:
            self._from_above(actor, cause, e, body, "killed")
            return
        if self._was_queued(actor, cause, e, body, "killed"):
            return
        inv = self._find(actor, e, body)
        self._invocations.controls.kill(inv, cause, _done(e, inv))

    def _from_above(
        self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any], code: str
    ) -> None:
        """``{"ask": id}``, of who asked: its handler was cancelled or killed, and needs no answer."""
        inv = self._invocations.roster.asked.get((actor.address, str(body["ask"])))
        if inv is not None and inv.begin.sender == e.sender:
            inv.actor = actor
            controls = self._invocations.controls
            (controls.cancel if code == "cancelled" else controls.kill)(inv, cause, [])
            return
        waiting = self._invocations.roster.take_from_queue(
            actor, lambda m: m.kind == ASK and m.id == body["ask"] and m.sender == e.sender
        )
        if waiting is not None:
            detail = f"{e.sender} was {code}, which had asked for it"
            self._refusals.refuse(waiting.topic, waiting.offset, waiting.envelope, code, detail)
        elif self._deferrals.end(actor, cause, e, str(body["ask"]), code):
            return
        self._ledger.inbox.finish(cause.offset)

    def _was_queued(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any], code: str
    ) -> bool:
        """Whether a message that an id names was still in the queue: then it is not handled at all."""
        name, digest = body.get("name"), str(body.get("digest", ""))
        if name is None or self._outcomes.live(actor.address, str(name), digest) is not None:
            return False

        def is_it(m: Envelope) -> bool:
            key = m.idempotency_key
            return bool(key) and idempotency.names(m.handler, key, str(name), digest)

        waiting = self._invocations.roster.take_from_queue(actor, is_it)
        if waiting is None:
            return False
        detail = f"{actor.address}.{waiting.envelope.handler} was {code} before it began"
        self._refusals.refuse(waiting.topic, waiting.offset, waiting.envelope, code, detail)
        # Who was behind it need not wait for its next try.
        actor.retry_at = min(actor.retry_at, self._ledger.now)
        self._ledger.inbox.finish(cause.offset)
        if e.kind == ASK and "/" not in e.reply_to:
            said = json.dumps({"address": actor.address, "invocation": 0}).encode()
            self._ledger.answer(Answer(e.reply_to, e.id, REPLY, said))
        return True

    def _pause(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"invocation": number}``: it does not go on, whatever comes about."""
        inv = self._find(actor, e, body)
        self._invocations.controls.pause(inv, cause, _done(e, inv))

    def _resume(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"invocation": number}``: it goes on; one that is stuck or waits for a retry tries at once."""
        inv = self._find(actor, e, body)
        self._invocations.controls.resume(inv, cause, _done(e, inv))

    def _restart(self, actor: Actor, cause: Cause, e: Envelope, body: dict[str, Any]) -> None:
        """``{"invocation": number, "from": step}``: it runs again from there; what came after it is gone."""
        inv = self._find(actor, e, body)
        at = body.get("from", 0)
        if type(at) is not int or at < 0:
            raise BadArguments(f"{e.handler}: from is the number of a step, from 0, not {at!r}")
        if at and at >= inv.commands:
            there = {0: "no steps yet: restart it from 0", 1: "1 step: restart it from 0"}.get(
                inv.commands, f"{inv.commands} steps: restart it from one of 0 to {inv.commands - 1}"
            )
            raise BadArguments(f"{inv.reference()} has no step {at}: it has {there}")
        self._invocations.controls.restart(inv, at, cause, _done(e, inv))


def _body(e: Envelope) -> dict[str, Any]:
    try:
        body = json.loads(e.payload or b"{}")
    except (ValueError, RecursionError) as error:
        raise BadArguments(f"{e.handler}: the payload is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadArguments(f"{e.handler}: the payload is {type(body).__name__}, and should be an object")
    return body


def _answer(e: Envelope, value: dict[str, Any]) -> list[Out]:
    return [Out(_REPLY, e.id, e.reply_to, "", json.dumps(value).encode())] if e.kind == ASK else []


def _value(e: Envelope, body: dict[str, Any], known: set[str]) -> tuple[bool, bytes]:
    if unknown := body.keys() - known - {"value", "error"}:
        raise BadArguments(f"{e.handler}: unknown keys {', '.join(sorted(unknown))}")
    if "error" in body:
        error = body["error"]
        if not isinstance(error, str):
            raise BadArguments(f"{e.handler}: error is a text, not {error!r}")
        return True, error_body("rejected", error, None)
    try:
        return False, json.dumps(body.get("value"), allow_nan=False).encode()
    except ValueError as error:  # Python reads and writes NaN, others do not
        raise BadArguments(f"{e.handler}: the value is no JSON: {error}") from None


def _done(e: Envelope, inv: Invocation) -> list[Out]:
    return _answer(e, {"address": inv.address, "invocation": inv.number})
