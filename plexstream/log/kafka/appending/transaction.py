"""Transactions on Kafka: records and positions of a relay, atomically."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from plexstream.log.base import Place
from plexstream.log.kafka.appending.positions import Positions
from plexstream.log.kafka.appending.produce import fates
from plexstream.log.kafka.brokers.cluster import Cluster
from plexstream.log.kafka.common.errors import REFUSED_RECORD, REFUSED_TOPIC, behind, log_error
from plexstream.log.kafka.common.outage import Outage
from plexstream.log.kafka.common.settings import TRANSACTION, client_settings, connect
from plexstream.log.limits.limits import check_records
from plexstream.log.memory.local import TxnRecord, of_this_life
from plexstream.model.errors import Fenced, LogError, LogUnavailable, Refused
from plexstream.model.process.threads import passing

TIMEOUT_S = 15.0
"""Of every call. Beyond `transaction.timeout.ms`: by then an older owner's open transaction has ended."""

RETRY_S = 0.1
"""When a position is proven and asked for again, that was no proven one."""

GIVE_UP_S = 20.0
"""When a call that ignores its time limit is given up."""

T = TypeVar("T")


class KafkaTransaction:
    """A `Transaction` on Kafka: a producer with the transactional id `id`, and the offsets of group `id`.

    Kafka keeps the offsets of a group for a topic that was deleted for a while: their metadata is the life.
    """

    def __init__(self, log: Cluster, id: str, life: str, witness: Place | None = None) -> None:
        self._log = log
        self._id = id
        self._life = life
        self._failed: LogError | None = None
        self._closed = False
        self._outage = Outage(f"Kafka at {log.bootstrap}, transaction {id}")
        self._fates = fates(log.settings)
        own = TRANSACTION | {"transactional.id": id} | self._fates.settings
        producer = connect(
            Producer, client_settings(log.views.sound, own, log.settings, "producer", self._outage.error)
        )
        self._fates.attach(producer)
        self._producer: Producer | None = producer
        self._token = ""  # what the group's coordinator must show, "" where nothing was committed for that
        self._positions = Positions(log, id, witness, self._outage)
        try:
            self._call("opening", lambda: producer.init_transactions(TIMEOUT_S))
        except LogError:
            self._positions.close()
            raise

    def commit(self, records: Iterable[TxnRecord], positions: Mapping[Place, int]) -> None:
        producer = self._usable()
        records = list(records)
        # Before anything is begun: one refused record would cost the whole transaction.
        try:
            check_records(records, self._log.limit_of_topic)
        except Refused:
            check_records(records, self._log.limit_anew)  # they may have been raised
        if not records and not positions:
            return
        offsets = [
            TopicPartition(topic, number, offset, self._life) for (topic, number), offset in positions.items()
        ]

        if offsets:
            self._token = ""  # it would prove nothing that comes now

        def run() -> None:
            producer.begin_transaction()
            self._fates.clear()
            self._fates.send(records)
            if offsets:
                producer.send_offsets_to_transaction(offsets, self._positions.metadata, TIMEOUT_S)
            # The first batches of a partition are not guarded by sequence numbers (see `PacedAppender`): one
            # may be lost, and taken for delivered as a later one was. Nothing is committed before all are.
            producer.flush(TIMEOUT_S)
            unproven, first, number = self._fates.unproven()
            if unproven:
                said = f"{unproven} records delivered without an offset, one to {first}[{number}]"
                raise KafkaException(KafkaError(KafkaError._INCONSISTENT, said))
            producer.commit_transaction(TIMEOUT_S)

        try:
            self._call("committing", run)
        except Fenced:
            raise
        except LogError as error:
            self._blame(records, error)
            raise

    def _blame(self, records: list[TxnRecord], failed: LogError) -> None:
        """Raises Refused where the brokers have said which records they do not take."""
        found: dict[int, str] = {}
        topics: dict[str, str] = {}
        for topic, key, value, error in self._fates.undelivered():
            said = f"Kafka refuses a record for topic {topic!r}: {error.str()} [{error.name()}]"
            if error.code() in REFUSED_TOPIC:
                topics[topic] = said
            elif error.code() in REFUSED_RECORD:
                alike = (topic, key or b"", value)
                found |= {i: said for i, (t, _, k, v) in enumerate(records) if (t, k, v) == alike}
        if not (found or topics) and "[TOPIC_AUTHORIZATION_FAILED]" in str(failed):
            # The coordinator has refused a partition of the transaction, and says of which topic to nobody.
            written = {topic for topic, *_ in records}
            with suppress(LogError):  # nobody to blame is found now: it is done again
                topics = dict.fromkeys(self._log.forbidden(written), str(failed))
            raise Refused(str(failed), topics=topics, exact=False) from failed
        if found or topics:
            raise Refused(str(failed), records=found, topics=topics, exact=False) from failed

    def position(self, place: Place) -> int | None:
        """See `Transaction.position`.

        Raises:
            ValueError: the transaction has no witness.
            Fenced: a newer transaction with the same id exists.
            LogUnavailable: no coordinator could be found that knows what was committed last.
            LogError: whatever else went wrong.
        """
        witness = self._positions.witness_of(place)
        self._usable()
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            self._token = self._token or self._prove(witness)
            proven, stored = self._positions.ask(place, self._token, deadline)
            if proven:
                return of_this_life(stored, self._life)
            # Or a newer owner's stands there: then the next one is refused.
            self._token = ""
            if time.monotonic() >= deadline:
                raise LogUnavailable(
                    f"Kafka at {self._log.bootstrap}: the coordinator of group {self._id!r} that answers "
                    "does not know what was just committed: is it cut off from the other brokers? Its word "
                    "on positions is not taken; mend the network between the brokers, and open it again"
                )
            time.sleep(RETRY_S)
            self._positions.renew()

    def _prove(self, witness: Place) -> str:
        """Commit a token that the group's coordinator must show. Raises as `commit` does."""
        producer, token = self._usable(), secrets.token_hex(8)
        mark = self._positions.mark(witness, token)

        def run() -> None:
            producer.begin_transaction()
            producer.send_offsets_to_transaction([mark], self._positions.metadata, TIMEOUT_S)
            producer.commit_transaction(TIMEOUT_S)

        self._call("reading the positions of", run)
        return token

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._producer = None
            self._positions.close()

    def _usable(self) -> Producer:
        if self._failed is not None:
            kind = Fenced if isinstance(self._failed, Fenced) else LogError
            raise kind(
                f"transaction {self._id!r} has failed, open a new one: {self._failed}"
            ) from self._failed
        if self._producer is None:
            raise LogError(f"transaction {self._id!r} is closed: open a new one")
        return self._producer

    def _call(self, doing: str, call: Callable[[], T]) -> T:
        self._outage.look()
        try:
            return self._bounded(call)
        except (KafkaException, SystemError) as error:
            if (said := behind(error)) is None:
                raise
            failed = log_error(said.args[0], self._log.bootstrap, f"{doing} transaction {self._id!r}")
            self._failed = failed
            # For good, whatever failed: after a time limit librdkafka cannot say whether the call took
            # effect, and a new producer with this id ends what this one has open.
            self._producer = None
            raise failed from error

    @staticmethod
    def _bounded(call: Callable[[], T]) -> T:
        """`call`, given up after a while.

        librdkafka's `send_offsets_to_transaction` ignores its time limit, and may never return where the
        broker was killed meanwhile (3 of 4 times with 2.16).

        The thread that hangs is left behind. Should it go on some day, its producer is fenced by then.
        """
        outcome: Future[T] = Future()

        def run() -> None:
            try:
                outcome.set_result(call())
            except BaseException as error:
                outcome.set_exception(error)

        passing("transaction", run)
        try:
            return outcome.result(GIVE_UP_S)
        except FutureTimeout:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "librdkafka does not return")) from None
