"""System actors run in the world of the hosts' tests: a real processor and host, a journal in memory."""

import asyncio
import inspect
import subprocess
import sys
import time
from pathlib import Path

import pytest

from plexstream import AsyncClient, Client
from plexstream.testing import free_port

# pytest's import mode adds no directories
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent.parent / "hosts")]

APP = Path(__file__).with_name("anybody.py")
LONG = 60.0  # seconds: a machine under load, never a measure of speed


class Served:
    """A node on an embedded log, as a process of its own, and what asks it.

    Attributes:
        url: where it serves HTTP.
    """

    def __init__(self, data, *options):
        self._options = options
        self.url = f"http://127.0.0.1:{free_port()}"
        self._data = data
        self._process = None

    def start(self):
        command = ["dev", str(APP), "--data", str(self._data), "--port", self.url.rpartition(":")[2]]
        command += self._options
        with self._data.with_suffix(".out").open("ab") as out:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "plexstream", *command], stdout=out, stderr=out
            )
        end = time.monotonic() + LONG
        with Client(self.url) as client:
            while True:
                try:
                    return client.ask("anybody/ready", "here", timeout=1)
                except Exception:
                    assert self._process.poll() is None, self._data.with_suffix(".out").read_text()
                    assert time.monotonic() < end, "it is not ready"
                    time.sleep(0.05)

    def kill(self):
        self._process.kill()
        self._process.wait(LONG)

    def stop(self):
        self._process.terminate()
        self._process.wait(LONG)


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """One node for all tests that ask from outside: they use names of their own."""
    node = Served(tmp_path_factory.mktemp("node") / "data")
    node.start()
    yield node
    node.stop()


@pytest.fixture
def node(tmp_path):
    """One for this test alone, to be killed."""
    node = Served(tmp_path / "data")
    node.start()
    yield node
    node.stop()


@pytest.fixture
def configured(tmp_path):
    """A node of its own, not started, with a configuration file of this text."""
    nodes = []

    def make(text):
        file = tmp_path / "plexstream.toml"
        file.write_text(text)
        nodes.append(Served(tmp_path / "data", "--config", str(file)))
        return nodes[-1]

    yield make
    for node in nodes:
        node.stop()


class Threads:
    """A client for threads."""

    def __init__(self, url):
        self.client, self.url = Client(url), url

    def __call__(self, operation, *arguments, **named):
        return operation(*arguments, **named)

    def close(self):
        self.client.close()


class Loop:
    """The one for asyncio: its operations are awaited here."""

    def __init__(self, url):
        self._runner, self.url = asyncio.Runner(), url
        self.client = self._runner.run(self._open(url))

    async def _open(self, url):
        return AsyncClient(url)

    def __call__(self, operation, *arguments, **named):
        async def wait():
            found = operation(*arguments, **named)
            return await found if inspect.isawaitable(found) else found

        return self._runner.run(wait())

    def close(self):
        self._runner.run(self.client.close())
        self._runner.close()


@pytest.fixture(params=[Threads, Loop], ids=["sync", "async"])
def outside(request, served):
    """Calls operations of a client: ``outside(outside.client.kv.get, "key")``."""
    caller = request.param(served.url)
    yield caller
    caller.close()
