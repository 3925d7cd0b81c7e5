"""The state store of a partition that is taken over: opened once it can be, emptied where it must be."""

from __future__ import annotations

import logging
from collections.abc import Callable

from plexstream.model.errors import LogError, Malformed, StoreCorrupt, StoreUnavailable
from plexstream.model.journal.journal import Partition
from plexstream.node.partition.sums.snapshots import PARTITION_KEY
from plexstream.node.shared.services import Opened, Services, WipeableStore, Wiped
from plexstream.schema.codec import decode_partition

_log = logging.getLogger("plexstream.node")

STORE_AGAIN_S = 1.0
"""How soon a state store that could not be opened is tried again."""


class Opening:
    """Has a store opened, again and again until it is. Never blocks.

    Parameters:
        owner: a driver; closes the store.
        then: is told the open store, and the sum in it, None where it has none that can be read.
    """

    def __init__(
        self,
        services: Services,
        partition: int,
        owner: object,
        then: Callable[[WipeableStore, Partition | None], None],
    ) -> None:
        self.s = services
        self._partition = partition
        self._owner = owner
        self._then = then
        self._again_at = 0.0  # 0: an answer is due
        self._waits = False

    def start(self) -> None:
        """Have it opened."""
        self._again_at = 0.0
        self.s.open_store(self._owner, self._partition, self._opened)

    def go_on(self) -> None:
        """Time has passed: try again where it could not be opened."""
        if self._again_at and self.s.elapsed() >= self._again_at:
            self.start()

    def _opened(self, store: Opened) -> None:
        try:
            if isinstance(store, StoreUnavailable | LogError):
                raise store
            stored = self._sum(store)
        except (StoreUnavailable, LogError) as error:
            self.s.close_store(self._partition)
            self._again_at = self.s.elapsed() + STORE_AGAIN_S
            if not self._waits:
                self._waits = True
                _log.error("partition %d waits for its state store: %s", self._partition, error)
            return
        self._then(store, stored)

    def _sum(self, store: WipeableStore) -> Partition | None:
        try:
            piece = store.get(PARTITION_KEY)
            return None if piece is None else decode_partition(piece.data)
        except (StoreCorrupt, Malformed) as error:
            _log.warning("partition %d: the state store is rebuilt: %s", self._partition, error)
            return None

    def wipe(self, then: Callable[[], None]) -> None:
        """Have the open store emptied, and go on."""

        def wiped(error: Wiped) -> None:
            if error is not None:
                raise error
            then()

        self.s.wipe_store(self._owner, self._partition, wiped)
