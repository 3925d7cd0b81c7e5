"""What is compiled for journals, over the classes of this room."""

from __future__ import annotations

from plexstream.processor.journal.fold import MAILBOX, InboxFold
from plexstream.processor.journal.outbox import Lane
from plexstream.processor.plain import journal
from plexstream.processor.state.core import Core

JOURNAL = journal(Core, InboxFold, Lane, MAILBOX)
"""None: Python does all."""
