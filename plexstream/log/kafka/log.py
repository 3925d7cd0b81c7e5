"""The log on Kafka, with confluent-kafka's synchronous clients."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from confluent_kafka import (
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
    Uuid,
)
from confluent_kafka.admin import AdminClient, ConfigResource, ListOffsetsResultInfo, NewTopic, OffsetSpec

from plexstream.log.base import AS_THE_BROKERS_DO, Place, Replication, TopicSpec, known_offset
from plexstream.log.kafka.appender import KafkaAppender
from plexstream.log.kafka.errors import REFUSED_TOPIC, log_error
from plexstream.log.kafka.memory import Memory
from plexstream.log.kafka.outage import Outage
from plexstream.log.kafka.pace import PacedAppender
from plexstream.log.kafka.reader import KafkaReader
from plexstream.log.kafka.settings import (
    BATCH_BYTES,
    check_settings,
    client_settings,
    connect,
    logger,
)
from plexstream.log.kafka.transaction import KafkaTransaction
from plexstream.log.limits import DEFAULT_MAX_BYTES
from plexstream.log.local import check_new, check_same, check_trim, missing
from plexstream.model.errors import ConfigError, LogError, LogUnavailable, Refused

ADMIN_TIMEOUT_S = 15.0
"""Longer than a broker's restart (4 to 11 s as measured), so that one is no error."""

