"""How hosts read collections and timers of an actor: as they are, or as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import ParamSpec, TypeVar

from plexstream.model.errors import StoreCorrupt, StoreUnavailable
from plexstream.model.journal.deferred import CALLS, KEYED
from plexstream.model.journal.journal import Change
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.journal.workflow import PROMISES
from plexstream.processor.state.pieces import Pieces

_ENTRY = Piece.ENTRY.value
_PRESENT = frozenset((PROMISES, CALLS, KEYED))
_UNREAD = (StoreCorrupt, StoreUnavailable)
P = ParamSpec("P")
T = TypeVar("T")


class EntryReader:
    """How a host reads an actor's collections and timers.

    Handlers read by it, whose code may catch anything: what the store cannot read is noted for the ledger.

    `hidden`: they have expired, and no turn has said so yet.

    Parameters:
        fields: finds the plain fields of an actor, be they acknowledged or not; None: all are.
    """

    __slots__ = ("_address", "_fields", "_pieces", "hidden")

    def __init__(
        self, pieces: Pieces, address: str, fields: Callable[[str], Mapping[str, bytes]] | None = None
    ) -> None:
        self._pieces = pieces
        self._address = address
        self._fields = fields
        self.hidden = False

    def get(self, field: str, key: str) -> bytes | None:
        return None if self.hidden else self._read(self._pieces.entry, (_ENTRY, self._address, field, key))

    def entries(
        self, field: str, start: str = "", stop: str | None = None, reverse: bool = False, chunk: int = 8
    ) -> Iterator[tuple[str, bytes]]:
        if self.hidden:
            return iter(())
        collections = self._pieces.collections
        return self._heeded(collections.entries(self._address, field, start, stop, reverse, chunk))

    def fields(self) -> Mapping[str, bytes]:
        if self.hidden:
            return {}
        if self._fields is not None:
            return self._read(self._fields, self._address)
        return self._read(self._pieces.core, self._address).fields

    def timer(self, id: str) -> Snapshot | None:
        return self._read(self._pieces.newest_timer, self._address, id)

    def timers(self) -> Iterator[Snapshot]:
        return self._heeded(self._pieces.timers_of(self._address))

    def _read(self, read: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
        try:
            return read(*args, **named)
        except _UNREAD as error:
            self._pieces.unread = error
            raise

    def _heeded(self, found: Iterator[T]) -> Iterator[T]:
        try:
            yield from found
        except _UNREAD as error:
            self._pieces.unread = error
            raise

    def apply(self, patch: Sequence[Change]) -> None:
        """Nothing: the pieces know."""


class PastReader:
    """How a host reads collections while a handler runs again from a state of before; then `now` is asked.

    Promises and calls that are answered later are read as they are: what the handler has seen of them before
    is recorded, look by look, and others may have settled them who do not show in its records.

    Parameters:
        base: the state of before.
        present: None: promises are read as they were.
    """

    __slots__ = ("_entries", "_present", "now")

    def __init__(self, base: Sequence[Change], present: EntryReader | None = None) -> None:
        self._entries = {(c.field, c.key): c.value for c in base if c.key is not None and c.value is not None}
        self._present = present
        self.now: EntryReader | None = None

    def fields(self) -> Mapping[str, bytes]:
        return {} if self.now is None else self.now.fields()

    def timer(self, id: str) -> Snapshot | None:
        return None if self.now is None else self.now.timer(id)

    def timers(self) -> Iterator[Snapshot]:
        return iter(()) if self.now is None else self.now.timers()

    def get(self, field: str, key: str) -> bytes | None:
        reader = self._present if self.now is None and field in _PRESENT else self.now
        return self._entries.get((field, key)) if reader is None else reader.get(field, key)

    def entries(
        self, field: str, start: str = "", stop: str | None = None, reverse: bool = False, chunk: int = 8
    ) -> Iterator[tuple[str, bytes]]:
        if self.now is not None:
            return self.now.entries(field, start, stop, reverse, chunk)
        keys = (k for f, k in self._entries if f == field and start <= k and (stop is None or k < stop))
        return iter([(k, self._entries[field, k]) for k in sorted(keys, reverse=reverse)])

    def apply(self, patch: Sequence[Change]) -> None:
        for field, key, value in patch:
            if key is not None and value is None:
                self._entries.pop((field, key), None)
            elif key is not None and value is not None:
                self._entries[field, key] = value
