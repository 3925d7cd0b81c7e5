"""Processes that the benchmarks start. Each is a session of its own, and is ended by its id."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

ROOT = Path(__file__).parent.parent
START_S = 90.0


class Child:
    """A process and whatever it starts; its output goes to a file."""

    def __init__(self, command: Sequence[str], env: Mapping[str, str], log: Path) -> None:
        self.command = list(command)
        self.log = log
        self._env = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(ROOT), **env}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        """Start it, again if it has ended."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self

    @property
    def pid(self) -> int:
        """Of the process itself."""
        assert self.process is not None
        return self.process.pid

    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL to all of its processes."""
        self._signal(signal.SIGKILL)

    def stop(self, seconds: float = 20.0) -> None:
        """SIGTERM to the process, SIGKILL to all of them if that takes too long."""
        if self.process is not None and self.alive():
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.wait()

    def tail(self, lines: int = 12) -> str:
        """The last of its output."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def memory(self) -> int:
        """Bytes of physical memory of all its processes, what they share counted once."""
        return memory(self.pid)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class Node(Child):
    """`plexstream run` or `plexstream dev`, with its HTTP interface on `port`."""

    def __init__(
        self, app: Path, data: Path, port: int, options: Sequence[str], command: str = "run"
    ) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self.url = f"http://127.0.0.1:{port}"
        words = [sys.executable, "-m", "plexstream", command, str(app), "--log-level", "warning"]
        super().__init__(
            [*words, "--port", str(port), "--data", str(data), *options], {}, data.with_suffix(".log")
        )

    def status(self) -> dict[str, Any] | None:
        """What the node says of itself; None while it does not answer."""
        try:
            with _direct.open(f"{self.url}/v1/status", timeout=1.0) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except OSError:
            return None

    def wait_ready(self, partitions: int | None = None) -> dict[str, Any]:
        """Wait until all of its partitions are active, `partitions` of them at least; returns the status."""
        end = time.monotonic() + START_S
        while time.monotonic() < end and self.alive():
            status = self.status()
            if status is not None and status["ready"]:
                active = [p for p in status["partitions"] if p["phase"] == "active"]
                if len(active) >= (1 if partitions is None else partitions):
                    return status
            time.sleep(0.05)
        raise RuntimeError(f"the node was not ready within {START_S:.0f} s:\n{self.tail()}")

    def worker_pid(self) -> int:
        """Of its first worker process."""
        status = self.status()
        assert status is not None
        pid: int = status["workers"][0]["pid"]
        return pid


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def session(leader: int) -> list[int]:
    """The processes of a session that has this leader."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == leader:
                found.append(int(entry.name))
    return found


def memory(leader: int) -> int:
    """Bytes of memory of the processes of a session, what they share counted once; 0: of this process."""
    return sum(_pss(pid) for pid in (session(leader) if leader else [os.getpid()]))


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:")), 0)


def cpu_seconds(leader: int) -> float:
    """CPU time that the processes of a session have spent so far, those of them that live."""
    ticks = 0
    for pid in session(leader):
        with contextlib.suppress(OSError):
            fields = (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def stored(folder: Path) -> int:
    """Bytes of the files below a folder."""
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def measure(
    module: str, *arguments: str, timeout: float = 300.0, ends: int = 0, python: str = sys.executable
) -> dict[str, Any]:  # fmt: skip
    """Run `python -m bench.<module>` in a process of its own; returns the JSON it prints last.

    Parameters:
        ends: its exit code; negative where it kills itself.
        python: the interpreter.
    """
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [python, "-m", f"bench.{module}", *arguments],
        env=env, cwd=ROOT, capture_output=True, timeout=timeout, check=False, text=True,
    )  # fmt: skip
    if done.returncode != ends:
        raise RuntimeError(f"bench.{module} ended with {done.returncode}:\n{done.stderr[-2000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
