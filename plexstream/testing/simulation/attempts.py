"""Attempts as a journal has them: each counted once, none before its time, and as many as the policy says."""

from __future__ import annotations

import json
from typing import Any

from plexstream.model.attempt import FIELD, Attempt, decode_attempt, encode_attempt
from plexstream.model.journal import FAILED, Change, OutKind, Step, Turn
from plexstream.testing.simulation.errors import Violation


class Attempts:
    """Judges the attempts of one partition's tells.

    Attributes:
        failed: how many attempts were to be tried again.
    """

    def __init__(self) -> None:
        self.failed = 0
        self._latest: dict[str, Attempt] = {}  # by actor

    def fields(self) -> dict[str, dict[str, Any]]:
        """What the actors that are tried again hold besides their state."""
        return {actor: {FIELD: json.loads(encode_attempt(a))} for actor, a in self._latest.items()}

    def note(self, t: Turn | Step) -> None:
        """An attempt that has failed and is not the last."""
        self.failed += 1
        _claim_that(t.status == FAILED and not t.outs, "an attempt that has failed sends nothing")
        changes = [(c.field, c.key) for c in t.patch]
        _claim_that(changes == [(FIELD, None)], "an attempt that has failed changes nothing else")
        attempt, before = decode_attempt(t.patch[0].value), self._latest.get(t.actor)
        if attempt is None:
            raise Violation("an attempt that tells of none")
        number = 1
        if before is not None and before.cause == attempt.cause:
            number = before.number + 1
            _claim_that(t.time >= before.next, f"it is tried {before.next - t.time} ms early")
        _claim_that(attempt.number == number, f"attempt {attempt.number}, {number} was due")
        _claim_that(number < attempt.of, "it is the last one")
        self._latest[t.actor] = attempt

    def without(self, t: Turn | Step) -> Turn | Step:
        """A turn as if its message had not been tried before."""
        before = None if t.fresh else self._latest.get(t.actor)
        if t.fresh:
            self._latest.pop(t.actor, None)
        changes = [c for c in t.patch if c.field == FIELD]
        for change in changes:
            attempt = decode_attempt(change.value)
            if attempt is not None:
                self._latest[t.actor] = attempt
            else:
                self._latest.pop(t.actor, None)
        mine = before is not None and Change(FIELD, None, None) in changes
        if mine and before is not None:
            _claim_that(before.cause.startswith(f"{t.message_id}/"), f"{before} is of another message")
            if not any(o.key in ("poisoned", "stopped") for o in t.outs):
                _claim_that(t.time >= before.next, f"it is tried {before.next - t.time} ms early")
        for out in t.outs:
            if out.kind == OutKind.DEADLETTER and out.key == "failed" and before is not None and mine:
                said = f"attempt {out.due} is the last, after {before}"
                _claim_that(out.due == before.number + 1 == before.of, said)
        return t._replace(patch=[c for c in t.patch if c.field != FIELD]) if changes else t


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
