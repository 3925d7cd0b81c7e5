"""What the expectations are tried on: one partition in this process, and nodes on each kind of log."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol, TypeVar

import httpx

from plexstream import Client
from plexstream.model.errors import call_error
from plexstream.testing.kafka.process.ports import free_port
from tests.hosts.world import World
from tests.otp.programs import ALL

PROGRAMS = Path(__file__).with_name("programs.py")
LONG = 40.0
_PLEXSTREAM = [sys.executable, "-m", "plexstream"]
T = TypeVar("T")


class System(Protocol):
    """Something that runs the programs."""

    def ask(self, to: str, handler: str, /, timeout: float = LONG, **arguments: Any) -> Any: ...
    def start(self, to: str, handler: str, /, **arguments: Any) -> Callable[[], Any]:
        """Ask without waiting: what is returned waits for the result."""

    def tell(self, to: str, handler: str, /, **arguments: Any) -> None: ...
    def wait(self, seconds: float) -> None: ...
    def until(self, look: Callable[[], T]) -> T:
        """What `look` returns once that is true."""


class InProcess:
    """One partition with a time of its own, perhaps one whose process dies after each few turns."""

    def __init__(self, crash_every: int) -> None:
        self._world = World(*ALL, crash_every=crash_every)

    def ask(self, to: str, handler: str, /, timeout: float = LONG, **arguments: Any) -> Any:
        return self.start(to, handler, **arguments)()

    def start(self, to: str, handler: str, /, **arguments: Any) -> Callable[[], Any]:
        world = self._world
        id = world.start(to, handler, **arguments)

        def result() -> Any:
            for _ in range(400):
                if id in world.errors:
                    said = world.errors[id]
                    raise call_error(said["code"], said["detail"], said.get("data"))
                if id in world.replies:
                    return world.replies[id]
                world.run(100)
            raise call_error("timed_out", f"{to}.{handler}")

        return result

    def tell(self, to: str, handler: str, /, **arguments: Any) -> None:
        self._world.tell(to, handler, **arguments)
        self._world.run()

    def wait(self, seconds: float) -> None:
        self._world.run(round(seconds * 1000))

    def until(self, look: Callable[[], T]) -> T:
        for _ in range(400):
            if found := look():
                return found
            self._world.run(100)
        raise AssertionError(f"it does not come about: {look()!r}")


class Node:
    """A node of the command line."""

    def __init__(self, folder: Path, kafka: str = "", prefix: str = "") -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        command = ["dev", str(PROGRAMS)]
        if kafka:
            command = ["run", str(PROGRAMS), "--kafka", kafka, "--prefix", prefix]
        self._log = folder / "node.log"
        environment = {**os.environ, "PLEXSTREAM_PARTITIONS": "4"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_PLEXSTREAM, *command, "--port", str(port), "--data", str(folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment,
            )  # fmt: skip
        self._client = Client(self.url)
        self._http = httpx.Client(base_url=self.url, trust_env=False)
        self._pool = ThreadPoolExecutor(4)
        self._ready()

    def _ready(self) -> None:
        end = time.monotonic() + 60
        while True:
            try:
                if self._http.get("/health/ready").status_code == 200:
                    return
            except httpx.TransportError:
                pass
            assert self._process.poll() is None, self._log.read_text()[-3000:]
            assert time.monotonic() < end, self._log.read_text()[-3000:]
            time.sleep(0.05)

    def ask(self, to: str, handler: str, /, timeout: float = LONG, **arguments: Any) -> Any:
        return self._client.ask(to, handler, timeout=timeout, **arguments)

    def start(self, to: str, handler: str, /, **arguments: Any) -> Callable[[], Any]:
        call = self._pool.submit(self._client.ask, to, handler, timeout=LONG, **arguments)
        self.wait(0.2)  # most often it has arrived by then; what is tested holds either way
        return lambda: call.result(LONG)

    def tell(self, to: str, handler: str, /, **arguments: Any) -> None:
        self._client.tell(to, handler, **arguments)

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def until(self, look: Callable[[], T]) -> T:
        end = time.monotonic() + LONG
        while True:
            if found := look():
                return found
            assert time.monotonic() < end, f"it does not come about: {look()!r}\n{self._log.read_text()}"
            time.sleep(0.03)

    def close(self) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._client.close()
        self._http.close()
        self._process.terminate()
        self._process.wait(60)


_numbers = itertools.count(1)


def fresh() -> str:
    """A name that no test had before."""
    return f"g{next(_numbers)}"
