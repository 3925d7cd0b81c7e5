"""What a processor is connected to. Each port has a real implementation and serves the simulation alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

from plexstream.model.journal.snapshot import Snapshot

PieceKey = tuple[int, str, str, str | None]  # kind, address, name, key
Due = tuple[int, str, str]  # when a timer is due, whose it is, its id


class Store(Protocol):
    """Pieces of one partition's state on disk. Never ahead of the log, and disposable."""

    def get(self, key: PieceKey) -> Snapshot | None: ...

    def scan(self, kind: int, address: str | None = None, name: str | None = None) -> Iterator[Snapshot]:
        """All pieces of a kind, of an address, of a name, in the order of their keys."""

    def entries(
        self, address: str, name: str, start: str, stop: str | None, limit: int, reverse: bool = False
    ) -> list[Snapshot]:
        """The first `limit` entries of a collection, or the last ones, those first that are last.

        Those of keys from `start` to before `stop` (None: to the end), in the order of their UTF-8. Fewer
        than `limit` mean that there are no more.
        """

    def write(self, pieces: Mapping[PieceKey, Snapshot | None]) -> None:
        """Put and delete (None) pieces, all or none."""

    def due(self, after: Due, limit: int) -> list[Due]:
        """The first `limit` timers behind `after`, in order."""

    def timers(self) -> int:
        """How many timers there are."""


class Settings(NamedTuple):
    """Limits and intervals of one partition's processor. Times are in milliseconds."""

    mark_turns: int = 10_000  # at the latest after so many turns comes a mark
    mark_interval: int = 1_000  # and after so long, if anything happened
    flush_pieces: int = 20_000  # the store is written when so many pieces have changed
    flush_bytes: int = 32_000_000
    flush_interval: int = 1_000
    max_in_flight: int = 8_192  # turns that may run ahead of their acknowledgement
    max_waiting: int = 10_000  # messages held for actors that are busy, before reading stops
    max_waiting_bytes: int = 67_108_864  # and so many bytes of their arguments
    reply_ttl: int = 86_400_000  # how long the reply to an idempotency key is kept
    result_ttl: int = 3_600_000  # how long the outcome of a tell without one is, for who asks by its id
    poison_claims: int = 3  # attempts at one message that kill the process, before it is put aside
    careful_turns: int = 200  # messages taken one by one after two crashes in a row
    snapshot_interval: int = 60_000  # state that has changed stands in the snapshot topic after so long
    snapshot_lag: int = 100_000  # journal records that a rebuild may have to replay
    snapshot_batch: int = 5_000  # pieces in one transaction
    snapshot_bytes: int = 8_000_000  # and so many bytes of them, and one piece more
    keep_history: bool = False  # never trim the journal
    store_memory: int = 134_217_728  # of all state stores of a worker together
    store_keep: int = 3_600_000  # how long the store of a partition that has moved away stays; 0: for ever
