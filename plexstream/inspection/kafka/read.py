"""Reading a Kafka partition to its end, and knowing that it is the end.

The log's reader cannot tell: behind the last record there may be the marker of a transaction, which has an
offset and is never shown. Waiting for a while instead would be slow, and a broker that stalls would look
like an end.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, TopicPartition

from plexstream.log.base import Place, Record
from plexstream.log.kafka.common.errors import log_error, passes
from plexstream.log.kafka.common.settings import READER, client_settings, connect
from plexstream.log.kafka.log import KafkaLog
from plexstream.model.errors import LogUnavailable

_LIMIT = 2_000
_POLL_S = 0.2


def batches(
    log: KafkaLog, place: Place, start: int, committed: bool, patience: float
) -> Iterator[list[Record]]:
    """The records of `place` from `start` on, up to what is its end when that is reached.

    Raises:
        LogUnavailable: nothing comes for `patience` seconds, not even the end.
        LogError: the broker refuses.
    """
    own = READER | {
        "isolation.level": "read_committed" if committed else "read_uncommitted",
        "enable.partition.eof": True,
    }
    consumer = connect(
        Consumer, client_settings(log.views.sound, own, log.settings, "consumer", lambda _: None)
    )
    try:
        consumer.assign([TopicPartition(place[0], place[1], start)])
        heard = time.monotonic()
        while True:
            found: list[Record] = []
            ended = False
            for message in consumer.consume(_LIMIT, _POLL_S):
                error = message.error()
                if error is None:
                    offset, time_ms = message.offset(), message.timestamp()[1]
                    assert offset is not None
                    found.append(Record(*place, offset, message.key() or b"", message.value(), time_ms))
                elif error.code() == KafkaError._PARTITION_EOF:
                    ended = True
                elif not passes(error):
                    raise log_error(error, log.bootstrap, f"reading {place[0]}[{place[1]}]")
            if found:
                yield found
            if ended:
                return
            if found:
                heard = time.monotonic()
            elif time.monotonic() - heard > patience:
                raise LogUnavailable(
                    f"Kafka at {log.bootstrap}: {place[0]}[{place[1]}] gave nothing for {patience:.0f} s: "
                    "are the brokers up?"
                )
    finally:
        consumer.close()
