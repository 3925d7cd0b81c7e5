"""Those who wait, in order of arrival: each until its time is up, and for an answer that is given once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from typing import Any, Final, NamedTuple, Protocol

from plexstream.coordination.common.agenda import AT_ONCE, Agenda, Timed
from plexstream.sdk.host.host import host
from plexstream.sdk.running.collections.maps import StateMap

Row = list[Any]  # token of the answer, since when, until when in ms (0: for ever), what is wanted
_ARRIVED: Final = "arrived"


class Waiter(NamedTuple):
    """One who waits.

    Attributes:
        since, until: in ms since the epoch; until 0: for ever.
        wish: what is wanted, as `Line.join` was told.
    """

    since: int
    until: int
    wish: list[Any]


class Waited(Timed, Protocol):
    """An actor for which others wait.

    Attributes:
        lines: ``state(default_factory=dict)``: how many have arrived ever, and by a line's letter how many
            wait in it.
    """

    lines: dict[str, int]


class Line:
    """One of an actor's lines, for one turn, in which it deals with `AT_ONCE` waiters at most.

    Parameters:
        owner: the actor.
        letter: what the line's entries in the agenda begin with, which no others do.
        rows: ``state_map()`` of who waits, by the number of arrival.

    Attributes:
        late: how many got the answer that their time is up.
    """

    def __init__(self, owner: Waited, letter: str, rows: StateMap[int, Row]) -> None:
        self._owner = owner
        self._letter = letter
        self._rows = rows
        self._left = AT_ONCE
        self.late = 0

    def __len__(self) -> int:
        """How many wait, those included who have gone unnoticed."""
        return self._owner.lines.get(self._letter, 0)

    def join(self, wait: int | None, *wish: Any) -> None:
        """Let the caller wait, `wait` ms at most (None: for ever). Who only tells waits for nothing."""
        token = host.defer()
        if not token:
            return
        lines = self._owner.lines
        number = lines[_ARRIVED] = lines.get(_ARRIVED, 0) + 1
        lines[self._letter] = len(self) + 1
        now = host.now()
        until = 0 if wait is None else now + wait
        self._rows[number] = [token, now, until, *wish]
        if until:
            Agenda(self._owner).put(until, f"{self._letter}{number}")

    def serve(self, answer: Callable[[list[Any]], Any], last: int | None = None) -> list[Any] | None:
        """Answer the first who still waits, and pass over those who do not.

        Parameters:
            answer: by what is wanted, what that one is told.
            last: the number of the last to be considered; None: all are.

        Returns:
            What that one wanted; None: there is nobody, or nobody whom this turn can reach (`more`).
        """
        if not len(self):
            return None
        now = host.now()
        stop = None if last is None else last + 1
        for number, (token, _, until, *wish) in islice(self._rows.range(None, stop), self._left):
            self._left -= 1
            self._leave(number, until)
            if until and until <= now:
                self._tell_late(token)
            elif host.reply(token, answer(wish)):
                return wish
        return None

    @property
    def more(self) -> bool:
        """Whether there may be some whom only another turn can reach."""
        return self._left <= 0 and len(self) > 0

    def end(self, what: str) -> bool:
        """Whether an entry of the agenda is this line's; if so, the time of one who waits is up."""
        if not what.startswith(self._letter):
            return False
        number = int(what[len(self._letter) :])
        row = self._rows.get(number)
        if row is not None:
            self._leave(number, 0)
            self._tell_late(row[0])
        return True

    def arrived(self) -> int:
        """The number of the latest who has come to any line of the actor."""
        return self._owner.lines.get(_ARRIVED, 0)

    def shown(self, limit: int) -> list[Waiter]:
        """The first `limit` of those who wait and whose time is not up."""
        now = host.now()
        rows = (Waiter(since, until, wish) for _, (_, since, until, *wish) in self._rows.range())
        return list(islice((w for w in islice(rows, AT_ONCE) if not w.until or w.until > now), limit))

    def _leave(self, number: int, until: int) -> None:
        del self._rows[number]
        self._owner.lines[self._letter] -= 1
        if until:
            Agenda(self._owner).drop(until, f"{self._letter}{number}")

    def _tell_late(self, token: str) -> None:
        if host.reply(token, None):
            self.late += 1
