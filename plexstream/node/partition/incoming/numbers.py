"""Whether the numbers that messages have from their origins can have been given out.

Anybody who may write to a mailbox can name any origin. A number beyond what its origin has would make the
inbox drop all that really comes from there, as older. The log is asked for the origin's end, but only where
a number is far from what has been seen: no other message waits for that.
"""

from __future__ import annotations

import logging
import sys
from enum import Enum
from functools import partial

from plexstream.log.base import Record
from plexstream.log.installation import Control, numbered
from plexstream.model.errors import LogError
from plexstream.model.messages.message import Envelope
from plexstream.model.messages.text import shown
from plexstream.model.process.compiled import WANTED
from plexstream.node.shared.services import Services
from plexstream.processor import Processor
from plexstream.schema.codec import compiled_envelope

try:
    if not WANTED:
        raise ImportError
    from plexstream.node.partition.incoming import _arrived
except ImportError:
    COMPILED = False
else:
    COMPILED = True

_log = logging.getLogger("plexstream.node")

JUMP = 1_000
"""A number that is so far from its origin's newest is looked at. Those between are of others' messages."""
AHEAD = 10_000
"""So many numbers beyond the end that was asked for last are believed, while none is a JUMP."""
ASK_AGAIN_S = 0.2
"""How soon the log is asked again where it could not say."""
JOURNAL = "journal"
"""As origins name it, whatever the topic's name is."""
ANY = sys.maxsize
"""The end of what has none."""


class Verdict(Enum):
    """Of a message's number."""

    GOOD = "good"
    OPEN = "open"  # the log is asked
    FORGED = "forged"


class Numbers:
    """Of the messages of one partition's mailbox. Never blocks.

    Parameters:
        partition: of the mailbox.
        owner: its driver, who gets the answers.
    """

    def __init__(self, services: Services, partition: int, owner: object) -> None:
        self.s = services
        self.partition = partition
        self.owner = owner
        self._newest: dict[str, int] = {}  # by origin
        self._ends: dict[str, int] = {}  # by origin, as was asked last; before, how far the inbox was
        self._asked = ""  # the origin that is asked about
        self._again_at = 0.0  # when to ask again; 0: an answer is due
        self._holds: tuple[str, int] = ("", -1)  # the last answer: of which origin, up to which message
        self._upto = -1

    @property
    def waiting(self) -> bool:
        """Whether the next message is to wait for an answer."""
        return bool(self._asked)

    def go_on(self) -> None:
        """Time has passed: ask again what the log could not say."""
        if self._again_at and self.s.elapsed() >= self._again_at:
            self._ask(self._asked, self._upto)

    def known(self, records: list[Record], most: int) -> tuple[list[tuple[int, Envelope]], int]:
        """The messages of the first records, with their offsets, as long as there is nothing to say of one.

        That is what `check` would find GOOD, and has noted. None where nothing is compiled.

        Parameters:
            most: bytes of records; there may be one more.

        Returns:
            The messages, and the bytes of their records.
        """
        if not COMPILED or compiled_envelope is None:
            return [], 0
        return _arrived.known(records, compiled_envelope, self._newest, self._ends, JUMP, AHEAD, most)

    def check(self, p: Processor, offset: int, e: Envelope, upto: int) -> Verdict:
        """Look at the message at `offset`. An OPEN one is to be given again when nothing is `waiting`.

        Parameters:
            upto: the newest message that has been read: what is asked now holds for all up to it.
        """
        origin, seq = e.origin, e.origin_seq
        newest = self._newest.get(origin)
        if newest is None:
            newest = self._newest[origin] = self._ends[origin] = p.inbox.origins.get(origin, (0, 0))[0]
        if newest <= seq < newest + JUMP and seq < self._ends[origin] + AHEAD:
            self._newest[origin] = seq
            return Verdict.GOOD
        if max(seq, newest) < self._ends[origin] or newest - JUMP < seq < newest:
            self._newest[origin] = max(seq, newest)
            return Verdict.GOOD
        if self._holds[0] != origin or offset > self._holds[1]:
            self._ask(origin, upto)
            return Verdict.OPEN
        if seq >= self._ends[origin]:
            return Verdict.FORGED
        _log.error(
            "partition %d: a mark says that number %d of %s has come, which ends at %d: nobody of plexstream "
            "has written that. What comes from %d on is taken",
            self.partition, newest, shown(origin), self._ends[origin], seq,
        )  # fmt: skip
        self._newest[origin] = seq
        p.inbox.origins[origin] = (seq, e.origin_index - 1)
        return Verdict.GOOD

    def why(self, e: Envelope) -> str:
        """What is wrong with a forged one."""
        return (
            f"it names itself number {e.origin_seq} of {shown(e.origin)}, which ends at "
            f"{self._ends[e.origin]}: nobody of plexstream has written it"
        )

    def _ask(self, origin: str, upto: int) -> None:
        self._asked, self._upto, self._again_at = origin, upto, 0.0
        question = partial(end_of, self.s.control, origin)
        self.s.ask(self.owner, self.partition, question, self._answered)

    def _answered(self, end: int | LogError) -> None:
        if isinstance(end, LogError):
            _log.warning("partition %d waits to know what a message is: %s", self.partition, end)
            self._again_at = self.s.elapsed() + ASK_AGAIN_S
            return
        self._ends[self._asked] = end
        self._holds = self._asked, self._upto
        self._asked = ""


def end_of(control: Control, origin: str) -> int:
    """The end of what an origin's numbers are offsets of; `ANY` where that is nothing that there is. Blocks.

    A former life of a topic cannot be asked for, nor what never was: no message comes from there any more.

    Raises:
        LogError: the log cannot say.
    """
    bare, _, life = origin.partition("@")
    name, _, digits = bare.rpartition("/")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10):
        return ANY
    log, number = control.log, int(digits)
    there = log.topics()
    found = -1
    for topic in {name, control.topics.journal} if name == JOURNAL else {name}:
        if number >= there.get(topic, 0):
            continue
        control.read()
        place, now, short = (topic, number), log.topic_id(topic), control.short((topic, number))
        of_now = numbered(now, short)
        if life != (of_now.removeprefix(now) if control.unnamed(topic, now) else of_now):
            continue
        # Of what it has lost something may be on its way still.
        found = max(found, log.range(place)[1], 0 if short is None else short.position)
    return found if found >= 0 else ANY
