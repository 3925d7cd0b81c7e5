"""Running a waiting handler again from its start, with what is recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from plexstream.hosts.native.turn.history import left
from plexstream.hosts.native.turn.history.plan import Plan, is_note
from plexstream.hosts.native.turn.history.sights import is_stretch, sights_at
from plexstream.hosts.native.turn.turn import Turn
from plexstream.hosts.native.waiting.asked.commands import NOW
from plexstream.hosts.native.waiting.asked.promises import PROMISES
from plexstream.hosts.native.waiting.going import go_on, resume
from plexstream.hosts.native.waiting.task import Task
from plexstream.model.errors import NonDeterministic
from plexstream.model.host import Effect, Outcome, Result, Suspended
from plexstream.model.journal.journal import (
    MEANWHILE,
    WAITING,
    Change,
    Command,
    Completion,
    Control,
    Out,
    OutKind,
    Step,
)

_CANCEL, _ASK = Control.CANCEL.value, OutKind.ASK.value


def new_task(turn: Turn) -> Task:
    """The steps of the handler that runs in `turn`."""
    bound, instance = turn.bound, turn.instance
    where = f"{instance.type.name}.{bound.name}"
    task = Task(turn, instance, where, turn.initialising or not bound.is_async, turn.max_message)
    task.bound = bound
    task.retry = bound.retry
    if bound.read_only:
        task.refusal = (
            f"{where} is a {bound.role or 'read_only'} handler, which cannot wait, as it leaves no record: a "
            "shared handler or a signal may; or give the id of an awakeable of your own"
        )
    if turn.beside is not None:
        turn.beside.stray = task.commands.stray
    return task


def init_ran(history: Sequence[Step], seq: int) -> bool:
    """Whether the actor's init hook ran before the handler."""
    for step in history:
        if step.status != MEANWHILE and not is_note(step):
            said = [c.value for c in step.completions if c.number == Control.INIT]
            return said[0] == b"true" if said else seq == 1 or step.fresh
    return seq == 1


