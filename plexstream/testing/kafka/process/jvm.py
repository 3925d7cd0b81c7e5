"""A Kafka broker's process: its folder, its start, its end. What it is told to be is the caller's."""

import base64
import contextlib
import re
import shutil
import signal
import subprocess
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from plexstream.testing.errors import KafkaUnavailableError
from plexstream.testing.kafka.process.distribution import Distribution
from plexstream.testing.kafka.process.ports import free_port

# Runs beside the broker. Its standard input ends when the process that started the broker does, however that
# dies: unlike a parent death signal, this neither depends on the starting thread nor on Linux.
_GUARD = """
read -r _
kill -9 "$1"
while kill -0 "$1" 2>/dev/null; do sleep 0.1; done
[ -z "$2" ] || rm -rf "$2"
"""


class KafkaProcess:
    """One broker's process, which keeps its data over restarts and ends with the process that started it.

    Args:
        distribution: the Kafka to run.
        folder: where data, configuration and log go.
        number: the node's id.
        cluster: the cluster's id, for storage that is formatted now.
        leftover: a folder to delete if the starting process dies, or "".
    """

    def __init__(
        self,
        distribution: Distribution,
        folder: Path,
        *,
        number: int = 1,
        cluster: str = "",
        leftover: str = "",
    ) -> None:
        self.folder = folder
        self._distribution = distribution
        self._number = number
        self._cluster = cluster or new_id()
        self._leftover = leftover
        self._process: subprocess.Popen[bytes] | None = None
        self._guard: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        """Whether the process exists."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        return self._process.pid if self._process is not None and self.running else None

    def formatted(self) -> str:
        """Make sure that there is formatted storage, and return its cluster's id."""
        data = self.folder / "data"
        meta = data / "meta.properties"
        if not meta.exists():
            shutil.copytree(self._distribution.storage, data, dirs_exist_ok=True)
            # A cluster of its own, so that the answer of another broker on the port is not taken for ours.
            own = {"node.id": str(self._number), "directory.id": new_id(), "cluster.id": self._cluster}
            text = meta.read_text()
            for key, value in own.items():
                text = re.sub(rf"^{re.escape(key)}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
            meta.write_text(text)
        lines = (line.partition("=") for line in meta.read_text().splitlines())
        return next(value for key, _, value in lines if key == "cluster.id")

    def launch(self, settings: Mapping[str, str], flags: Iterable[str]) -> None:
        """Start the process on storage that is formatted.

        Args:
            settings: the broker's, whole but for `log.dirs` and `node.id`.
            flags: of the JVM.
        """
        whole = {**settings, "node.id": str(self._number), "log.dirs": str(self.folder / "data")}
        config = self.folder / "server.properties"
        config.write_text("".join(f"{key}={value}\n" for key, value in whole.items()))
        with (self.folder / "broker.log").open("ab") as log:
            # A session of its own: a Ctrl-C at the terminal is for the tests, not for their broker.
            self._process = subprocess.Popen(
                self._distribution.command("kafka.Kafka", config, flags=flags),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._guard = subprocess.Popen(
            ["/bin/sh", "-c", _GUARD, "guard", str(self._process.pid), self._leftover],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def pause(self) -> None:
        """Let the process stand still (SIGSTOP), as in a long garbage collection; connections stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused process go on (SIGCONT)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def stop(self, timeout: float) -> None:
        """Shut it down in order, and kill it if that takes longer than `timeout` seconds."""
        if self._process is not None:
            self._process.terminate()
            self.resume()  # a paused one would hear nothing
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout)
        self.kill()

    def kill(self) -> None:
        """Kill it at once (SIGKILL): no flush, no farewell."""
        if self._process is None:
            return
        self._process.kill()
        # The guard goes before the process is reaped: after that, its number may be another's.
        if self._guard is not None:
            self._guard.kill()
            self._guard.communicate()
        self._process.wait()
        self._process = self._guard = None

    def log(self) -> str:
        """What the broker has logged, warnings and above, over all of its starts."""
        path = self.folder / "broker.log"
        return path.read_text(errors="replace") if path.exists() else ""


def new_id() -> str:
    """A fresh id, as Kafka writes those of clusters and folders."""
    while (text := base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass  # Kafka refuses those
    return text


def kafka_port(advice: str) -> int:
    """A port for a broker. Raises KafkaUnavailableError with `advice` if none is found."""
    try:
        return free_port()
    except OSError as error:
        raise KafkaUnavailableError(f"{error}: {advice}") from error


def failed_start(process: KafkaProcess, ended: bool, timeout: float, said: str) -> KafkaUnavailableError:
    """The error for a broker that did not come up, with the last of what it said."""
    happened = "ended while it started" if ended else f"did not answer within {timeout:g} s"
    return KafkaUnavailableError(
        f"the Kafka broker in {process.folder} {happened}; the last of its log:\n{said[-3000:]}"
    )
