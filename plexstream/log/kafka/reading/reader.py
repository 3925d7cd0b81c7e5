"""Reading from Kafka, by manual assignment."""

from __future__ import annotations

import threading
import time
from collections import deque
from contextlib import suppress

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from plexstream.log.base import Place, Record
from plexstream.log.kafka.brokers.cluster import Cluster
from plexstream.log.kafka.brokers.views import AGAIN_S
from plexstream.log.kafka.common.errors import Kind, kind_of, log_error, passes
from plexstream.log.kafka.common.outage import Outage
from plexstream.log.kafka.common.settings import PROMPT, READER, client_settings, connect, logger
from plexstream.log.kafka.reading.consume import source, take
from plexstream.log.kafka.reading.silence import Silence
from plexstream.log.memory.local import beyond_end
from plexstream.model.errors import LogError, LogUnavailable, Unreadable
from plexstream.model.process.threads import passing

WAKE_S = 0.02
"""How late a `wake` may come: nothing interrupts librdkafka's poll. 50 idle polls a second cost 0.1 % CPU."""

_LOOK_AROUND_S = 1.0
"""How often a reader that has nothing to read looks whether whom it asks does lead."""

_UNANSWERED_S = 5.0
"""When it looks again if the broker that it asks does not answer: then it takes nobody for a leader."""

_LOOK_UP_S = 0.5
"""How long a consumer is asked for leaders: confluent-kafka lets no other call of it go on meanwhile."""
_OUT_OF_RANGE = {KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE, KafkaError._LOG_TRUNCATION}

Answer = tuple[Place, object, "tuple[int, int] | LogError"]


