"""What handlers beside others have seen of their actor's state, as their records have it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from plexstream.hosts.native.turn.history.plan import Plan, is_note
from plexstream.model.journal.journal import MEANWHILE, WAITING, Control, Step

_SEEN = Control.SEEN.value
Span = tuple[str, str | None]
"""Keys from the first to before the second; None: to the end."""


class Sight(msgspec.Struct, omit_defaults=True):
    """What a stretch has seen, as its record has it: of each thing a list with its value, empty for none.

    Attributes:
        fields: plain ones that were others than before.
        entries: of collections, by field and key.
        whole: collections of which it has seen all.
        spans: of collections, where it has seen each entry that there is.
    """

    fields: dict[str, list[msgspec.Raw]] = {}
    entries: dict[str, dict[str, list[msgspec.Raw]]] = {}
    whole: list[str] = []
    spans: dict[str, list[Span]] = {}

    def covers(self, field: str) -> Iterator[Span]:
        """Where nothing was but its entries."""
        yield from self.spans.get(field, ())
        if field in self.whole:
            yield "", None


_decode = msgspec.json.Decoder(Sight).decode


def sight_of(step: Step) -> Sight:
    """What the stretch of a record has seen."""
    sight = Sight({}, {}, [], {})
    for completion in step.completions:
        if completion.number == _SEEN:
            more = _decode(completion.value)
            sight.fields.update(more.fields)
            for field, entries in more.entries.items():
                sight.entries[field] = {**entries, **sight.entries.get(field, {})}
            sight.whole += more.whole
            for field, spans in more.spans.items():
                sight.spans.setdefault(field, []).extend(spans)
    return sight


def is_covered(spans: Sequence[Span], start: str, stop: str | None) -> bool:
    """Whether spans have every key from `start` to before `stop`."""
    for first, end in sorted(spans, key=lambda span: span[0]):
        if stop is not None and start >= stop:
            break
        if first <= start and (end is None or end > start):
            if end is None:
                return True
            start = end
    return stop is not None and start >= stop


def sights_at(history: Sequence[Step], plan: Plan, place: int) -> tuple[list[Sight], bool]:
    """What the stretch at `place` of a history has seen, and whether it sees anything besides.

    Where its end was undone, it goes on in the record behind it.
    """
    if history[place].status != WAITING:
        return [], True  # the last record: nothing runs again from it, but to see whether code fits
    sights = [sight_of(history[place])]
    while place in plan.cuts:
        later = (i for i in range(place + 1, len(history)) if is_stretch(history[i]))
        place = next(later, -1)
        if place < 0 or history[place].status != WAITING:
            return sights, True
        sights.append(sight_of(history[place]))
    return sights, False


def is_stretch(step: Step) -> bool:
    """Whether a record is one of the handler going on."""
    return step.status != MEANWHILE and not is_note(step)
