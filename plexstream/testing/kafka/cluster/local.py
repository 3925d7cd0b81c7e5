"""Three Kafka brokers with replicated partitions, as child processes, and the faults that befall them."""

from __future__ import annotations

import contextlib
import shutil
import struct
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from plexstream.testing.errors import KafkaUnavailableError
from plexstream.testing.kafka import broker
from plexstream.testing.kafka.cluster.lagging import lagging, last_words
from plexstream.testing.kafka.cluster.node import Node
from plexstream.testing.kafka.cluster.wait import POLL_S, wait
from plexstream.testing.kafka.cluster.ways import Cut, Ways
from plexstream.testing.kafka.process.distribution import Distribution
from plexstream.testing.kafka.process.java import QUICK_START
from plexstream.testing.kafka.process.jvm import KafkaProcess, failed_start, new_id
from plexstream.testing.kafka.speaking.probe import wait_until_ready
from plexstream.testing.kafka.speaking.requests import (
    ClusterState,
    PartitionState,
    Target,
    cluster_state,
    elect_preferred,
    reassign,
)

SETTINGS: Mapping[str, str] = {
    **broker.SETTINGS,
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "unclean.leader.election.enable": "false",
    # Three brokers on a busy machine: a session that ends for want of CPU is a fault that nobody asked for.
    "broker.session.timeout.ms": "3000",
    # Few threads, each with its buffers: the brokers share this machine with what they are to test.
    "num.network.threads": "1",
    "num.io.threads": "2",
    "background.threads": "2",
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
}

_HEARD_S = 5.0


