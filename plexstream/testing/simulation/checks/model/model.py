"""What a journal says happened, worked out anew: its own reading rule, its own actors, no patches.

Every turn that counts must do what its message asks for in the state that the turns before it have made.
"""

from __future__ import annotations

import json
from typing import Any

from plexstream.log.base import Record
from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import (
    DONE,
    WAITING,
    Begin,
    Claim,
    JournalRecord,
    Out,
    OutKind,
    Step,
    Turn,
)
from plexstream.model.journal.workflow import PROMISES
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK, Envelope
from plexstream.processor.journal.sums.fold import TRIED
from plexstream.schema.codec import decode_envelope, decode_journal
from plexstream.testing.simulation.cast.actors import bad_time
from plexstream.testing.simulation.cast.supervised import is_supervised
from plexstream.testing.simulation.cast.waited import Pending, Waits
from plexstream.testing.simulation.cast.waiting import is_waiting, world
from plexstream.testing.simulation.checks.model.attempts import Attempts
from plexstream.testing.simulation.checks.model.cells import Cells
from plexstream.testing.simulation.checks.model.coordinated.judge import Judge, is_coordinated
from plexstream.testing.simulation.checks.model.keyed import Keyed, is_keyed_tell, result_of
from plexstream.testing.simulation.checks.model.sent import ANSWER, Origin, Sent
from plexstream.testing.simulation.checks.model.timers import Timers
from plexstream.testing.simulation.errors import Violation

POISON_IS_WHAT_RAN = False
"""Whether what is put aside as poison must have come to its handler. Not yet: a message that waits for its
actor is announced, and blamed."""


