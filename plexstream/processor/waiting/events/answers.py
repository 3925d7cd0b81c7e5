"""What comes for handlers that wait: replies, results of effects, time, values of promises and awakeables."""

from __future__ import annotations

from collections import deque

from plexstream.model.host import ActorHost, EffectResult, Outcome, Result, Suspended
from plexstream.model.journal.attempt import Attempt
from plexstream.model.journal.journal import WAITING, Change, Command, CommandKind, Completion, Out, OutKind
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.messages.message import ASK, ERROR, TELL, Envelope
from plexstream.processor.actors.lives.lives import WAKE
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import EffectCall, error_body, error_of
from plexstream.processor.journal.sums.fold import MAILBOX, TIMER
from plexstream.processor.state.histories.history import failed
from plexstream.processor.waiting.course.agenda import Agenda
from plexstream.processor.waiting.course.effects import Effects
from plexstream.processor.waiting.course.lifecycle import Lifecycle
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.invocation.invocation import PROMISES, Cause, Invocation, cause_of, no_cause
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.processor.waiting.invocation.machine import Event, State, move

_ASK, _SLEEP, _PROMISE = (k.value for k in (CommandKind.ASK, CommandKind.SLEEP, CommandKind.PROMISE))
_DEAD = OutKind.DEADLETTER.value
_new = tuple.__new__  # a named tuple's own costs several times as much


