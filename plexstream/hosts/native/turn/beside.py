"""What a handler sees of its actor's state while others go on beside it.

Each stretch of such a handler, from one wait to the next, sees the state as of the latest turn when it began.
What it has seen stands in its record, so that it sees the same when it runs again: plain fields, where they
are others than in the stretch before; of collections what was read. Promises are no part of that: each look
at one is a recorded command.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.turn.history.plan import Plan, is_note
from plexstream.model.errors import NonDeterministic, TooLarge
from plexstream.model.host import Reader
from plexstream.model.journal.journal import MEANWHILE, WAITING, Change, Completion, Control, Step
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.journal.workflow import PROMISES

_SEEN = Control.SEEN.value
_ABSENT: list[msgspec.Raw] = []


class Sight(msgspec.Struct, omit_defaults=True):
    """What a stretch has seen, as its record has it: of each thing a list with its value, empty for none.

    Attributes:
        fields: plain ones that were others than before.
        entries: of collections, by field and key.
        whole: collections of which it has seen all.
    """

    fields: dict[str, list[msgspec.Raw]] = {}
    entries: dict[str, dict[str, list[msgspec.Raw]]] = {}
    whole: list[str] = []


_decode = msgspec.json.Decoder(Sight).decode


def sight_of(step: Step) -> Sight:
    """What the stretch of a record has seen."""
    sight = Sight({}, {}, [])
    for completion in step.completions:
        if completion.number == _SEEN:
            more = _decode(completion.value)
            sight.fields.update(more.fields)
            for field, entries in more.entries.items():
                sight.entries[field] = {**entries, **sight.entries.get(field, {})}
            sight.whole += more.whole
    return sight


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
        self._new = Sight({}, {}, [])
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
        new, self._new = self._new, Sight({}, {}, [])
        if self._told and not (new.fields or new.entries or new.whole):
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
        for sight in self._sights:
            value = sight.entries.get(field, {}).get(key)
            if value is not None:
                return bytes(value[0]) if value else None
            if field in sight.whole:
                return None
        if not self._open:
            self._strange(f"{field}[{key}]")
        data = self._present.get(field, key)
        self._new.entries.setdefault(field, {})[key] = _ABSENT if data is None else [msgspec.Raw(data)]
        return data

    def scan(self, field: str) -> Iterator[tuple[str, bytes]]:
        for sight in self._sights:
            if field in sight.whole:
                known = sight.entries.get(field, {})
                return iter([(key, bytes(value[0])) for key, value in known.items() if value])
        if not self._open:
            self._strange(f"all of {field}")
        found = list(self._present.scan(field))
        known = {key: [msgspec.Raw(data)] for key, data in found}
        self._new.entries[field] = {**known, **self._new.entries.get(field, {})}
        if field not in self._new.whole:
            self._new.whole.append(field)
        return iter(found)

    def timer(self, id: str) -> Snapshot | None:
        return self._present.timer(id)

    def timers(self) -> Iterator[Snapshot]:
        return self._present.timers()

    def _strange(self, what: str) -> None:
        told = f"it now reads {what}, which it did not when this was recorded"
        if self.stray is not None:
            self.stray(told)
        raise NonDeterministic(told)


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


def first_sight(present: Reader, history: Sequence[Step], plan: Plan) -> Beside:
    """How a handler reads that is about to run again, as of its first stretch."""
    beside = Beside(present)
    first = next((i for i, step in enumerate(history) if is_stretch(step)), -1)
    if first >= 0:
        beside.enter(*sights_at(history, plan, first))
    return beside
