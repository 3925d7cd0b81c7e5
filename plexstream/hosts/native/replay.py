"""Running a waiting handler again from its start, with what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from plexstream.hosts.native.task import Task
from plexstream.hosts.native.turn import Turn
from plexstream.model.errors import NonDeterministic
from plexstream.model.host import Effect, Outcome, Result, Suspended
from plexstream.model.journal import MEANWHILE, Change, Command, Completion, Control, Out, OutKind, Step

if TYPE_CHECKING:
    from plexstream.hosts.native.host import NativeHost

_NOTED = Control.NOTED.value
_NO_NEWS = frozenset((Control.PAUSE.value, Control.RESUME.value, Control.RESTART.value, _NOTED))
_ASK = OutKind.ASK.value


def new_task(turn: Turn) -> Task:
    """The steps of the handler that runs in `turn`."""
    bound, instance = turn.bound, turn.instance
    where = f"{instance.type.name}.{bound.name}"
    task = Task(turn, instance, where, not bound.is_async, turn.max_message)
    task.bound = bound
    task.retry = bound.retry
    if bound.read_only or bound.role in ("signal", "query"):
        what = bound.role or "read_only"
        task.refusal = f"{where} is a {what} handler, which cannot wait: only handlers that change state can"
    return task


class Replay:
    """Feeds a history to a handler that begins anew, and holds it to what is recorded.

    Invariant: `_commands`, …, `_outs` are what came about and no step has recorded.
    """

    def __init__(self, host: NativeHost, task: Task, history: Sequence[Step]) -> None:
        self._host = host
        self._task = task
        self._history = history
        self._early = frozenset(task.early)
        self._commands: list[Command] = []
        self._done: list[Completion] = []
        self._effects: dict[int, Effect] = {}
        self._patch: list[Change] = []
        self._outs: list[Out] = []

    def run(self, begin: Callable[[], Outcome]) -> Outcome:
        """Begin, feed everything, and return what is not recorded yet."""
        outcome = self._take(begin())
        for i, step in enumerate(self._history):
            if step.status == MEANWHILE:
                self._task.instance.reader.apply(step.patch)
                self._task.instance.apply(step.patch)
                continue
            for completion in step.completions:
                if completion.number in self._early or completion.number in _NO_NEWS:
                    continue
                if type(outcome) is not Suspended:
                    if self._only_noted(i):
                        break  # it came while the handler was not in memory, and too late
                    return self._ended_early(outcome, step, i)
                outcome = self._take(self._host.resume(self._task, completion, step.time))
            if any(c.number == _NOTED for c in step.completions):
                continue
            if missed := self._task.missed(step):
                return self._ended_early(outcome, step, i, missed)
            self._patch.clear()
            self._outs = [out for out in self._outs if self._is_new(out)]
        if type(outcome) is Suspended:
            return outcome._replace(
                commands=self._commands, done=self._done, effects=self._effects, patch=self._patch,
                outs=self._outs,
            )  # fmt: skip
        if type(outcome) is Result and not outcome.code:
            return outcome._replace(patch=[*self._patch, *outcome.patch], outs=[*self._outs, *outcome.outs])
        return outcome

    def _only_noted(self, at: int) -> bool:
        """Whether the handler did not go on with any of the steps from `at` on."""
        return all(
            step.status == MEANWHILE
            or (any(c.number == _NOTED for c in step.completions) and not self._task.missed(step))
            for step in self._history[at:]
        )

    def _is_new(self, out: Out) -> bool:
        """Whether it asks for what is not recorded: a restart has made it undone."""
        if out.kind != _ASK:
            return False
        return int(out.id.rpartition("#")[2].split(".")[1]) not in self._task.recorded

    def _take(self, outcome: Outcome) -> Outcome:
        """Note what came about; what is recorded of it is not to happen again."""
        if type(outcome) is Suspended:
            recorded = self._task.recorded
            self._commands.extend(c for c in outcome.commands if c.number not in recorded)
            self._done.extend(c for c in outcome.done if c.number not in recorded)
            self._effects.update(outcome.effects)
            self._outs.extend(outcome.outs)
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
        left = f"{len(self._history) - at} more steps are recorded, but the handler "
        error = NonDeterministic(
            f"{self._task.where}: {missed or self._task.missed(step) or left}{what}. Undo the change of the "
            "code, or allow it with host.version"
        )
        return Result(error.code, b"", [], [], False, error.detail, None)
