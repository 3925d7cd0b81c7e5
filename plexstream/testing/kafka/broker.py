"""A real single-node Kafka broker (KRaft) as a child process, for tests that kill and restart brokers."""

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from plexstream.testing.kafka.process.distribution import Distribution
from plexstream.testing.kafka.process.java import QUICK_START
from plexstream.testing.kafka.process.jvm import KafkaProcess, failed_start, kafka_port
from plexstream.testing.kafka.speaking.probe import wait_until_ready
from plexstream.testing.kafka.speaking.recording import serve_some_clients

SETTINGS: Mapping[str, str] = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "8",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "8",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "group.consumer.min.heartbeat.interval.ms": "200",
    "group.consumer.heartbeat.interval.ms": "200",
    # A killed broker is let in again only when its former session has ended.
    "broker.session.timeout.ms": "2000",
    "broker.heartbeat.interval.ms": "500",
    # By default 128 MiB of heap, touched at the start.
    "log.cleaner.dedupe.buffer.size": "4194304",
}

_ADVICE = "pass port= to LocalBroker"


class LocalBroker:
    """A Kafka broker on 127.0.0.1 that keeps its port and its data over restarts.

    Use it as a context manager, or call `start` and `close`. It ends with the process that started it. The
    first use on a machine downloads Kafka with Maven and takes some 20 seconds; later starts take 2.

    Args:
        folder: where data, configuration and log go, kept at the end; by default a temporary folder.
        port: the clients' port; by default a free one is chosen at the first start.
        settings: broker settings on top of `SETTINGS`.
        full_jit: use all of the JVM's compilers: a slower start and a faster broker, for benchmarks.
        heap: the JVM's largest heap, as `-Xmx` takes it.

    Raises:
        KafkaUnavailableError: there is no usable Java.
    """

    def __init__(
        self,
        folder: Path | None = None,
        *,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        full_jit: bool = False,
        heap: str = "512m",
    ) -> None:
        self._distribution = Distribution()
        self._temporary = folder is None
        self.folder = Path(folder or tempfile.mkdtemp(prefix="plexstream-kafka-")).absolute()
        self.folder.mkdir(parents=True, exist_ok=True)
        self._port = port
        self._settings = dict(settings or {})
        self._flags = [f"-Xmx{heap}", *([] if full_jit else [QUICK_START])]
        leftover = str(self.folder) if self._temporary else ""
        self._process = KafkaProcess(self._distribution, self.folder, leftover=leftover)

    @property
    def address(self) -> str:
        """The bootstrap address, `host:port`; fixed from the first start on.

        Raises:
            RuntimeError: the broker has never been started.
        """
        if self._port is None:
            raise RuntimeError("the broker has no address yet: call start() first")
        return f"127.0.0.1:{self._port}"

    @property
    def running(self) -> bool:
        """Whether the broker's process exists."""
        return self._process.running

    @property
    def pid(self) -> int | None:
        """The number of the broker's process; None while there is none."""
        return self._process.pid

    def start(self, timeout: float = 60.0) -> Self:
        """Start the broker and wait until it serves clients; do nothing if it runs.

        Args:
            timeout: seconds until a start counts as failed.

        Raises:
            KafkaUnavailableError: Kafka could not be prepared, or the broker did not start.
        """
        if not self.running:
            self._distribution.prepare(record)
            self._start([*self._flags, *self._distribution.archive_flags()], timeout)
        return self

    def stop(self, timeout: float = 30.0) -> None:
        """Shut the broker down in order, and kill it if that takes longer than `timeout` seconds."""
        self._process.stop(timeout)

    def kill(self) -> None:
        """Kill the broker at once (SIGKILL): no flush, no farewell."""
        self._process.kill()

    def pause(self) -> None:
        """Let the broker stand still (SIGSTOP), as in a long garbage collection; connections stay."""
        self._process.pause()

    def resume(self) -> None:
        """Let a paused broker go on (SIGCONT)."""
        self._process.resume()

    def restart(self, timeout: float = 60.0) -> None:
        """Shut the broker down in order, if it runs, and start it again; `timeout` is in seconds.

        Raises:
            KafkaUnavailableError: the broker did not start.
        """
        self.stop()
        self.start(timeout)

    def close(self) -> None:
        """End the broker; a temporary folder is deleted, another one is left in good order."""
        if self._temporary:
            self.kill()
            shutil.rmtree(self.folder, ignore_errors=True)
        else:
            self.stop()

    def log(self) -> str:
        """Return what the broker has logged, warnings and above, over all of its starts."""
        return self._process.log()

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

    def _start(self, flags: Iterable[str], timeout: float) -> None:
        cluster = self._process.formatted()
        for port in [self._port] if self._port else [kafka_port(_ADVICE) for _ in range(3)]:
            before = len(self.log())
            self._launch(port, flags)
            try:
                ready = wait_until_ready(f"127.0.0.1:{port}", timeout, cluster, lambda: self.running)
            except BaseException:
                self.kill()
                raise
            if ready:
                self._port = port
                return
            ended = not self.running
            self.kill()
            said = self.log()[before:]
            if "already in use" not in said:
                break
        raise failed_start(self._process, ended, timeout, said)

    def _launch(self, port: int, flags: Iterable[str]) -> None:
        controller = kafka_port(_ADVICE)
        settings = {
            **SETTINGS,
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}",
            **self._settings,
        }
        self._process.launch(settings, flags)


def record(distribution: Distribution, folder: Path, flag: str) -> None:
    """Run a broker once, for the class archive that later starts load; see `Distribution.prepare`."""
    broker = LocalBroker(folder)
    try:
        broker._start([*broker._flags, flag], timeout=60)
        serve_some_clients(broker.address)
        broker.stop(timeout=120)
    finally:
        broker.kill()
