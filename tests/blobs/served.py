"""A node with an object store, as a process of its own."""

import os
import subprocess
import sys
import time
from pathlib import Path

from plexstream import Client
from plexstream.testing import free_port

APP = Path(__file__).parent.parent / "coordination" / "anybody.py"
LONG = 60.0  # seconds: a machine under load


def wait_for(function):
    """What it returns, once that is something."""
    end = time.monotonic() + LONG
    while not (found := function()):
        assert time.monotonic() < end, "it never comes"
        time.sleep(0.05)
    return found


class Node:
    """Attributes:
    url: where it serves HTTP.
    """

    def __init__(self, data, store, app=APP, **settings):
        self._app = app
        self.url = f"http://127.0.0.1:{free_port()}"
        self._data = data
        self._environment = {
            **os.environ, **store.environment, "PLEXSTREAM_BLOBS_URL": store.url,
            **{f"PLEXSTREAM_{name}": value for name, value in settings.items()},
        }  # fmt: skip
        self.process = None

    def start(self):
        command = ["dev", str(self._app), "--data", str(self._data), "--port", self.url.rpartition(":")[2]]
        with self._data.with_suffix(".out").open("ab") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "plexstream", *command], stdout=out, stderr=out, env=self._environment
            )
        end = time.monotonic() + LONG
        with Client(self.url) as client:
            while True:
                try:
                    return client.ask("anybody/ready", "here", timeout=1)
                except Exception:
                    assert self.process.poll() is None, self._data.with_suffix(".out").read_text()
                    assert time.monotonic() < end, "it is not ready"
                    time.sleep(0.05)

    def most_memory(self):
        """The most that it has had, in MiB."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) >> 10

    def kill(self):
        self.process.kill()
        self.process.wait(LONG)
