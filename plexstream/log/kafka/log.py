"""The log on Kafka, with confluent-kafka's synchronous clients."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
    Uuid,
)
from confluent_kafka.admin import AclOperation, AdminClient, ConfigResource, OffsetSpec

from plexstream.log.base import AS_THE_BROKERS_DO, Place, Replication, TopicSpec, believed, known_offset
from plexstream.log.kafka.appending.appender import KafkaAppender
from plexstream.log.kafka.appending.pace import PacedAppender
from plexstream.log.kafka.appending.transaction import KafkaTransaction
from plexstream.log.kafka.brokers.admin import MISSING_S, Admin, Question
from plexstream.log.kafka.brokers.creation import Creation
from plexstream.log.kafka.brokers.sizes import LEAST, Sizes
from plexstream.log.kafka.brokers.views import Views
from plexstream.log.kafka.common.settings import (
    BATCH_BYTES,
    check_settings,
    logger,
)
from plexstream.log.kafka.reading.reader import KafkaReader
from plexstream.log.limits.limits import DEFAULT_MAX_BYTES
from plexstream.log.memory.local import check_new, check_same, check_trim, missing
from plexstream.model.errors import LogError, LogUnavailable, Refused, TopicMissing

_NO_ID = str(Uuid(0, 0))  # from brokers that do not give topics ids

_LOOK_AGAIN_S = 0.1

_WRITES = frozenset((AclOperation.WRITE, AclOperation.ALL))

_EARLIEST = OffsetSpec.earliest()  # type: ignore[no-untyped-call]
_LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]


T = TypeVar("T")


class KafkaLog:
    """A `Log` on the Kafka brokers at `bootstrap`, "host:port,host2:port". Connects when it is first used.

    `settings` are librdkafka's, such as `security.protocol`; `producer.` or `consumer.` before one makes it
    count for these clients only. `replication` is that of topics which are created.

    Raises:
        ConfigError: if a setting is unknown, or one that the log's promises depend on.
    """

    def __init__(
        self,
        bootstrap: str,
        settings: Mapping[str, str] = {},
        replication: Replication = AS_THE_BROKERS_DO,
    ) -> None:
        check_settings(settings)
        self.bootstrap = bootstrap
        self.settings = dict(settings)
        self._partitions: dict[str, int] = {}
        self._sizes = Sizes(self._ask_limit)
        self._closed = False
        self.views = Views(bootstrap, settings)
        self._admin = Admin(bootstrap, settings, lambda: self.views.sound)
        self._creation = Creation(bootstrap, replication, self._admin, self._metadata)
        self._trims: Admin | None = None

    def reader(self, *, committed: bool = False) -> KafkaReader:
        self._check_open()
        return KafkaReader(self, committed)

    def appender(self) -> PacedAppender:
        self._check_open()
        return PacedAppender(KafkaAppender(self), self.limit)

    def transaction(self, id: str, life: str = "", witness: Place | None = None) -> KafkaTransaction:
        self._check_open()
        return KafkaTransaction(self, id, life, witness)

    def create(self, topics: Iterable[TopicSpec]) -> list[str]:
        wanted = {spec.name: spec for spec in topics}
        there = self.topics()
        for spec in wanted.values():
            check_new(spec, there)
            if spec.name in there:
                check_same(spec, there[spec.name])
        absent = [spec for name, spec in wanted.items() if name not in there]
        if not absent:
            return []
        created, counts = self._creation.create(absent)
        for spec in absent:
            check_same(spec, counts[spec.name])
        self._partitions.update(counts)
        return created

    def partitions(self, topic: str) -> int | None:
        # A number that is known stays: nothing here ever adds partitions.
        count = self._partitions.get(topic)
        return self.topics().get(topic) if count is None else count

    def topics(self) -> dict[str, int]:
        # Of all topics: asking for one by name could create it on brokers that create topics by themselves.
        there = {name: len(partitions) for name, partitions in self._metadata().items()}
        self._partitions.update(there)
        return there

    def topic_id(self, topic: str) -> str:
        self._check_open()
        asked = TopicCollection([topic])
        found = self._admin.ask(
            f"asking for the id of topic {topic!r}",
            lambda client, s: client.describe_topics(asked, request_timeout=s)[topic].result(s),
        )
        return "" if str(found.topic_id) == _NO_ID else str(found.topic_id)

    def forbidden(self, topics: Iterable[str]) -> set[str]:
        """Those of these topics that this client has no right to write to. Raises LogError."""
        self._check_open()
        asked = TopicCollection(list(topics))

        def question(client: AdminClient, seconds: float) -> set[str]:
            futures = client.describe_topics(
                asked, include_authorized_operations=True, request_timeout=seconds
            )
            found = set()
            for topic, future in futures.items():
                try:
                    rights = future.result(seconds).authorized_operations
                except KafkaException as error:
                    if error.args[0].code() != KafkaError.TOPIC_AUTHORIZATION_FAILED:
                        raise
                    rights = []
                if rights is not None and not _WRITES & set(rights):
                    found.add(topic)
            return found

        return self._admin.ask("asking which topics may be written to", question)

    def prepare(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self.limit((topic, 0))

    def range(self, place: Place) -> tuple[int, int]:
        self.check_place(place)
        return self._ask_of(
            place[0],
            f"asking for the offsets of {place[0]}[{place[1]}]",
            lambda client, s: self._range(client, place, s),
        )

    def trim(self, place: Place, before: int, end: int) -> None:
        check_trim(place, before, end)
        self.check_place(place)
        # Below the start a broker has nothing to do, and beyond the end it refuses.
        target = TopicPartition(place[0], place[1], before)
        # A leader answers when all replicas have done so, and nothing else of the same connection before:
        # what a takeover asks would wait behind it.
        if self._trims is None:
            self._trims = Admin(self.bootstrap, self.settings, lambda: self.views.sound)
        self._ask_of(
            place[0],
            f"trimming {place[0]}[{place[1]}] to {before}",
            lambda client, s: client.delete_records([target], request_timeout=s)[target].result(s),
            self._trims,
        )

    def close(self) -> None:
        self._closed = True
        self.views.close()

    # For the clients, in their own modules.

    def limit(self, place: Place) -> int:
        """The most bytes that a record for `place` may have.

        Raises:
            TopicMissing: if there is no such topic or partition.
            LogError: if the topic does not allow for a batch of records.
        """
        limit = self._sizes.of(place[0])
        self.check_place(place)
        return limit

    def ends(self, places: Iterable[Place], timeout: float | None = None) -> dict[Place, int]:
        """Where partitions end, by the word of those that answer as their leaders; of others nothing.

        One that is cut off may name an end as it once was: this proves only that there is something.

        Parameters:
            timeout: seconds until it is given up; by default as for every question.

        Raises:
            LogUnavailable: nobody answered in time.
        """
        self._check_open()
        asked = {TopicPartition(*place): _LATEST for place in places}

        def question(client: AdminClient, seconds: float) -> dict[Place, int]:
            futures = client.list_offsets(
                asked, isolation_level=IsolationLevel.READ_UNCOMMITTED, request_timeout=seconds
            )
            failed = {place: error for place, f in futures.items() if (error := f.exception(seconds))}
            if len(failed) == len(futures):
                raise next(iter(failed.values()))
            if failed:  # of these, other leaders may be known the next time
                client.list_topics(timeout=seconds)
            answers = {place: f.result().offset for place, f in futures.items() if place not in failed}
            return {(p.topic, p.partition): known_offset(end, "the end") for p, end in answers.items()}

        return self._admin.ask("asking for ends", question, timeout=timeout)

    def limit_of_topic(self, topic: str) -> int:
        """The same for a topic. Raises LogError as `limit` does."""
        return self.limit((topic, 0))

    def limit_anew(self, topic: str) -> int:
        """The same, asked for now: somebody may have changed the topic's settings."""
        return self._sizes.renew(topic)

    def doubt_limits(self) -> None:
        """Brokers have refused something: somebody may have changed topics' settings. Never blocks."""
        self._sizes.doubt()

    def check_place(self, place: Place) -> None:
        """Raises TopicMissing if there is no such topic or partition.

        One that another process has just made is waited for: brokers hear of it one after the other.
        """
        self._check_open()
        count = self.partitions(place[0])
        deadline = time.monotonic() + MISSING_S
        while count is None and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_S)
            count = self.partitions(place[0])
        if count is None or not 0 <= place[1] < count:
            raise missing(place, count)

    def settings_of(self, topic: str) -> dict[str, str]:
        """The settings of a topic that are in effect, by Kafka's names.

        Raises:
            LogUnavailable: there was no answer in time.
            LogError: this user may not read them, or whatever else is the answer.
        """
        self._check_open()
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        found = self._ask_of(
            topic,
            f"reading the settings of topic {topic!r}",
            lambda client, s: client.describe_configs([resource], request_timeout=s)[resource].result(s),
        )
        return {name: entry.value for name, entry in found.items() if entry.value is not None}

    def _ask_limit(self, topic: str) -> int:
        self.check_place((topic, 0))
        try:
            settings = self.settings_of(topic)
        except (LogUnavailable, TopicMissing):
            raise
        except LogError as error:
            # Not everybody may read settings; Kafka's default then is the best guess.
            logger.warning("assuming max.message.bytes=%d for topic %s: %s", DEFAULT_MAX_BYTES, topic, error)
            return DEFAULT_MAX_BYTES
        limit = int(settings["max.message.bytes"])
        if limit < LEAST:
            why = (
                f"topic {topic!r} has max.message.bytes={limit}, but records are sent in batches of up to "
                f"{BATCH_BYTES} bytes: set it to {LEAST} or more"
            )
            raise Refused(why, topics={topic: why})
        return limit

    def _range(self, client: AdminClient, place: Place, seconds: float) -> tuple[int, int]:
        """What the leader says, if it leads still.

        A broker that is cut off gives ends as they once were: a newer owner's claim would not be seen, and a
        partition would pass for shorter than it was. So the others are asked, after it has answered.
        """
        topic, number = place
        own = client.list_topics(topic, seconds)
        found = _offsets(client, place, seconds)
        return believed(place, found, self.views.contradict(own, topic, [number]))

    def _ask_of(self, topic: str, doing: str, question: Question[T], admin: Admin | None = None) -> T:
        try:
            return (admin or self._admin).ask(doing, question, topic=topic)
        except TopicMissing:
            self._partitions.pop(topic, None)
            self._sizes.forget(topic)
            raise

    def _metadata(self) -> dict[str, list[int]]:
        """The leaders of all partitions of all topics but Kafka's own; -1 where there is none."""
        self._check_open()
        return {
            name: [partition.leader for partition in topic.partitions.values()]
            for name, topic in self._admin.metadata().topics.items()
            if topic.error is None and not name.startswith("__")
        }

    def _check_open(self) -> None:
        if self._closed:
            raise LogError(f"the log at Kafka {self.bootstrap} is closed")


def _offsets(client: AdminClient, place: Place, seconds: float) -> tuple[int, int]:
    # Both are asked before the first is waited for: one round trip.
    first, last = (
        client.list_offsets(
            {TopicPartition(*place): spec},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=seconds,
        )[TopicPartition(*place)]
        for spec in (_EARLIEST, _LATEST)
    )
    start, end = first.result(seconds).offset, last.result(seconds).offset
    return known_offset(start, "the first offset"), known_offset(end, "the end")
