"""One actor in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, cast, get_args, get_origin

from plexstream.hosts.native.actor.fields import BadState, PlainFields, why
from plexstream.hosts.native.actor.migration import bring_up
from plexstream.hosts.native.data.values import BadValue, ValueCodec
from plexstream.model.errors import TooLarge
from plexstream.model.host import Reader
from plexstream.model.journal.journal import Change
from plexstream.sdk.running.collections.cells import Cells
from plexstream.sdk.running.collections.keys import TEXT, Keys
from plexstream.sdk.running.collections.lists import StateList
from plexstream.sdk.running.collections.maps import StateMap
from plexstream.sdk.running.identity import Places, held, settle
from plexstream.sdk.spec import Field

_NO_NAMES = cast("set[str]", frozenset())
"""What most actors share: nobody adds a name to what an actor has, and only what is in it is taken out."""
_new = tuple.__new__  # a named tuple's own costs twice the time
_CHANGE = 8
"""Bytes that a change has in the journal besides its field, key and value."""


class FieldEntries:
    """The entries of one collection field, as `StateMap` and `StateList` want them."""

    __slots__ = ("_field", "_limit", "_reader", "_values", "_where")

    def __init__(self, reader: Reader, field: Field, values: ValueCodec, where: str, limit: int) -> None:
        self._reader = reader
        self._field = field.name
        self._values = values
        self._where = where
        self._limit = limit

    def get(self, key: str) -> bytes | None:
        return self._reader.get(self._field, key)

    def range(
        self, start: str, stop: str | None, reverse: bool, chunk: int
    ) -> Iterator[tuple[str, bytes]]:
        return self._reader.entries(self._field, start, stop, reverse, chunk)

    def encode(self, value: Any) -> bytes:
        try:
            return self._values.encode(value)
        except BadValue as error:
            raise BadState(f"{self._where} got an entry that cannot be stored: {error}") from None

    def seal(self, value: Any) -> tuple[bytes, Any]:
        try:
            data, value = self._values.seal(value)
        except BadValue as error:
            raise BadState(f"{self._where} got an entry that cannot be stored: {error}") from None
        if len(data) > self._limit:
            raise TooLarge(
                f"{self._where} got an entry of {len(data)} bytes, at most {self._limit} are allowed"
            )
        return data, value

    def restored(self, data: bytes) -> bytes:
        return self._values.restored(data)

    def decode(self, data: bytes) -> Any:
        try:
            return self._values.decode(data)
        except Exception as error:
            raise BadState(
                f"{self._where} has an entry {data[:80]!r}, which its type hint forbids ({why(error)}): "
                "widen the hint or migrate the state"
            ) from None


class Instance:
    """An actor object with what is needed to find its changes and to take them back.

    Attributes:
        is_held: a handler waits that may hold what is in it. Others' turns are those of a `double`: what they
            do to objects on their way to their end, or to none, is nothing to that handler.
    """

    __slots__ = (
        "_double", "address", "assigned", "attributes", "before", "cells", "encoded", "foreign", "is_held",
        "migrated", "object", "own", "plain", "reader", "total", "type",
    )  # fmt: skip

    def __init__(
        self,
        type: Any,
        obj: Any,
        address: str,
        plain: PlainFields,
        encoded: Mapping[str, bytes],
        reader: Reader,
    ) -> None:
        self.reader = reader
        self.type = type
        self.object = obj
        self.address = address
        self.plain = plain
        self.reader = reader
        self.cells: tuple[tuple[str, Cells], ...] = ()
        self.attributes: dict[str, Any] = obj.__dict__
        self.encoded, self.migrated = bring_up(type.spec, plain, obj, self.attributes, encoded)
        self.foreign = self._composed()
        self.total = sum(map(len, self.encoded.values()))
        # A copy has its names in common with all objects of the class, which what `dict` makes has not.
        self.before = self.attributes.copy()
        # Where others see a handler's state while it waits, what it holds stays what the state has.
        self.own = self.attributes.copy() if type.info.visible else None
        self.assigned: tuple[tuple[str, Any, bytes], ...] = ()  # held by somebody, and no longer the field's
        self.is_held = False
        self._double: Instance | None = None
        self._forget_factories()

    def _composed(self) -> set[str]:
        """Fields that other code may have stored. Most actors have none, and share that."""
        return {name for name in self.plain.composed if name in self.encoded} or _NO_NAMES

    def _forget_factories(self) -> None:
        """What a factory made is compared by value: another call may make something else."""
        for codec in self.plain.codecs:
            if codec.field.factory is not None and codec.name not in self.encoded:
                del self.before[codec.name]

    def collection(self, field: Field, entries: FieldEntries, keys: Keys = TEXT) -> None:
        """Attach a collection field. `keys`: of a map."""
        value: Any = StateMap(entries, keys) if field.kind == "map" else StateList(entries)
        self.attributes[field.name] = value
        self.before[field.name] = value
        value._cells.live = self.own is not None
        self.cells = (*self.cells, (field.name, value._cells))

    def read_all(self) -> None:
        """Read all that the collections hold. Raises BadState: this code cannot."""
        for name, _ in self.cells:
            value = self.attributes[name]
            for _ in value.values() if isinstance(value, StateMap) else value:
                pass

    def hidden(self, name: str) -> StateMap[str, Any]:
        """A map of the system's own, made when it is first asked for."""
        found = self.attributes.get(name)
        if found is None:
            field = Field(name, "map", Any)
            where = f"{self.type.name}.{name}"
            self.collection(field, FieldEntries(self.reader, field, _any, where, self.type.spec.max_state))
            found = self.attributes[name]
        return found  # type: ignore[no-any-return]

    def double(self, make: Callable[[Instance], Instance]) -> Instance:
        """Another instance as of the latest turn, of which nobody holds anything."""
        if self._double is None:
            self._double = make(self)
            self._double.stand_alone()
        return self._double

    def stand_alone(self) -> None:
        """Nobody holds what is in it from one turn to the next."""
        self.own = None
        for _, cells in self.cells:
            cells.live = False

    def end_of_double(self, patch: Sequence[Change]) -> None:
        """A turn of the double has changed this."""
        double = self._double
        self.apply(patch)
        self._double = double

    def fields(self) -> list[Change]:
        """The plain fields as of the latest turn or step."""
        return [Change(name, None, value) for name, value in self.encoded.items()]

    def apply(self, patch: Sequence[Change]) -> None:
        """Take over what another handler of the actor changed while this one waited."""
        self._double = None
        cells = dict(self.cells)
        for field, key, value in patch:
            if key is not None:
                if field in cells:
                    cells[field].take_over(key, value)
            elif value is None:
                self.encoded.pop(field, None)
            else:
                self.encoded[field] = value
        self.total = sum(map(len, self.encoded.values()))
        if more := {change.field for change in patch} & self.plain.composed & self.encoded.keys():
            self.foreign = more | self.foreign
        plain = {change.field for change in patch if change.key is None}
        fresh: dict[str, Any] = {}
        self.plain.load(fresh, self.encoded)
        for name in filter(plain.__contains__, fresh):
            value = self._settle(name, self.attributes.get(name), fresh[name])
            self.attributes[name] = self.before[name] = value

    def _places(self) -> Places:
        """Whose the objects are that the handler may hold: what has been one's longer stays that one's."""
        places = Places()
        for name, value in (self.own or {}).items():
            if name in self.plain.names and self.attributes.get(name, self) is value:
                places.claim(value, name)
        for nth in (0, 1):
            for _, cells in self.cells:
                for key in cells.handed_out()[nth]:
                    places.claim(cells.values[key], (id(cells), key))
        return places

    def _become(self, name: str, data: bytes, value: Any, waits: bool, places: Places | None) -> None:
        """The same where handlers hold fields across waits. `waits`, `places`: as for `take_changes`."""
        old = self.attributes[name]
        assert self.own is not None
        strange = waits and old is not self.own.get(name, self) and held(old, 2)
        if strange and not (places is not None and places.is_elsewhere(old)):
            self.assigned = (*self.assigned, (name, old, data))
        self.attributes[name] = self.before[name] = self._settle(name, old, value, places)

    def _settle(self, name: str, old: Any, new: Any, places: Places | None = None) -> Any:
        """The value of a plain field from now on: the object that it was, if that was the field's own."""
        if self.own is None:
            return new
        if old is self.own.get(name, self):
            new = settle(old, new, places, name)
        self.own[name] = new
        return new

    def _check_assigned(self) -> None:
        """Raises BadState where the handler changes what it has assigned, and the state has a copy of."""
        self.assigned = tuple([entry for entry in self.assigned if held(entry[1], 1)])
        codecs = {codec.name: codec for codec in self.plain.codecs}
        for name, value, data in self.assigned:
            if codecs[name].seal(value)[0] != data:
                raise BadState(
                    f"{self.type.name}.{name} was assigned a value that the handler has changed behind a "
                    f"wait: the state has a copy of it since then, so change self.{name} itself"
                )

    def take_changes(self, room: int, waits: bool = False) -> list[Change]:
        """The changes since the last turn, which become the new base, if they have at most `room` bytes.

        A plain value that can be changed inside becomes what it will be read back as, so that an actor
        does not notice whether it was loaded anew. `waits`: the turn is that of a handler that waits, or has.
        Raises BadState, TooLarge.
        """
        if waits and self.assigned:
            self._check_assigned()
        patch, values, size, alike = self._plain_changes()
        places = None if self.own is None else self._places()
        entries = self.take_entries(room - size, places)
        for i, value in enumerate(values):  # those of plain fields come first in the patch
            name, _, data = patch[i]
            assert data is not None
            self.total += len(data) - len(self.encoded.get(name, b""))
            self.encoded[name] = data
            if self.own is None:
                self.attributes[name] = self.before[name] = value
            else:
                self._become(name, data, value, waits, places)
        if alike is not None:
            for name, data, value in alike:
                if self.own is None:
                    self.attributes[name] = self.before[name] = value
                else:
                    self._become(name, data, value, waits, places)
        patch += entries
        if patch:
            self._double = None
        if self.migrated:
            own = {change.field for change in patch if change.key is None}
            patch += [change for change in self.migrated if change.field not in own]
            self.migrated = ()
        return patch

    def take_entries(self, room: int, places: Places | None = None) -> list[Change]:
        """The same of the collections alone."""
        self._check_replaced()
        patch: list[Change] = []
        for name, cells in self.cells:
            if cells.changed or cells.read or cells.moved:
                for key, value in cells.drain(places):
                    patch.append(_new(Change, (name, key, value)))
                    room -= _CHANGE + len(name) + len(key) + (len(value) if value is not None else 0)
            else:
                cells.end_reading()
        if room < 0:
            raise TooLarge(
                f"this turn of {self.type.name} changes and sends too much in all: split it into several"
            )
        return patch

    def _check_replaced(self) -> None:
        """Raises BadState where something else, or nothing, is in the place of a collection."""
        for name, _ in self.cells:
            if self.attributes.get(name) is not self.before[name]:
                raise BadState(
                    f"{self.type.name}.{name} was replaced: change its entries, as in .clear() and .update(…)"
                )

    def restored(self, field: str, key: str | None, data: bytes) -> bytes:
        """How this code stores what is stored as `data`; that itself, where it cannot read it."""
        if key is None:
            codecs = [codec.restored for codec in self.plain.codecs if codec.name == field]
        else:
            codecs = [cells.entries.restored for name, cells in self.cells if name == field]
        try:
            return codecs[0](data) if codecs else data
        except BadValue:
            return data

    def _plain_changes(
        self,
    ) -> tuple[list[Change], list[Any], int, list[tuple[str, bytes, Any]] | None]:
        before = len(self.foreign)
        found = self.plain.changes(self.attributes, self.before, self.encoded, self.total, self.foreign)
        if len(self.foreign) != before:
            self.total = sum(map(len, self.encoded.values()))
        return found

    def changed(self) -> list[str]:
        """Names of the fields that differ from the base; the others become what they are read back as.

        Raises BadState.
        """
        self._check_replaced()
        patch, _, _, alike = self._plain_changes()
        for name, _, value in alike or ():
            old = self.attributes[name] if self.own is None else self.own[name]
            self.attributes[name] = self.before[name] = self._settle(name, old, value)
        if not patch and not self.cells:
            return []
        names = [c.field for c in patch]
        return names + [name for name, cells in self.cells if cells.dirty and cells.changes()]

    def changes(self) -> list[Change]:
        """What differs from the base."""
        patch = self._plain_changes()[0]
        for name, cells in self.cells:
            if cells.dirty:
                patch += [Change(name, key, value) for key, value in cells.changes()]
        return patch

    def renew(self, stored: Mapping[str, bytes]) -> None:
        """Become what the actor is by now, with the plain fields that are `stored`."""
        self.encoded = bring_up(self.type.spec, self.plain, self.object, self.attributes, stored)[0]
        self.foreign = self._composed()
        self.total = sum(map(len, self.encoded.values()))
        self.roll_back()

    def end_reading(self) -> None:
        """A turn that changed nothing is over."""
        for _, cells in self.cells:
            cells.end_reading()

    def roll_back(self) -> None:
        """Make the state what it was after the last turn. Attributes that are no state stay."""
        self.assigned = ()
        self.plain.load(self.attributes, self.encoded)
        if self.own is not None:
            self.own.update((name, self.attributes[name]) for name in self.plain.names)
        for name, cells in self.cells:
            cells.roll_back()
            self.attributes[name] = self.before[name]
        for codec in self.plain.codecs:
            self.before[codec.name] = self.attributes[codec.name]
        self._forget_factories()


_any = ValueCodec(Any, "a value")


def entry_codec(field: Field, where: str) -> ValueCodec:
    """Of the entries of a collection, by the hint's value type: ``StateMap[K, V]``, ``list[V]``"""
    hint = field.annotation
    if get_origin(hint) is Annotated:
        hint = hint.__origin__
    args = get_args(hint)
    return ValueCodec(args[-1] if args and not hasattr(args[-1], "__constraints__") else Any, where)
