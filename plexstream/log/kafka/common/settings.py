"""Settings of the librdkafka clients."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from confluent_kafka import KafkaError, KafkaException

from plexstream.model.errors import ConfigError

C = TypeVar("C")

logger = logging.getLogger("plexstream.kafka")
# librdkafka warns at each start that it is "experimental"; it is wanted, and tested.
logger.addFilter(lambda record: "enable.gapless.guarantee is experimental" not in record.getMessage())
# Of connections that fail: the error callback gets each of them, too (see `kafka_outage`).
logger.addFilter(lambda record: not record.getMessage().startswith("FAIL ["))

BATCH_BYTES = 500_000
"""Records travel in batches of up to so many bytes; a topic must allow that, or the broker refuses them."""

_COMMON: dict[str, Any] = {
    # 10 s by default: after a restart of the broker everybody would wait for as long.
    "reconnect.backoff.max.ms": 1000,
    # 60 s by default: whoever had asked a broker before it was paused, or cut off, would wait for as long. No
    # request of ours is held back for longer by a broker that is well.
    "socket.timeout.ms": 5000,
    # 5 min by default: a broker that is cut off from its peers answers clients, takes itself for the leader,
    # and gives no reason to ask anybody else who is.
    "topic.metadata.refresh.interval.ms": 2000,
    # Else an error on an idle connection is logged for every broker that closes it.
    "log.connection.close": False,
    "socket.keepalive.enable": True,
    # Nagle's algorithm and the broker's delayed acknowledgement together cost 40 ms a request.
    "socket.nagle.disable": True,
}

PROMPT: dict[str, Any] = {
    # Of appenders, readers and questions, for which callers wait. A leader that stands still, or that waits
    # for a replica which does, holds back what was sent to it for so long, however soon another one leads:
    # none of it is sent there before. What it has taken is known by its sequence number when it comes again.
    # Not shorter: brokers without CPU take seconds, and each time everything is sent again (seen at 2.5 s).
    "socket.timeout.ms": 3500,
    "topic.metadata.refresh.interval.ms": 1000,
}

_PRODUCER: dict[str, Any] = {
    "batch.size": BATCH_BYTES,
    # The topic's own limit is checked before a record is handed over; this one only must not be lower.
    "message.max.bytes": 100_000_000,
    # A limit by bytes is enough, see `MAX_PENDING_BYTES`.
    "queue.buffering.max.messages": 0,
    "queue.buffering.max.kbytes": 1_048_576,
    # As Java clients partition, where no partition is given.
    "partitioner": "murmur2",
}

APPENDER: dict[str, Any] = {
    **_PRODUCER,
    **PROMPT,
    "acks": "all",
    "enable.idempotence": True,
    # A batch that fails for good stops the producer: no group is appended without its predecessors.
    "enable.gapless.guarantee": True,
    # With more of them, one that a broker refuses out of order makes librdkafka begin a new epoch, in which
    # it sends again what has arrived and was not answered: brokers know repetitions within an epoch only.
    "max.in.flight.requests.per.connection": 1,
    # No time limit: a record given up after others were sent would be a gap.
    "message.timeout.ms": 0,
    "linger.ms": 0,
    # Connected to all brokers. Else one that is cut off from its peers, and that does not answer an append,
    # is asked for the leader again as soon as the connection to it is made anew.
    "enable.sparse.connections": False,
}

TRANSACTION: dict[str, Any] = {
    **_PRODUCER,
    # One hung transaction holds back every reader of committed records; 60 s by default.
    "transaction.timeout.ms": 10_000,
    # A transaction waits so long if the markers of the last are not written yet, nearly always if there is
    # one after the other: 3 ms a transaction at 1, 7 at 5, 24 at 20; 100 by default.
    "retry.backoff.ms": 1,
    # What became of each record is heard, of successes too: only an offset proves that it is there.
    # A commit flushes, whatever this says: it only makes one batch of records that come together.
    "linger.ms": 1,
}

READER: dict[str, Any] = {
    # Required, never joined.
    "group.id": "plexstream-reader",
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "error",
    "allow.auto.create.topics": False,
    # 1000 by default: a reader that empties a full queue would wait for as long.
    "fetch.queue.backoff.ms": 1,
    "fetch.error.backoff.ms": 100,
    # A fetch of which every partition is empty holds back a new assignment for as long; 500 by default.
    "fetch.wait.max.ms": 50,
}

FIXED = frozenset(
    {
        "acks", "auto.offset.reset", "batch.size", "bootstrap.servers", "enable.auto.commit",
        "enable.auto.offset.store", "enable.gapless.guarantee", "enable.idempotence", "group.id",
        "isolation.level", "max.in.flight", "max.in.flight.requests.per.connection", "message.timeout.ms",
        "partitioner", "queue.buffering.max.kbytes",
        "queue.buffering.max.messages", "transactional.id",
    }
)  # fmt: skip
"""What the promises of the log depend on."""


def check_settings(settings: Mapping[str, str]) -> None:
    """Raises ConfigError if a setting is one that may not be changed."""
    for key in settings:
        name = key.removeprefix("producer.").removeprefix("consumer.")
        if name in FIXED:
            raise ConfigError(
                f"Kafka setting {key!r} is plexstream's own: the log's promises depend on it; remove it"
            )


def client_settings(
    bootstrap: str,
    own: Mapping[str, Any],
    settings: Mapping[str, str],
    role: str,
    on_error: Callable[[KafkaError], None],
) -> dict[str, Any]:
    """The configuration of one client. `producer.` or `consumer.` before a setting are for that role only."""
    merged: dict[str, Any] = {**_COMMON, **own}
    for key, value in settings.items():
        scope, dot, name = key.partition(".")
        if dot and scope in ("producer", "consumer"):
            if scope == role:
                merged[name] = value
        else:
            merged[key] = value
    merged |= {"bootstrap.servers": bootstrap, "logger": logger, "error_cb": on_error}
    return merged


def connect(client: Callable[[dict[str, Any]], C], settings: dict[str, Any]) -> C:
    """Make a client. Raises ConfigError if librdkafka does not know a setting, or not its value."""
    try:
        return client(settings)
    except KafkaException as error:
        raise ConfigError(f"Kafka settings: {error.args[0].str()}: correct or remove it") from error