_NO_ID = str(Uuid(0, 0))  # from brokers that do not give topics ids

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
        self._replication = replication
        self.settings = dict(settings)
        self._partitions: dict[str, int] = {}
        self._limits: dict[str, int] = {}
        self._memory = Memory()
        self._closed = False
        self._outage = Outage(f"Kafka at {bootstrap}")
        self._admin = connect(
            AdminClient, client_settings(bootstrap, {}, settings, "admin", self._outage.error)
        )

    def reader(self, *, committed: bool = False) -> KafkaReader:
        self._check_open()
        return KafkaReader(self, committed)

    def appender(self) -> PacedAppender:
        self._check_open()
        return PacedAppender(KafkaAppender(self), self.limit, forgets=self._memory.seconds)

    def transaction(self, id: str, life: str = "") -> KafkaTransaction:
        self._check_open()
        return KafkaTransaction(self, id, life)

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
        self._check_replication()
        factor = self._replication.factor or -1  # the brokers' default
        new = [
            NewTopic(s.name, s.partitions, factor, config={**s.config, **self._replication.config})
            for s in absent
        ]
        created = []
        for name, future in self._admin.create_topics(new, request_timeout=ADMIN_TIMEOUT_S).items():
            try:
                self._wait(future, f"creating topic {name!r}")
            except LogError as error:
                cause = error.__cause__
                code = cause.args[0].code() if isinstance(cause, KafkaException) else None
                if code in REFUSED_TOPIC:
                    raise Refused(str(error), topics={name: str(error)}) from error
                if code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
            else:
                created.append(name)
        self._wait_for_leaders({spec.name: spec for spec in absent})
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
        futures = self._admin.describe_topics(TopicCollection([topic]), request_timeout=ADMIN_TIMEOUT_S)
        found = self._wait(futures[topic], f"asking for the id of topic {topic!r}")
        return "" if str(found.topic_id) == _NO_ID else str(found.topic_id)

    def prepare(self, topics: Iterable[str]) -> None:
        for topic in topics:
            self.limit((topic, 0))

    def range(self, place: Place) -> tuple[int, int]:
        self.check_place(place)
        doing = f"asking for the offsets of {place[0]}[{place[1]}]"
        deadline = time.monotonic() + ADMIN_TIMEOUT_S
        while True:
            # Both are asked before the first is waited for: one round trip.
            first, last = self._ask_offset(place, _EARLIEST), self._ask_offset(place, _LATEST)
            try:
                return self._known(first, doing), self._known(last, doing)
            except LogUnavailable:
                # The leader of a new or moved partition is not known everywhere at once; librdkafka does
                # not ask again.
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def trim(self, place: Place, before: int, end: int) -> None:
        check_trim(place, before, end)
        self.check_place(place)
        # Below the start a broker has nothing to do, and beyond the end it refuses.
        target = TopicPartition(place[0], place[1], before)
        futures = self._admin.delete_records([target], request_timeout=ADMIN_TIMEOUT_S)
        for future in futures.values():
            self._wait(future, f"trimming {place[0]}[{place[1]}] to {before}")

    def close(self) -> None:
        self._closed = True

    # For the clients, in their own modules.

    def limit(self, place: Place) -> int:
        """The most bytes that a record for `place` may have.

        Raises:
            TopicMissing: if there is no such topic or partition.
            LogError: if the topic does not allow for a batch of records.
        """
        limit = self._limits.get(place[0])
        if limit is None:
            limit = self._limits[place[0]] = self._ask_limit(place)
        self.check_place(place)
        return limit

    def limit_of_topic(self, topic: str) -> int:
        """The same for a topic. Raises LogError as `limit` does."""
        return self.limit((topic, 0))

    def forget_limits(self) -> None:
        """Somebody may have changed a topic's settings: ask for them anew."""
        self._limits.clear()

    def check_place(self, place: Place) -> None:
        """Raises TopicMissing if there is no such topic or partition."""
        self._check_open()
        count = self.partitions(place[0])
        if count is None or not 0 <= place[1] < count:
            raise missing(place, count)

    def _ask_limit(self, place: Place) -> int:
        self.check_place(place)
        topic = place[0]
        resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
        futures = self._admin.describe_configs([resource], request_timeout=ADMIN_TIMEOUT_S)
        try:
            config = self._wait(futures[resource], f"reading the settings of topic {topic!r}")
        except LogUnavailable:
            raise
        except LogError as error:
            # Not everybody may read settings; Kafka's default then is the best guess.
            logger.warning("assuming max.message.bytes=%d for topic %s: %s", DEFAULT_MAX_BYTES, topic, error)
            return DEFAULT_MAX_BYTES
        limit = int(config["max.message.bytes"].value)
        if limit < BATCH_BYTES + 10_000:
            why = (
                f"topic {topic!r} has max.message.bytes={limit}, but records are sent in batches of up to "
                f"{BATCH_BYTES} bytes: set it to {BATCH_BYTES + 10_000} or more"
            )
            raise Refused(why, topics={topic: why})
        return limit

    def _ask_offset(self, place: Place, spec: OffsetSpec) -> Future[ListOffsetsResultInfo]:
        futures = self._admin.list_offsets(
            {TopicPartition(*place): spec},
            isolation_level=IsolationLevel.READ_UNCOMMITTED,
            request_timeout=ADMIN_TIMEOUT_S,
        )
        (future,) = futures.values()
        return future

    def _known(self, future: Future[ListOffsetsResultInfo], doing: str) -> int:
        """The offset that was asked for. librdkafka may answer -1001 without an error."""
        return known_offset(self._wait(future, doing).offset, f"Kafka at {self.bootstrap}: {doing}")

    def _metadata(self) -> dict[str, list[int]]:
        """The leaders of all partitions of all topics but Kafka's own; -1 where there is none."""
        self._check_open()
        try:
            found = self._admin.list_topics(timeout=ADMIN_TIMEOUT_S)
        except KafkaException as error:
            raise log_error(error.args[0], self.bootstrap, "listing topics") from error
        finally:
            self._admin.poll(0)  # serves librdkafka's messages to our logger
            self._outage.look()
        self._memory.ask(self._admin, found.brokers)
        return {
            name: [partition.leader for partition in topic.partitions.values()]
            for name, topic in found.topics.items()
            if topic.error is None and not name.startswith("__")
        }

    def _check_replication(self) -> None:
        """Raises ConfigError if there are fewer brokers than a new topic is to have copies."""
        factor = self._replication.factor
        if factor is None:
            return
        try:
            brokers = len(self._admin.list_topics(timeout=ADMIN_TIMEOUT_S).brokers)
        except KafkaException as error:
            raise log_error(error.args[0], self.bootstrap, "asking for the brokers") from error
        if brokers < factor:
            running = "1 broker that runs" if brokers == 1 else f"{brokers} brokers that run"
            raise ConfigError(
                f"replication_factor = {factor}, but Kafka at {self.bootstrap} has {running}: "
                f"start or add {factor - brokers} more, or give --replication-factor {brokers}"
            )

    def _wait_for_leaders(self, specs: Mapping[str, TopicSpec]) -> None:
        deadline = time.monotonic() + ADMIN_TIMEOUT_S
        while True:
            there = self._metadata()
            late = [
                name
                for name, spec in specs.items()
                if len(there.get(name, ())) < spec.partitions or min(there[name]) < 0
            ]
            if not late:
                break
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    f"Kafka at {self.bootstrap}: topic {late[0]!r} was created, but has no leader after "
                    f"{ADMIN_TIMEOUT_S:.0f} s: are all brokers up?"
                )
            time.sleep(0.02)
        for name, spec in specs.items():
            check_same(spec, len(there[name]))
            self._partitions[name] = len(there[name])

    def _wait(self, future: Future[T], doing: str) -> T:
        try:
            return future.result(ADMIN_TIMEOUT_S + 5)
        except KafkaException as error:
            raise log_error(error.args[0], self.bootstrap, doing) from error
        except FutureTimeout as error:
            raise LogUnavailable(
                f"Kafka at {self.bootstrap}: {doing} got no answer in {ADMIN_TIMEOUT_S + 5:.0f} s: "
                "is the broker up?"
            ) from error

    def _check_open(self) -> None:
        if self._closed:
            raise LogError(f"the log at Kafka {self.bootstrap} is closed")
