"""Rebuilding partitions from the log alone, and comparing them with the state stores of a node.

As of an offset in the past, which stores have left behind, with what folding actor by actor tells.
"""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from plexstream.inspection.history import Progress, read, rebuild
from plexstream.log.base import Log
from plexstream.model.errors import LogError, Malformed, StoreCorrupt
from plexstream.model.journal.journal import Partition
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.sums.snapshots import PARTITION_KEY, split_fields
from plexstream.processor import Restore, Settings, Store
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.state.ports import Due, PieceKey
from plexstream.schema import codec
from plexstream.schema.codec import decode_partition, decode_step
from plexstream.store.memory import first_due
from plexstream.store.rocks import RocksStore

_SHOWN = 20
_IN_MEMORY = 10_000
"""Actors that are folded into memory at once."""
_ACTOR, _PARTITION, _REPLY = Piece.ACTOR.value, Piece.PARTITION.value, Piece.REPLY.value
_ENTRY = Piece.ENTRY.value


class Verified(NamedTuple):
    """One partition, rebuilt. `store` is empty where the node has no state store of it.

    Attributes:
        pieces: actors, entries, kept replies and timers that were compared.
        differences: the first ones, for people; `different` is how many there are.
        note: why nothing was compared, or from where.
    """

    partition: int
    store: str
    turns: int
    ignored: int
    malformed: int
    end: int
    pieces: int
    different: int
    differences: list[str]
    note: str


class Overlay:
    """A store that is read through, while what is written stays in memory."""

    def __init__(self, below: Store) -> None:
        self._below = below
        self._changes: dict[PieceKey, Snapshot | None] = {}

    def get(self, key: PieceKey) -> Snapshot | None:
        return self._changes[key] if key in self._changes else self._below.get(key)

    def scan(self, kind: int, address: str | None = None, name: str | None = None) -> Iterator[Snapshot]:
        for piece in self._below.scan(kind, address, name):
            if (piece.kind, piece.address, piece.name, piece.key) not in self._changes:
                yield piece
        for key, changed in list(self._changes.items()):
            fits = key[0] == kind and address in (None, key[1]) and name in (None, key[2])
            if fits and changed is not None:
                yield changed

    def entries(
        self, address: str, name: str, start: str, stop: str | None, limit: int, reverse: bool = False
    ) -> list[Snapshot]:
        below = self._below.entries(address, name, start, stop, limit + len(self._changes), reverse)
        found = {piece.key or "": piece for piece in below}
        for (kind, owner, field, key), changed in self._changes.items():
            if kind == _ENTRY and (owner, field) == (address, name) and key is not None:
                found.pop(key, None)
                if changed is not None and key >= start and (stop is None or key < stop):
                    found[key] = changed
        return [found[key] for key in sorted(found, reverse=reverse)[:limit]]

    def write(self, pieces: Mapping[PieceKey, Snapshot | None]) -> None:
        self._changes.update(pieces)

    def due(self, after: Due, limit: int) -> list[Due]:
        return first_due(self.scan(Piece.TIMER.value), after, limit)

    def timers(self) -> int:
        return sum(1 for _ in self.scan(Piece.TIMER.value))


def stores_of(state_dir: Path) -> dict[int, list[Path]]:
    """The state stores below a node's folder, by partition. On Kafka each worker has a folder of its own."""
    found: dict[int, list[Path]] = {}
    for path in sorted([*state_dir.glob("*"), *state_dir.glob("*/*")]):
        if path.is_dir() and path.name.isdigit() and len(path.name) == 5:
            found.setdefault(int(path.name), []).append(path)
    return found


def verify(
    log: Log,
    topics: Topics,
    partition: int,
    paths: list[Path],
    settings: Settings,
    now: int,
    progress: Progress | None = None,
    *,
    at: int | None = None,
) -> list[Verified]:
    """Rebuild one partition from the log and compare it with its state stores, each brought up to date.

    Parameters:
        at: the journal offset after which to stop; None: its present end. If given, the first result is
            the comparison with what `state_at` says of each actor; stores that are past it are not compared.

    Raises:
        HistoryGone: the log alone does not make the state.
        LogError: a state store is in use.
    """
    with tempfile.TemporaryDirectory(prefix="plexstream-replay-") as folder:
        scratch = RocksStore(Path(folder))
        try:
            end = log.range((topics.journal, partition))[1] if at is None else at + 1
            found = rebuild(
                log, topics, partition, until=end, store=scratch, settings=settings, progress=progress
            )
            base = Verified(partition, "", found.turns, found.ignored, found.malformed, end, 0, 0, [], "")
            stores = [_against(log, topics, base, path, scratch, settings, now) for path in paths]
            if at is not None:
                return [_actor_by_actor(log, topics, base, scratch, settings, progress), *stores]
            return stores or [base._replace(note="no state store here")]
        finally:
            scratch.close()


