"""State stores that are not a partition's own: of another one, another life of the journal, an older copy."""

from __future__ import annotations

from random import Random

import msgspec

from plexstream.model.journal.snapshot import Snapshot
from plexstream.node.partition.sums.lineage import LIFE_KEY, decode
from plexstream.store.keys import encode_key
from plexstream.testing.simulation.process.process import SimProcess
from plexstream.testing.simulation.process.stores import CrashStore

_LIFE = encode_key(LIFE_KEY)


class Mixer:
    """Puts stores of other histories into processes that do not run.

    `random` is its own, so that seeds without it are what they were.
    """

    def __init__(self, random: Random) -> None:
        self._random = random
        self._older: list[tuple[int, dict[bytes, Snapshot]]] = []

    def happens(self, rate: float) -> bool:
        """Whether something with this rate happens now."""
        return self._random.random() < rate

    def keep(self, process: SimProcess) -> None:
        """Copy the stores of a process, as a backup does."""
        if self._random.random() < 0.5:
            stores = process.disk.stores.items()
            self._older += [(p, dict(store.pieces)) for p, store in stores if store.pieces]
            del self._older[:-20]

    def mix(self, process: SimProcess) -> str:
        """Replace a store of a process that does not run; says by what, "" where there is nothing to do."""
        stores = process.disk.stores
        if process.alive or not stores or not self._older:
            return ""
        partition = self._random.choice(sorted(stores))
        other, pieces = self._random.choice(self._older)
        what = "an older copy" if other == partition else f"a store of partition {other}"
        if self._random.random() < 0.5:
            # As if it were this partition's, in another life of the journal: only the ids tell.
            what = "a store of another life"
            lineage = decode(pieces.get(_LIFE))
            if lineage is None:
                return ""
            changed = msgspec.structs.replace(lineage, partition=partition, journal="another life")
            pieces = {**pieces, _LIFE: changed.piece(0)}
        store = CrashStore()
        store.pieces = dict(pieces)
        stores[partition] = store
        process.watch.strange.add(partition)
        return f"the store of partition {partition} of {process.name} is {what}"
