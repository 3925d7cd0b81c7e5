from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from plexstream.cli.app import app
from plexstream.testing.kafka.process.ports import free_port

BANK = Path(__file__).with_name("bank.py")
LONG = 40.0  # seconds: a machine under load, never a measure of speed
WAITING = Path(__file__).parents[1] / "node" / "waiting.py"


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration of this machine, and no colours or wrapped lines."""
    for name in list(os.environ):
        if name.startswith("PLEXSTREAM_"):
            monkeypatch.delenv(name)
    for name, value in (("COLUMNS", "200"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


class Cli:
    """The command line in this process."""

    def __call__(self, *arguments: str, code: int | None = 0, input: str | None = None) -> Result:
        result = CliRunner().invoke(app, list(arguments), input=input)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        said = f"{arguments} ended with {result.exit_code}:\n{result.output}"
        assert code in (None, result.exit_code), said
        return result


@pytest.fixture
def cli() -> Cli:
    return Cli()


class Process:
    """A command that serves, `plexstream dev` with the bank by default, as a process of its own."""

    def __init__(self, data: Path, *command: str) -> None:
        self._command = command or ("dev", str(BANK))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        # `httpx.get` would read all certificates each time, for 20 ms. No connection outlives a node.
        self.http = httpx.Client(
            base_url=self.url, timeout=LONG, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self.data = data
        self.out = data.with_suffix(".out")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, ready: bool = True) -> None:
        """Start it, and wait until it serves, unless `ready` is False."""
        command = [
            sys.executable, "-m", "plexstream", *self._command,
            *(() if self._command[0] == "edge" else ("--data", str(self.data))), "--port", str(self.port),
        ]  # fmt: skip
        with self.out.open("ab") as out:
            self._process = subprocess.Popen(command, stdout=out, stderr=out)
        if ready:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        assert self._process is not None
        end = time.monotonic() + LONG
        while not self._ready():
            assert self._process.poll() is None, self.out.read_text()
            assert time.monotonic() < end, self.out.read_text()
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return self.http.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    def end(self, number: signal.Signals) -> int:
        """Send a signal; returns the exit code."""
        assert self._process is not None
        self._process.send_signal(number)
        code = self._process.wait(LONG)
        self._process = None
        return code

    def close(self) -> None:
        self.http.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def call(self, path: str, **arguments: object) -> object:
        response = self.http.post(f"/v1/actors/{path}", json=arguments)
        assert response.status_code == 200, response.text
        return response.json()


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Process]:
    """A running `plexstream dev` with the bank."""
    process = Process(tmp_path / "data")
    try:
        process.start()
        yield process
    finally:
        process.close()


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Start commands that serve; they end with the test."""
    processes: list[Process] = []

    def start(*command: str) -> Process:
        process = Process(tmp_path / f"data-{len(processes)}", *command)
        processes.append(process)
        process.start()
        return process

    yield start
    for process in processes:
        process.close()


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data folder of a bank that has been used and stopped: alice has had three turns."""
    process = Process(tmp_path_factory.mktemp("bank") / "data")
    try:
        process.start()
        process.call("account/alice/deposit", amount=5)
        process.call("account/alice/note", key="k", text="a text")
        process.call("account/alice/deposit", amount=7)
        process.call("account/bob/deposit", amount=1)
        assert process.end(signal.SIGTERM) == 0
    finally:
        process.close()
    return str(process.data)


@pytest.fixture(scope="module")
def waited(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A data folder of a node with actors that wait, which is stopped."""
    process = Process(tmp_path_factory.mktemp("waiting") / "data", "dev", str(WAITING))
    try:
        process.start()
        for path, arguments in (
            ("waiter/sleep/nap", {}), ("waiter/ask/through", {"to": "waiter/sleep"}),
            ("waiter/outside/outside", {}), ("waiter/broken/broken", {}),
        ):  # fmt: skip
            answer = process.http.post(f"/v1/actors/{path}/send", json=arguments)
            assert answer.status_code == 202
        assert process.call("waiter/done/steps") == [1, {"is": 2}]
        end = time.monotonic() + LONG
        while process.http.get("/v1/topics/plex.out.ids").status_code != 200:
            assert time.monotonic() < end
            time.sleep(0.05)
        assert process.end(signal.SIGTERM) == 0
    finally:
        process.close()
    return str(process.data)
