"""One partition of a subscribed topic: which life of it is read, from where on, and how far that is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from plexstream.log.base import Log, Place
from plexstream.log.installation import Control, Short, decode, life_key, numbered, short_key
from plexstream.model.errors import LogError
from plexstream.node.ingest.sources.belief import Belief


class Stage(Enum):
    """Where a source is."""

    NEW = "new"  # or refused, or the log could not say: asked again later
    ASKING = "asking"
    WAITING = "waiting"  # to be read from `done` on
    READING = "reading"


class Begun(NamedTuple):
    """Where to begin, and in whose name."""

    origin: str
    position_life: str
    start: int


class Refused(NamedTuple):
    """A source that may not be read."""

    why: str


class Source:
    """One partition of a source topic, while this worker feeds it.

    Attributes:
        life: of its topic; `origin`: what its messages name.
        done: all below is in mailboxes.
        era: what was handed over in another one is given up.
        belief: which of its records are of `life`.
    """

    def __init__(self, place: Place, life: str, belief: Belief, now: float) -> None:
        self.place = place
        self.life = life
        self.belief = belief
        self.origin = ""
        self.position_life = ""
        self.stage = Stage.NEW
        self.until = 0.0  # nothing is done before
        self.told = False
        self.era = 0
        self.done = self.stored = 0
        self.stored_at = now
        self.storing = False
        self.paused = False
        self.bytes = 0
        self.outstanding: deque[list[int]] = deque()  # [next offset behind the batch, appends open, bytes]

    def begin(self, found: Begun) -> None:
        """It is known where to begin."""
        self.origin, self.position_life = found.origin, found.position_life
        self.done = self.stored = found.start
        self.told = False

    def batch(self, behind: int, size: int) -> list[int]:
        """Records up to before offset `behind` are handed over."""
        made = [behind, 0, size]
        self.outstanding.append(made)
        self.bytes += size
        return made

    def settle(self) -> None:
        """Move on past what has arrived."""
        while self.outstanding and not self.outstanding[0][1]:
            behind, _, size = self.outstanding.popleft()
            self.done = behind
            self.bytes -= size

    def drop(self) -> None:
        """Give up what is on its way: it is handed over again."""
        self.belief.forget()
        self.era += 1
        self.outstanding.clear()
        self.bytes = 0
        self.paused = False


def transaction_id(prefix: str, place: Place) -> str:
    """The id under which a source's position is stored."""
    return f"{prefix}ingest.{place[0]}.{place[1]}"


class There(NamedTuple):
    """What there is of a topic. `former`: the life that it had when it was last looked at, if another."""

    partitions: int
    life: str
    former: str = ""


def survey(log: Log, control: Control, topics: Iterable[str]) -> dict[str, There | LogError]:
    """Those of the topics that there are, or why one cannot be told. Blocks.

    Raises:
        LogError: the log cannot be reached.
    """
    there = log.topics()
    entries = control.entries()
    found: dict[str, There | LogError] = {}
    for topic in topics:
        if topic in there:
            try:
                life = log.topic_id(topic)
                former = decode(entries, life_key(topic), str) or ""
                if life and former != life:
                    control.put(life_key(topic), life)
                found[topic] = There(there[topic], life, former if life and former != life else "")
            except LogError as error:
                found[topic] = error
    return found


def begin(log: Log, control: Control, place: Place, life: str) -> Begun | Refused:
    """Where to begin with a source. Blocks.

    Raises:
        LogError: the log cannot say; or this life of the topic has ended.
    """
    short = control.short(place)
    if short is not None and short.life == life and short.state == "refused":
        return Refused(_refusal(place, short))
    position_life = numbered(life, short)
    id = transaction_id(control.topics.prefix, place)
    transaction = log.transaction(id, position_life, (control.topics.control, 0))
    try:
        position = transaction.position(place)
        _, end = log.range(place)
        if position is not None and position > end:
            return refuse(log, control, place, life, position, end)
        if position is not None:
            transaction.commit((), {place: position})  # one from before lives belongs to this one
    finally:
        transaction.close()
    _check_life(log, place, life)
    if position is None:
        position = short.end if short is not None and position_life != life else 0
    return Begun(control.origin(place, life), position_life, position)


def refuse(log: Log, control: Control, place: Place, life: str, position: int, end: int) -> Refused:
    """Note that a source ends before `position`. Blocks.

    Raises:
        LogError: the log cannot say; or this life of the topic has ended, and the position is none of its.
    """
    _check_life(log, place, life)
    before = control.short(place)
    number = before.number + 1 if before is not None and before.life == life else 1
    short = Short(life, position, end, number=number)
    if before is None or before.life != life or before.state != "refused":
        control.put(short_key(place), short)
    else:
        short = before
    return Refused(_refusal(place, short))


def _check_life(log: Log, place: Place, life: str) -> None:
    now = log.topic_id(place[0])
    if now != life:
        raise LogError(f"topic {place[0]} was deleted and made again ({life}, now {now})")


def store(log: Log, control: Control, place: Place, life: str, position: int) -> int:
    """Store how far a source is. Blocks; raises LogError."""
    transaction = log.transaction(transaction_id(control.topics.prefix, place), life)
    try:
        transaction.commit((), {place: position})
    finally:
        transaction.close()
    return position


def _refusal(place: Place, short: Short) -> str:
    return (
        f"{place[0]}[{place[1]}] is not read: it ended at offset {short.end}, but was read up to "
        f"{short.position}: it has lost records (was an out-of-sync replica made leader?), and what comes "
        f"now has numbers that were given out before. To go on with what comes from {short.end} on: "
        f"`plexstream topics accept {place[0]}`"
    )