class Answers:
    """Takes what comes. There is one way for all of it, `come`, be the handler in memory or not."""

    def __init__(
        self, host: ActorHost, ledger: Ledger, refusals: Refusals, journal: Journal, roster: Roster,
        agenda: Agenda, effects: Effects, lifecycle: Lifecycle,
    ) -> None:  # fmt: skip
        self._host = host
        self._ledger = ledger
        self._refusals = refusals
        self._journal = journal
        self._roster = roster
        self._agenda = agenda
        self._effects = effects
        self._lifecycle = lifecycle
        self._settled: deque[tuple[str, Change]] = deque()
        self._telling = False
        journal.on_settled = self._note_settled

    def come(
        self, inv: Invocation, completions: list[Completion], cause: Cause, outs: list[Out] | None = None,
        event: Event = Event.COME,
    ) -> None:  # fmt: skip
        """What a handler has asked for has come about, or it is cancelled.

        On the log first: where the handler is in memory it goes on with it in the same record, else that it
        has come is noted, and fed to the handler when it runs again.
        """
        for completion in completions:
            inv.settle(completion.number)
        before = inv.state
        state = move(inv, event)
        if inv.task is None:
            self._journal.note(inv, cause, completions, outs)
            if state is State.READY:
                inv.retry_at = 0
                if before is not State.READY:
                    self._agenda.soon(inv)
            return
        if inv.cause is not None and cause.topic:
            self._journal.record(inv, WAITING, no_cause())  # a record goes back to one message
        outcome = self._host.resume(inv.task, completions[0], self._ledger.now)
        if len(completions) > 1:
            for completion in completions[1:]:
                if type(outcome) is not Suspended:
                    break  # it has ended: the rest comes too late
                outcome = _both(outcome, self._host.resume(inv.task, completion, self._ledger.now))
        self._lifecycle.outcome(inv, outcome, completions, cause, outs)
        self.tell_settled()

    # Promises

    def _note_settled(self, address: str, changes: list[Change]) -> None:
        self._settled.extend((address, change) for change in changes)

    def settled(self, address: str, patch: list[Change]) -> None:
        """A turn has changed `patch`: who waits for one of its promises goes on."""
        changes = [c for c in patch if c.field == PROMISES and c.value is not None]
        if changes:
            self._note_settled(address, changes)
            self.tell_settled()

    def tell_settled(self) -> None:
        """Whoever waits for a promise that has its value goes on."""
        if self._telling or not self._settled:
            return
        self._telling = True
        try:
            while self._settled:
                address, change = self._settled.popleft()
                for inv in self._roster.fulfilled(address, change.key or ""):
                    self._fulfil(inv, change.key or "", change.value or b"")
        finally:
            self._telling = False

    def look_for_promises(self, inv: Invocation) -> None:
        """A handler that runs again may wait for a promise that has got its value meanwhile."""
        if not inv.ended:
            for command in list(inv.outstanding.values()):
                if command.kind == _PROMISE:
                    value = self._ledger.pieces.promise(inv.address, PROMISES, command.name)
                    if value is not None:
                        self._fulfil(inv, command.name, value)
        self.tell_settled()

    def _fulfil(self, inv: Invocation, name: str, value: bytes) -> None:
        for command in list(inv.outstanding.values()):
            waits = command.kind == _PROMISE and command.name == name
            if waits and command.number in inv.outstanding and not inv.ended:
                is_error = value.startswith(b'["e",')
                self.come(inv, [Completion(command.number, is_error, value[5:-1])], no_cause())

    # Replies

    def reply(self, offset: int, e: Envelope) -> None:
        """An answer to what a handler of this partition has asked for. Its actor need not be loadable."""
        cause = Cause(MAILBOX, offset, e.sender, e.id, e.kind, e.origin, e.origin_seq, e.origin_index)
        inv, number, after = self._find(e.id)
        if number < 0 or not e.id.startswith(f"{e.target}#"):
            what = "an error" if e.kind == ERROR else "a reply"
            detail = f"{what} to {e.id!r}, which this actor has not asked for"
            self._refusals.refuse(MAILBOX, offset, e, "bad_arguments", detail, None)
            return
        command = inv.outstanding.get(number) if inv is not None else None
        late = inv is not None and inv.asked.get(number, 0) != after
        if inv is None or command is None or command.kind != _ASK or late:
            self._ledger.inbox.finish(offset)  # it has ended, or does not wait for this any more
            return
        self.come(inv, [Completion(number, e.kind == ERROR, e.payload)], cause)

    def _find(self, reference: str) -> tuple[Invocation | None, int, int]:
        """The invocation and the command of ``address#invocation.number.restarts``, and how many restarts."""
        address, _, rest = reference.rpartition("#")
        parts = rest.split(".")
        if not all(part.isdecimal() for part in parts) or len(parts) not in (2, 3) or len(rest) > 30:
            return None, -1, 0
        inv = self._roster.live.get(address, {}).get(int(parts[0]))
        return inv, int(parts[1]), int(parts[2]) if len(parts) == 3 else 0

    def find(self, reference: str) -> tuple[Invocation | None, Command | None]:
        """The same, with the command if it is not done."""
        inv, number, _ = self._find(reference)
        return (None, None) if inv is None else (inv, inv.outstanding.get(number))

    def poisoned(self, topic: str, offset: int, e: Envelope, deaths: int) -> bool:
        """What a handler waited for killed its process: it gets an error instead. False: none waits for it.

        The error is on the log before the handler hears of it, which may kill the process again.
        """
        if e.handler == WAKE:
            inv, number, after = self._find(f"{e.target}#{e.id.replace('~', '.')}")
        else:
            inv, number, after = self._find(e.id)
        late = inv is not None and e.kind > ASK and inv.asked.get(number, 0) != after
        if inv is None or number not in inv.outstanding or late:
            return False
        if inv.task is not None:
            self._host.drop(inv.task)
            self._agenda.keep(inv, None)
            move(inv, Event.DROP)
        detail = f"what {inv.reference()} waited for killed its process {deaths} times in a row"
        failure = Completion(number, True, error_body("poisoned", detail, None))
        dead = Out(_DEAD, e.id, e.target, e.handler, e.payload, "poisoned", detail, deaths)
        self.come(inv, [failure], cause_of(topic, offset, e), [dead])
        return True

    # Time and effects

    def wake(self, timer: Snapshot) -> bool:
        """The timer of a sleep is due; False where nobody waits for it."""
        invocation, _, number = timer.name.partition("~")
        inv = self._roster.live.get(timer.address, {}).get(int(invocation))
        command = inv.outstanding.get(int(number)) if inv is not None else None
        if inv is None or command is None or command.kind != _SLEEP:
            return False
        cause = Cause(TIMER, -1, timer.address, timer.name, TELL, "", timer.offset, 0)
        self.come(inv, [Completion(int(number), False, b"null")], cause)
        return True

    def effect_done(self, call: EffectCall, result: EffectResult) -> None:
        """An effect has come to its end, or is to be tried again."""
        inv = self._roster.live.get(call.address, {}).get(call.invocation)
        if inv is None or inv.running.get(call.number) is not call:
            return
        if result.retry_after >= 0:
            self._effect_failed(inv, call, result)
            return
        del inv.running[call.number]
        self.come(inv, [_new(Completion, (call.number, result.failed, result.value))], no_cause())

    def _effect_failed(self, inv: Invocation, call: EffectCall, result: EffectResult) -> None:
        """It is tried again once that is on the log: so its attempts are counted through crashes."""
        code, detail = error_of(result.value)
        due = self._ledger.now + result.retry_after
        attempt = Attempt(call.attempt, result.attempts, call.began, due, code, detail, call.number)
        inv.tried[call.number] = attempt
        self._journal.note(inv, no_cause(), [failed(attempt)])
        self._effects.ask(inv, call.number, call.effect)


def _both(first: Suspended, second: Outcome) -> Outcome:
    """What came about in two goes is one stretch."""
    if type(second) is Result and second.code:
        return second
    patch, outs = [*first.patch, *second.patch], [*first.outs, *second.outs]
    if type(second) is not Suspended:
        return second._replace(patch=patch, outs=outs)
    return second._replace(
        commands=[*first.commands, *second.commands], done=[*first.done, *second.done],
        effects={**first.effects, **second.effects}, patch=patch, outs=outs,
    )  # fmt: skip
