"""Who leads, by the word of several brokers, each asked by itself.

A broker that is cut off from its peers answers clients all the same: it takes itself for the leader of what
others have led for long, says so to whoever asks it about the cluster, has no new records, and gives the ends
of partitions as they once were. None of that is an error, and librdkafka asks for metadata where it has asked
last, so that nobody who hears of the cluster from such a broker alone ever finds out.

What is appended is acknowledged by several replicas. Each of these has heard of the leader that it follows:
what more than half of the brokers with a replica say is no older than what was acknowledged before they were
asked, where `min.insync.replicas` is a majority.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping

from confluent_kafka import Consumer, KafkaException
from confluent_kafka.admin import AdminClient, BrokerMetadata, ClusterMetadata, ConfigResource

from plexstream.log.kafka.common.settings import client_settings, connect
from plexstream.log.kafka.common.undertaker import watch
from plexstream.model.process.threads import passing

LOOK_S = 1.0
"""How long the brokers are waited for. One that stands still is no reason to wait, if the others agree."""

AGAIN_S = 0.5
"""When a client that was told other leaders looks again: brokers hear of a new leader one after the other."""

COORDINATORS = "__consumer_offsets"
"""Who leads a partition of this topic coordinates the groups that are kept in it."""

_ASK_S = 0.5
_SOUND_S = 10.0
_MAX_ASKED = 5
_MAX_PINS = 16
_FEWEST = 3
"""Of fewer brokers none can be told from the others by votes."""

Leaders = Mapping[int, int]
"""The number of the broker that leads, by partition."""


class Views:
    """What single brokers say of a topic. Thread-safe."""

    def __init__(self, bootstrap: str, settings: Mapping[str, str]) -> None:
        self._bootstrap = bootstrap
        self._sound = ""
        self._sound_until = 0.0
        self._settings = settings
        self._pins: dict[int, _Pin] = {}
        self._lock = threading.Lock()

    @property
    def sound(self) -> str:
        """Bootstrap addresses for a client that is made now: those of brokers that are surely not cut off,
        as far as anybody has looked lately."""
        return self._sound if time.monotonic() < self._sound_until else self._bootstrap

    def contradict(self, own: ClusterMetadata, topic: str, partitions: Iterable[int]) -> bool | None:
        """Whether most brokers name other leaders than a client was told. Blocks up to `LOOK_S`.

        Parameters:
            own: what the client's `list_topics` has given.
            partitions: those whose leaders matter.

        Returns:
            None if too few brokers answer, or agree.
        """
        if len(own.brokers) < _FEWEST or topic not in own.topics:
            return False
        there = own.topics[topic].partitions
        mine = {number: there[number].leader for number in partitions if number in there}
        if not mine:
            return False
        replicas = {broker for number in mine for broker in there[number].replicas}
        # Others, too, where that makes an odd one out of two.
        asked = sorted(own.brokers, key=lambda broker: (broker not in replicas, broker))
        asked = asked[: min(_MAX_ASKED, max(_FEWEST, len(replicas & own.brokers.keys())))]
        said = self._look(topic, [own.brokers[broker] for broker in asked], mine)
        most = _most(said, mine, len(asked))
        if len(most) == len(mine):
            agree = [b for b, leaders in said.items() if all(leaders.get(n) == most[n] for n in mine)]
            self._sound = ",".join(_address(own.brokers[broker]) for broker in agree)
            self._sound_until = time.monotonic() + _SOUND_S
        if any(leader != mine[number] for number, leader in most.items()):
            return True
        return False if len(most) == len(mine) else None

    def doubtful(self, client: Consumer, topic: str) -> bool:
        """Whether most brokers name other leaders of a topic than `client` hears of. Blocks up to 1.5 s."""
        try:
            own = client.list_topics(topic, _ASK_S)
        except KafkaException:  # it knows that it knows nothing
            return False
        there = own.topics.get(topic)
        return there is not None and self.contradict(own, topic, there.partitions) is True

    def close(self) -> None:
        """Let go of the clients."""
        with self._lock:
            self._pins.clear()

    def _look(self, topic: str, brokers: list[BrokerMetadata], wanted: Leaders) -> dict[int, Leaders]:
        """What the brokers say; not of all, if enough of them agree."""
        said: dict[int, Leaders] = {}
        came = threading.Condition()
        end = time.monotonic() + LOOK_S

        def ask(pin: _Pin) -> None:
            found = pin.ask(topic, end)
            if found is not None:
                with came:
                    said[pin.broker.id] = found
                    came.notify()

        for broker in brokers:
            passing("view", ask, self._pin(broker))
        with came:
            while len(_most(said, wanted, len(brokers))) < len(wanted) and len(said) < len(brokers):
                if not came.wait(end - time.monotonic()):
                    break
            return dict(said)

    def _pin(self, broker: BrokerMetadata) -> _Pin:
        with self._lock:
            pin = self._pins.get(broker.id)
            if pin is None or _address(pin.broker) != _address(broker):
                while len(self._pins) >= _MAX_PINS:
                    del self._pins[next(iter(self._pins))]
                pin = self._pins[broker.id] = _Pin(broker, self._settings)
            return pin


class _Pin:
    """A client that asks one broker."""

    def __init__(self, broker: BrokerMetadata, settings: Mapping[str, str]) -> None:
        self.broker = broker
        # That one of the brokers is away is told by who needs it.
        own = {"allow.auto.create.topics": False}
        self._client = connect(
            AdminClient, client_settings(_address(broker), own, settings, "admin", lambda _: None)
        )
        self._lock = threading.Lock()
        watch(self, self._client)

    def ask(self, topic: str, end: float) -> Leaders | None:
        """The leaders that this broker names; None: it says nothing in time."""
        if not self._lock.acquire(timeout=max(0.0, end - time.monotonic())):
            return None
        try:
            while (left := end - time.monotonic()) > 0:
                found = self._client.list_topics(topic, left)
                if self._is_from(found):
                    there = found.topics.get(topic)
                    return None if there is None else {n: p.leader for n, p in there.partitions.items()}
                # librdkafka asks whom it has asked last. The settings of a broker are asked of that one.
                this = ConfigResource(ConfigResource.Type.BROKER, str(self.broker.id))
                asked = self._client.describe_configs([this], request_timeout=left)[this]
                asked.exception(left)  # be it that we may not read them
            return None
        except (KafkaException, TimeoutError):
            return None
        finally:
            self._lock.release()

    def _is_from(self, found: ClusterMetadata) -> bool:
        address = _address(self.broker) + "/"
        return found.orig_broker_id == self.broker.id or str(found.orig_broker_name).startswith(address)


def _most(said: Mapping[int, Leaders], wanted: Leaders, asked: int) -> dict[int, int]:
    """The leaders that more than half of those who were asked name."""
    found = {}
    for number in wanted:
        votes = Counter(leaders[number] for leaders in said.values() if number in leaders)
        for leader, count in votes.most_common(1):
            if 2 * count > asked:
                found[number] = leader
    return found


def _address(broker: BrokerMetadata) -> str:
    host = str(broker.host)
    return f"[{host}]:{broker.port}" if ":" in host else f"{host}:{broker.port}"
