"""What a handler sees of its actor's state while others go on beside it.

Each stretch of such a handler, from one wait to the next, sees the state as of the latest turn when it began.
What it has seen stands in its record, so that it sees the same when it runs again: plain fields, where they
are others than in the stretch before; of collections what was read. Promises are no part of that: each look
at one is a recorded command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from heapq import merge
from operator import itemgetter

import msgspec

from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.turn.history.plan import Plan
from plexstream.hosts.native.turn.history.sights import (
    Sight,
    Span,
    is_covered,
    is_stretch,
    sights_at,
)
from plexstream.model.errors import NonDeterministic, TooLarge
from plexstream.model.host import Reader
from plexstream.model.journal.journal import Change, Completion, Control, Step
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.journal.workflow import PROMISES
from plexstream.sdk.running.collections.keys import bound, readable

_SEEN = Control.SEEN.value
_ABSENT: list[msgspec.Raw] = []


Entry = tuple[str, bytes]
_first = itemgetter(0)


class _Seen:
    """A range that a stretch has begun to read, and how far it has seen it."""

    __slots__ = ("field", "span")

    def __init__(self, field: str, span: Span) -> None:
        self.field = field
        self.span = span


class Beside:
    """How a handler reads that runs beside others: a reader for its own instance, and what it has seen.

    Parameters:
        present: how the actor's state is read as it is.

    Attributes:
        waits: whether it has come to a wait: from then on it changes nothing.
        stray: is told what does not fit what is recorded, once the handler has begun.
    """

    def __init__(self, present: Reader) -> None:
        self._present = present
        self._sights: Sequence[Sight] = ()
        self._open = True
        self._new = Sight({}, {}, [], {})
        self._ranges: list[_Seen] = []  # of the stretch
        self._told = False  # anything yet
        self._fields: dict[str, bytes] = {}
        self._settled: dict[str, bytes] = {}  # promises, by this handler itself
        self.waits = False
        self.stray: Callable[[str], None] | None = None

    # Where it is

    def enter(self, sights: Sequence[Sight], open: bool) -> None:
        """A stretch begins that has seen this before. `open`: whether it sees anything besides, as it is."""
        self._sights, self._open = sights, open
        self._settled.clear()
        for name, value in sights[0].fields.items() if sights else ():
            self._put(name, bytes(value[0]) if value else None)
        self._told = self._told or bool(sights)

    def _put(self, name: str, value: bytes | None) -> None:
        if value is None:
            self._fields.pop(name, None)
        else:
            self._fields[name] = value

    def fields(self) -> Mapping[str, bytes]:
        """The plain fields that the stretch sees."""
        if self._open and not self._sights:
            now = {name: v for name, v in self._present.fields().items() if name[:1] != "$"}
            for name in dict.fromkeys((*now, *self._fields)):
                if (value := now.get(name)) != self._fields.get(name):
                    self._new.fields[name] = _ABSENT if value is None else [msgspec.Raw(value)]
                    self._put(name, value)
        return dict(self._fields)

    def refresh(self, instance: Instance) -> None:
        """A stretch begins: the instance becomes what it sees."""
        instance.renew(self.fields())

    def apply(self, patch: Sequence[Change]) -> None:
        """Promises that the handler has settled: a record of them may still be to come."""
        self._settled.update((c.key or "", c.value) for c in patch if c.field == PROMISES and c.value)

    def seen(self, room: int) -> list[Completion]:
        """What the stretch has seen that no record has. Raises TooLarge: it is more than `room` bytes."""
        if not self._open:
            return []
        new, self._new = self._new, Sight({}, {}, [], {})
        for field, span in dict.fromkeys((seen.field, seen.span) for seen in self._ranges):
            if span == ("", None):
                new.whole.append(field)
            elif span[0] != span[1]:
                new.spans.setdefault(field, []).append(span)
        self._ranges = []
        if self._told and not (new.fields or new.entries or new.whole or new.spans):
            return []
        self._told = True
        value = msgspec.json.encode(new)
        if len(value) > room:
            raise TooLarge(
                f"it has read {len(value)} bytes of state between two waits, all of which are recorded: "
                "read single entries of a collection, or ask a read_only handler for what is needed"
            )
        return [Completion(_SEEN, False, value)]

    # As a reader

    def get(self, field: str, key: str) -> bytes | None:
        if field == PROMISES:
            return self._settled.get(key) or self._present.get(field, key)
        known = self._known(field, key)
        if known is not None:
            return bytes(known[0]) if known else None
        if not self._open:
            self._strange(f"{field}[{readable(key)}]")
        data = self._present.get(field, key)
        self._new.entries.setdefault(field, {})[key] = _ABSENT if data is None else [msgspec.Raw(data)]
        return data

    def _known(self, field: str, key: str) -> list[msgspec.Raw] | None:
        """What is recorded of an entry, empty for none; None: nothing is."""
        for sight in self._sights:
            value = sight.entries.get(field, {}).get(key)
            if value is not None:
                return value
            if any(a <= key and (b is None or key < b) for a, b in sight.covers(field)):
                return _ABSENT
        return None

    def entries(
        self, field: str, start: str = "", stop: str | None = None, reverse: bool = False, chunk: int = 8
    ) -> Iterator[tuple[str, bytes]]:
        recorded = self._recorded(field, start, stop, reverse)
        if not self._open:
            return self._closed(recorded, field, start, stop, reverse)
        present = self._present.entries(field, start, stop, reverse, chunk)
        return self._opened(recorded, present, field, start, stop, reverse)

    def _recorded(self, field: str, start: str, stop: str | None, reverse: bool) -> list[Entry]:
        """The entries of a range that are recorded, in its order."""
        keys = {key for sight in self._sights for key in sight.entries.get(field, {})}
        inside = sorted((k for k in keys if start <= k and (stop is None or k < stop)), reverse=reverse)
        found = ((key, self._known(field, key)) for key in inside)
        return [(key, bytes(value[0])) for key, value in found if value]

    def _closed(
        self, recorded: list[Entry], field: str, start: str, stop: str | None, reverse: bool
    ) -> Iterator[Entry]:
        """A range that is answered from what is recorded alone."""
        spans = [span for sight in self._sights for span in sight.covers(field)]
        for key, data in recorded:
            if not is_covered(spans, *((key, stop) if reverse else (start, key))):
                break
            yield key, data
            start, stop = (start, key) if reverse else (key + "\0", stop)
        else:
            if is_covered(spans, start, stop):
                return
        if (start, stop) == ("", None):
            self._strange(f"all of {field}")
        before = reverse and stop is not None
        self._strange(f"{field} before {bound(stop or '')}" if before else f"{field} from {bound(start)} on")

    def _opened(
        self,
        recorded: list[Entry],
        present: Iterator[Entry],
        field: str,
        start: str,
        stop: str | None,
        reverse: bool,
    ) -> Iterator[Entry]:
        """A range as it is, but for what is recorded of it; and that it was seen."""
        seen = _Seen(field, (start, start))
        self._ranges.append(seen)
        news = (entry for entry in present if self._known(field, entry[0]) is None)
        for key, data in merge(recorded, news, key=_first, reverse=reverse):
            if self._known(field, key) is None:
                self._new.entries.setdefault(field, {})[key] = [msgspec.Raw(data)]
            seen.span = (key, stop) if reverse else (start, key + "\0")
            yield key, data
        seen.span = (start, stop)

    def timer(self, id: str) -> Snapshot | None:
        return self._present.timer(id)

    def timers(self) -> Iterator[Snapshot]:
        return self._present.timers()

    def _strange(self, what: str) -> None:
        told = f"it now reads {what}, which it did not when this was recorded"
        if self.stray is not None:
            self.stray(told)
        raise NonDeterministic(told)


def first_sight(present: Reader, history: Sequence[Step], plan: Plan) -> Beside:
    """How a handler reads that is about to run again, as of its first stretch."""
    beside = Beside(present)
    first = next((i for i, step in enumerate(history) if is_stretch(step)), -1)
    if first >= 0:
        beside.enter(*sights_at(history, plan, first))
    return beside
