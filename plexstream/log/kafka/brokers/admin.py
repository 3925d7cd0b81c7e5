"""Questions to the brokers that belong to no reader or appender: asked until they are answered, or too late.

librdkafka's admin client keeps what it knows of a partition's leader for as long as it lives: after the
leader has moved, or has had a pause and a new epoch, each question to it fails with FENCED_LEADER_EPOCH, or
with _NOENT where there was no leader for a while (as of 2.16). To list all topics renews what it knows. To
list one by its name would, too, but creates it on brokers that create topics by themselves.

A client is used by one thread at a time. While `list_topics` waits for a broker, confluent-kafka lets no
other call of the same client go on; and a broker answers what comes over one connection in its turn.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from plexstream.log.kafka.common.errors import Kind, kind_of, log_error
from plexstream.log.kafka.common.outage import Outage
from plexstream.log.kafka.common.settings import PROMPT, client_settings, connect, logger
from plexstream.log.kafka.common.undertaker import watch
from plexstream.model.errors import LogUnavailable, TopicMissing

T = TypeVar("T")
Question = Callable[[AdminClient, float], T]
"""Asks a client, and waits for so many seconds. Raises KafkaException, or the TimeoutError of a future."""

TIMEOUT_S = 15.0
"""Of every question. Longer than a broker's restart (4 to 11 s as measured), so that one is no error."""

ATTEMPT_S = 3.5
"""When one that may be repeated is asked again: its broker may be gone, and another have its place."""

MISSING_S = 2.0
"""How long a broker may not know a topic that another knew: what it was told comes late."""

_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.05, 0.5
_ANEW = 3
"""After so many failures one after the other a new client is made, whatever they were: the broker that this
one asks for metadata may be cut off from its peers, and know nothing new."""

KEPT = 2
"""Clients that stay, where nobody asks anything."""
SHARE_S = 0.1
"""How long to wait for one of these before another one is made. Where brokers answer, none is."""


class _Client:
    """One client, of whoever has taken it."""

    def __init__(self, handle: AdminClient) -> None:
        self.handle = handle
        self.failures = 0  # one after the other, of whatever question
        self.end = watch(self, handle)


class Admin:
    """Admin clients that heal, or are replaced. Thread-safe: whoever asks has one alone.

    Parameters:
        sound: gives the bootstrap addresses for a new one.
    """

    def __init__(
        self, bootstrap: str, settings: Mapping[str, str], sound: Callable[[], str] | None = None
    ) -> None:
        self.bootstrap = bootstrap
        self._outage = Outage(f"Kafka at {bootstrap}")
        # So that to list a topic by its name never creates it.
        own = PROMPT | {"allow.auto.create.topics": False}
        self._settings = client_settings(bootstrap, own, settings, "admin", self._outage.error)
        self._sound = sound or (lambda: bootstrap)
        self._came_back = threading.Condition()
        self._free = [_Client(connect(AdminClient, self._settings))]
        self._there = 1  # free ones, and those that somebody has

    def ask(
        self,
        doing: str,
        question: Question[T],
        *,
        topic: str = "",
        attempt_s: float = ATTEMPT_S,
        timeout: float | None = None,
    ) -> T:
        """The answer to a question.

        Parameters:
            doing: what it is, for people.
            topic: what it is about; if that is gone it is not waited for.
            attempt_s: seconds after which it is asked again; `TIMEOUT_S` for what must not be done twice.
            timeout: seconds after which it is given up; by default `TIMEOUT_S`.

        Raises:
            LogUnavailable: there was no answer in time.
            TopicMissing: there is no such topic.
            LogError: whatever else is the answer.
        """
        client = self._take()
        seconds = TIMEOUT_S if timeout is None else timeout
        try:
            return self._ask(client, doing, question, topic, attempt_s, seconds)
        finally:
            self._give_back(client)

    def _ask(
        self, client: _Client, doing: str, question: Question[T], topic: str, attempt_s: float, timeout: float
    ) -> T:
        began = time.monotonic()
        deadline = began + timeout
        pause = _FIRST_PAUSE_S
        while True:
            seconds = max(0.1, min(attempt_s, deadline - time.monotonic()))
            failed = self._attempt(client.handle, question, seconds)
            if not isinstance(failed, KafkaException):
                client.failures = 0
                return failed
            error: KafkaError = failed.args[0]
            kind = kind_of(error)
            now = time.monotonic()
            if now + pause >= deadline or kind in (Kind.FENCED, Kind.REFUSED, Kind.OURS):
                raise log_error(error, self.bootstrap, doing) from failed
            client.failures += 1
            left = min(ATTEMPT_S, deadline - now)
            if kind is Kind.ANEW or client.failures % _ANEW == 0:
                self._replace(client, error)
            elif not self._renew(client.handle, topic, left) and now - began >= MISSING_S:
                raise TopicMissing(f"Kafka at {self.bootstrap}: {doing}: the topic {topic!r} does not exist")
            time.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_S)

    def metadata(self, timeout: float | None = None) -> ClusterMetadata:
        """What a broker says now of all brokers and topics; renews what the client knows.

        Raises:
            LogUnavailable: there was no answer in time.
        """
        return self.ask("listing topics", lambda client, s: client.list_topics(timeout=s), timeout=timeout)

    def _attempt(self, client: AdminClient, question: Question[T], seconds: float) -> T | KafkaException:
        try:
            return question(client, seconds)
        except KafkaException as error:
            return error
        except FutureTimeout:
            return KafkaException(KafkaError(KafkaError._TIMED_OUT, f"no answer in {seconds:.0f} s"))
        except LogUnavailable as error:  # an answer that is none
            return KafkaException(KafkaError(KafkaError._NOENT, str(error)))
        finally:
            client.poll(0)  # serves librdkafka's messages to our logger
            self._outage.look()

    def _renew(self, client: AdminClient, topic: str, seconds: float) -> bool:
        """Whether the topic is there, as far as is known."""
        try:
            found = client.list_topics(timeout=max(0.1, seconds))
        except KafkaException as error:
            self._outage.error(error.args[0])
            return True
        return not topic or topic in found.topics

    def _take(self) -> _Client:
        """A client that nobody has."""
        with self._came_back:
            if not self._free and self._there >= KEPT:
                self._came_back.wait_for(lambda: self._free, SHARE_S)
            if self._free:
                return self._free.pop()
            self._there += 1
        try:
            return _Client(self._connect())
        except BaseException:
            with self._came_back:
                self._there -= 1
            raise

    def _give_back(self, client: _Client) -> None:
        with self._came_back:
            for idle in self._free:  # what librdkafka has to say of a broker that is away waits in the client
                idle.handle.poll(0)
            if len(self._free) < KEPT:
                self._free.append(client)
                self._came_back.notify()
            else:
                self._there -= 1
                client.end()

    def _replace(self, client: _Client, why: KafkaError) -> None:
        logger.info("Kafka at %s: a new admin client, after %s", self.bootstrap, why.name())
        client.end()
        client.handle = self._connect()
        client.end = watch(client, client.handle)

    def _connect(self) -> AdminClient:
        return connect(AdminClient, self._settings | {"bootstrap.servers": self._sound()})
