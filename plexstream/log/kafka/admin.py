"""Questions to the brokers that belong to no reader or appender: asked until they are answered, or too late.

librdkafka's admin client keeps what it knows of a partition's leader for as long as it lives: after the
leader has moved, or has had a pause and a new epoch, each question to it fails with FENCED_LEADER_EPOCH, or
with _NOENT where there was no leader for a while (as of 2.16). To list all topics renews what it knows. To
list one by its name would, too, but creates it on brokers that create topics by themselves.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import TimeoutError as FutureTimeout
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, ClusterMetadata

from plexstream.log.kafka.errors import Kind, kind_of, log_error
from plexstream.log.kafka.outage import Outage
from plexstream.log.kafka.settings import PROMPT, client_settings, connect, logger
from plexstream.log.kafka.undertaker import watch
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


class Admin:
    """An admin client that heals, or is replaced. Thread-safe.

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
        self._lock = threading.Lock()
        self._failures = 0  # one after the other, of whatever question
        self._client = connect(AdminClient, self._settings)
        self._ending = watch(self, self._client)

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
        began = time.monotonic()
        deadline = began + (TIMEOUT_S if timeout is None else timeout)
        pause = _FIRST_PAUSE_S
        while True:
            client = self._client
            failed = self._attempt(client, question, max(0.1, min(attempt_s, deadline - time.monotonic())))
            if not isinstance(failed, KafkaException):
                self._failures = 0
                return failed
            error: KafkaError = failed.args[0]
            kind = kind_of(error)
            now = time.monotonic()
            if now + pause >= deadline or kind in (Kind.FENCED, Kind.REFUSED, Kind.OURS):
                raise log_error(error, self.bootstrap, doing) from failed
            self._failures += 1
            if kind is Kind.ANEW or self._failures % _ANEW == 0:
                self._replace(client, error)
            elif not self._renew(client, topic, min(ATTEMPT_S, deadline - now)) and now - began >= MISSING_S:
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

    def _replace(self, old: AdminClient, why: KafkaError) -> None:
        with self._lock:
            if self._client is old:
                logger.info("Kafka at %s: a new admin client, after %s", self.bootstrap, why.name())
                self._settings["bootstrap.servers"] = self._sound()
                self._client = connect(AdminClient, self._settings)
                self._ending()
                self._ending = watch(self, self._client)
