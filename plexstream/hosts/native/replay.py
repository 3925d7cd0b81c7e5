"""Running a waiting handler again from its start, with what is recorded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from plexstream.hosts.native.task import Task
from plexstream.hosts.native.turn import Turn
from plexstream.model.errors import NonDeterministic
from plexstream.model.host import Effect, Outcome, Result, Suspended
from plexstream.model.journal import MEANWHILE, OutKind, Step

if TYPE_CHECKING:
    from plexstream.hosts.native.host import NativeHost

_BY_HANDLER = frozenset(
    k.value for k in (OutKind.TELL, OutKind.ASK, OutKind.EMIT, OutKind.TIMER, OutKind.CANCEL)
)
SLEEP_MARK = "~"
"""In the ids of timers that a sleep waits for, which the processor sets and cancels by itself."""


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
    """Feeds a history to a handler that begins anew, and holds it to what is recorded."""

    def __init__(self, host: NativeHost, task: Task, history: Sequence[Step]) -> None:
        self._host = host
        self._task = task
        self._history = history
        self._effects: dict[int, Effect] = {}
        self._kept = Suspended(task, [], [], self._effects, [], [])
        self._early = frozenset(task.early)
        self._left = sum(_sent(step) for step in history)  # outgoing items that have left already

    def run(self, begin: Callable[[], Outcome]) -> Outcome:
        """Begin, feed everything, and return what is not recorded yet."""
        outcome = begin()
        for i, step in enumerate(self._history):
            if step.status == MEANWHILE:  # another handler's turn meanwhile
                self._apply(step)
                continue
            for completion in step.completions:
                if completion.number in self._early:  # known as it was asked for
                    continue
                if type(outcome) is not Suspended:
                    return self._ended_early(outcome, step, i)
                self._keep(outcome)
                outcome = self._host.resume(self._task, completion, step.time)
            if type(outcome) is Suspended and (missed := self._task.missed(step)):
                self._task.drop()
                return self._differs(missed + "waits for something else")
            if type(outcome) is not Suspended and i + 1 < len(self._history):
                rest = [
                    s
                    for s in self._history[i + 1 :]
                    if s.status != MEANWHILE and (s.commands or s.completions)
                ]
                if rest:
                    return self._ended_early(outcome, rest[0], i)
        if type(outcome) is Suspended:
            self._keep(outcome)
            outs = self._kept.outs
            return self._kept._replace(outs=outs[self._left :])
        if type(outcome) is Result and not outcome.code:
            return outcome._replace(outs=[*self._kept.outs, *outcome.outs][self._left :])
        return outcome

    def _keep(self, outcome: Suspended) -> None:
        """Note what came about; what is recorded of it is not to happen again."""
        recorded = self._task.recorded
        k = self._kept
        k.commands.extend(c for c in outcome.commands if c.number not in recorded)
        k.done.extend(c for c in outcome.done if c.number not in recorded)
        self._effects.update(outcome.effects)
        k.outs.extend(outcome.outs)
        if outcome.patch:
            self._task.instance.reader.apply(outcome.patch)

    def _apply(self, step: Step) -> None:
        self._task.instance.reader.apply(step.patch)
        self._task.instance.apply(step.patch)

    def _ended_early(self, outcome: Outcome, step: Step, at: int) -> Outcome:
        if type(outcome) is Result and outcome.code == "non_deterministic":
            return outcome
        what = f"failed: {outcome.detail}" if type(outcome) is Result and outcome.code else "returned"
        named = (
            self._task.missed(step) or f"{len(self._history) - at} more steps are recorded, but the handler "
        )
        return self._differs(named + what)

    def _differs(self, what: str) -> Result:
        error = NonDeterministic(
            f"{self._task.where}: {what}. Undo the change of the code, or allow it with host.version"
        )
        return Result(error.code, b"", [], [], False, error.detail, None)


def _sent(step: Step) -> int:
    return sum(1 for out in step.outs if out.kind in _BY_HANDLER and SLEEP_MARK not in out.id)
