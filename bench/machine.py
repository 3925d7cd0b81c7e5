"""What a run was made on."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import confluent_kafka

from bench import jars, redis_server, restate, venvs
from bench.processes import ROOT
from plexstream import __version__


def describe(kafka: str) -> dict[str, str]:
    """Commit, machine and versions."""
    redis = (redis_server.release(), redis_server.CLIENT[0])
    peers = (*venvs.RAW, *venvs.QUIX, jars.VERSION, *restate.PYTHON, *restate.SERVER, *redis)
    return {
        "commit": commit(),
        "CPU": f"{_field('/proc/cpuinfo', 'model name')}, {os.cpu_count()} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "plexstream": __version__,
        "Kafka": kafka,
        "librdkafka": str(confluent_kafka.libversion()[0]),
        "confluent-kafka": version("confluent-kafka"),
        "rocksdict": version("rocksdict"),
        "peers": ", ".join(filter(None, peers)).replace("==", " "),
        "load at the start": f"{os.getloadavg()[0]:.2f}",
    }


def commit() -> str:
    """The commit of this checkout, with a plus where files differ from it."""
    name = _git("rev-parse", "--short=10", "HEAD")
    changed = name and _git("status", "--porcelain", "--", "plexstream", "bench")
    return f"{name}+" if changed else name or "unknown"


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def _field(path: str, name: str) -> str:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(":")[2].strip() for line in lines if line.startswith(name)), "unknown")
