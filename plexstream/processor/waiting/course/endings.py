"""How handlers that wait end: what is left of them, who is told, who goes on."""

from __future__ import annotations

import json
from collections import deque

from plexstream.model.host import ActorHost, Result
from plexstream.model.journal.journal import (
    DONE,
    FAILED,
    Begin,
    Change,
    CommandKind,
    Completion,
    Control,
    Out,
    OutKind,
)
from plexstream.model.journal.life import ON_STOP, START, STOP
from plexstream.model.journal.workflow import RESULT, WORKFLOW
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.processor.actors.actor import Actor, Waiting
from plexstream.processor.actors.actors import Actors
from plexstream.processor.journal.records import error_body
from plexstream.processor.state.histories.history import NOTED
from plexstream.processor.state.histories.kept import answer_out, is_kept, kept_out, outcome_among
from plexstream.processor.waiting.course.agenda import Agenda
from plexstream.processor.waiting.course.ports import Door
from plexstream.processor.waiting.course.reach import CANCEL, END, reach_down, sleeps_back, withdrawals
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.invocation.invocation import PARKED, Cause, Invocation, no_cause
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.processor.waiting.invocation.machine import Event, State, move

_SLEEP = CommandKind.SLEEP.value
_ERROR, _DEAD = OutKind.ERROR.value, OutKind.DEADLETTER.value


