"""The plain actors of one partition: what each turn of theirs must come to."""

from __future__ import annotations

import json

from plexstream.model.journal.journal import OutKind, Step, Turn
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK, Envelope
from plexstream.testing.simulation.cast.actors import ALWAYS, bad_time
from plexstream.testing.simulation.cast.semantics import Actor, Expected
from plexstream.testing.simulation.checks.model.keyed import Keyed
from plexstream.testing.simulation.errors import Violation


class Cells:
    """Does what the messages ask for, and compares.

    Attributes:
        actors: by address.
        ops: how often each operation took effect.
        codes: how often a message failed with each.
        failures: of asks with a key, the last, by actor, handler and key.
    """

    def __init__(self, keyed: Keyed) -> None:
        self._keyed = keyed
        self.actors: dict[str, Actor] = {}
        self.ops: dict[str, int] = {}
        self.codes: dict[str, int] = {}
        self.failures: dict[tuple[str, str, str], bytes] = {}

    def count(self, op: str) -> None:
        """An operation took effect."""
        self.ops[op] = self.ops.get(op, 0) + 1

    def actor(self, address: str) -> Actor:
        """An actor; a new one if it had no turn."""
        found = self.actors.get(address)
        if found is None:
            found = self.actors[address] = Actor(address)
        return found

    def handled(
        self, offset: int, t: Turn | Step, handler: str, payload: bytes, ask: bool, number: int | None = None
    ) -> Expected:
        """A turn that was done or refused. `number`: its own, where its message has waited.

        Raises Violation.
        """
        actor = self.actor(t.actor)
        arguments = json.loads(payload)
        if handler == "break":
            _claim_that(arguments["times"] != ALWAYS, "what always raises cannot be done")
        seq = actor.seq + 1 if number is None else number
        _claim_that(number is not None or t.seq == seq, f"turn number {t.seq}, {seq} was due")
        fresh = actor.expired(t.time)
        expected = actor.turn(handler, arguments, seq, t.time)
        _claim_that(bool(expected.code) == (t.status == 1), f"status {t.status}, expected {expected}")
        outs = list(t.outs)
        if t.status == 1:
            _claim_that(not t.patch, "a refusal changes nothing")
            kind = OutKind.ERROR if ask else OutKind.DEADLETTER
            _claim_that([o.kind for o in outs] == [kind], f"a refusal sends {kind!r}")
            if ask:
                _claim_that(json.loads(outs[0].payload)["data"] == expected.value, f"expected {expected}")
            return expected
        actor.offset = offset
        _claim_that(t.fresh == fresh, f"fresh is {t.fresh}, expected {fresh}")
        op = arguments.get("op", "alarm")
        self.count(op)
        if ask:
            reply = outs.pop() if outs else None
            right = reply and reply.kind == OutKind.REPLY and json.loads(reply.payload) == expected.value
            _claim_that(bool(right), f"the reply is {reply}, expected {expected.value}")
        got = [
            (o.kind, o.target, o.handler, o.id if o.kind == OutKind.CANCEL else json.loads(o.payload))
            for o in outs
        ]
        _claim_that(got == expected.outs, f"it sends {got}, expected {expected.outs}")
        return expected

    def failed(self, t: Turn | Step, e: Envelope) -> None:
        """A turn whose message could not be handled. Raises Violation."""
        _claim_that(not t.patch and len(t.outs) == 1, "a failure changes nothing and sends one thing")
        out = t.outs[0]
        code = out.key if out.kind == OutKind.DEADLETTER else json.loads(out.payload)["code"]
        _claim_that((out.kind == OutKind.ERROR) == (e.kind == ASK), "asks get errors, tells are put aside")
        self.codes[code] = self.codes.get(code, 0) + 1
        if e.kind == ASK and e.idempotency_key:
            self.failures[t.actor, e.handler, e.idempotency_key] = out.payload
        arguments = json.loads(e.payload)
        if code == "failed":
            raises = e.handler == "break" or (e.handler == "rang" and bad_time(t.time))
            _claim_that(raises, f"{e.handler} does not raise")
        elif code == "unknown_type":
            _claim_that("/nobody/" in e.target, "the type is known")
        elif code == "unknown_handler":
            _claim_that(e.handler == "nothing", "the handler is known")
        elif code == idempotency.CONFLICT:
            _claim_that(self._keyed.conflicts(e), "its key was not used with other arguments")
        elif code == "bad_arguments":
            _claim_that(arguments.get("amount") in ("much", 1), "the arguments are good")
        else:
            _claim_that(code == "poisoned", f"nothing here fails with {code}")


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
