"""What an installation says of itself in its control topic: above all, with how many partitions it began.

An actor's partition is `murmur2(address) % partitions`, for life. Kafka lets anybody add partitions to a
topic and take none away again, so the topics themselves do not tell for ever.
"""

from __future__ import annotations

import logging
import threading
import time
from typing import Any, TypeVar

import msgspec

from plexstream.log.base import Log, Place
from plexstream.model.errors import LogError, LogUnavailable, TopicMissing
from plexstream.model.process.threads import passing
from plexstream.model.topics.topics import COPARTITIONED, Topics

_log = logging.getLogger("plexstream.log")

KEY = b"installation"
PATIENCE_S = 15.0
"""How long no record of the control topic may come, before the log counts as away."""

FRESH_S = 1.0
"""How old what is known of the control topic may be."""

T = TypeVar("T")


class Installation(msgspec.Struct, frozen=True):
    """The record of an installation.

    Attributes:
        partitions: how many it has, for life.
        accepted: topics that have more by now, and how many, as an operator has taken note of.
        id: what makes its random numbers others than those of every other installation; empty in those that
            began without one.
    """

    partitions: int
    accepted: dict[str, int] = {}
    id: str = ""


class Short(msgspec.Struct, frozen=True):
    """A partition that was found to end before a known position, or to be of another life than it was.

    Attributes:
        life: the topic's id, as it was found.
        position: up to where it was known; `end`: where it ended when that was noticed: numbers from there on
            have been given out twice.
        state: "refused", until an operator says "accepted": go on from `end`; "done" when that has been done.
        number: how often this has happened to the partition.
    """

    life: str
    position: int
    end: int
    state: str = "refused"
    number: int = 1


def short_key(place: Place) -> bytes:
    """The key of the entry about a partition that is short."""
    return f"short/{place[0]}/{place[1]}".encode()


def life_key(topic: str) -> bytes:
    """The key of the entry that tells the life of a subscribed topic, as it was last looked at."""
    return f"life/{topic}".encode()


def numbered(life: str, short: Short | None) -> str:
    """A topic's life, told apart where a partition's numbers have been given out twice."""
    again = short is not None and short.life == life and short.state != "refused"
    return f"{life}+{short.number}" if again and short is not None else life


def unnamed_key(topic: str) -> bytes:
    """The key of the entry that gives a topic's life which stands in origins without its name.

    It is that in which the topic was when an installation of old began to name lives.
    """
    return f"unnamed/{topic}".encode()


