"""Attempts as a journal has them: each counted once, none before its time, and as many as the policy says.

A tell that is tried again for long is copied into the journal, and what waits behind it as well: from then on
they are invocations, whose records tell of them.
"""

from __future__ import annotations

import json
from typing import Any

from plexstream.model.journal.attempt import FIELD, Attempt, decode_attempt, encode_attempt
from plexstream.model.journal.journal import DONE, FAILED, WAITING, Begin, Change, OutKind, Step, Turn
from plexstream.model.messages.idempotency import CONFLICT
from plexstream.processor.actors.actors import RAW
from plexstream.testing.simulation.errors import Violation

Key = tuple[str, int]
"""Address and number of an invocation."""
RAW_MARK = Change(RAW, None, b"true")


class Kept:
    """A message that waits in the journal, for its turn or to be tried again."""

    def __init__(self, begin: Begin) -> None:
        self.begin = begin
        self.records = 0
        self.latest: Attempt | None = None


class Attempts:
    """Judges the attempts of one partition's tells.

    Attributes:
        failed: how many attempts were to be tried again.
        parked: how many messages were copied into the journal.
    """

    def __init__(self) -> None:
        self.failed = self.parked = 0
        self._latest: dict[str, Attempt] = {}  # by actor
        self._taken_over: dict[Key, Attempt] = {}
        self._kept: dict[Key, Kept] = {}

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
                if type(t) is Step and before is not None:
                    self._taken_over[t.actor, t.invocation] = before
        mine = before is not None and Change(FIELD, None, None) in changes
        if mine and before is not None:
            _claim_that(before.cause.startswith(f"{t.message_id}/"), f"{before} is of another message")
            # One that is moved into the journal is not tried by that: `keep` judges when it is.
            there = before._replace(cause="", handler="")
            moved = type(t) is Step and any(decode_attempt(c.value) == there for c in t.completions)
            if not moved and not any(o.key in ("poisoned", "stopped") for o in t.outs):
                _claim_that(t.time >= before.next, f"it is tried {before.next - t.time} ms early")
        for out in t.outs:
            if out.kind == OutKind.DEADLETTER and out.key == "failed" and before is not None and mine:
                said = f"attempt {out.due} is the last, after {before}"
                _claim_that(out.due == before.number + 1 == before.of, said)
        return t._replace(patch=[c for c in t.patch if c.field != FIELD]) if changes else t

    # In the journal

    def pending(self) -> dict[Key, int]:
        """How many records each message has that waits in the journal, by actor and number."""
        return {key: kept.records for key, kept in self._kept.items()}

    def waits(self, actor: str) -> bool:
        """Whether messages of an actor wait in the journal."""
        return any(of == actor for of, _ in self._kept)

    def begun(self, t: Step) -> Kept | None:
        """The message of a record that is not its first one."""
        return self._kept.get((t.actor, t.invocation))

    def keep(self, t: Step) -> None:
        """A record of a message that waits in the journal: none overtakes another one of its actor."""
        key = t.actor, t.invocation
        kept = self._kept.get(key)
        if kept is None:
            _claim_that(t.begin is not None and t.number == 0, "an invocation without its beginning")
            assert t.begin is not None
            kept = self._kept[key] = Kept(t.begin)
            self.parked += 1
        _claim_that(t.number == kept.records, f"record {t.number}, {kept.records} was due")
        kept.records += 1
        found = [a for c in t.completions if (a := decode_attempt(c.value)) is not None]
        for attempt in found:
            self._tried(key, kept, attempt, t.time)
        if t.status == WAITING:
            _claim_that(not t.patch or t.patch == [RAW_MARK], "what waits changes nothing")
            return
        del self._kept[key]
        codes = {o.key for o in t.outs if o.kind == OutKind.DEADLETTER}
        codes |= {json.loads(o.payload)["code"] for o in t.outs if o.kind == OutKind.ERROR}
        again = t.status == DONE and kept.begin.idempotency_key and not t.idempotency_key
        if again or codes & {"poisoned", "stopped", CONFLICT}:
            return  # its handler has not run
        self._in_turn(key, kept)
        last = kept.latest
        if last is not None:
            _claim_that(t.time >= last.next, f"it is tried {last.next - t.time} ms early")
        for out in t.outs:
            if out.kind == OutKind.DEADLETTER and out.key == "failed":
                said = f"attempt {out.due} is the last, after {last}"
                _claim_that(last is None or out.due == last.number + 1 == last.of, said)

    def _tried(self, key: Key, kept: Kept, attempt: Attempt, time: int) -> None:
        before = self._taken_over.pop(key, None)
        if before is not None:
            taken = before._replace(cause="", handler="")
            _claim_that(attempt == taken, f"{attempt} was {taken} before it was in the journal")
        else:
            self.failed += 1
            self._in_turn(key, kept)
            number = 1 if kept.latest is None else kept.latest.number + 1
            _claim_that(attempt.number == number < attempt.of, f"{attempt}, {number} was due")
            early = 0 if kept.latest is None else kept.latest.next - time
            _claim_that(early <= 0, f"it is tried {early} ms early")
        kept.latest = attempt

    def _in_turn(self, key: Key, mine: Kept) -> None:
        """Of an actor's messages in the journal that which was tried comes first, then the oldest."""
        for (actor, number), other in self._kept.items():
            reads = "get" in (other.begin.handler, mine.begin.handler)  # these do not wait
            if actor != key[0] or other is mine or reads:
                continue
            new = mine.records == 1  # it comes from the queue, before which nobody is
            before = other.latest is not None or (mine.latest is None and number < key[1] and not new)
            _claim_that(not before, f"#{key[1]} overtakes #{number}")


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