class Endings:
    """Ends handlers, each with one record.

    Attributes:
        door: lets others go on once nobody holds their actor any more.
    """

    door: Door

    def __init__(
        self, host: ActorHost, actors: Actors, journal: Journal, roster: Roster, agenda: Agenda
    ) -> None:
        self._host = host
        self._actors = actors
        self._journal = journal
        self._roster = roster
        self._agenda = agenda

    def end(
        self, inv: Invocation, status: int, cause: Cause, completions: list[Completion], patch: list[Change],
        outs: list[Out], key: str = "", event: Event = Event.END, free: bool = True,
        later: bool = False,
    ) -> None:  # fmt: skip
        """Nothing is left of a handler but its result; whoever waits for its actor goes on.

        `later`: its answer is left to another turn.
        """
        actor = inv.actor
        if status != DONE and not inv.begun:
            completions = [*completions, NOTED]  # nothing has taken effect: it keeps no state alive
        outs = [*outs, *sleeps_back(inv)]
        if inv.outstanding:
            outs += withdrawals(inv, told=outs)
        inv.unrecorded = [c for c in inv.unrecorded if c.kind != _SLEEP]  # of no use to anybody any more
        self._journal.record(inv, status, cause, completions=completions, patch=patch, outs=outs, key=key)
        move(inv, event)
        self.forget(inv)
        held = actor is not None and actor.holder is inv
        if actor is not None:
            self._roster.leave(actor, inv)
        if inv.behind and actor is not None:
            self._tell_same(inv, actor, outs, bool(key), later)
        if held and free and actor is not None:
            self.door.go_on(actor)

    def _tell_same(self, inv: Invocation, actor: Actor, outs: list[Out], kept: bool, later: bool) -> None:
        """What a handler came to is what the same calls come to; where it is not kept, tells are handled.

        Where it is to come `later`, all of them are: they find that another turn is to answer them, too.
        """
        outcome = outcome_among(outs, inv.begin.kind, inv.begin.id)
        behind, inv.behind = inv.behind, []
        own: list[Invocation] = []
        for same in behind:
            b = same.begin
            if same.state is State.PARKED and (kept or (b.kind == ASK and not later)):
                said = answer_out(outcome, b.kind, b.id, b.reply_to)
                self.end(same, DONE, no_cause(), [NOTED], [], said, free=False)
            elif not same.ended:
                own.append(same)
        for same in reversed(own):
            if not same.holds():
                actor.queue = actor.queue or deque()
                actor.queue.appendleft(Waiting(PARKED, -1, same.envelope(), same.number))
            elif same.state is State.PARKED:
                move(same, Event.FREE)
                self._agenda.soon(same)

    def kill(
        self, inv: Invocation, cause: Cause, outs: list[Out], code: str, detail: str, free: bool = True,
        attempts: int = 0, lives: bool = True,
    ) -> None:  # fmt: skip
        """End a handler without a word to its code, and all that it waits for.

        `lives`: its actor's life does not end or begin anew with it anyway.
        """
        b = inv.begin
        if inv.task is not None:
            self._host.drop(inv.task)
            self._agenda.keep(inv, None)
        if not inv.begun:
            inv.opening = None
        if b.kind == ASK or code == "poisoned":
            outs = [*outs, self.failure(inv, code, detail, None, attempts)]
        outs = [*outs, *kept_failure(b, code, detail), *reach_down(inv, END)]
        patch = self._result_of_run(inv, code, detail)
        if lives and (code == "poisoned" or b.handler in (START, STOP, ON_STOP)):
            changes, notices = self.life_failed(inv, code, detail)
            patch, outs = [*patch, *changes], [*outs, *notices]
        self.end(inv, FAILED, cause, [], patch, outs, key_of(b, code), event=Event.KILL, free=free)

    def cancelled(self, inv: Invocation, cause: Cause, outs: list[Out]) -> None:
        """A handler that has not begun, or cannot go on, is cancelled."""
        detail = f"{inv.reference()} was cancelled" + ("" if inv.begun else " before it began")
        code = Result("cancelled", b"", self._result_of_run(inv, "cancelled", detail), [], False, detail)
        outs = [*outs, *reach_down(inv, CANCEL)]
        sent = [*outs, self.failure(inv, code.code, detail, None)]
        sent += kept_failure(inv.begin, code.code, detail)
        if not inv.begun:
            inv.opening = None
        changes, notices = self.life_failed(inv, code.code, detail)
        done = [Completion(Control.CANCEL, True, error_body("cancelled", detail, None))]
        key = key_of(inv.begin, code.code)
        self.end(inv, FAILED, cause, done, [*code.patch, *changes], [*sent, *notices], key)

    def forget(self, inv: Invocation) -> None:
        """Nothing is to be done with it any more."""
        self._agenda.forget(inv)
        self._roster.remove(inv)

    # What of an end is told, and kept

    def failure(
        self, inv: Invocation, code: str, detail: str, data: object, attempts: int = 0,
        shown: Envelope | None = None,
    ) -> Out:  # fmt: skip
        """What its caller hears of it, or the dead letter; `shown`: its message, if not as it began."""
        b = inv.begin
        if b.kind == ASK:
            return Out(_ERROR, b.id, b.reply_to, "", error_body(code, detail, data))
        times = attempts or inv.attempts() + 1
        m = shown or b
        return Out(_DEAD, b.id, inv.address, m.handler, m.payload, code, detail, times)

    def life_failed(self, inv: Invocation, code: str, detail: str) -> tuple[list[Change], list[Out]]:
        """What a handler's failure does to its actor's life: a start that had begun ends as a failed one.

        A stop that is cut short ends it, too: who has asked for that may wait for it for ever.
        """
        actors, handler, actor = self._actors, inv.begin.handler, inv.actor
        cut_short = handler in (STOP, ON_STOP) and code in ("killed", "cancelled")
        if actor is not None and actor.life is not None and (cut_short or (handler == START and inv.begun)):
            return actors.start_failed(actor, code, detail)
        return actors.failed(inv.envelope(), code, detail)

    def _result_of_run(self, inv: Invocation, code: str, detail: str) -> list[Change]:
        """A workflow's run that was ended from outside has that as its result, for every later caller."""
        info = self._host.type_info(inv.address.split("/")[2])
        if info is None or inv.begin.handler != info.run:
            return []
        if not (inv.begun or inv.continued or -1 in inv.tried):
            return []  # one more caller, who waited for the run
        value = json.dumps(["e", {"code": code, "detail": detail, "data": None}], separators=(",", ":"))
        change = Change(WORKFLOW, RESULT, value.encode())
        if inv.actor is not None and inv.actor.instance is not None:
            self._host.apply(inv.actor.instance, [change])
        return [change]


def key_of(b: Begin, code: str) -> str:
    """For which idempotency key it is kept that a message came to `code`; empty: for none."""
    return b.idempotency_key if is_kept(b.kind, code) else ""


def kept_failure(b: Begin, code: str, detail: str, data: object = None) -> list[Out]:
    """What of a failure is kept that nobody is told of."""
    return [kept_out(error_body(code, detail, data), True)] if b.kind == TELL and key_of(b, code) else []