class Control:
    """The entries of the control topic, as of a moment ago. Thread-safe.

    The first look at them blocks; from then on they are read again beside whoever asks: a control topic whose
    broker is away holds up nobody.

    Parameters:
        known: the entries, where somebody has read them already.
        watch: whether they are read again.
    """

    def __init__(
        self, log: Log, topics: Topics, known: dict[bytes, bytes] | None = None, *, watch: bool = True
    ) -> None:
        self._watch = watch
        self.log = log
        self.topics = topics
        self._lock = threading.Lock()
        self._end = -1
        self._entries = known
        self._read_at = time.monotonic()
        self._reading = False

    def entries(self) -> dict[bytes, bytes]:
        """All entries. Raises LogUnavailable where they are not known yet."""
        known = self._entries
        if known is None:
            self.read()
            assert self._entries is not None
            return self._entries
        if self._watch and time.monotonic() - self._read_at > FRESH_S and not self._reading:
            self._reading = True
            passing("control", self._read_beside)
        return known

    def read(self) -> None:
        """Read what there is now. Blocks.

        Raises:
            LogUnavailable: the log cannot be reached.
        """
        with self._lock:
            try:
                _, end = self.log.range((self.topics.control, 0))
            except TopicMissing:
                end = 0
            if end != self._end or self._entries is None:
                self._entries, self._end = entries(self.log, self.topics), end
            self._read_at = time.monotonic()

    def _read_beside(self) -> None:
        try:
            self.read()
        except Exception as error:
            _log.debug("the control topic is not known: %s", error)
        finally:
            self._read_at = time.monotonic()
            self._reading = False

    def short(self, place: Place) -> Short | None:
        """What is said of a partition. Raises LogUnavailable."""
        return decode(self.entries(), short_key(place), Short)

    def put(self, key: bytes, value: Any) -> None:
        """Set an entry. Blocks; raises LogError."""
        put(self.log, self.topics, key, value)
        self._entries = {**(self._entries or {}), key: msgspec.json.encode(value)}

    def accept(self, topic: str) -> list[tuple[Place, Short]]:
        """Take note of what the partitions of a topic have lost: they go on. Blocks; raises LogError.

        Returns those that had been refused.
        """
        accepted = [(place, short) for place, short in self.refused() if place[0] == topic]
        for place, short in accepted:
            self.put(short_key(place), msgspec.structs.replace(short, state="accepted"))
        return accepted

    def refused(self) -> list[tuple[Place, Short]]:
        """The partitions that are refused until somebody accepts it, as of now. Blocks; raises LogError."""
        self.read()
        found = self.entries()
        refused = []
        for key in sorted(found):
            kind, _, rest = key.decode(errors="replace").partition("/")
            topic, _, number = rest.rpartition("/")
            if kind != "short" or not number.isdigit():
                continue
            short = decode(found, key, Short)
            if short is not None and short.state == "refused":
                refused.append(((topic, int(number)), short))
        return refused

    def unnamed(self, topic: str, life: str) -> bool:
        """Whether this life of a topic stands in origins without its name. Raises LogUnavailable."""
        return not life or decode(self.entries(), unnamed_key(topic), str) == life

    def origin(self, place: Place, life: str) -> str:
        """The origin of records of a source. Raises LogUnavailable."""
        found = self.entries()
        key, of_old = unnamed_key(place[0]), unnamed_key(self.topics.journal) in found
        named = decode(found, key, str)
        if life and of_old and named is None:
            # An installation of old may have read this topic before: its origins have no life then.
            self.put(key, life)
            named = life
        short = decode(found, short_key(place), Short)
        bare = f"{place[0]}/{place[1]}"
        life = numbered(life, short) if named != life else numbered(life, short).removeprefix(life)
        return f"{bare}@{life}" if life else bare


def entries(log: Log, topics: Topics) -> dict[bytes, bytes]:
    """The newest value of each key of the control topic; nothing where there is no such topic. Blocks.

    Raises:
        LogUnavailable: the log cannot be reached, or does not give what it has.
    """
    place = (topics.control, 0)
    found: dict[bytes, bytes] = {}
    try:
        at, end = log.range(place)
    except TopicMissing:
        return found
    if at >= end:
        return found
    reader = log.reader()
    try:
        reader.assign(place, at)
        while at < end:
            records = reader.read(1000, PATIENCE_S)
            if not records:
                raise LogUnavailable(f"{topics.control} ends at {end}, but its record {at} does not come")
            for record in records:
                if record.value is None:
                    found.pop(record.key, None)
                else:
                    found[record.key] = record.value
            at = records[-1].offset + 1
    finally:
        reader.close()
    return found


def put(log: Log, topics: Topics, key: bytes, value: Any) -> None:
    """Set a key of the control topic. Blocks until that is durable.

    Raises:
        LogError: it may or may not be set.
    """
    appender = log.appender()
    try:
        appender.append((topics.control, 0), [(key, msgspec.json.encode(value))], None)
        for _ in range(round(PATIENCE_S / 0.1)):
            for ack in appender.poll(0.1):
                if ack.error is not None:
                    raise LogError(f"{topics.control}: {key.decode()} could not be set: {ack.error}")
                return
        raise LogUnavailable(f"{topics.control}: {key.decode()} was not acknowledged in {PATIENCE_S:.0f} s")
    finally:
        appender.close()


