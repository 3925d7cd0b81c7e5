"""Processes of the command line, started, killed and asked how they are."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import httpx

from plexstream.testing.kafka.process.ports import free_port

APP = Path(__file__).with_name("ledger.py")
ROOT = Path(__file__).parents[2]
PARTITIONS = 4
LONG = 40.0  # seconds: a machine under load, never a measure of speed

T = TypeVar("T")


def until(what: str, look: Callable[[], T], seconds: float = LONG) -> T:
    """What `look` returns as soon as that is true."""
    end = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < end, f"{what}: not within {seconds:.0f} s"
        time.sleep(0.05)


class Served:
    """One process of ``plexstream`` and those it starts, in a session of their own."""

    def __init__(
        self, folder: Path, command: str, *options: str, app: Path = APP, env: dict[str, str] | None = None
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # `httpx.get` would read all certificates each time, for 20 ms. No connection outlives a node.
        self._http = httpx.Client(
            base_url=self.url, trust_env=False, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self.log_file = folder.with_suffix(".log")
        data = [] if command == "edge" else ["--data", str(folder)]
        self._command = [
            sys.executable, "-m", "plexstream", command, *([] if command == "edge" else [str(app)]),
            "--port", str(self.port), *data, *options,
        ]  # fmt: skip
        self._env = {**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}
        self.process: subprocess.Popen[bytes] | None = None
        self._groups: list[int] = []

    def start(self) -> Served:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, cwd=self.folder,
            )  # fmt: skip
        self._groups.append(self.process.pid)
        return self

    def ready(self, partitions: int | None = None) -> Served:
        """Wait until it serves, and owns so many partitions, if they are given."""

        def look() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, f"ended with {self.process.returncode}:\n{self.log()[-3000:]}"
            status = self.status()
            if not (status or {}).get("ready"):
                return False
            return partitions is None or self.active() >= partitions

        until(f"{' '.join(self._command[2:5])} is ready", look)
        return self

    def status(self) -> dict[str, Any] | None:
        """What it says of itself; None while it does not serve."""
        try:
            answer = self._http.get("/v1/status", timeout=LONG)
        except httpx.TransportError:
            return None
        return answer.json() if answer.is_success else None

    def active(self) -> int:
        """How many partitions are in service here."""
        rows = (self.status() or {}).get("partitions", ())
        return sum(row["phase"] == "active" for row in rows)

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        rows = (self.status() or {}).get("workers", ())
        return [row["pid"] for row in rows if row["pid"]]

    def kill_worker(self, random_: random.Random) -> int:
        """SIGKILL for one of the workers; returns its process id."""

        def shot() -> int:
            # What is reported as a worker may have ended since, be it by an earlier kill.
            workers = [pid for pid in self.workers() if alive(pid)]
            with contextlib.suppress(IndexError, ProcessLookupError):
                victim = random_.choice(workers)
                os.kill(victim, signal.SIGKILL)
                return victim
            return 0

        return until("a worker is killed", shot)

    def log(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    def ask(self, target: str, handler: str, /, timeout: float = 20.0, **arguments: Any) -> httpx.Response:
        path = f"/v1/actors/{target}/{handler}?timeout={timeout}"
        return self._http.post(path, json=arguments, timeout=timeout + 5)

    def tell(self, target: str, handler: str, /, **arguments: Any) -> None:
        answer = self._http.post(f"/v1/actors/{target}/{handler}/send", json=arguments, timeout=LONG)
        assert answer.status_code == 202, answer.text

    def begin(self, target: str, handler: str, key: str, /, **arguments: Any) -> str:
        """Send a message with an idempotency key; the id of its invocation."""
        path = f"/v1/actors/{target}/{handler}/send"
        headers = {"Idempotency-Key": key}
        answer = self._http.post(path, json=arguments, headers=headers, timeout=LONG)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def look(self, id: str, wait: float = 0.0) -> dict[str, Any]:
        """How an invocation stands."""
        answer = self._http.get(f"/v1/invocations/{id}", params={"wait": wait}, timeout=LONG)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def report(self, target: str) -> Any:
        answer = self.ask(target, "report")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def topic(self, name: str) -> list[dict[str, Any]]:
        """The records of a topic of the embedded log."""
        found: list[dict[str, Any]] = []
        for partition in range(PARTITIONS):
            at = 0
            while True:
                place = {"partition": partition, "from": at, "limit": 5000}
                answer = self._http.get(f"/v1/topics/{name}", params=place, timeout=LONG)
                if answer.status_code == 404:
                    return []
                assert answer.status_code == 200, answer.text
                page = [json.loads(line) for line in answer.iter_lines()]
                if not page:
                    break
                found += page
                at = page[-1]["offset"] + 1
        return found

    def kill(self) -> None:
        """SIGKILL for the process itself alone; the workers see to themselves."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def kill_all(self) -> None:
        """SIGKILL for it and all that it has started: as if the machine were gone."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def terminate(self, number: int = signal.SIGTERM, seconds: float = LONG) -> int:
        """A signal, and the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def end(self) -> None:
        """Whatever is left of it."""
        for group in self._groups:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(group, signal.SIGKILL)
        if self.process is not None:
            self.process.wait()
        self._http.close()

    def alive(self) -> list[int]:
        """Processes that are left of every start."""
        return [pid for pid, group in _groups() if group in self._groups]


def _groups() -> Iterator[tuple[int, int]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                rest = (entry / "stat").read_text().rpartition(")")[2].split()
                if rest[0] != "Z":
                    yield int(entry.name), int(rest[2])


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def rss(pid: int) -> int:
    """Bytes of memory that the process has."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0
