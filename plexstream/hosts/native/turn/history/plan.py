"""What a history says of a handler that is about to run again, laid out for that run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from plexstream.model.journal.attempt import Undone, undone_by
from plexstream.model.journal.journal import MEANWHILE, Command, CommandKind, Completion, Control, Step

_AT_ONCE = (CommandKind.VALUE.value, CommandKind.PROMISE.value)
_NOTED = Control.NOTED.value


@dataclass(slots=True)
class Plan:
    """A history without what is undone (`effective`), as a run of its handler meets it.

    Attributes:
        recorded: what it has asked for, by number.
        early: what was known as it was asked for, by number.
        early_at: the place of the step that has that, by number.
        again: those of `recorded` that a retry asks for again.
        undone: how often something had been undone, in all.
        after: the same when a command was asked for, by number, if it was not 0.
        before: the same when a step began, by its place in the history.
        cuts: what was undone behind a step, by its place.
        moments: the time at which a command was asked for first after a restart, and how often something
            had been undone by then, by number.
    """

    recorded: dict[int, Command] = field(default_factory=dict)
    early: dict[int, Completion] = field(default_factory=dict)
    early_at: dict[int, int] = field(default_factory=dict)
    again: set[int] = field(default_factory=set)
    undone: int = 0
    after: dict[int, int] = field(default_factory=dict)
    before: dict[int, int] = field(default_factory=dict)
    cuts: dict[int, list[Undone]] = field(default_factory=dict)
    moments: dict[int, tuple[int, int]] = field(default_factory=dict)


def plan_of(history: Sequence[Step], now: int) -> Plan:
    """Lay out a history for a run at `now`, in ms since the epoch."""
    plan = Plan()
    latest = -1  # the step that is no note
    restarted: list[int] = []
    for place, step in enumerate(history):
        if step.status == MEANWHILE:
            continue
        for undone in filter(None, map(undone_by, step.completions)):
            plan.undone += latest >= 0  # what has not begun has asked for nothing
            plan.again = {n for n in plan.again.union(undone.again) if n < undone.at}
            if latest >= 0:
                plan.cuts.setdefault(latest, []).append(undone)
            if undone.sent < 0:
                restarted = [at for at in restarted if at < undone.at] + [undone.at]
        if is_note(step):
            continue
        plan.before[place] = plan.undone
        plan.moments.update((at, (step.time, plan.undone)) for at in restarted)
        restarted = []
        latest = place
        at_once = set()
        for command in step.commands:
            plan.recorded[command.number] = command
            plan.again.discard(command.number)
            if plan.undone:
                plan.after[command.number] = plan.undone
            if command.kind in _AT_ONCE:
                at_once.add(command.number)
        known = [c for c in step.completions if c.number in at_once]
        plan.early.update((c.number, c) for c in known)
        plan.early_at.update((c.number, place) for c in known)
    plan.moments.update((at, (now, plan.undone)) for at in restarted)
    return plan


def is_note(step: Step) -> bool:
    """Whether a record only takes note: the handler did not go on with it."""
    begins = step.begin is not None and step.begin.base is not None
    return not (step.commands or begins) and any(c.number == _NOTED for c in step.completions)