class Model:
    """One partition as its journal has it, turn by turn.

    Attributes:
        next: the journal offset that comes.
        cells, timers, keyed: the state.
        causes: mailbox offsets that have had a turn.
        sent: what turns have sent.
        supervised: turns that `supervised.Judge` judges.
        waits: judges the handlers that wait.
        attempts: judges what is tried again.
        coordinated: judges system actors.
        pending: those that had not ended at each claim, by its offset.
    """

    def __init__(self, partition: int, journal: list[Record], mailbox: list[Record], life: str) -> None:
        self.partition = partition
        self._journal = journal
        self._mailbox = mailbox
        self._claim = -1
        self._ordinal = 0  # of the last record of the reign that counted
        self._missing = False  # whether one of it is not there: no more count
        self.next = 0
        self.voided = self.again = self.behind = 0
        self.claims = 0
        self.keyed = Keyed()
        self.cells = Cells(self.keyed)
        self.timers = Timers(self.cells)
        self.sent = Sent(partition, life, self.timers)
        self._kinds: list[int] = []  # of all that the turn at hand carries
        self.causes: set[int] = set()
        self.arrived: dict[Origin, int] = {}
        self._latest: dict[tuple[str, str], tuple[int, int]] = {}  # by actor and origin
        self.supervised: list[Turn | Step] = []
        self.waits = Waits()
        self.attempts = Attempts()
        self.coordinated = Judge()
        self.pending: dict[int, Pending] = {}

    def fold(self, end: int) -> None:
        """Go on up to journal offset `end`."""
        while self.next < min(end, len(self._journal)):
            record = self._journal[self.next]
            found = decode_journal(record.value or b"")
            if type(found) is Claim:
                self._claim, self._ordinal, self._missing = self.next, 0, False
                self.pending[self.next] = {**self.waits.pending(), **self.attempts.pending()}
                self.claims += 1
            elif self._counts(found) and isinstance(found, Turn | Step):
                try:
                    self._turn(self.next, found)
                except Violation as error:
                    raise Violation(f"journal {self.partition}@{self.next}: {error}\n{found}") from None
            self.next += 1

    def _counts(self, r: JournalRecord) -> bool:
        """Whether it is the next of the reign in force."""
        assert not isinstance(r, Claim)
        if r.claim != self._claim:
            self.voided += 1
        elif self._missing:
            self.behind += 1
        elif r.ordinal <= self._ordinal:
            self.again += 1
        elif r.ordinal == self._ordinal + 1:
            self._ordinal = r.ordinal
            return True
        else:
            self._missing = True
            self.behind += 1
        return False

    def _turn(self, offset: int, t: Turn | Step) -> None:
        if t.cause_topic == TRIED:
            self.attempts.note(t)
            return
        self._kinds = [out.kind for out in t.outs]
        t, kept = self.keyed.without(self.attempts.without(t))
        if is_waiting(t.actor) and t.cause_topic != "mailbox":
            self._by_itself(offset, t, kept)
            return
        if type(t) is Step and not is_waiting(t.actor) and self._parked(offset, t, kept):
            return
        if t.cause_topic == "timer":
            self._timer_turn(offset, t)
            return
        _claim_that(t.cause_offset not in self.causes, f"mailbox offset {t.cause_offset} had a turn already")
        self.causes.add(t.cause_offset)
        try:
            e = decode_envelope(self._mailbox[t.cause_offset].value or b"")
        except Malformed:
            _claim_that(t.status == 2 and t.actor == "", "a malformed record cannot be handled")
            _claim_that([o.kind for o in t.outs] == [OutKind.DEADLETTER], "a malformed record is put aside")
            self.sent.take(offset, t, self._kinds)
            return
        _claim_that((t.actor, t.message_id) == (e.target, e.id), f"the message is {e}")
        if POISON_IS_WHAT_RAN and e.kind <= ASK and e.handler[:1] != "$" and _poisoned(t, e):
            _claim_that(e.id in world.ran, f"it is put aside as poison, and never ran: {e}")
        if e.origin:
            self._from(e, t)
        if is_waiting(t.actor):
            self._waiting(offset, t, e, kept)
            return
        _claim_that(t.handler == e.handler, f"the message is {e}")
        if type(t) is Step:
            _claim_that(not t.outs, "what waits sends nothing")
            self._park(t)
            return
        assert type(t) is Turn
        if is_supervised(t.actor):
            self._supervised(offset, t)
        elif is_coordinated(t.actor):
            self._coordinated(offset, t, e, kept)
        else:
            overtakes = t.status != 2 and self.attempts.waits(t.actor)
            _claim_that(not overtakes, "it overtakes what waits in the journal")
            self._message(offset, t, e, kept)

    def _park(self, t: Step) -> None:
        """A message is copied into the journal."""
        self.attempts.keep(t)
        if not (is_supervised(t.actor) or is_coordinated(t.actor)):
            actor = self.cells.actor(t.actor)
            actor.seq += 1
            _claim_that(t.seq == t.invocation == actor.seq, f"number {t.invocation}, {actor.seq} was due")

    def _parked(self, offset: int, t: Step, kept: Out | None) -> bool:
        """Something more of a message that waits in the journal; False where it is the first of it."""
        waits = self.attempts.begun(t)
        if waits is None:
            return False
        self.attempts.keep(t)
        if t.status == WAITING:
            _claim_that(not t.outs, "what waits sends nothing")
        elif is_supervised(t.actor):
            self._supervised(offset, t)
        elif is_coordinated(t.actor):
            self._coordinated(offset, t, _envelope(t, waits.begin), kept)
        else:
            self._ended(offset, t, waits.begin, kept)
        return True

    def _ended(self, offset: int, t: Step, b: Begin, kept: Out | None) -> None:
        """A message that has waited in the journal is handled."""
        e = _envelope(t, b)
        key = e.idempotency_key
        said = self.keyed.of(e)
        actor = self.cells.actor(t.actor)
        _claim_that(t.seq == actor.seq, f"turn number {t.seq}, {actor.seq} was due")
        if said is not None:  # what was answered before
            got = [(ANSWER.get(o.kind), o.payload) for o in t.outs]
            _claim_that(got == ([said] if b.kind == ASK else []), f"it says {got}, and said {said}")
        elif t.status == 2 or _conflict(t):
            self.cells.failed(t, e)
        elif [o.kind for o in t.outs] == [OutKind.ERROR] and t.status == 0:  # the same call had failed
            failed = self.cells.failures.get((t.actor, b.handler, key))
            _claim_that(failed == t.outs[0].payload and not t.patch, f"the same call came to {failed!r}")
        elif b.handler == "get":  # it was behind a tell that is tried again
            actor.read(t.time)
            read = [json.loads(o.payload) for o in t.outs]
            _claim_that(read == [actor.view()], f"it reads {read}, expected {actor.view()}")
        else:
            expected = self.cells.handled(self.next, t, b.handler, b.payload, b.kind == ASK, t.invocation)
            if is_keyed_tell(t, e) and not expected.code:
                _claim_that(result_of(kept) == expected.value, f"it keeps {kept}, expected {expected}")
        self.sent.take(offset, t, self._kinds)
        if t.idempotency_key:
            self.keyed.keep(t, kept, e)

    def _waiting(self, offset: int, t: Turn | Step, e: Envelope | None, kept: Out | None) -> None:
        """A turn or a step that `waited` judges."""
        self.waits.take(t, e)
        if t.idempotency_key:
            own = e if e is not None and type(t) is Turn else None
            self.keyed.keep(t, kept, own)
        if t.status == DONE:
            for change in t.patch:
                if change.field in ("seen", PROMISES) and (op := (change.key or "").rpartition(" ")[0]):
                    self.cells.count(op)
        self.sent.take(offset, t, self._kinds)

    def _by_itself(self, offset: int, t: Turn | Step, kept: Out | None) -> None:
        """A step without a message: after a timer, an effect, a failure."""
        if t.cause_topic == "timer":
            timer = self.timers.pending.pop((t.sender, t.message_id), None)
            _claim_that(timer is not None, f"timer {t.message_id} of {t.sender} is not pending (any more)")
        self._waiting(offset, t, None, kept)

    def _supervised(self, offset: int, t: Turn | Step) -> None:
        """A turn that `supervised` judges, once all partitions are known."""
        self.supervised.append(t)
        self.sent.take(offset, t, self._kinds)

    def _coordinated(self, offset: int, t: Turn | Step, e: Envelope, kept: Out | None) -> None:
        """A turn of a system actor for a message."""
        said = self.keyed.of(e)
        if said is not None:  # what was answered before
            got = [(ANSWER.get(o.kind), o.payload) for o in t.outs]
            _claim_that(got == ([said] if e.kind == ASK else []), f"it says {got}, and said {said}")
        elif self.coordinated.take(t, e):
            self.cells.count(e.id)
        self.sent.take(offset, t, self._kinds)
        if t.idempotency_key:
            self.keyed.keep(t, kept, e)

    def _from(self, e: Envelope, t: Turn | Step) -> None:
        sent = origin, seq, index = e.origin, e.origin_seq, e.origin_index
        _claim_that(sent not in self.arrived, f"{sent} takes effect a second time")
        self.arrived[sent] = t.cause_offset
        refused = is_waiting(t.actor) and type(t) is Turn and t.status != DONE
        if refused or e.kind > ASK or e.handler[:1] == "$" or e.handler in ("look", "beside"):
            return  # these do not wait for the ones before
        latest = self._latest.get((t.actor, origin), (-1, -1))
        _claim_that((seq, index) > latest, f"{sent} comes after {latest}")
        self._latest[t.actor, origin] = (seq, index)

    def _message(self, offset: int, t: Turn, e: Envelope, kept: Out | None) -> None:
        if t.status == 2:
            self.cells.failed(t, e)
        else:
            expected = self.cells.handled(self.next, t, e.handler, e.payload, e.kind == ASK)
            if is_keyed_tell(t, e) and not expected.code:
                _claim_that(result_of(kept) == expected.value, f"it keeps {kept}, expected {expected}")
        self.sent.take(offset, t, self._kinds)
        if t.idempotency_key:
            self.keyed.keep(t, kept, e)

    def _timer_turn(self, offset: int, t: Turn | Step) -> None:
        timer = self.timers.pending.get((t.sender, t.message_id))
        if timer is None:
            raise Violation(f"timer {t.message_id} of {t.sender} is not pending (any more)")
        _claim_that(t.time >= timer.due, f"a timer fires {timer.due - t.time} ms early")
        if type(t) is Step:
            self._park(t)
            rest: Turn | Step = self.timers.series(t, timer) if timer.schedule else t
            _claim_that(not rest.outs, "what waits sends nothing")
            self.timers.drop(t.sender, t.message_id)
            self.sent.take(offset, t, self._kinds)
            return
        if is_supervised(t.actor) or is_coordinated(t.actor):
            self.timers.drop(t.sender, t.message_id)
            if is_supervised(t.actor):
                self.supervised.append(t)
            else:
                self.coordinated.alarm(t)
            self.sent.take(offset, t, self._kinds)
            return
        whole = t
        poisoned = t.status == 2 and t.outs[:1] and t.outs[0].key == "poisoned"
        if timer.schedule and not poisoned:
            t = self.timers.series(t, timer)
        if t.status == 2:
            reasons = [(o.kind, o.key, o.payload) for o in t.outs]
            bad = timer.handler == "rang" and bad_time(t.time) and not poisoned
            code = "failed" if bad else "poisoned"
            _claim_that(reasons == [(OutKind.DEADLETTER, code, timer.payload)], "a timer fails")
        elif t.actor == timer.target:
            self.cells.handled(self.next, t, timer.handler, timer.payload, False)
        else:
            actor = self.cells.actor(t.sender)
            _claim_that(t.fresh == actor.expired(t.time), f"fresh is {t.fresh}")
            actor.pass_on(t.time)
            _claim_that(t.actor == t.sender and t.seq == actor.seq, "the turn of another")
            got = [(o.kind, o.target, o.payload) for o in t.outs]
            _claim_that(got == [(OutKind.TELL, timer.target, timer.payload)], f"it sends {got}")
        self.timers.drop(t.sender, t.message_id)
        self.sent.take(offset, whole, self._kinds)

    def state(self) -> dict[str, Any]:
        """Everything that a store must hold now, in a form that `stored` gives, too."""
        attempts = self.attempts.fields()
        attempts = {a: f for a, f in attempts.items() if not _elsewhere(a)}
        for address in attempts:
            self.cells.actor(address)
        return {
            "actors": {
                a: {"seq": x.seq, **x.state, **attempts.get(a, {}), **x.hidden()}
                for a, x in sorted(self.cells.actors.items())
                if x.seq or a in attempts
            },
            "timers": {f"{a} {name}": t.due for (a, name), t in sorted(self.timers.pending.items())},
            "replies": self.keyed.state(),
        }


def _elsewhere(address: str) -> bool:
    """Whether the state of an actor is not compared here."""
    return is_supervised(address) or is_waiting(address) or is_coordinated(address)


def _envelope(t: Turn | Step, b: Begin) -> Envelope:
    """The message of an invocation."""
    key = b.idempotency_key.rpartition("\0")[0]
    return Envelope(b.kind, b.id, t.actor, b.handler, b.payload, b.sender, b.reply_to, key)


def _conflict(t: Turn | Step) -> bool:
    """Whether a turn says that its message's key was used with other arguments."""
    said = [o for o in t.outs if o.kind == OutKind.ERROR]
    return any(json.loads(o.payload)["code"] == idempotency.CONFLICT for o in said)


def _poisoned(t: Turn | Step, e: Envelope) -> bool:
    """Whether a turn says that its message has killed its process."""
    if e.kind == ASK:
        return any(o.kind == OutKind.ERROR and json.loads(o.payload)["code"] == "poisoned" for o in t.outs)
    return any(o.kind == OutKind.DEADLETTER and o.key == "poisoned" for o in t.outs)


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
