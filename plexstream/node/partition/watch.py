"""What must be read of a partition's journal or snapshots, and does not come: somebody has to say so."""

from __future__ import annotations

from collections.abc import Callable

from plexstream.log.base import Place
from plexstream.model.errors import Fenced, LogError, LogUnavailable
from plexstream.node.shared.services import Services

WATCH_S = 1.0
"""How long records of the journal that are there may take to come, before the log is asked for its range."""
SILENCE_S = 30.0
"""How long a record that must be there may take to come: longer than any restart of a broker."""


class Watch:
    """Looks at a reading that goes on, once in each round.

    Parameters:
        owner: a driver; gets what the log answers.
        reads_up_to: the last offset of the journal that has to be read; None: nothing is read of it.
    """

    def __init__(
        self, services: Services, journal: Place, owner: object, reads_up_to: Callable[[], int | None]
    ) -> None:
        self.s = services
        self._journal = journal
        self._owner = owner
        self._reads_up_to = reads_up_to
        self._ask_at = 0.0  # when to ask whether what is read of the journal is there; 0: nothing is read
        self._awaits: tuple[str, int] | None = None
        self._awaits_since = 0.0

    def look(self, awaited: tuple[str, int] | None) -> None:
        """Time has passed.

        Parameters:
            awaited: which record must come next, as its place and offset; None: none has to.

        Raises:
            LogUnavailable: it has not come for long.
        """
        self._silence(awaited)
        self._trimmed()

    def _silence(self, awaited: tuple[str, int] | None) -> None:
        now = self.s.elapsed()
        if awaited is None or awaited != self._awaits:
            self._awaits, self._awaits_since = awaited, now
        elif now - self._awaits_since > SILENCE_S:
            self._awaits = None
            raise LogUnavailable(
                f"{awaited[0]} was read up to offset {awaited[1]}, and what must come there has not come for "
                f"{SILENCE_S:.0f} s"
            )

    def _trimmed(self) -> None:
        """Only a newer owner trims what this one has to read. With nothing behind it, no record tells."""
        if self._reads_up_to() is None:
            self._ask_at = 0.0
            return
        now = self.s.elapsed()
        if not self._ask_at:
            self._ask_at = now + WATCH_S
        elif now >= self._ask_at:
            self._ask_at = now + WATCH_S
            log, journal = self.s.log, self._journal
            self.s.ask(self._owner, journal[1], lambda: log.range(journal), self._answered)

    def _answered(self, found: tuple[int, int] | LogError) -> None:
        """Raises Fenced."""
        last = self._reads_up_to()
        if last is not None and not isinstance(found, LogError) and found[0] > last:
            raise Fenced(
                f"partition {self._journal[1]}: its journal was trimmed up to offset {found[0]} before it "
                f"was read up to {last}: it has a newer owner"
            )
