"""What is done to handlers that wait, from outside or with their actor's life."""

from __future__ import annotations

from plexstream.model.host import ActorHost
from plexstream.model.journal.attempt import Undone
from plexstream.model.journal.journal import CommandKind, Completion, Control, Out
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.records import error_body
from plexstream.processor.waiting.course.agenda import Agenda
from plexstream.processor.waiting.course.effects import Effects
from plexstream.processor.waiting.course.endings import Endings
from plexstream.processor.waiting.course.reach import CANCEL, reach_down, sleeps_back, withdrawals
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.events.answers import Answers
from plexstream.processor.waiting.invocation.invocation import Cause, Invocation, holder_of, no_cause
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.processor.waiting.invocation.machine import HOLDS, WAITS, Event, State, move

_SLEEP = CommandKind.SLEEP.value
_CANCEL, _PAUSE, _RESUME, _RESTART = (
    c.value for c in (Control.CANCEL, Control.PAUSE, Control.RESUME, Control.RESTART)
)


class Controls:
    """Cancels, kills, pauses, resumes and restarts."""

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, journal: Journal, roster: Roster,
        agenda: Agenda, effects: Effects, endings: Endings, answers: Answers,
    ) -> None:  # fmt: skip
        self._host = host
        self._ledger = ledger
        self._actors = actors
        self._journal = journal
        self._roster = roster
        self._agenda = agenda
        self._effects = effects
        self._endings = endings
        self._answers = answers

    def cancel(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """Its handler gets a Cancelled error where it waits; what it waits for is cancelled with it."""
        if inv.state is State.STUCK or not (inv.begun or inv.task is not None or inv.paused):
            self._endings.cancelled(inv, cause, outs)
            return
        detail = f"{inv.reference()} was cancelled"
        error = error_body("cancelled", detail, None)
        done = [Completion(_CANCEL, True, error)]
        over = self._effects.not_started(inv)
        over += [n for n, command in inv.outstanding.items() if command.kind == _SLEEP]
        down = [*sleeps_back(inv), *reach_down(inv, CANCEL)]
        for number in sorted(over):
            self._effects.withdraw(inv, number)
            done.append(Completion(number, True, error))
        inv.cancelled = True
        self._answers.come(inv, done, cause, [*outs, *down], Event.CANCEL)

    def kill(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """It ends at once, and its caller gets a Killed error; what it waits for ends with it."""
        self._endings.kill(inv, cause, outs, "killed", f"{inv.reference()} was killed")

    def kill_all(self, actor: Actor, detail: str, but: Invocation | None = None) -> None:
        """End every handler of an actor whose life ends or begins anew. What waits for them is next.

        A message that waits in the journal, for its turn or to be tried again, is judged when that comes.
        """
        for inv in self._roster.of(actor.address):
            inv.actor = actor
            if not (inv.only_message() or inv.ended) and inv is not but:
                self._endings.kill(inv, no_cause(), [], "killed", detail, free=False, lives=False)
        if but is not None:
            return  # it has the actor
        if (holder := holder_of(actor)) is not None:
            self._roster.put_back(actor, holder)
        if actor.queue is not None:
            self._actors.busy[actor.address] = actor  # the next tick goes on with it
            actor.retry_at = self._ledger.now

    def pause(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """Keep a handler from going on."""
        self._journal.note(inv, cause, [Completion(_PAUSE, False, b"null")], outs)
        self._drop(inv)
        move(inv, Event.PAUSE)

    def withdrawn(self, inv: Invocation, cause: Cause) -> None:
        """Who has asked for it waits for its answer no more: it goes on, and a later turn answers nobody."""
        self._journal.note(inv, cause, [Completion(Control.WITHDRAWN, False, b"null")])
        inv.withdrawn = True

    def resume(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """Let a handler go on that was paused, is stuck, or waits to be tried again."""
        inv.retry_at = 0
        self._journal.note(inv, cause, [Completion(_RESUME, False, b"null")], outs)
        before = inv.state
        then = move(inv, Event.RESUME, HOLDS if inv.holds() else WAITS)
        if then is State.READY and before is not State.READY:
            self._agenda.soon(inv)

    def restart(self, inv: Invocation, at: int, cause: Cause, outs: list[Out]) -> None:
        """Forget what a handler has asked for from command `at` on, and let it run again from there."""
        back = [*sleeps_back(inv, Undone(at)), *withdrawals(inv, Undone(at))]
        completions = [Completion(_RESTART, False, b"%d" % at), Completion(_RESUME, False, b"null")]
        self._journal.note(inv, cause, completions, [*outs, *back])
        self._drop(inv)
        before = inv.state
        inv.restart(at)
        then = move(inv, Event.RESTART, HOLDS if inv.holds() else WAITS)
        if then is State.READY and before is not State.READY:
            self._agenda.soon(inv)

    def _drop(self, inv: Invocation) -> None:
        """It runs again when it goes on."""
        if inv.task is not None:
            self._host.drop(inv.task)
            self._agenda.keep(inv, None)
            if inv.actor is not None and not inv.actor.info.visible and inv.number in inv.actor.shared:
                inv.instance = None