class LocalCluster:
    """Kafka brokers on 127.0.0.1, numbered from 1 on, each a controller, too.

    Topics have replication factor 3 and `min.insync.replicas` 2 unless they are created otherwise. Use it as
    a context manager, or call `start` and `close`. All of it ends with the process that started it. Brokers
    keep their addresses and their data while they are down.

    Args:
        folder: where data, configurations and logs go, kept at the end; by default a temporary folder.
        brokers: how many; 3 is what the settings are for.
        settings: broker settings on top of `SETTINGS`.
        heap: each JVM's largest heap, as `-Xmx` takes it. A broker takes about 100 MB more.

    Raises:
        KafkaUnavailableError: there is no usable Java.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        brokers: int = 3,
        settings: Mapping[str, str] | None = None,
        heap: str = "128m",
    ) -> None:
        self._distribution = Distribution()
        self._temporary = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="plexstream-cluster-")).absolute()
        leftover = str(self.folder) if self._temporary else ""
        self._settings = {**SETTINGS, **(settings or {})}
        self._flags = [f"-Xmx{heap}", QUICK_START]
        cluster = new_id()
        self._nodes: dict[int, Node] = {}
        for number in range(1, brokers + 1):
            own = self.folder / f"broker-{number}"
            own.mkdir(parents=True, exist_ok=True)
            process = KafkaProcess(self._distribution, own, number=number, cluster=cluster, leftover=leftover)
            self._nodes[number] = Node(number, process)
        self._ways: Ways | None = None

    @property
    def address(self) -> str:
        """The bootstrap address, of all brokers: `host:port,host:port,host:port`."""
        return ",".join(f"127.0.0.1:{node.advertised}" for node in self._nodes.values())

    @property
    def brokers(self) -> list[int]:
        """The numbers of all brokers, whether they run or not."""
        return list(self._nodes)

    def running(self, number: int) -> bool:
        """Whether the broker's process exists."""
        return self._nodes[number].process.running

    def pid(self, number: int) -> int | None:
        """The number of the broker's process; None while there is none."""
        return self._nodes[number].process.pid

    def log(self, number: int) -> str:
        """What the broker has logged, warnings and above, over all of its starts."""
        return self._nodes[number].process.log()

    def start(self, *numbers: int, timeout: float = 90.0) -> Self:
        """Start the brokers that do not run, all or those with these numbers, until they serve clients.

        With less than half of the brokers there is no controller, and nothing serves: start enough at once.

        Args:
            numbers: which; all if there are none.
            timeout: seconds until a start counts as failed.

        Raises:
            KafkaUnavailableError: Kafka could not be prepared, or a broker did not start.
        """
        self._distribution.prepare(broker.record)
        if self._ways is None:
            self._ways = Ways(self._nodes)
        flags = [*self._flags, *self._distribution.archive_flags()]
        down = [number for number in numbers or self._nodes if not self.running(number)]
        before = {number: len(self.log(number)) for number in down}
        for number in down:
            self._nodes[number].launch(self._settings, flags, self._nodes)
        end = time.monotonic() + timeout
        for number in down:
            node = self._nodes[number]
            ready = wait_until_ready(
                f"127.0.0.1:{node.clients}",
                max(end - time.monotonic(), 0.1),
                node.process.formatted(),
                lambda node=node: node.process.running,  # type: ignore[misc]
            )
            if not ready:
                ended = not node.process.running
                node.process.kill()
                raise failed_start(node.process, ended, timeout, self.log(number)[before[number] :])
        return self

    def stop(self, number: int, timeout: float = 30.0) -> None:
        """Shut a broker down in order, and kill it if that takes longer than `timeout` seconds.

        It hands over what it leads before it goes.
        """
        self._nodes[number].process.stop(timeout)

    def kill(self, number: int) -> None:
        """Kill a broker at once (SIGKILL): the others notice when its session ends."""
        self._nodes[number].process.kill()

    def pause(self, number: int) -> None:
        """Let a broker stand still (SIGSTOP): after its session it is a zombie that does not know it."""
        self._nodes[number].process.pause()

    def resume(self, number: int) -> None:
        """Let a paused broker go on (SIGCONT)."""
        self._nodes[number].process.resume()

    def cut(self, number: int, whom: Cut = Cut.ALL) -> None:
        """Cut a broker off from its clients, its peers, or all of them.

        Nothing is refused and nothing is closed, as in a network that drops packets. What was on its way
        arrives after `mend`.
        """
        self._started().cut(number, whom)

    def mend(self, *numbers: int) -> None:
        """Undo every cut, or those of the brokers with these numbers."""
        self._started().mend(*numbers)

    def roll(self, timeout: float = 90.0) -> None:
        """Restart every broker in order, one after the other, each when all replicas are in sync again.

        Raises:
            KafkaUnavailableError: a broker did not start, or did not catch up within `timeout` seconds.
        """
        for number in self._nodes:
            self.stop(number)
            self.start(number, timeout=timeout)
            self.wait_in_sync(timeout=timeout)

    def restore(self, timeout: float = 90.0) -> None:
        """Undo whatever was done to the brokers, wait until they are in sync, and spread the leaders again.

        Raises:
            KafkaUnavailableError: a broker did not start, or did not catch up within `timeout` seconds.
        """
        for number in self._nodes:
            self.resume(number)
        self.mend()
        self.start(timeout=timeout)
        self.wait_in_sync(timeout=timeout)

        def unspread() -> str:
            with contextlib.suppress(OSError, struct.error):
                elect_preferred(self._some())
            for topic, partitions in self._state().topics.items():
                for partition, found in partitions.items():
                    if found.leader != found.replicas[0]:
                        return f"{topic}[{partition}]: {found}"
            return ""

        wait("the preferred leaders", unspread, timeout)

    def wait_in_sync(self, timeout: float = 60.0) -> None:
        """Wait until every broker says that all run and every replica of every partition is in sync.

        Raises:
            KafkaUnavailableError: they did not within `timeout` seconds; the message says what lags, and what
                the brokers logged last.
        """
        brokers = {number: node.direct for number, node in self._nodes.items()}
        try:
            wait("every replica in sync", lambda: lagging(brokers), timeout)
        except KafkaUnavailableError as error:
            logs = {number: self.log(number) for number in self._nodes}
            raise KafkaUnavailableError("\n".join([str(error), *last_words(logs)])) from None

    def partition(self, topic: str, partition: int) -> PartitionState:
        """Leader and replicas of a partition, as a broker that runs and is not cut off knows them.

        Raises:
            KafkaUnavailableError: no broker answers.
            KeyError: there is no such partition.
        """
        return self.partitions(topic)[partition]

    def partitions(self, topic: str) -> dict[int, PartitionState]:
        """The same for all partitions of a topic, by number.

        One that was just made is waited for: brokers hear of it one after the other.
        """
        end = time.monotonic() + _HEARD_S
        while topic not in (there := self._state().topics) and time.monotonic() < end:
            time.sleep(POLL_S)
        return dict(there[topic])

    def leader(self, topic: str, partition: int) -> int:
        """The number of the broker that leads a partition, -1 if there is none; errors as of `partition`."""
        return self.partition(topic, partition).leader

    def leaders(self, topic: str) -> dict[int, int]:
        """The leader of each partition of a topic; errors as of `partition`."""
        return {number: state.leader for number, state in self.partitions(topic).items()}

    def move_leader(self, topic: str, partition: int, to: int | None = None, timeout: float = 30.0) -> int:
        """Let another replica lead a partition.

        Args:
            topic: of the partition.
            partition: its number.
            to: the new leader; by default the next one among those in sync.
            timeout: seconds to wait until it leads.

        Returns:
            The new leader.

        Raises:
            KafkaUnavailableError: it does not lead in time.
        """
        now = self.partition(topic, partition)
        chosen = to if to is not None else next(b for b in now.in_sync if b != now.leader)
        order = [chosen, *(b for b in now.replicas if b != chosen)]
        self.set_replicas(topic, partition, order, timeout)

        def led_by_another() -> str:
            with contextlib.suppress(OSError, struct.error):
                elect_preferred(self._some())
            leader = self.leader(topic, partition)
            return "" if leader == chosen else f"{topic}[{partition}] is led by {leader}"

        wait(f"{topic}[{partition}] led by {chosen}", led_by_another, timeout)
        return chosen

    def set_replicas(self, topic: str, partition: int, replicas: list[int], timeout: float = 30.0) -> None:
        """Give a partition other replicas; the move itself may take longer than this call.

        Raises:
            KafkaUnavailableError: it was refused for `timeout` seconds.
        """
        what = f"{topic}[{partition}] on {replicas}"
        self._retry(what, timeout, lambda target: reassign(target, topic, partition, replicas))

    def close(self) -> None:
        """End all; a temporary folder is deleted, another one is left in good order."""
        for number in self._nodes:
            if self._temporary:
                self.kill(number)
            else:
                self.stop(number)
        if self._ways is not None:
            self._ways.close()
            self._ways = None
        if self._temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _started(self) -> Ways:
        assert self._ways is not None, "the cluster has not been started"
        return self._ways

    def _some(self) -> Target:
        """A broker to ask: one that runs, and knows what the others know."""
        for number, node in self._nodes.items():
            if node.process.running and (self._ways is None or self._ways.among_peers(number)):
                with contextlib.suppress(OSError, struct.error):
                    cluster_state(node.direct)
                    return node.direct
        raise KafkaUnavailableError(f"no broker of {self.address} answers")

    def _state(self) -> ClusterState:
        return cluster_state(self._some())

    def _retry(self, what: str, timeout: float, request: Callable[[Target], int]) -> None:
        def refused() -> str:
            try:
                error = request(self._some())
            except (OSError, struct.error) as failed:
                return str(failed)
            return f"Kafka's error {error}" if error else ""

        wait(what, refused, timeout)
