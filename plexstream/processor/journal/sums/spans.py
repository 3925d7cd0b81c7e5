"""Sets of offsets as ranges: few, however many offsets are in them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from plexstream.model.journal.journal import Inbox, Span


def joined(spans: Iterable[Span]) -> list[Span]:
    """The same offsets in ascending ranges that neither meet nor overlap."""
    found: list[Span] = []
    for first, end in sorted(spans):
        if found and first <= found[-1].end:
            if end > found[-1].end:
                found[-1] = Span(found[-1].first, end)
        elif first < end:
            found.append(Span(first, end))
    return found


def single(offsets: Iterable[int]) -> list[Span]:
    """Each offset as a range."""
    return [Span(offset, offset + 1) for offset in offsets]


def without(first: int, end: int, offsets: Iterable[int]) -> list[Span]:
    """The offsets from `first` to `end`, exclusive, but these."""
    found: list[Span] = []
    for offset in sorted(offsets):
        if first <= offset < end:
            if first < offset:
                found.append(Span(first, offset))
            first = offset + 1
    if first < end:
        found.append(Span(first, end))
    return found


def done_of(inbox: Inbox) -> list[Span]:
    """What an inbox has done from its low end on, whichever way that is written."""
    return joined([*inbox.spans, *single(inbox.done)])


def holds(spans: Sequence[Span], offset: int) -> bool:
    """Whether an offset is in ascending ranges."""
    at = bisect_right(spans, (offset, 1 << 63)) - 1
    return at >= 0 and spans[at].end > offset