class Replay:
    """Feeds a history to a handler that begins anew, and holds it to what is recorded.

    What was noted while the handler was not in memory is fed where it went on after that: with the next
    record that is no note, at its time and on the state of then; or now, which is new, and to be recorded.

    All that leaves is compared, stretch by stretch: what it asks for (`Task`), what it sends, and what it
    changes where others see it. Where something was undone, by a restart or a retry, the next stretch begins.

    Invariant: `_commands`, …, `_patch` are what came about and no step has recorded.
    """

    def __init__(
        self, task: Task, history: Sequence[Step], plan: Plan, now: int, compares: bool
    ) -> None:
        self._task = task
        self._history = history
        self._plan = plan
        self._now = now
        self._compares_state = compares
        self._early = frozenset(plan.early)
        self._noted: list[Completion] = []
        self._commands: list[Command] = []
        self._done: list[Completion] = []
        self._effects: dict[int, Effect] = {}
        self._patch: list[Change] = []
        self._all: list[Out] = []
        self._again: list[Out] = []  # what of the stretches before leaves once more
        self._from = 0  # of `_all`: where the stretch begins
        self._count = 0  # of items in the stretches before
        self._cut = False  # what the stretch before did was undone in part
        self._ahead = 0  # up to where the history is in the state that the handler sees
        task.commands.at_restart = self._at_restart

    def run(self, begin: Callable[[], Outcome]) -> Outcome:
        """Begin, feed everything, and return what is not recorded yet."""
        outcome: Outcome | None = None
        turn = self._task.turn
        seen = False  # whether it is on the log that it began: what others did then is not in its first state
        for i, step in enumerate(self._history):
            if step.status == MEANWHILE:
                if seen and i >= self._ahead:
                    self._apply(step.patch)
                continue
            news = [c for c in step.completions if self._is_news(c)]
            if is_note(step):
                self._noted += news
                if outcome is not None and i >= self._ahead:
                    self._keep(step)
                continue
            seen = True
            if outcome is None and turn.beside is None and self._only_begins(i):
                continue  # nothing that it did is on the log: it begins now, on the state as it is
            turn.restarts = self._plan.before[i]
            if turn.beside is not None:
                turn.beside.enter(*sights_at(self._history, self._plan, i))
            self._task.commands.place = i
            if outcome is None:
                outcome = self._take(begin())
            late = [c for c in step.completions if self._task.commands.is_behind(c.number)]
            left = deque([*self._take_noted(), *late, *news])
            while left and type(outcome) is Suspended:
                outcome = self._take(resume(self._task, left.popleft(), step.time))
            missed = self._task.commands.missed(step)
            if type(outcome) is not Suspended and not missed and self._is_restarted_at(i):
                return self._ended_anew(outcome, step, i)
            if missed or left:
                return self._ended_early(outcome, step, i, missed)
            if step.status == WAITING:
                if type(outcome) is not Suspended:
                    return self._ended_early(outcome, step, i)
                if differs := self._compare(step, i):
                    self._task.drop()
                    return self._misfit(differs)
                self._settle_patch(step, i)
        turn.restarts = self._plan.undone
        self._task.commands.place = NOW
        if turn.beside is not None:
            turn.beside.enter([], True)
        ran = outcome is None
        if outcome is None:
            outcome = self._take(begin())
        for completion in self._take_noted():
            if type(outcome) is not Suspended:
                break  # it came too late
            if self._task.feed(completion, self._now):
                ran = True
                outcome = self._take(go_on(self._task))
        while type(outcome) is Suspended and self._task.catch_up(self._now):
            ran = True
            outcome = self._take(go_on(self._task))
        if type(outcome) is Suspended:  # with a promise that it does not wait for alone
            self._done.extend(self._task.take()[1])
        return self._rest(outcome, ran)

    def _only_begins(self, place: int) -> bool:
        """Whether a step has nothing but the message, and nothing that the handler did comes behind it.

        What is left of a stretch that was undone up to its first command is what it has changed before.
        """
        step, later = self._history[place], self._history[place + 1 :]
        empty = step.begin is not None and not (step.commands or step.outs or _changed(step))
        return empty and all(s.status == MEANWHILE or is_note(s) for s in later)

    def _at_restart(self) -> None:
        """The handler comes to what it does again: on the state of then, where others see what it changes."""
        place, turn = self._task.commands.place, self._task.turn
        if place == NOW or turn.beside is not None or not self._task.instance.type.info.visible:
            return
        self._task.instance.reader.apply(self._task.instance.take_changes(turn.room, True))
        self._patch.clear()
        first = max(place, self._ahead)
        for i, step in enumerate(self._history[first:], first):
            if i > first and is_stretch(step):
                break
            if step.status == MEANWHILE:
                self._apply(step.patch)
            else:
                self._keep(step)
            self._ahead = i + 1

    def _is_restarted_at(self, place: int) -> bool:
        """Whether it has come to what it does again in this stretch, and nothing of that is recorded."""
        again = [undone.at for undone in self._plan.cuts.get(place, ()) if undone.sent < 0]
        recorded = any(is_stretch(step) for step in self._history[place + 1 :])
        return not recorded and any(at in self._task.commands.reached for at in again)

    def _ended_anew(self, outcome: Outcome, step: Step, place: int) -> Outcome:
        """It has ended in a stretch whose end was undone."""
        if type(outcome) is Suspended or (type(outcome) is Result and outcome.code):
            return outcome
        self._all.extend(outcome.outs)
        if differs := self._compare(step, place):
            return self._misfit(differs)
        return self._rest(outcome._replace(outs=[]), True)

    def _settle_patch(self, step: Step, place: int) -> None:
        """What a stretch changed is on the log, but for promises that it settles where its end was undone."""
        if place < self._ahead:
            return  # it was restarted here: what it has changed since goes with the next record
        cut = self._task.turn.beside is not None and place in self._plan.cuts
        self._patch[:] = [c for c in self._patch if c not in step.patch] if cut else []

    def _keep(self, step: Step) -> None:
        """What a stretch that was undone did to collections stays: what came later is on top of it."""
        if stays := [c for c in step.patch if c.key is not None]:
            self._apply(stays)

    def _apply(self, patch: Sequence[Change]) -> None:
        self._task.instance.reader.apply(patch)
        self._task.instance.apply(patch)

    def _is_news(self, completion: Completion) -> bool:
        number = completion.number
        return number == _CANCEL or (number >= 0 and number not in self._early)

    def _take_noted(self) -> list[Completion]:
        noted, self._noted = self._noted, []
        return noted

    def _compare(self, step: Step, place: int) -> str:
        """What of a stretch is other than recorded; where the next one begins."""
        cuts = self._plan.cuts.get(place, ())
        end = len(self._all)
        for undone in cuts:
            where = undone.sent if undone.sent >= 0 else self._task.commands.reached.get(undone.at, end)
            end = max(self._from, min(end, where))
        now, more = left.sent([*self._again, *self._all[self._from : end]], self._task.turn.address)
        recorded = left.own(step)
        if cuts or more:
            recorded = recorded[: len(now)]
        differs = left.differs(recorded, now, self._count)
        if self._compares_state and not (differs or cuts or self._cut):
            differs = left.changes_differ(step, self._patch, PROMISES, self._task.instance.restored)
        self._count += len(now)
        self._cut = bool(cuts)
        again = {n for undone in cuts for n in undone.again}
        self._again = [out for out in self._all[:end] if out.kind == _ASK and _number(out) in again]
        self._from = end
        return differs

    def _rest(self, outcome: Outcome, ran: bool) -> Outcome:
        outs = [*self._again, *self._all[self._from :]]
        if type(outcome) is not Suspended:  # a failure takes nothing back of what came before a wait
            return outcome._replace(patch=[*self._patch, *outcome.patch], outs=[*outs, *outcome.outs])
        return outcome._replace(
            commands=self._commands, done=self._done, effects=self._effects, patch=self._patch,
            outs=outs, ran=ran or bool(self._commands or outs),
        )  # fmt: skip

    def _take(self, outcome: Outcome) -> Outcome:
        """Note what came about; what is recorded of it is not to happen again."""
        if type(outcome) is Suspended:
            plan = self._plan
            known = plan.recorded.keys() - plan.again
            self._commands.extend(c for c in outcome.commands if c.number not in known)
            self._done.extend(c for c in outcome.done if c.number not in known)
            self._effects.update(outcome.effects)
            self._all.extend(outcome.outs)
            if outcome.patch:
                self._patch.extend(outcome.patch)
                self._task.instance.reader.apply(outcome.patch)
        return outcome

    def _ended_early(self, outcome: Outcome, step: Step, at: int, missed: str = "") -> Outcome:
        if type(outcome) is Result and outcome.code == "non_deterministic":
            return outcome
        if type(outcome) is Suspended:
            self._task.drop()
            what = "waits for something else"
        elif type(outcome) is Result and outcome.code:
            what = f"failed: {outcome.detail}"
        else:
            what = "ended"
        count = sum(not is_note(s) for s in self._history[at:])  # else it would be told anew at each try
        left = f"{count} more steps are recorded, but the handler "
        return self._misfit(f"{missed or self._task.commands.missed(step) or left}{what}")

    def _misfit(self, what: str) -> Result:
        error = NonDeterministic(
            f"{self._task.where}: {what}. Undo the change of the code, or allow it with host.version"
        )
        return Result(error.code, b"", [], [], False, error.detail, None)


def _changed(step: Step) -> bool:
    """Whether a handler has changed its actor in its first stretch: not the system, nor what expired."""
    return any(c.field[:1] != "$" and not (step.fresh and c.value is None) for c in step.patch)


def _number(ask: Out) -> int:
    """The command that an ask is: its id is ``address#invocation.number``, perhaps with one more number."""
    return int(ask.id.rpartition("#")[2].split(".")[1])
