"""What the small examples share: a node as a process of the command line, and the world outside."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

try:
    import httpx

    from plexstream import Client
    from plexstream.sdk.host.coordination.nouns import Nouns
    from plexstream.testing import free_port
except ModuleNotFoundError as error:
    raise SystemExit(
        f"{error} for this python3: `. .venv/bin/activate`, where `pip install .` has installed plexstream"
    ) from None
from outside import Outside

if TYPE_CHECKING:
    from plexstream.sdk.host.coordination.nouns import Nouns

PATIENCE = 60.0  # seconds that anything may take
T = TypeVar("T")


class Story(Protocol):
    """An example, which is a module."""

    APP: Path
    OPTIONS: list[str]  # of `plexstream dev`

    def play(self, stage: Stage, id: str) -> None:
        """Let one thing happen, from its beginning to its end. `id` is new.

        Raises:
            ValueError: something is not as it should be.
        """


class Stage:
    """Where an example plays: a node, and the systems outside that it calls and that call it."""

    def __init__(self, url: str, outside: Outside) -> None:
        self.url = url
        self.outside = outside
        self._client = Client(url)
        self._http = httpx.Client(base_url=url, timeout=5.0)
        self._threads = ThreadPoolExecutor()

    def ask(self, target: str, handler: str, key: str, **arguments: Any) -> Any:
        """Call an actor. Where the node dies meanwhile the call is repeated, with its idempotency key."""
        return self._client.ask(target, handler, arguments, timeout=PATIENCE, idempotency_key=key)

    def start(self, target: str, handler: str, key: str, **arguments: Any) -> Future[Any]:
        """The same, without waiting for the result."""
        return self._threads.submit(self.ask, target, handler, key, **arguments)

    def nouns(self, key: str) -> Nouns:
        """Coordination. An operation that is repeated with its key has no effect, as with `ask`."""
        return self._client.keyed(key)

    def look(self, target: str, handler: str) -> Any:
        """What a read-only handler says; None while the node is away."""
        try:
            answer = self._http.get(f"/v1/actors/{target}/{handler}")
        except httpx.TransportError:
            return None
        return answer.json() if answer.is_success else None

    def ready(self) -> bool:
        """Whether the node serves."""
        try:
            return self._http.get("/health/ready").is_success
        except httpx.TransportError:
            return False

    def webhook(self, path: str, value: Any) -> None:
        """Post to the node as a system outside would: again and again, until it is taken."""

        def taken() -> bool:
            try:
                answer = self._http.post(f"/v1/{path}", json=value)
            except httpx.TransportError:
                return False
            return answer.is_success or answer.status_code in (404, 409)  # taken before

        until(f"POST {path} is taken", taken)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._http.close()
        self._threads.shutdown(wait=False, cancel_futures=True)


def until(what: str, look: Callable[[], T]) -> T:
    """What `look` returns as soon as that is true. Raises ValueError: it does not become so."""
    end = time.monotonic() + PATIENCE
    while not (found := look()):
        if time.monotonic() > end:
            raise ValueError(f"{what}: not within {PATIENCE:.0f} s")
        time.sleep(0.02)
    return found


def expect(what: str, found: object, expected: object) -> None:
    """Raises ValueError: they differ."""
    if found != expected:
        raise ValueError(f"{what}: {found!r}, and should be {expected!r}")


def main(story: Story, description: str, ids: list[str]) -> int:
    """Play it once for each id, and say whether all was right."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kafka", metavar="ADDRESS", help="use this broker instead of the embedded log")
    kafka = parser.parse_args().kafka
    folder = Path(tempfile.mkdtemp(prefix=f"{story.APP.parent.name}-"))
    port = free_port()
    command = ["plexstream", "run" if kafka else "dev", str(story.APP), *story.OPTIONS]
    command += ["--port", str(port), "--data", str(folder / "node")]
    if kafka:
        command += ["--kafka", kafka, "--prefix", f"{folder.name}."]
    right = False
    with Outside() as outside, (folder / "log").open("wb") as log:
        node = subprocess.Popen(
            command, env={**os.environ, "OUTSIDE": outside.url}, stdout=log, stderr=log,
            start_new_session=True,
        )  # fmt: skip
        try:
            with Stage(f"http://127.0.0.1:{port}", outside) as stage:
                until("the node is ready", lambda: _ready(node, stage))
                for id in ids:
                    story.play(stage, id)
                    print(f"✓ {id}: as it should be", flush=True)
            right = True
        except (ValueError, RuntimeError) as error:
            print(f"✗ {error}")
        finally:
            if node.poll() is None:
                os.killpg(node.pid, signal.SIGKILL)
                node.wait()
    if right:
        shutil.rmtree(folder)
    else:
        print(f"log and state: {folder}")
    return 0 if right else 1


def _ready(node: subprocess.Popen[bytes], stage: Stage) -> bool:
    if node.poll() is not None:
        raise RuntimeError(f"the node has ended with exit code {node.returncode}")
    return stage.ready()