def _against(
    log: Log, topics: Topics, base: Verified, path: Path, rebuilt: Store, settings: Settings, now: int
) -> Verified:
    place = (topics.journal, base.partition)
    store = _open(path)
    try:
        piece = store.get(PARTITION_KEY)
        if piece is None:
            return base._replace(store=str(path), note="empty")
        at = decode_partition(piece.data)
        if at.start > base.end and at.start <= log.range(place)[1]:
            return base._replace(store=str(path), note=f"as of journal offset {at.start - 1}, which is later")
        if not log.range(place)[0] <= at.start <= base.end:
            note = f"as of journal offset {at.start}, which is not in the log: to be rebuilt when it is used"
            return base._replace(store=str(path), note=note)
        current = _bring_up(log, topics, base, at, store, settings)
        note = "" if at.start == base.end else f"brought up from offset {at.start}"
        return _counted(base._replace(store=str(path), note=note), _compare(current, rebuilt, now))
    finally:
        store.close()


def _actor_by_actor(
    log: Log, topics: Topics, base: Verified, rebuilt: Store, settings: Settings, progress: Progress | None
) -> Verified:
    """The same offset by another way: each actor's own records, folded into memory."""
    shares = 1 + sum(1 for _ in rebuilt.scan(_ACTOR)) // _IN_MEMORY

    def compared() -> Iterator[str]:
        for share in range(shares):

            def mine(address: str, share: int = share) -> bool:
                return zlib.crc32(address.encode()) % shares == share

            alone = rebuild(
                log, topics, base.partition, until=base.end, wanted=mine, settings=settings, progress=progress
            )
            yield from _compare(alone.store, rebuilt, 0, "folded alone", mine)

    return _counted(base._replace(note="against each actor folded alone"), compared())


def _counted(base: Verified, texts: Iterator[str]) -> Verified:
    count = different = 0
    differences: list[str] = []
    for text in texts:
        count += 1
        if text:
            different += 1
            if len(differences) < _SHOWN:
                differences.append(text)
    return base._replace(pieces=count, different=different, differences=differences)


def _open(path: Path) -> RocksStore:
    try:
        return RocksStore(path)
    except StoreCorrupt as error:
        if "lock" in str(error).lower():
            raise LogError(f"the state store {path} is in use by a node: stop that node first") from error
        raise


def _bring_up(
    log: Log, topics: Topics, base: Verified, at: Partition, store: Store, settings: Settings
) -> Store:
    """The store with the journal since folded in, in memory."""
    overlay = Overlay(store)
    pieces = Pieces(overlay, split_fields, settings.reply_ttl, codec, settings.result_ttl)
    pieces.histories.load()
    restore = Restore(pieces, at, exact=True)
    for records in read(log, (topics.journal, base.partition), at.start, base.end):
        for r in records:
            try:
                restore.take(r.offset, r.value or b"")
            except Malformed:
                restore.skip(r.offset)
        restore.forget_owed()
    restore.pieces.flush(Snapshot(_PARTITION, "", "", None, 0, 0, 0, b""))
    return overlay


def _compare(
    one: Store,
    rebuilt: Store,
    now: int,
    place: str = "in the state store",
    wanted: Callable[[str], bool] = lambda _: True,
) -> Iterator[str]:
    """One text for each wanted piece of either store: empty where both have it, and the same.

    Parameters:
        now: in milliseconds; replies that have expired by then are left out: who has dropped one already
            is a matter of when.
        place: where the pieces of `one` are, for the texts.
    """
    for kind in Piece:
        if kind == _PARTITION:
            continue
        for piece in one.scan(kind):
            if kind == _REPLY and piece.time <= now:
                continue
            other = rebuilt.get((piece.kind, piece.address, piece.name, piece.key))
            if other is None:
                yield f"{_name(piece)} is {place} only"
            else:
                same = _same(piece, other)
                yield "" if same else f"{_name(piece)}: {_text(piece)}, by the log {_text(other)}"
        for piece in rebuilt.scan(kind):
            if not wanted(piece.address) or (kind == _REPLY and piece.time <= now):
                continue
            if one.get((piece.kind, piece.address, piece.name, piece.key)) is None:
                yield f"{_name(piece)} is missing {place}; by the log {_text(piece)}"


def _same(one: Snapshot, other: Snapshot) -> bool:
    if one.kind == Piece.ACTOR:
        # The order of fields may differ.
        return one.seq == other.seq and split_fields(one.data) == split_fields(other.data)
    if one.kind == Piece.STEP:
        return decode_step(one.data) == decode_step(other.data)  # an older version may have written it
    if one.kind == _REPLY:
        return one.data == other.data  # when it expires follows from the setting
    return one.data == other.data and one.time == other.time


def _name(piece: Snapshot) -> str:
    kind = Piece(piece.kind).name.lower()
    return f"{kind} {piece.address}" + (f" {piece.name}" if piece.name else "") + (
        f"[{piece.key}]" if piece.key is not None else ""
    )  # fmt: skip


def _text(piece: Snapshot) -> str:
    text = piece.data.decode(errors="replace")
    return f"turn {piece.seq}, {text[:100]}{'…' if len(text) > 100 else ''}"
