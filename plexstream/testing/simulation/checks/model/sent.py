"""What the turns of one partition have sent: to whom, as what, and in which order."""

from __future__ import annotations

from plexstream.model.journal.journal import Out, OutKind, Step, Turn
from plexstream.model.messages import idempotency
from plexstream.node.lanes.records.applied import is_space
from plexstream.testing.simulation.checks.model.timers import Timers

Origin = tuple[str, int, int]
"""Origin, journal offset, index."""
ANSWER = {int(OutKind.REPLY): 2, int(OutKind.ERROR): 3}
"""As which kind of message an answer leaves."""


class Sent:
    """All that turns which count have sent.

    Attributes:
        mails: to mailboxes, by origin.
        emitted, put_aside: output records and dead letters, in order.
        applied: what tuple spaces emit, in order.
        conflicts: ids of tells whose key was used with other arguments.
        answers: replies and errors to callers, by message id, as (kind, payload).
    """

    def __init__(self, partition: int, life: str, timers: Timers) -> None:
        self._partition = partition
        self._origin = f"journal/{partition}@{life}"
        self._timers = timers
        self.mails: dict[Origin, Out] = {}
        self.emitted: list[tuple[str, bytes]] = []
        self.applied: list[tuple[str, bytes]] = []
        self.put_aside: list[tuple[Origin, str]] = []
        self.conflicts: set[str] = set()
        self.answers: dict[str, list[tuple[int, bytes]]] = {}

    def take(self, offset: int, t: Turn | Step, kinds: list[int]) -> None:
        """A turn sends something. `kinds`: of all that it carries."""
        places = [at for at, kind in enumerate(kinds) if kind != OutKind.KEPT]
        for index, out in zip(places, t.outs, strict=True):
            if out.kind in (OutKind.TELL, OutKind.ASK) or (out.kind in ANSWER and "/" in out.target):
                self.mails[self._origin, offset, index] = out
            elif out.kind in (OutKind.REPLY, OutKind.ERROR):
                self.answers.setdefault(out.id, []).append((ANSWER[out.kind], out.payload))
            elif out.kind == OutKind.EMIT:
                told = self.applied if is_space(t.actor) else self.emitted
                told.append((t.actor, out.payload))
            elif out.kind == OutKind.DEADLETTER:
                self.put_aside.append(((f"journal/{self._partition}", offset, index), out.key))
                if out.key == idempotency.CONFLICT:
                    self.conflicts.add(out.id)
            elif out.kind == OutKind.TIMER:
                self._timers.set(t.actor, out)
            elif out.kind == OutKind.CANCEL:
                self._timers.drop(t.actor, out.id)
