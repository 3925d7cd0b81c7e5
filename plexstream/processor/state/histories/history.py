"""The steps of one invocation, as its handler runs again from them."""

from __future__ import annotations

from plexstream.model.journal.attempt import Attempt, Undone, encode_attempt, undone_by
from plexstream.model.journal.journal import MEANWHILE, Begin, Completion, Control, Step

NOTED = Completion(Control.NOTED, False, b"null")
CONTINUED = Completion(Control.NOTED, False, b'"continued"')
"""What the first record of a run says that goes on from another: its turn has come already."""


def failed(attempt: Attempt) -> Completion:
    """Takes note of an attempt that has failed."""
    return Completion(Control.NOTED, True, encode_attempt(attempt))


def is_note(step: Step) -> bool:
    """Whether a record only takes note: its handler did not go on with it."""
    begins = step.begin is not None and step.begin.base is not None
    return not (step.commands or begins) and any(c.number == Control.NOTED for c in step.completions)


def began_with_init(step: Step, number: int) -> bool:
    """Whether the actor's init hook ran before the handler, in the first stretch that is `step`."""
    said = [c.value for c in step.completions if c.number == Control.INIT]
    return said[0] == b"true" if said else number == 1 or step.fresh


def effective(history: list[Step]) -> list[Step]:
    """A history without what restarts and retries have made undone."""
    found: list[Step] = []
    for step in history:
        for undone in filter(None, map(undone_by, step.completions)):
            found = _until(found, undone)
            step = _known(step, undone, ())
        found.append(step)
    return found


def _until(history: list[Step], undone: Undone) -> list[Step]:
    """A history up to where the first command is asked for that is undone.

    Later answers to what came before are noted there.
    """
    found: list[Step] = []
    cut = False
    for step in history:
        if step.status == MEANWHILE or is_note(step) or not cut:
            cut = cut or any(c.number >= undone.at for c in step.commands)
            found.append(_known(step, undone, ()) if step.status != MEANWHILE else step)
        else:
            found.append(_known(step, undone, (NOTED,)))
    return found


_KEPT = frozenset((Control.NOTED, Control.INIT, Control.RESTART, Control.LED, Control.SEEN))


def _known(step: Step, undone: Undone, more: tuple[Completion, ...]) -> Step:
    # A cancel before a restart is forgotten; a retry goes on as what was cancelled.
    keep = _KEPT if undone.sent < 0 else _KEPT | {Control.CANCEL}
    return step._replace(
        commands=[c for c in step.commands if c.number < undone.at],
        completions=[
            c for c in step.completions if c.number in keep or (c.number >= 0 and not undone.has(c.number))
        ]
        + [*more],
    )


def start_of(history: list[Step], begin: Begin) -> Begin:
    """With which time and state its handler began: those of its first record that is no note."""
    for step in history:
        begin = step.begin or begin
        if step.status != MEANWHILE and not is_note(step):
            break
    return begin
