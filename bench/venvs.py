"""The peers' libraries, in virtual environments of their own below the cache folder, made once."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plexstream" / "bench"
# The same client and store as plexstream's own.
RAW = (
    f"confluent-kafka=={version('confluent-kafka')}",
    f"rocksdict=={version('rocksdict')}",
    "orjson==3.13.0",
)
QUIX = ("quixstreams==3.28.1",)


class Unavailable(Exception):
    """A peer cannot be measured here, and why."""


def python(requirements: tuple[str, ...]) -> str:
    """The interpreter of an environment with these packages. Raises Unavailable."""
    name = hashlib.sha256("\n".join((sys.version, *requirements)).encode()).hexdigest()[:12]
    folder = CACHE / name
    if (folder / "ready").exists():
        return str(folder / "bin" / "python")
    shutil.rmtree(folder, ignore_errors=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    try:
        run([sys.executable, "-m", "venv", str(folder)])
        run([str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *requirements])
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise Unavailable(f"{' '.join(requirements)} cannot be installed: {said.strip()[-300:]}") from None
    (folder / "ready").touch()
    return str(folder / "bin" / "python")


def run(command: list[str], cwd: str | None = None) -> None:
    """Run to its end. Raises OSError or SubprocessError."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(command, env=env, cwd=cwd, check=True, capture_output=True, text=True, timeout=300)
