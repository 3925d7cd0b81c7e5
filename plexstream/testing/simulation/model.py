"""What a journal says happened, worked out anew: its own reading rule, its own actors, no patches.

Every turn that counts must do what its message asks for in the state that the turns before it have made.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from plexstream.log.base import Record
from plexstream.model import idempotency
from plexstream.model.errors import Malformed
from plexstream.model.journal import DONE, WAITING, Begin, Claim, JournalRecord, Out, OutKind, Step, Turn
from plexstream.model.message import ASK, Envelope
from plexstream.model.workflow import PROMISES
from plexstream.processor.journal.fold import TRIED
from plexstream.schema.codec import decode_envelope, decode_journal
from plexstream.testing.simulation.actors import ALWAYS, EVERY, bad_time
from plexstream.testing.simulation.attempts import Attempts
from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.keyed import Keyed, is_keyed_tell, result_of
from plexstream.testing.simulation.semantics import Actor, Expected
from plexstream.testing.simulation.supervised import is_supervised
from plexstream.testing.simulation.waited import Pending, Waits
from plexstream.testing.simulation.waiting import is_waiting, world

_ANSWER = {int(OutKind.REPLY): 2, int(OutKind.ERROR): 3}

POISON_IS_WHAT_RAN = False
"""Whether what is put aside as poison must have come to its handler. Not yet: a message that waits for its
actor is announced, and blamed."""
Key = tuple[str, str]
Sent = tuple[str, int, int]  # origin, journal offset, index


class Timer(NamedTuple):
    """A timer that is pending."""

    due: int
    target: str
    handler: str
    payload: bytes
    schedule: str  # as text; "": it comes once


class Model:
    """One partition as its journal has it, turn by turn.

    Attributes:
        next: the journal offset that comes.
        actors, timers, keyed: the state.
        causes: mailbox offsets that have had a turn.
        mails: what turns have sent to mailboxes, by origin.
        emitted, put_aside: output records and dead letters, in order.
        supervised: turns that `supervised.Judge` judges.
        waits: judges the handlers that wait.
        attempts: judges what is tried again.
        conflicts: ids of tells whose key was used with other arguments.
        pending: those that had not ended at each claim, by its offset.
        answers: replies and errors that turns carry, by (message id, kind) as payloads.
    """

    def __init__(self, partition: int, journal: list[Record], mailbox: list[Record], life: str) -> None:
        self.partition = partition
        self._origin = f"journal/{partition}@{life}"
        self._journal = journal
        self._mailbox = mailbox
        self._claim = -1
        self._ordinal = 0  # of the last record of the reign that counted
        self._missing = False  # whether one of it is not there: no more count
        self.next = 0
        self.voided = self.again = self.behind = 0
        self.claims = 0
        self.actors: dict[str, Actor] = {}
        self.timers: dict[Key, Timer] = {}
        self.keyed = Keyed()
        self._failures: dict[tuple[str, str, str], bytes] = {}  # of asks, by actor, handler and key
        self._kinds: list[int] = []  # of all that the turn at hand carries
        self.causes: set[int] = set()
        self.arrived: dict[Sent, int] = {}
        self._latest: dict[tuple[str, str], tuple[int, int]] = {}  # by actor and origin
        self.mails: dict[Sent, Out] = {}
        self.emitted: list[tuple[str, bytes]] = []
        self.put_aside: list[tuple[Sent, str]] = []
        self.answers: dict[str, list[tuple[int, bytes]]] = {}
        self.supervised: list[Turn | Step] = []
        self.waits = Waits()
        self.attempts = Attempts()
        self.pending: dict[int, Pending] = {}
        self.conflicts: set[str] = set()
        self.ops: dict[str, int] = {}
        self.codes: dict[str, int] = {}

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

    def actor(self, address: str) -> Actor:
        """An actor; a new one if it had no turn."""
        found = self.actors.get(address)
        if found is None:
            found = self.actors[address] = Actor(address)
        return found

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
            self._outs(offset, t)
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
        else:
            overtakes = t.status != 2 and self.attempts.waits(t.actor)
            _claim_that(not overtakes, "it overtakes what waits in the journal")
            self._message(offset, t, e, kept)

    def _park(self, t: Step) -> None:
        """A message is copied into the journal."""
        self.attempts.keep(t)
        if not is_supervised(t.actor):
            actor = self.actor(t.actor)
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
        else:
            self._ended(offset, t, waits.begin, kept)
        return True

    def _ended(self, offset: int, t: Step, b: Begin, kept: Out | None) -> None:
        """A message that has waited in the journal is handled."""
        key = b.idempotency_key.rpartition("\0")[0]
        e = Envelope(b.kind, b.id, t.actor, b.handler, b.payload, b.sender, b.reply_to, key)
        said = self.keyed.of(e)
        actor = self.actor(t.actor)
        _claim_that(t.seq == actor.seq, f"turn number {t.seq}, {actor.seq} was due")
        if said is not None:  # what was answered before
            got = [(_ANSWER.get(o.kind), o.payload) for o in t.outs]
            _claim_that(got == ([said] if b.kind == ASK else []), f"it says {got}, and said {said}")
        elif t.status == 2 or _conflict(t):
            self._failed(t, e)
        elif [o.kind for o in t.outs] == [OutKind.ERROR] and t.status == 0:  # the same call had failed
            failed = self._failures.get((t.actor, b.handler, key))
            _claim_that(failed == t.outs[0].payload and not t.patch, f"the same call came to {failed!r}")
        elif b.handler == "get":  # it was behind a tell that is tried again
            actor.read(t.time)
            read = [json.loads(o.payload) for o in t.outs]
            _claim_that(read == [actor.view()], f"it reads {read}, expected {actor.view()}")
        else:
            expected = self._handled(t, b.handler, b.payload, b.kind == ASK, t.invocation)
            if is_keyed_tell(t, e) and not expected.code:
                _claim_that(result_of(kept) == expected.value, f"it keeps {kept}, expected {expected}")
        self._outs(offset, t)
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
                    self.ops[op] = self.ops.get(op, 0) + 1
        self._outs(offset, t)

    def _by_itself(self, offset: int, t: Turn | Step, kept: Out | None) -> None:
        """A step without a message: after a timer, an effect, a failure."""
        if t.cause_topic == "timer":
            timer = self.timers.pop((t.sender, t.message_id), None)
            _claim_that(timer is not None, f"timer {t.message_id} of {t.sender} is not pending (any more)")
        self._waiting(offset, t, None, kept)

    def _supervised(self, offset: int, t: Turn | Step) -> None:
        """A turn that `supervised` judges, once all partitions are known."""
        self.supervised.append(t)
        self._outs(offset, t)

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
            self._failed(t, e)
        else:
            expected = self._handled(t, e.handler, e.payload, e.kind == ASK)
            if is_keyed_tell(t, e) and not expected.code:
                _claim_that(result_of(kept) == expected.value, f"it keeps {kept}, expected {expected}")
        self._outs(offset, t)
        if t.idempotency_key:
            self.keyed.keep(t, kept, e)

    def _handled(
        self, t: Turn | Step, handler: str, payload: bytes, ask: bool, number: int | None = None
    ) -> Expected:
        """A turn that was done or refused. `number`: its own, where its message has waited in the journal."""
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
        actor.offset = self.next
        _claim_that(t.fresh == fresh, f"fresh is {t.fresh}, expected {fresh}")
        op = arguments.get("op", "alarm")
        self.ops[op] = self.ops.get(op, 0) + 1
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

    def _failed(self, t: Turn | Step, e: Envelope) -> None:
        _claim_that(not t.patch and len(t.outs) == 1, "a failure changes nothing and sends one thing")
        out = t.outs[0]
        code = out.key if out.kind == OutKind.DEADLETTER else json.loads(out.payload)["code"]
        _claim_that((out.kind == OutKind.ERROR) == (e.kind == ASK), "asks get errors, tells are put aside")
        self.codes[code] = self.codes.get(code, 0) + 1
        if e.kind == ASK and e.idempotency_key:
            self._failures[t.actor, e.handler, e.idempotency_key] = out.payload
        arguments = json.loads(e.payload)
        if code == "failed":
            raises = e.handler == "break" or (e.handler == "rang" and bad_time(t.time))
            _claim_that(raises, f"{e.handler} does not raise")
        elif code == "unknown_type":
            _claim_that("/nobody/" in e.target, "the type is known")
        elif code == "unknown_handler":
            _claim_that(e.handler == "nothing", "the handler is known")
        elif code == idempotency.CONFLICT:
            _claim_that(self.keyed.conflicts(e), "its key was not used with other arguments")
        elif code == "bad_arguments":
            _claim_that(arguments.get("amount") in ("much", 1), "the arguments are good")
        else:
            _claim_that(code == "poisoned", f"nothing here fails with {code}")

    def _timer_turn(self, offset: int, t: Turn | Step) -> None:
        timer = self.timers.get((t.sender, t.message_id))
        if timer is None:
            raise Violation(f"timer {t.message_id} of {t.sender} is not pending (any more)")
        _claim_that(t.time >= timer.due, f"a timer fires {timer.due - t.time} ms early")
        if type(t) is Step:
            self._park(t)
            rest: Turn | Step = self._series(t, timer) if timer.schedule else t
            _claim_that(not rest.outs, "what waits sends nothing")
            self._drop_timer(t.sender, t.message_id)
            self._outs(offset, t)
            return
        if is_supervised(t.actor):
            self._drop_timer(t.sender, t.message_id)
            self._supervised(offset, t)
            return
        whole = t
        poisoned = t.status == 2 and t.outs[:1] and t.outs[0].key == "poisoned"
        if timer.schedule and not poisoned:
            t = self._series(t, timer)
        if t.status == 2:
            reasons = [(o.kind, o.key, o.payload) for o in t.outs]
            bad = timer.handler == "rang" and bad_time(t.time) and not poisoned
            code = "failed" if bad else "poisoned"
            _claim_that(reasons == [(OutKind.DEADLETTER, code, timer.payload)], "a timer fails")
        elif t.actor == timer.target:
            self._handled(t, timer.handler, timer.payload, False)
        else:
            actor = self.actor(t.sender)
            _claim_that(t.fresh == actor.expired(t.time), f"fresh is {t.fresh}")
            actor.pass_on(t.time)
            _claim_that(t.actor == t.sender and t.seq == actor.seq, "the turn of another")
            got = [(o.kind, o.target, o.payload) for o in t.outs]
            _claim_that(got == [(OutKind.TELL, timer.target, timer.payload)], f"it sends {got}")
        self._drop_timer(t.sender, t.message_id)
        self._outs(offset, whole)

    def _series(self, t: Turn | Step, timer: Timer) -> Turn | Step:
        """The turn without what sets the next of its series, which must be there and be right."""
        next = t.outs[-1] if t.outs else None
        if next is not None and next.kind == OutKind.CANCEL and next.id == t.message_id:
            return t  # the handler has ended it
        due = timer.due + EVERY
        if "all" not in timer.schedule:
            while due <= t.time:
                due += EVERY
        _, _, handler, payload, schedule = timer
        right = Out(OutKind.TIMER, t.message_id, t.actor, handler, payload, "", schedule, due)
        _claim_that(next == right, f"the next of the series is {next}, expected {right}")
        return t._replace(outs=t.outs[:-1])

    def _drop_timer(self, actor: str, id: str) -> None:
        self.timers.pop((actor, id), None)
        if not is_waiting(actor):
            self.actor(actor).pending.discard(id)

    def _outs(self, offset: int, t: Turn | Step) -> None:
        """What the turn sends."""
        origin = self._origin
        places = [at for at, kind in enumerate(self._kinds) if kind != OutKind.KEPT]
        for index, out in zip(places, t.outs, strict=True):
            if out.kind in (OutKind.TELL, OutKind.ASK) or (out.kind in _ANSWER and "/" in out.target):
                self.mails[origin, offset, index] = out
            elif out.kind in (OutKind.REPLY, OutKind.ERROR):
                self.answers.setdefault(out.id, []).append((_ANSWER[out.kind], out.payload))
            elif out.kind == OutKind.EMIT:
                self.emitted.append((t.actor, out.payload))
            elif out.kind == OutKind.DEADLETTER:
                self.put_aside.append(((f"journal/{self.partition}", offset, index), out.key))
                if out.key == idempotency.CONFLICT:
                    self.conflicts.add(out.id)
            elif out.kind == OutKind.TIMER:
                self.timers[t.actor, out.id] = Timer(out.due, out.target, out.handler, out.payload, out.note)
                if not is_waiting(t.actor):
                    self.actor(t.actor).pending.add(out.id)
            elif out.kind == OutKind.CANCEL:
                self._drop_timer(t.actor, out.id)

    def state(self) -> dict[str, Any]:
        """Everything that a store must hold now, in a form that `stored` gives, too."""
        attempts = self.attempts.fields()
        attempts = {a: f for a, f in attempts.items() if not (is_supervised(a) or is_waiting(a))}
        for address in attempts:
            self.actor(address)
        return {
            "actors": {
                a: {"seq": x.seq, **x.state, **attempts.get(a, {}), **x.hidden()}
                for a, x in sorted(self.actors.items())
                if x.seq or a in attempts
            },
            "timers": {f"{a} {name}": t.due for (a, name), t in sorted(self.timers.items())},
            "replies": self.keyed.state(),
        }


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
