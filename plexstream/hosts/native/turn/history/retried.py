"""What a retry of a handler asks for again: the steps whose failure has made it fail."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from plexstream.model.journal.attempt import Undone
from plexstream.sdk.host.waiting import Handle

_MOST = 1_000
"""Errors of one chain that are looked at."""


class Failures:
    """What of a handler's steps has failed, and what of that it has seen.

    A step that a retry asks for again keeps its number. What the handler has asked for and sent after it saw
    the failure is undone: what had come before keeps its results.
    """

    def __init__(self) -> None:
        self._failed: list[Handle[Any]] = []
        self._late: list[tuple[BaseException, tuple[int, int], list[int]]] = []

    def failed(self, handle: Handle[Any]) -> None:
        """A step that can be asked for again has failed."""
        self._failed.append(handle)

    def late(self, error: BaseException, seen: tuple[int, int], numbers: list[int]) -> None:
        """The time of some steps is over, of which the handler gets `error`."""
        self._late.append((error, seen, numbers))

    def undone(self, error: BaseException) -> Undone | None:
        """What is to be undone before a handler that ended with `error` is tried again, if anything is."""
        if not (self._failed or self._late):
            return None
        chain = list(_chain(error))
        causes = [h for h in self._failed if any(h.failed_with(e) for e in chain)]
        late = [(seen, numbers) for e, seen, numbers in self._late if any(e is one for one in chain)]
        spots = [h.seen for h in causes if h.seen is not None] + [seen for seen, _ in late]
        if not spots:
            return None
        at, sent = spot = min(spots)
        again = {h.index for h in self._failed if h.seen is None or h.seen >= spot}
        again.update(number for _, numbers in late for number in numbers)
        return Undone(at, sent, tuple(sorted(n for n in again if n < at)))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error and all that it came of."""
    seen: set[int] = set()
    left = [error]
    while left and len(seen) < _MOST:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        behind: Iterable[BaseException | None] = (one.__cause__, one.__context__)
        if isinstance(one, BaseExceptionGroup):
            behind = (*behind, *one.exceptions)
        left.extend(e for e in behind if e is not None)
