"""Restate, the peer of durable execution: its server, and a service by one of its SDKs, on the loopback."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import NamedTuple

from bench import venvs
from bench.processes import ROOT, Child
from bench.venvs import CACHE, Unavailable
from plexstream.testing import free_port

SERVER = ("@restatedev/restate-server@1.7.12", "@restatedev/restate-sdk@1.17.2")
PYTHON = ("restate-sdk==1.3.0", "granian==2.8.7")
SOURCES = ROOT / "bench" / "peers" / "restate"
PYTHON_SDK, TYPESCRIPT_SDK = "Restate, Python", "Restate, TypeScript"
START_S = 60.0


class Restate(NamedTuple):
    """What there is of it on this machine: the server, and what runs a service by SDK."""

    server: Path
    modules: Path
    python: str


def find() -> Restate:
    """Install it if it is not here yet. Raises Unavailable."""
    modules = _modules()
    servers = sorted(modules.glob("node_modules/@restatedev/restate-server-*/bin/restate-server"))
    if not servers:
        raise Unavailable(f"{SERVER[0]} has no server for this machine")
    return Restate(servers[0], modules, venvs.python(PYTHON))


def _modules() -> Path:
    """A folder with the server and the TypeScript SDK, made once."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Unavailable("Restate's server and TypeScript SDK are npm packages: Node.js is not here")
    folder = CACHE / f"npm-{hashlib.sha256(' '.join(SERVER).encode()).hexdigest()[:12]}"
    if (folder / "ready").exists():
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    install = [npm, "install", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        venvs.run([*install, *SERVER])
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise Unavailable(f"{' '.join(SERVER)} cannot be installed: {said.strip()[-300:]}") from None
    (folder / "ready").touch()
    return folder


@contextmanager
def served(restate: Restate, sdk: str) -> Iterator[str]:
    """A server and a service; the URL of the server's ingress.

    Parameters:
        sdk: `PYTHON_SDK` or `TYPESCRIPT_SDK`.
    """
    ingress, admin, service, fabric = (free_port() for _ in range(4))
    settings = {
        "RESTATE_NODE_NAME": "bench", "RESTATE_BIND_IP": "127.0.0.1", "RESTATE_BIND_PORT": str(fabric),
        "RESTATE_LISTEN_MODE": "tcp", "RESTATE_INGRESS__BIND_PORT": str(ingress),
        "RESTATE_ADMIN__BIND_PORT": str(admin), "RESTATE_DISABLE_TELEMETRY": "true",
        "RESTATE_LOG_FILTER": "warn",
    }  # fmt: skip
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="plexstream-bench-")))
        server = [str(restate.server), "--no-logo", "--base-dir", str(folder / "data")]
        children = [
            stack.enter_context(Child(server, settings, folder / "server.log")),
            stack.enter_context(_service(restate, sdk, service, folder)),
        ]
        url = f"http://127.0.0.1:{ingress}"
        _ready(children, f"http://127.0.0.1:{admin}/health")
        deployment = {"uri": f"http://127.0.0.1:{service}", "force": True}
        _ready(children, f"http://127.0.0.1:{admin}/deployments", deployment)
        _ready(children, f"{url}/tally/ready/add", {"amount": 1})
        _ready(children, f"{url}/trip/ready/steps", {"amount": 1})
        yield url


def _service(restate: Restate, sdk: str, port: int, folder: Path) -> Child:
    if sdk == TYPESCRIPT_SDK:
        # Beside its packages, where Node looks for them.
        script = shutil.copy(SOURCES / "service.mjs", restate.modules)
        return _Service(["node", str(script)], {"PORT": str(port)}, folder / "service.log")
    granian = str(Path(restate.python).parent / "granian")
    command = [granian, "--interface", "asgi", "--http", "2", "--host", "127.0.0.1", "--port", str(port)]
    # Its own packages, not those of this checkout.
    return _Service([*command, "service:app"], {"PYTHONPATH": str(SOURCES)}, folder / "service.log")


class _Service(Child):
    def stop(self, seconds: float = 1.0) -> None:
        """Granian ends only once the server has closed its connections."""
        super().stop(seconds)


def _ready(children: list[Child], url: str, body: object = None) -> None:
    """Call until it is answered."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    end = time.monotonic() + START_S
    why = ""
    while time.monotonic() < end and all(child.alive() for child in children):
        try:
            with _direct.open(request, timeout=10) as answer:
                answer.read()
                return
        except OSError as error:
            why = str(error)
            time.sleep(0.2)
    said = "\n".join(child.tail() for child in children)
    raise RuntimeError(f"{url} did not answer within {START_S:.0f} s: {why}\n{said}")


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
