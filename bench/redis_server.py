"""Redis, the peer of coordination: Debian's server, from where it is installed or unpacked into the cache."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from bench import venvs
from bench.processes import Child
from bench.venvs import CACHE, Unavailable, run
from plexstream.testing import free_port

PACKAGES = ("redis-server", "redis-tools", "libjemalloc2", "liblzf1")
"""The server is a program of `redis-tools`; the libraries are what it needs beside a usual system's."""
CLIENT = ("redis==8.1.0", "hiredis==3.5.0", f"uvloop=={version('uvloop')}")
NAME = "Redis"
SETTINGS = ("--appendonly", "yes", "--appendfsync", "always", "--save", "")
"""What is acknowledged is on the disk."""
START_S = 30.0


class Redis(NamedTuple):
    """What there is of it on this machine.

    Attributes:
        libraries: folder of those that the server needs beside the system's; None: it needs none.
        python: the interpreter that has its client.
    """

    server: str
    libraries: Path | None
    python: str


def find() -> Redis:
    """Fetch it if it is not here yet. Raises Unavailable."""
    python = venvs.python(CLIENT)
    installed = shutil.which("redis-server")
    if installed is not None:
        return Redis(installed, None, python)
    folder = CACHE / "redis"
    if not folder.exists():
        _unpack(folder)
    libraries = next(folder.glob("usr/lib/*/libjemalloc.so.2"), None)
    return Redis(str(folder / "usr/bin/redis-server"), libraries and libraries.parent, python)


def release() -> str:
    """Of the server, as it says itself, where it is here; "": it is not."""
    try:
        redis = find()
    except Unavailable:
        return ""
    said = subprocess.run(
        [redis.server, "--version"], env={**os.environ, **_environment(redis)}, capture_output=True,
        text=True, check=False,
    ).stdout  # fmt: skip
    return next((f"Redis {word[2:]}" for word in said.split() if word.startswith("v=")), "Redis")


@contextmanager
def served(redis: Redis) -> Iterator[tuple[int, Child]]:
    """An empty server, and its port."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="plexstream-bench-") as folder:
        data = Path(folder) / "data"
        data.mkdir()
        command = [redis.server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(data), *SETTINGS]
        with Child(command, _environment(redis), Path(folder) / "redis.log") as server:
            end = time.monotonic() + START_S
            while "Ready to accept connections" not in server.tail(50):
                if time.monotonic() > end or not server.alive():
                    raise RuntimeError(f"Redis did not start within {START_S:.0f} s:\n{server.tail()}")
                time.sleep(0.05)
            yield port, server


def _environment(redis: Redis) -> dict[str, str]:
    if redis.libraries is None:
        return {}
    path = os.environ.get("LD_LIBRARY_PATH")
    return {"LD_LIBRARY_PATH": os.pathsep.join([str(redis.libraries), *([path] if path else [])])}


def _unpack(folder: Path) -> None:
    """Fetch the packages and unpack them, all or nothing; nothing is installed."""
    apt, dpkg = shutil.which("apt-get"), shutil.which("dpkg")
    if apt is None or dpkg is None:
        raise Unavailable("there is no redis-server in the PATH, and no apt-get to fetch Debian's")
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        try:
            run([apt, "download", "-qq", *PACKAGES], cwd=temporary)
            for package in sorted(Path(temporary).glob("*.deb")):
                run([dpkg, "-x", str(package), f"{temporary}/part"])
        except (OSError, subprocess.SubprocessError) as error:
            said = getattr(error, "stderr", "") or str(error)
            raise Unavailable(f"{' '.join(PACKAGES)} cannot be fetched: {said.strip()[-300:]}") from None
        Path(temporary, "part").rename(folder)
