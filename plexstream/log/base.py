"""The Log: topics of partitions of records, with offsets. One interface, three backends.

What every backend promises, and the conformance suite checks:

- Records of one partition are read in the order of their offsets, which rise.
- A group handed to one `Appender.append` is appended in order, after all groups handed over before it
  for that partition by that appender. Nothing is appended twice, and no group without its predecessors.
- An acknowledgement is an offset, that of the group's last record, and means durable: if it is the first
  expected offset plus the number of records minus one, nobody else has written in between. An append of
  which no offset is known has failed, whatever else a broker says of it: its outcome is unknown.
- A `Transaction` with the same id fences every older one: its open records never show, its commits fail.
- Positions of a transaction are stored together with its records, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from plexstream.model.errors import LogUnavailable

Item = tuple[bytes, bytes | None]  # key and value of a record to append; no value: a tombstone
Place = tuple[str, int]  # topic, partition


class Record(NamedTuple):
    """A record as read. `time` is in milliseconds since the Unix epoch."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes | None
    time: int


class Ack(NamedTuple):
    """The outcome of one append: the offset of its last record, or what went wrong.

    `error` is None if and only if `offset` is 0 or more: make one with `appended` or `failed`. After an error
    it is unknown what became of the group. It is no error of other partitions.
    """

    topic: str
    partition: int
    token: object
    offset: int  # -1: unknown
    error: Exception | None


def appended(place: Place, token: object, offset: int | None) -> Ack:
    """The outcome of an append that a broker has confirmed: a failure, if it cannot say at which offset."""
    if offset is None or offset < 0:
        return failed(place, token, unproven(place))
    return Ack(place[0], place[1], token, offset, None)


def failed(place: Place, token: object, error: Exception) -> Ack:
    """The outcome of an append of which nothing is known."""
    return Ack(place[0], place[1], token, -1, error)


def unproven(place: Place) -> LogUnavailable:
    """The error for an acknowledgement without an offset."""
    return LogUnavailable(
        f"an append to {place[0]}[{place[1]}] was acknowledged without an offset, which proves nothing: "
        "whether it is on the log is unknown"
    )


def believed(place: Place, found: tuple[int, int], contradicted: bool | None) -> tuple[int, int]:
    """The range of a partition as its leader has told it, if the others take that one for the leader.

    Parameters:
        contradicted: whether most of them name another, asked after it had answered; None: too few say.

    Raises:
        LogUnavailable: it is none that proves anything. Who leads no more tells what once was so.
    """
    if contradicted is None:
        raise LogUnavailable(f"too few say who leads {place[0]}[{place[1]}]: are they up?")
    if contradicted:
        raise LogUnavailable(f"most brokers say that another leads {place[0]}[{place[1]}]: ask again")
    return found


def known_offset(offset: int, doing: str) -> int:
    """An offset as a broker has answered it: the one place that takes its word. librdkafka may answer -1001.

    Parameters:
        doing: what was asked for, for the error.

    Raises:
        LogUnavailable: it is none.
    """
    if offset < 0:
        raise LogUnavailable(f"{doing} was answered with {offset}, which is no offset: is the broker up?")
    return offset


class TopicSpec(NamedTuple):
    """A topic to create. `config` uses Kafka's names; a backend ignores what does not concern it."""

    name: str
    partitions: int
    config: Mapping[str, str] = {}


class Replication(NamedTuple):
    """On how many brokers a topic that is created is kept; None: as the brokers do by default.

    Attributes:
        factor: copies of each partition.
        min_in_sync: of these, how many must have a record before it counts as appended.
    """

    factor: int | None = None
    min_in_sync: int | None = None

    @property
    def config(self) -> dict[str, str]:
        """What of it is a setting of the topic."""
        return {} if self.min_in_sync is None else {"min.insync.replicas": str(self.min_in_sync)}


AS_THE_BROKERS_DO = Replication()


class Reader(Protocol):
    """Reads any number of partitions. Belongs to one thread."""

    def assign(self, place: Place, offset: int) -> None:
        """Start (or move) reading `place` at `offset`. An offset below the start is raised to the start."""

    def release(self, place: Place) -> None:
        """Stop reading `place`. Nothing of it is returned afterwards."""

    def pause(self, place: Place) -> None:
        """Hold back `place` until `resume`, keeping its position."""

    def resume(self, place: Place) -> None: ...

    def read(self, limit: int, timeout: float) -> list[Record]:
        """Up to `limit` records; waits up to `timeout` seconds for the first one, and for no other.

        Records of one partition are in order; partitions may be mixed.

        Raises:
            Unreadable: one partition cannot be read, Shortened if it ends before the position at which it is
                read. It is not read any more; the others are, from where they were.
            LogError: if the log is closed or damaged.
        """

    def wake(self) -> None:
        """Make a waiting `read` return soon. The only method that another thread may call."""

    def close(self) -> None: ...


