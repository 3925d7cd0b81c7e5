"""Which partitions a worker has, by a Kafka consumer group. It may be wrong: claims make up for it.

The group's consumer reads nothing: it joins, is told partitions of the mailbox, and pauses them. Work that
takes long therefore never costs the membership (measured: a static member that is killed and started again
has its partitions back 0.2 s after it joins; one that is stopped loses them after the session time).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from plexstream.log.kafka.brokers.views import AGAIN_S, COORDINATORS, Views
from plexstream.log.kafka.common.errors import Kind, kind_of
from plexstream.log.kafka.common.outage import Outage
from plexstream.log.kafka.common.settings import client_settings
from plexstream.model.process.threads import Lasting
from plexstream.model.topics.topics import Topics

_log = logging.getLogger("plexstream.node")

SESSION_MS = 6_000
HEARTBEAT_MS = 500
LOOK_S = 2.0
"""How often it looks whether it hears of the cluster, and so of its group's coordinator, from a broker that
is cut off: that one would take it for a member for ever."""
_ASTRAY = "it heard of the cluster from a broker that most others do not take for a leader"
HANDOVER_S = 5.0
"""How long a rebalance waits for partitions to be let go in good order; below the session time."""
RETRY_S = 1.0
STOP_S = 2.0


class Membership:
    """A thread that is a member of the workers' group.

    Parameters:
        member: name of this member, the same after a restart.
        assign: called with the whole set of partitions whenever it changes, and whether it is known: it is
            not while this is no member.
        let_go: whether a partition is no longer worked on; asked while it is being taken away.
        views: of the brokers.
    """

    def __init__(
        self,
        bootstrap: str,
        settings: Mapping[str, str],
        topics: Topics,
        member: str,
        assign: Callable[[frozenset[int], bool], None],
        let_go: Callable[[int], bool],
        views: Views,
    ) -> None:
        self._outage = Outage(f"Kafka at {bootstrap}, membership")
        own: dict[str, Any] = {
            "group.id": f"{topics.prefix}workers",
            "group.instance.id": member,
            "client.id": f"plexstream-{member}",
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "enable.auto.commit": False,
            "auto.offset.reset": "latest",
            "queued.min.messages": 1,
            # 10 min by default: one that is cut off goes on taking heartbeats.
            "coordinator.query.interval.ms": int(LOOK_S * 1000),
        }
        self._config = client_settings(bootstrap, own, settings, "consumer", self._outage.error) | own
        self._mailbox = topics.mailbox
        self._assign = assign
        self._let_go = let_go
        self._have: frozenset[int] = frozenset()
        self._have_until: float | None = None  # of an earlier membership; None: they are this one's
        self._views = views
        self._stop = threading.Event()
        self._leaving = False
        self.thread = Lasting("membership", self._run, self._stop.is_set)

    def start(self) -> None:
        """Join the group."""
        self.thread.start()

    def stop(self) -> None:
        """Leave off. A static member's partitions wait for it until its session ends."""
        self._stop.set()
        self.thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stop.is_set():
            consumer: Consumer | None = None
            try:
                self._leaving = False
                consumer = Consumer(self._config | {"bootstrap.servers": self._views.sound})
                look_at, doubts = time.monotonic() + LOOK_S, 0
                consumer.subscribe(
                    [self._mailbox],
                    on_assign=self._on_assign,
                    on_revoke=self._on_revoke,
                    on_lost=self._on_lost,
                )
                while not self._stop.is_set():
                    message = consumer.poll(0.1)
                    self._outage.look()
                    if message is not None and (error := message.error()) is not None:
                        if kind_of(error) in (Kind.ANEW, Kind.FENCED):
                            raise KafkaException(error)
                        self._outage.error(error)
                    if self._have_until is not None and time.monotonic() >= self._have_until:
                        self._change(frozenset(), False)
                    if time.monotonic() >= look_at:
                        doubts = doubts + 1 if self._in_doubt(consumer) else 0
                        if doubts > 1:
                            raise KafkaException(KafkaError(KafkaError.FENCED_LEADER_EPOCH, _ASTRAY))
                        look_at = time.monotonic() + (AGAIN_S if doubts else LOOK_S)
            except Exception as error:
                # Fenced: another process has joined under this member's name. Whatever else it is: a member
                # that gives up would leave this worker out of service for ever.
                said = error.args[0].str() if isinstance(error, KafkaException) else repr(error)
                _log.warning("membership begins anew: %s", said)
                self._leaving = True
                if isinstance(error, KafkaException) and _fenced(error.args[0]):
                    self._change(frozenset(), False)
                else:
                    # They are this member's until its session ends: to let go of them, and to take them over
                    # again when it has joined, would take them out of service. Claims protect the others.
                    self._have_until = self._have_until or time.monotonic() + SESSION_MS / 1000
                    self._assign(self._have, False)
                self._stop.wait(RETRY_S)
            finally:
                if consumer is not None:
                    _close(consumer)

    def _in_doubt(self, consumer: Consumer) -> bool:
        """Whether it hears of the cluster what most brokers do not say."""
        return any(self._views.doubtful(consumer, topic) for topic in (COORDINATORS, self._mailbox))

    def _change(self, have: frozenset[int], known: bool = True) -> None:
        self._have = have
        self._have_until = None
        self._assign(have, known)

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        consumer.incremental_assign(partitions)
        if partitions:
            consumer.pause(partitions)
        had = self._have if self._have_until is None else frozenset()
        self._change(had | {p.partition for p in partitions})  # be it nothing: that is known now

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        gone = {p.partition for p in partitions}
        if not self._stop.is_set() and not self._leaving:
            self._change(self._have - gone)
            end = time.monotonic() + HANDOVER_S
            while time.monotonic() < end and not all(self._let_go(p) for p in gone):
                time.sleep(0.01)
        consumer.incremental_unassign(partitions)

    def _on_lost(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        _log.warning("membership: lost partitions %s", sorted(p.partition for p in partitions))
        if not self._leaving:
            self._change(self._have - {p.partition for p in partitions}, False)
        consumer.incremental_unassign(partitions)


def _fenced(error: KafkaError) -> bool:
    """Whether another has joined under this name: the one fatal error that a member's consumer has."""
    return kind_of(error) is Kind.FENCED or error.code() == KafkaError._FATAL


def _close(consumer: Consumer) -> None:
    try:
        consumer.close()
    except Exception as error:
        _log.warning("closing the membership: %r", error)
