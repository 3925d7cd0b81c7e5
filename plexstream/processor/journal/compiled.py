"""What is compiled for journals, over the classes of this room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plexstream.processor import plain
from plexstream.processor.journal.outbox import Lane
from plexstream.processor.journal.sums.fold import MAILBOX, InboxFold
from plexstream.processor.state.core import Core
from plexstream.processor.state.histories.histories import NAMES, STEP, Pending

if TYPE_CHECKING:
    from plexstream.processor.plain._restore import Restoring

JOURNAL = plain.journal(Core, InboxFold, Lane, MAILBOX)
STEPS = plain.steps(Pending, Core, InboxFold, MAILBOX, STEP, NAMES)
"""None: Python does all."""


def restoring(prefix: bytes) -> Restoring | None:
    """What folds turns that begin with `prefix`, as they stand on the log; None: Python does."""
    return plain.restoring(Core, InboxFold, prefix, MAILBOX)
