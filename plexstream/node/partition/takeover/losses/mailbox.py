"""Whether a partition's mailbox is what it was: one that has lost messages is refused until accepted."""

from __future__ import annotations

import logging
from functools import partial

import msgspec

from plexstream.log.base import Place
from plexstream.log.installation import Control, Short, short_key
from plexstream.model.errors import Fenced, LogError
from plexstream.model.journal.journal import Inbox, Mark
from plexstream.node.lanes.records.encode import journal_items
from plexstream.node.partition.sums.lineage import (
    NOTHING,
    Facts,
    Lineage,
    known_of,
    mailbox_shorter,
    refusal,
)
from plexstream.node.shared.services import Services
from plexstream.processor.journal.sums.fold import MAILBOX, Fold

_log = logging.getLogger("plexstream.node")

REFUSED_S = 5.0
"""How soon an operator's word about a mailbox that is refused is heeded."""


class Mailbox:
    """The mailbox of a partition that is taken over. Never blocks.

    Attributes:
        resetting: the journal is about to say where the mailbox begins from now on.
    """

    def __init__(self, services: Services, partition: int, owner: object) -> None:
        self.s = services
        self.partition = partition
        self.owner = owner
        self.resetting = False
        self._place: Place = (services.topics.mailbox, partition)
        self._facts = NOTHING
        self._fold: Fold | None = None
        self._claim = -1
        self._accepted: Short | None = None
        self._unnoted: Short | None = None  # what the control topic is to say, and does not yet
        self._ask_at = 0.0  # when to ask what an operator says; 0: an answer is due

    def check(self, fold: Fold, claim: int, lineage: Lineage | None, facts: Facts) -> bool:
        """Whether it is what it was. If not, this waits until an operator accepts that.

        Parameters:
            fold: all of the journal below `claim`, this takeover's.
            lineage: of what the state was made of.
            facts: what the log says.
        """
        self._fold, self._claim, self._facts = fold, claim, facts
        inbox = fold.inboxes.get(MAILBOX)
        short = mailbox_shorter(lineage, facts, known_of(inbox))
        if short is None:
            if fold.attempt >= facts.mailbox_end:
                _log.error(
                    "partition %d: the message %d that a mark says is tried with care is none of %s, which "
                    "ends at %d: nobody of plexstream has written that mark",
                    self.partition, fold.attempt, self._place[0], facts.mailbox_end,
                )  # fmt: skip
                fold.attempt, fold.attempt_by = -1, ()
            if inbox is not None and facts.mailbox_first > max(inbox.low, inbox.next):
                _log.error(
                    "partition %d: messages %d to %d of %s are LOST: they were not handled, and are gone. "
                    "Was it trimmed by something else than plexstream, such as a retention of the topic?",
                    self.partition, inbox.next, facts.mailbox_first - 1, self._place[0],
                )  # fmt: skip
            return True
        if short.state == "accepted":
            self._begin_at(short)
            return False
        if short.state == "new":
            self._unnoted = short
            self._note(short)
        else:
            self._noted(short)
        return False

    def _note(self, short: Short) -> None:
        question = partial(_refuse, self.s.control, self._place, short)
        self.s.ask(self.owner, self.partition, question, self._noted)

    def _noted(self, short: Short | LogError) -> None:
        if isinstance(short, Short):
            # Not said before: nobody could accept what is not noted yet.
            _log.error("%s", refusal(self._place, short))
            self._unnoted = None
        self._told(short)

    def go_on(self) -> None:
        """Time has passed: ask again what an operator says."""
        if self._ask_at and self.s.elapsed() >= self._ask_at:
            self._ask_at = 0.0
            if self._unnoted is not None:
                self._note(self._unnoted)
                return
            question = partial(self.s.control.short, self._place)
            self.s.ask(self.owner, self.partition, question, self._told)

    def _told(self, short: Short | LogError | None) -> None:
        if isinstance(short, Short) and short.state == "accepted" and short.life == self._facts.mailbox:
            self._begin_at(short)
        else:
            self._ask_at = self.s.elapsed() + REFUSED_S

    def _begin_at(self, short: Short) -> None:
        """An operator goes on with what the mailbox has: the journal says so, and it is claimed anew."""
        fold = self._fold
        assert fold is not None
        inbox = fold.inboxes.get(MAILBOX)
        origins = inbox.plain(MAILBOX).origins if inbox is not None else ()
        mark = Mark(
            self._claim, self.s.now(), (Inbox(MAILBOX, short.end, short.end, (), origins),), fold.relayed,
            fold.emitted, -1, "", False, ordinal=fold.ordinal + 1,
        )  # fmt: skip
        self._accepted = short
        self.resetting = True
        place = (self.s.topics.journal, self.partition)
        self.s.appender.append(place, journal_items([mark]), (self.owner, "reset", None))

    def reset(self) -> None:
        """The journal says where the mailbox begins."""
        assert self._accepted is not None
        done = msgspec.structs.replace(self._accepted, state="done")
        question = partial(self.s.control.put, short_key(self._place), done)
        self.s.ask(self.owner, self.partition, question, self._is_reset)

    def _is_reset(self, error: LogError | None) -> None:
        if error is not None:
            raise error
        assert self._accepted is not None
        end = self._accepted.end
        raise Fenced(f"{self._place[0]}[{self.partition}] begins anew at offset {end}")


def _refuse(control: Control, place: Place, short: Short) -> Short:
    """Note that a mailbox is short. Blocks; raises LogError."""
    refused = msgspec.structs.replace(short, state="refused")
    control.put(short_key(place), refused)
    return refused
