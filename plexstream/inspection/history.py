"""What the log knows of the past: the journal read by the reading rule, and state at any offset of it.

Nothing here writes to the log, or needs a partition to be owned: it may run beside live nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from plexstream.log.base import Log, Place, Record
from plexstream.model.errors import HistoryGone, Malformed, TopicMissing
from plexstream.model.journal.journal import Claim, JournalRecord, Partition, Step, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.model.topics.topics import Topics
from plexstream.node.partition.sums.lineage import LIFE_KEY, Lineage, decode
from plexstream.node.partition.sums.snapshots import PARTITION_KEY, SENTINEL, piece_key, split_fields
from plexstream.processor import Restore
from plexstream.processor.journal.sums.fold import Fold
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.state.ports import PieceKey, Settings, Store
from plexstream.schema import codec
from plexstream.schema.codec import decode_journal, decode_partition, decode_snapshot
from plexstream.store.memory import MemoryStore

_LIMIT = 2_000
_STUCK_S = 15.0
"""How long nothing may come from Kafka, before it counts as away."""
_WINDOW = 1_000

Progress = Callable[[int], None]
"""Called with how many records were read since the last call."""


class Entry(NamedTuple):
    """One journal record as it stands. `record` is None where it cannot be read."""

    offset: int
    time: int
    record: JournalRecord | None
    counts: bool


def read(
    log: Log, place: Place, start: int, end: int, *, committed: bool = False, progress: Progress | None = None
) -> Iterator[list[Record]]:
    """The records of `place` from `start` to below `end`, in batches.

    Raises:
        LogUnavailable: neither records nor the end come.
    """
    first, last = log.range(place)
    start, end = max(start, first), min(end, last)
    if start >= end:
        return
    for records in _batches(log, place, start, committed):
        if progress is not None:
            progress(len(records))
        if records[-1].offset < end - 1:
            yield records
            continue
        yield [r for r in records if r.offset < end]
        return


def _batches(log: Log, place: Place, start: int, committed: bool) -> Iterator[list[Record]]:
    if type(log).__name__ == "KafkaLog":  # whose module is not imported for the others
        from plexstream.inspection.kafka.read import batches

        yield from batches(log, place, start, committed, _STUCK_S)  # type: ignore[arg-type]
        return
    reader = log.reader(committed=committed)
    try:
        reader.assign(place, start)
        # In one process: what is there comes at once.
        while records := reader.read(_LIMIT, 0.0):
            yield records
    finally:
        reader.close()


def entries(
    log: Log, topics: Topics, partition: int, start: int, end: int, *, progress: Progress | None = None
) -> Iterator[Entry]:
    """The journal from `start` to below `end`, each record with whether it counts."""
    place = (topics.journal, partition)
    fold = folded_to(log, topics, partition, start)
    for records in read(log, place, start, end, progress=progress):
        for r in records:
            yield judge(fold, r)


def judge(fold: Fold, record: Record, outs: bool = True) -> Entry:
    """One more record of a journal that is being folded, or has been; perhaps without what it sends."""
    offset = record.offset
    try:
        decoded = decode_journal(record.value or b"", outs)
    except Malformed:
        fold.skip(offset)
        return Entry(offset, record.time, None, False)
    if offset < fold.next:
        counts = type(decoded) is Claim or fold.counted(offset, decoded)
    else:
        counts = fold.take(offset, decoded)
    return Entry(offset, record.time, decoded, counts)


def folded_to(log: Log, topics: Topics, partition: int, start: int) -> Fold:
    """A fold that knows which records count from `start` of a journal on.

    That takes the whole reign in force there: which of its records were appended again, or are missing, shows
    nowhere else.
    """
    claim = _claim_before(log, topics, partition, start)
    if claim >= 0:
        fold = Fold(Partition(start=claim))
    else:
        trimmed = log.range((topics.journal, partition))[0] > 0
        saved = saved_partition(log, topics, partition) if trimmed else None
        fold = Fold(Partition(start=start) if saved is None else saved)
    for records in read(log, (topics.journal, partition), fold.next, start):
        for r in records:
            judge(fold, r, outs=False)
    return fold


def _claim_before(log: Log, topics: Topics, partition: int, start: int) -> int:
    """The claim in force at `start` of a journal; -1: there is none."""
    place = (topics.journal, partition)
    first, _ = log.range(place)
    low, window = min(start, max(first, 0)), _WINDOW
    high = start
    while high > low:
        begin = max(low, high - window)
        found = -1
        for records in read(log, place, begin, high):
            for r in records:
                if not r.key and _is_claim(r):
                    found = r.offset
        if found >= 0:
            return found
        high, window = begin, window * 10
    return -1


def _is_claim(record: Record) -> bool:
    try:
        return type(decode_journal(record.value or b"")) is Claim
    except Malformed:
        return False


def saved_partition(log: Log, topics: Topics, partition: int) -> Partition | None:
    """The sum of the journal that stands in the snapshot topic; None where there is none."""
    store = MemoryStore()
    load_snapshots(log, topics, partition, store, lambda key: key == PARTITION_KEY)
    piece = store.get(PARTITION_KEY)
    return decode_partition(piece.data) if piece else None


def load_snapshots(
    log: Log,
    topics: Topics,
    partition: int,
    store: Store,
    wanted: Callable[[PieceKey], bool] = lambda _: True,
    progress: Progress | None = None,
) -> None:
    """Fill `store`, an empty one, with the pieces that stand in the snapshot topic for this journal."""
    lineage = _load(log, topics, partition, 0, store, wanted, progress)
    if lineage is None:
        return
    here = log.topic_id(topics.journal)
    of_another = bool(lineage.journal and here and lineage.journal != here)
    if of_another or lineage.since:
        # Known only now: the newest piece says so.
        for kind in Piece:
            store.write({(p.kind, p.address, p.name, p.key): None for p in store.scan(kind)})
    if lineage.since and not of_another:
        _load(log, topics, partition, lineage.since, store, wanted, progress)


def _load(
    log: Log, topics: Topics, partition: int, start: int, store: Store, wanted: Callable[[PieceKey], bool],
    progress: Progress | None,
) -> Lineage | None:
    """The pieces from offset `start` of the snapshot topic on; returns the lineage that stands with them."""
    place = (topics.snapshot, partition)
    lineage: Lineage | None = None
    first, end = log.range(place)
    for records in read(log, place, max(first, start), end, committed=True, progress=progress):
        loaded: dict[PieceKey, Snapshot | None] = {}
        for r in records:
            if r.key == SENTINEL:
                continue
            if r.value is None:
                key = piece_key(r.key)
                if key is not None and wanted(key):
                    loaded[key] = None
                continue
            try:
                piece = decode_snapshot(r.value)
            except Malformed:
                continue
            key = (piece.kind, piece.address, piece.name, piece.key)
            if key == LIFE_KEY:
                lineage = decode(piece)
            elif wanted(key):
                loaded[key] = piece
        store.write(loaded)
    return lineage


class Rebuilt(NamedTuple):
    """A partition's state as of journal offset `next`, exclusive.

    Attributes:
        store: all pieces, but that of the partition.
        base: from this offset on the state at each offset is known; 0 where the whole journal is there.
        turns: that were folded and count; `ignored`: records that do not; `malformed`: unreadable ones.
    """

    store: Store
    fold: Fold
    base: int
    next: int
    turns: int
    ignored: int
    malformed: int


def known_from(log: Log, topics: Topics, partition: int) -> tuple[Partition, int]:
    """From where a rebuild starts, and the first journal offset as of which state can be told.

    With the whole journal there, the snapshot topic is not needed. Else its pieces are as of anywhere up
    to its partition's `start`: only from there on, with the journal folded over them, are they of one time.

    Raises:
        HistoryGone: neither is complete.
    """
    first, end = log.range((topics.journal, partition))
    if first == 0:
        return Partition(), 0
    store = MemoryStore()
    load_snapshots(log, topics, partition, store, lambda key: key == PARTITION_KEY)
    saved = _checked(store, partition, first, end)
    return saved, saved.start


def _checked(store: Store, partition: int, first: int, end: int) -> Partition:
    """The sum that stands with the snapshots, if the journal from `first` on continues it."""
    piece = store.get(PARTITION_KEY)
    saved = decode_partition(piece.data) if piece else None
    if saved is None or min(saved.floor, saved.unsaved) < first:
        raise HistoryGone(
            f"partition {partition}: the journal is there from offset {first} to {end - 1} only, and the "
            f"snapshot topic {'has no sum' if saved is None else f'needs it from {saved.unsaved} on'}: was "
            "the journal trimmed by something else than plexstream, such as a retention of the topic?"
        )
    return saved


def rebuild(
    log: Log,
    topics: Topics,
    partition: int,
    *,
    until: int | None = None,
    wanted: Callable[[str], bool] | None = None,
    store: Store | None = None,
    settings: Settings | None = None,
    progress: Progress | None = None,
    on_turn: Callable[[int, Turn | Step, Pieces], None] | None = None,
) -> Rebuilt:
    """Fold a partition's state from the log alone.

    Parameters:
        until: the journal offset before which to stop; None: its present end.
        wanted: whether to fold the actor of an address; None: all. To leave most out is much faster.
        store: an empty one to fill; None: in memory.
        on_turn: called before each turn or step is folded that counts, from where on everything is known.

    Raises:
        TopicMissing: there is no such topic.
        HistoryGone: the state at `until` can no longer be told; the message names the range that can.
    """
    place = (topics.journal, partition)
    if log.partitions(topics.journal) is None:
        raise TopicMissing(f"there is no topic {topics.journal!r}: is the prefix right?")
    _, end = log.range(place)
    until = end if until is None else until
    first, _ = log.range(place)
    begin, base = Partition(), 0
    store = MemoryStore() if store is None else store
    if first > 0:
        load_snapshots(
            log, topics, partition, store,
            lambda key: wanted is None or key == PARTITION_KEY or wanted(key[1]), progress,
        )  # fmt: skip
        begin = _checked(store, partition, first, end)
        base = begin.start
        store.write({PARTITION_KEY: None})
    if not base <= until <= end:
        raise HistoryGone(_out_of_range(partition, until, base, end))
    limits = settings or Settings()
    pieces = Pieces(store, split_fields, limits.reply_ttl, codec, limits.result_ttl)
    pieces.histories.load()
    restore = Restore(pieces, begin, exact=False)

    def tell(offset: int, turn: Turn | Step) -> None:
        if on_turn is not None and offset >= base:
            on_turn(offset, turn, pieces)

    restore.on_turn = None if on_turn is None else tell
    turns = ignored = malformed = 0
    for records in read(log, place, restore.begin, until, progress=progress):
        for r in records:
            other = wanted is not None and r.key and not wanted(r.key.decode(errors="replace"))
            try:
                # Of those that are left out, too: which records count hangs on all of the reign.
                record = restore.take(r.offset, r.value or b"", not other)
            except Malformed:
                malformed += 1
                restore.skip(r.offset)
                continue
            if record is None:
                ignored += 1
            elif not other:
                turns += isinstance(record, Turn | Step)
        restore.forget_owed()
        if pieces.dirty_bytes > limits.flush_bytes or len(pieces.dirty_cores) > limits.flush_pieces:
            _write(pieces)
            pieces.forget_clean(limits.flush_pieces)
    _write(pieces)
    return Rebuilt(store, restore.fold, base, until, turns, ignored, malformed)


def _write(pieces: Pieces) -> None:
    marker = Snapshot(PARTITION_KEY[0], "", "", None, 0, 0, 0, b"")
    pieces.flush(marker)
    pieces.store.write({PARTITION_KEY: None})
    pieces.unsaved.clear()


def _out_of_range(partition: int, until: int, base: int, end: int) -> str:
    if until > end:
        return f"partition {partition}: the journal ends at offset {end - 1}, and {until - 1} is asked for"
    return (
        f"partition {partition}: the journal below offset {base} has been folded into snapshots and "
        f"trimmed, and the state as of {until - 1} is asked for: it can be told from {base - 1} to "
        f"{end - 1}. "
        "Set keep_history = true in [processor] to keep all that comes from now on"
    )
