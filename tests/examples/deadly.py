"""The actors of the example in `$EXAMPLE`, in a node that kills itself as the file `$FUSE` says.

The file holds a number. It is counted down before each group of turns and steps goes to the journal, and
again once the group is there, before anything else is done about it. At 0 the node is dead; without the file
it lives.
"""

from __future__ import annotations

import os
import signal
from pathlib import Path

from plexstream.hosts.load import load_actors
from plexstream.model.journal.journal import Mark, Step, Turn
from plexstream.processor import Processor

FUSE = Path(os.environ["FUSE"])


def burn(records: list[Turn | Step | Mark]) -> None:
    if all(type(record) is Mark for record in records) or not FUSE.exists():
        return
    left = int(FUSE.read_text()) - 1
    if left:
        FUSE.write_text(str(left))
    else:
        FUSE.unlink()
        os.killpg(0, signal.SIGKILL)  # the node and its workers


take, acknowledged = Processor.take, Processor.acknowledged


def take_(self: Processor) -> list[Turn | Step | Mark] | None:
    records = take(self)
    if records is not None:
        burn(records)
    return records


def acknowledged_(self: Processor, offset: int) -> tuple[int, int] | None:
    burn(self.in_flight[0].records)
    return acknowledged(self, offset)


Processor.take, Processor.acknowledged = take_, acknowledged_
globals().update({name: spec.cls for name, spec in load_actors(os.environ["EXAMPLE"]).types.items()})