class KafkaReader:
    """A `Reader` on a consumer that joins no group.

    What has to be asked of a broker is asked on other threads. A consumer that librdkafka has given up is
    replaced; what concerns one place alone ends the reading of that place, unless it passes.
    """

    def __init__(self, log: Cluster, committed: bool) -> None:
        self._log = log
        self._outage = Outage(f"Kafka at {log.bootstrap}, reader")
        self._source = source(log.settings, self._on_error)
        own = READER | PROMPT | {"isolation.level": "read_committed" if committed else "read_uncommitted"}
        own |= self._source.settings
        self._settings = client_settings(log.views.sound, own, log.settings, "consumer", self._on_error)
        self._consumer = connect(Consumer, self._settings)
        self._positions: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._assigned: set[Place] = set()  # what the consumer has
        self._asking: dict[Place, object] = {}  # places whose range is being asked for, by question
        self._answers: deque[Answer] = deque()
        self._topics: set[str] = set()  # whose leaders this consumer has asked for
        self._look_ups: list[threading.Thread] = []
        self._look_at = time.monotonic() + _LOOK_AROUND_S
        self._looking: threading.Thread | None = None
        self._looked = threading.Event()  # the thread needs the consumer no more
        self._looked.set()
        self._doubted: Consumer | None = None
        self._astray: Consumer | None = None  # it hears of the cluster from a broker that is cut off
        # What is not committed has an end, too, and does not come.
        self._silence = None if committed else Silence()
        self._ends: deque[tuple[dict[Place, int], dict[Place, int]]] = deque()  # positions, and ends
        self._problems: deque[LogError] = deque()
        self._missing: list[str] = []  # what librdkafka says of partitions that are not there
        self._woken = False
        self._closed = False

    def assign(self, place: Place, offset: int) -> None:
        self._log.check_place(place)
        self._look_up(place[0])
        self._stop(place)
        self._positions[place] = offset
        self._start(place)

    def release(self, place: Place) -> None:
        self._stop(place)
        self._positions.pop(place, None)
        self._paused.discard(place)

    def pause(self, place: Place) -> None:
        # Not librdkafka's pause: to start again at a position of our own leaves nothing to its bookkeeping.
        self._stop(place)
        self._paused.add(place)

    def resume(self, place: Place) -> None:
        if place in self._paused:
            self._paused.discard(place)
            self._start(place)

    def read(self, limit: int, timeout: float) -> list[Record]:
        # Kept back while there were records to return.
        self._raise_problem()
        deadline = time.monotonic() + timeout if timeout > 0 else 0.0
        wait = min(timeout, WAKE_S) if timeout > 0 else 0.0
        while True:
            while self._answers:
                self._answered(*self._answers.popleft())
            self._outage.look()
            found: list[Record] = []
            came, stop = self._source.next(self._consumer, limit, wait, self._positions, found)
            if came:
                while stop is not None:
                    failed, behind = stop
                    self._handle(*failed)
                    stop = take(behind, self._positions, found)
                if found:
                    return found
            else:
                self._look_around()
                if self._silence is not None:
                    self._look_for_silence(self._silence)
            if self._missing:
                self._look_for_missing()
            self._raise_problem()
            if self._woken:
                self._woken = False
                return []
            if not deadline:
                return []
            wait = min(deadline - time.monotonic(), WAKE_S)
            if wait <= 0:
                return []

    def wake(self) -> None:
        self._woken = True

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._positions.clear()
            self._asking.clear()
            self._close_consumer()

    def _raise_problem(self) -> None:
        if self._problems:
            raise self._problems.popleft()

    def _look_up(self, topic: str) -> None:
        """Ask for the leaders of a topic when it is first assigned.

        Else librdkafka does so when it next looks for topics that it does not know, which is once a second:
        a takeover, which reads two topics one after the other, waited for 2 s.
        """
        if topic in self._topics:
            return
        self._topics.add(topic)
        consumer = self._consumer

        def ask() -> None:
            with suppress(KafkaException):  # it goes on asking
                consumer.list_topics(topic, _LOOK_UP_S)

        self._look_ups = [*(t for t in self._look_ups if t.is_alive()), passing("reader-look-up", ask)]

    def _look_around(self) -> None:
        """A broker that is cut off from its peers has nothing new, and no error: another consumer begins
        elsewhere."""
        if self._astray is self._consumer:
            said = "it heard of the cluster from a broker that most others do not take for a leader"
            self._replace_consumer(KafkaError(KafkaError.FENCED_LEADER_EPOCH, said))
        now = time.monotonic()
        if now < self._look_at or not self._assigned or (self._looking and self._looking.is_alive()):
            return
        self._look_at = now + _LOOK_AROUND_S
        places: dict[str, list[int]] = {}
        for topic, partition in sorted(self._assigned):
            places.setdefault(topic, []).append(partition)
        consumer = self._consumer

        def look() -> None:
            try:
                own = {topic: consumer.list_topics(topic, _LOOK_UP_S) for topic in places}
            except KafkaException:  # it knows that it knows nothing
                self._look_at = time.monotonic() + _UNANSWERED_S
                return
            finally:
                self._looked.set()
            odd = any(self._log.views.contradict(own[topic], topic, places[topic]) for topic in places)
            if odd and self._doubted is consumer:
                self._astray = consumer
            self._doubted = consumer if odd else None
            if odd:
                self._look_at = time.monotonic() + AGAIN_S

        self._looked.clear()
        self._looking = passing("reader-look", look)

    def _look_for_silence(self, silence: Silence) -> None:
        while self._ends:
            if stuck := silence.found(*self._ends.popleft(), self._positions):
                self._replace_consumer(KafkaError(KafkaError._TIMED_OUT, "; ".join(map(str, stuck))))
        places = silence.due({place: self._positions[place] for place in sorted(self._assigned)})

        def ask() -> None:
            ends: dict[Place, int] = {}
            try:
                ends = self._log.ends(places)
            except LogError as error:  # nobody can say that there is anything
                logger.debug("whether a reader is silent for a reason is not known: %s", error)
            finally:
                self._ends.append((places, ends))

        if places:
            passing("reader-ends", ask)

    def _start(self, place: Place) -> None:
        if place not in self._positions or place in self._paused or place in self._asking:
            return
        # A negative offset would mean something to librdkafka.
        offset = max(self._positions[place], 0)
        self._assigned.add(place)
        try:
            self._consumer.incremental_assign([TopicPartition(place[0], place[1], offset)])
        except KafkaException as error:
            self._replace_consumer(error.args[0])

    def _stop(self, place: Place) -> None:
        self._asking.pop(place, None)
        if place in self._assigned:
            self._assigned.discard(place)
            try:
                self._consumer.incremental_unassign([TopicPartition(place[0], place[1])])
            except KafkaException as error:
                self._replace_consumer(error.args[0])

    def _on_error(self, error: KafkaError) -> None:
        self._outage.error(error)
        if kind_of(error) is Kind.MISSING:
            self._missing.append(error.str())

    def _look_for_missing(self) -> None:
        """A topic that is deleted comes to no queue: librdkafka has its error callback told, in words."""
        said, self._missing = self._missing, []
        for place in sorted(self._assigned):
            if any(text.startswith(f"{place[0]} [{place[1]}]:") for text in said):
                self._ask_range(place)

    def _handle(self, error: KafkaError, topic: str | None, partition: int | None) -> None:
        if error.fatal() or error.code() == KafkaError._FATAL:
            self._replace_consumer(error)
        elif passes(error) or topic is None or partition is None:
            # Without a place it is one of a connection, which librdkafka tries again for ever.
            self._outage.error(error)
        elif (place := (topic, partition)) in self._assigned:
            if error.code() in _OUT_OF_RANGE or kind_of(error) is Kind.MISSING:
                self._ask_range(place)
            else:
                self._give_up(place, log_error(error, self._log.bootstrap, f"reading {topic}[{partition}]"))

    def _give_up(self, place: Place, why: LogError) -> None:
        self.release(place)
        self._problems.append(why if isinstance(why, Unreadable) else Unreadable(str(why), *place))

    def _ask_range(self, place: Place) -> None:
        """Stop reading `place`, and ask what is there of it."""
        self._stop(place)
        question = self._asking[place] = object()

        def ask() -> None:
            answer: tuple[int, int] | LogError
            try:
                answer = self._log.range(place)
            except LogError as error:
                answer = error
            except BaseException as error:  # a bug: who waits for the answer must have one
                answer = LogError(f"asking for the range of {place[0]}[{place[1]}] failed: {error!r}")
            self._answers.append((place, question, answer))

        passing("reader-range", ask)

    def _answered(self, place: Place, question: object, answer: tuple[int, int] | LogError) -> None:
        if self._asking.get(place) is not question:
            return  # released or moved meanwhile
        del self._asking[place]
        position = self._positions[place]
        if isinstance(answer, LogUnavailable):
            logger.warning("%s", answer)
            self._ask_range(place)
        elif isinstance(answer, LogError):
            self._give_up(place, answer)
        elif position > answer[1]:
            self._give_up(place, beyond_end(place, position, answer[1]))
        else:
            self._positions[place] = max(position, answer[0])
            if position < answer[0]:
                logger.info("%s[%d]: offset %d is gone, going on at %d", *place, position, answer[0])
            self._start(place)

    def _replace_consumer(self, why: KafkaError) -> None:
        """librdkafka has given this one up: go on with another, from where this one was."""
        logger.warning("Kafka at %s: a reader begins anew: %s", self._log.bootstrap, why.str())
        self._close_consumer()
        self._settings["bootstrap.servers"] = self._log.views.sound
        self._consumer = connect(Consumer, self._settings)
        assigned, self._assigned = self._assigned, set()
        self._topics.clear()
        for place in assigned:
            self._look_up(place[0])
            self._start(place)

    def _close_consumer(self) -> None:
        for thread in self._look_ups:  # it uses the consumer
            thread.join()
        self._looked.wait()
        self._consumer.close()