def decode(found: dict[bytes, bytes], key: bytes, kind: type[T]) -> T | None:
    """An entry as `kind`, None where there is none. One that cannot be read counts for nothing."""
    value = found.get(key)
    if value is None:
        return None
    try:
        return msgspec.json.decode(value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        _log.error("the control record %r counts for nothing: %s", key.decode(errors="replace"), error)
        return None


def read(log: Log, topics: Topics) -> Installation | None:
    """The installation's record, None where it has none yet. Blocks; raises LogUnavailable."""
    found = decode(entries(log, topics), KEY, Installation)
    return found if found is not None and found.partitions > 0 else None


def id_of(found: dict[bytes, bytes]) -> str:
    """The installation's id, among the entries of its control topic; empty where it has none."""
    record = decode(found, KEY, Installation)
    return "" if record is None else record.id


def names(topics: Topics) -> list[str]:
    """The topics that have one and the same number of partitions."""
    return [f"{topics.prefix}{kind}" for kind in COPARTITIONED]


def began_with(there: dict[str, int], topics: Topics, record: Installation | None) -> int | None:
    """With how many partitions an installation began; None where there is none.

    Without a record the fewest that any of its topics has: nobody can take partitions away.
    """
    if record is not None:
        return record.partitions
    return min((there[name] for name in names(topics) if name in there), default=None)


def grown(there: dict[str, int], topics: Topics, began: int) -> dict[str, int]:
    """The topics that have more partitions than the installation, with their numbers."""
    return {name: there[name] for name in names(topics) if there.get(name, 0) > began}


def refuse_others(there: dict[str, int], topics: Topics, record: Installation | None, began: int) -> None:
    """Refuse topics with other numbers of partitions, unless an operator has taken note of it.

    Raises:
        TopicMissing: naming the topic and what to do.
    """
    for name in names(topics):
        count = there.get(name)
        if count is not None and count < began:
            raise TopicMissing(
                f"topic {name!r} has {count} partitions, but the installation has {began}, for life: it was "
                f"deleted and made again with fewer. Add partitions to it, up to {began}"
            )
    accepted = record.accepted if record is not None else {}
    more = {name: count for name, count in grown(there, topics, began).items() if accepted.get(name) != count}
    if more:
        listed = ", ".join(f"{name!r} has {count} partitions" for name, count in more.items())
        raise TopicMissing(
            f"topic {listed}, but the installation began with {began}: somebody has added some. An actor's "
            f"partition is fixed for life, so {began} are all it can have, and nothing need be deleted: say "
            f"so once, with `plexstream topics apply --partitions {began}`, or start a node with "
            f"--partitions {began} (partitions = {began} in [topics]). What is in the "
            "others is then told, and nobody's"
        )


def partitions_of(log: Log, topics: Topics) -> int:
    """The number of partitions of an installation. Blocks.

    Raises:
        TopicMissing: there is no mailbox; or a topic has more partitions than the installation began with, or
            fewer, by name.
        LogUnavailable: the log cannot be reached.
    """
    there = log.topics()
    if topics.mailbox not in there:
        raise TopicMissing(
            f"topic {topics.mailbox!r} does not exist: create it with `plexstream topics apply`"
        )
    record = read(log, topics) if topics.control in there else None
    began = began_with(there, topics, record)
    assert began is not None
    refuse_others(there, topics, record, began)
    return began


def count_of(log: Log, topics: Topics) -> int | None:
    """With how many partitions an installation began, for those who only look; None: there is none."""
    there = log.topics()
    return began_with(there, topics, read(log, topics) if topics.control in there else None)


def beyond(log: Log, there: dict[str, int], topics: Topics, began: int) -> dict[Place, int]:
    """How many records there are in partitions that the installation does not have. Blocks."""
    found: dict[Place, int] = {}
    for name, count in grown(there, topics, began).items():
        for number in range(began, count):
            first, end = log.range((name, number))
            if end > first:
                found[name, number] = end - first
    return found
