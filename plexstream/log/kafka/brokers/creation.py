"""Making topics on Kafka, and waiting until they have leaders."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import NewTopic

from plexstream.log.base import Replication, TopicSpec
from plexstream.log.kafka.brokers.admin import TIMEOUT_S, Admin
from plexstream.log.kafka.common.errors import REFUSED_TOPIC
from plexstream.model.errors import ConfigError, LogError, LogUnavailable, Refused


class Creation:
    """Makes topics.

    Parameters:
        bootstrap: where Kafka is, for messages.
        replication: of topics which are created.
        leaders: asks for the leaders of all partitions of all topics; -1 where there is none.
    """

    def __init__(
        self, bootstrap: str, replication: Replication, admin: Admin,
        leaders: Callable[[], Mapping[str, list[int]]],
    ) -> None:  # fmt: skip
        self._bootstrap = bootstrap
        self._replication = replication
        self._admin = admin
        self._leaders = leaders

    def create(self, absent: Sequence[TopicSpec]) -> tuple[list[str], dict[str, int]]:
        """Make topics that are not there; one that somebody else makes meanwhile is as good.

        Returns:
            Those that this has made, and how many partitions each of all now has.

        Raises:
            ConfigError: there are fewer brokers than copies.
            Refused: Kafka does not take a topic.
            LogUnavailable: there was no answer, or no leader, in time.
            LogError: whatever else is the answer.
        """
        self._check_replication()
        factor = self._replication.factor or -1  # the brokers' default
        new = [
            NewTopic(s.name, s.partitions, factor, config={**s.config, **self._replication.config})
            for s in absent
        ]
        created = []
        for topic in new:
            try:
                self._create_one(topic)
            except LogError as error:
                cause = error.__cause__
                code = cause.args[0].code() if isinstance(cause, KafkaException) else None
                if code in REFUSED_TOPIC:
                    raise Refused(str(error), topics={topic.topic: str(error)}) from error
                if code != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
            else:
                created.append(topic.topic)
        return created, self._wait_for_leaders({spec.name: spec for spec in absent})

    def _create_one(self, topic: NewTopic) -> None:
        self._admin.ask(
            f"creating topic {topic.topic!r}",
            lambda client, s: client.create_topics([topic], request_timeout=s)[topic.topic].result(s),
            attempt_s=TIMEOUT_S,
        )

    def _check_replication(self) -> None:
        """Raises ConfigError if there are fewer brokers than a new topic is to have copies."""
        factor = self._replication.factor
        if factor is None:
            return
        brokers = len(self._admin.metadata().brokers)
        if brokers < factor:
            running = "1 broker that runs" if brokers == 1 else f"{brokers} brokers that run"
            raise ConfigError(
                f"replication_factor = {factor}, but Kafka at {self._bootstrap} has {running}: "
                f"start or add {factor - brokers} more, or give --replication-factor {brokers}"
            )

    def _wait_for_leaders(self, specs: Mapping[str, TopicSpec]) -> dict[str, int]:
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            there = self._leaders()
            late = [
                name
                for name, spec in specs.items()
                if len(there.get(name, ())) < spec.partitions or min(there[name]) < 0
            ]
            if not late:
                return {name: len(there[name]) for name in specs}
            if time.monotonic() > deadline:
                raise LogUnavailable(
                    f"Kafka at {self._bootstrap}: topic {late[0]!r} was created, but has no leader after "
                    f"{TIMEOUT_S:.0f} s: are all brokers up?"
                )
            time.sleep(0.02)
