"""What a supervisor remembers of itself from turn to turn: plain data."""

from __future__ import annotations

from dataclasses import dataclass, field

from plexstream.sdk.host.supervision import Supervisor


@dataclass
class Step:
    """Something to do. The first one is under way.

    Attributes:
        what: start, stop, delete: of one child; exit; stop all: from the child `id` down to `floor`; start
            all: those that are to be started again, from the child `id` up. As it goes on, `id` does.
    """

    what: str
    id: str = ""
    floor: str = ""


@dataclass
class Event:
    """What a child's life has come to."""

    child: str
    ref: str
    what: str  # failed, exited
    reason: str


@dataclass
class Head:
    """One supervisor but for its children and what is to be done.

    Attributes:
        gone: declared temporary children that have ended, with digests of their definitions: they are not
            started again because the same declaration is told again.
        active, significant: how many children have been started and have not stopped, and how many of them
            are significant.
    """

    strategy: str = "one_for_one"
    max_restarts: int = 3
    window: float = 5.0
    auto_shutdown: str = "never"
    phase: str = "new"  # new, running, stopping, gave up
    reason: str = ""
    gone: dict[str, str] = field(default_factory=dict)
    specs: int = 0
    supervisors: int = 0
    active: int = 0
    significant: int = 0

    def take_limits(self, spec: Supervisor) -> bool:
        """Take over what a declaration says of the supervisor itself; whether that is another than before."""
        before = (self.strategy, self.max_restarts, self.window, self.auto_shutdown)
        self.strategy, self.max_restarts = spec.strategy, spec.max_restarts
        self.window, self.auto_shutdown = float(spec.max_restart_window_seconds), spec.auto_shutdown
        return before != (self.strategy, self.max_restarts, self.window, self.auto_shutdown)