class Appender(Protocol):
    """Appends groups of records; pipelined, in order, without gaps. Belongs to one thread.

    Where a group fails, all groups of its place that were handed over and not acknowledged fail with it, in
    the same `poll`: nothing follows a group that is missing. What is handed over after that poll begins anew,
    behind what of the place may still be on its way; other places have lost nothing.
    """

    @property
    def holding(self) -> bool:
        """Whether groups wait in here until a `poll` lets them go: it should come soon."""

    @property
    def broken(self) -> bool:
        """Whether it takes nothing more for any place: close it, and open another.

        Every group that was not acknowledged has its error, or gets it with the next `poll`.
        """

    def announce(self, came: Callable[[], None]) -> bool:
        """Have `came` called whenever acknowledgements have come, on any thread: it must not block.

        Returns False where this one has to be polled for them.
        """

    def append(self, place: Place, items: Sequence[Item], token: object, *, urgent: bool = True) -> None:
        """Hand over a group. Its one acknowledgement comes from `poll`, with `token`.

        Parameters:
            urgent: whether somebody waits for the acknowledgement. Else a log may give it up to 0.1 s later,
                with those of others; readers see the records as soon.

        Raises:
            LogError: if nothing of the group was taken.
        """

    def poll(self, timeout: float) -> list[Ack]:
        """Acknowledgements that have come; waits up to `timeout` seconds for the first one."""

    def close(self) -> None:
        """Drop what was not sent, release everything. Records already sent may still be appended."""


class Transaction(Protocol):
    """A producer of atomic groups over many partitions. Belongs to one thread; its calls block."""

    def commit(
        self, records: Iterable[tuple[str, int | None, bytes, bytes | None]], positions: Mapping[Place, int]
    ) -> None:
        """Append (topic, partition or None: murmur2 of the key; key, value) and store positions, atomically.

        Raises:
            Fenced: a newer transaction with the same id exists, or this one took too long. Close this one.
            Refused: some records never will be taken; it names them. Nothing was written.
            LogError: anything else; the outcome is unknown. Open a new one, and read the position again.
        """

    def position(self, place: Place) -> int | None:
        """The position that was committed last under this id for `place`, by whichever owner; None: never.

        None, too, if it belongs to another life of the topic: positions outlive what they are positions in.
        One that was stored without a life is taken. What is returned was the last at some time after this
        transaction was opened.

        Raises:
            ValueError: the transaction has no witness, and the log needs one.
            Fenced: a newer transaction with the same id exists. Close this one.
            LogError: the log cannot say. Open a new one.
        """

    def close(self) -> None: ...


class Log(Protocol):
    """A log that is open. Thread-safe, except for what it hands out."""

    def reader(self, *, committed: bool = False) -> Reader:
        """A reader. With `committed`, records of open or aborted transactions are not shown."""

    def appender(self) -> Appender: ...

    def transaction(self, id: str, life: str = "", witness: Place | None = None) -> Transaction:
        """Open the transaction `id`, fencing any older one. Blocks until that is done.

        Its positions are stored with `life`, the `topic_id` of the topic that they are in: see `position`.

        Parameters:
            witness: for `position`: a place in another topic, which is there and may be read. Kafka's word on
                positions is taken only from who shows what was just stored for this place. Other logs need
                none.
        """

    def create(self, topics: Iterable[TopicSpec]) -> list[str]:
        """Create the topics that are missing; returns their names.

        Raises:
            TopicMissing: one exists with another number of partitions.
        """

    def partitions(self, topic: str) -> int | None:
        """The number of partitions of `topic`, None if there is no such topic."""

    def topics(self) -> dict[str, int]:
        """All topics with their numbers of partitions."""

    def prepare(self, topics: Iterable[str]) -> None:
        """Learn what reading and appending needs to know of these topics; afterwards neither asks for it.

        To be called where waiting for a broker stalls nobody.

        Raises:
            TopicMissing: if there is no such topic.
            LogUnavailable: if the log cannot be reached.
        """

    def topic_id(self, topic: str) -> str:
        """Which life of `topic` this is: another after it was deleted and made again under its name.

        The log is asked each time. "" where it does not tell (Kafka before 2.8): then nothing can be said.

        Raises:
            TopicMissing: if there is no such topic.
        """

    def range(self, place: Place) -> tuple[int, int]:
        """The first offset that is still there, and the one after the last.

        Raises:
            LogError: where the log does not know. What is returned is never negative.
        """

    def trim(self, place: Place, before: int, end: int) -> None:
        """Forget the records below offset `before`; nothing if they are gone already.

        Parameters:
            end: an end of `place` that the caller has proven: it has read up to there, or has had
                acknowledgements of it. Nothing beyond it is ever deleted.

        Raises:
            ValueError: if `before` is negative or beyond `end`.
            LogError: if the log ends before `before`: it is not the one that the caller knows.
        """

    def close(self) -> None: ...
