"""Kafka Streams for the benchmarks: its jars by Maven, and the peer compiled against them, made once.

Maven compares what it fetches with its repository's checksums; here each jar is compared with the one that is
named in `jars.sha256`, which says what was measured.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from bench.processes import ROOT
from bench.venvs import CACHE, Unavailable, run
from plexstream.testing.errors import KafkaUnavailableError
from plexstream.testing.kafka.process.java import find_java

SOURCE = ROOT / "bench" / "peers" / "kstreams"
MAIN = "StreamsCounter"
VERSION = "kafka-streams 4.1.1"
_FILES = ("pom.xml", "jars.sha256", f"{MAIN}.java")


def command() -> tuple[str, ...]:
    """What runs the peer. Raises Unavailable."""
    try:
        java = find_java().launcher
    except KafkaUnavailableError as error:
        raise Unavailable(str(error)) from None
    content = b"\0".join((SOURCE / name).read_bytes() for name in _FILES)
    folder = CACHE / f"kstreams-{hashlib.sha256(content).hexdigest()[:12]}"
    if not folder.exists():
        _make(folder)
    flags = ("-Xmx1g", "-XX:-UsePerfData", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
    return (java, *flags, "-cp", _path(folder), MAIN)


def _path(folder: Path) -> str:
    return os.pathsep.join([str(folder / "classes"), *map(str, sorted((folder / "jars").glob("*.jar")))])


def _make(folder: Path) -> None:
    """Fetch, compare, compile; all or nothing."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        part = Path(temporary) / "part"
        jars, classes = part / "jars", part / "classes"
        goal = "dependency:copy-dependencies"
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={jars}"]
        pom = Path(temporary) / "pom.xml"
        shutil.copy(SOURCE / "pom.xml", pom)
        _run("mvn", "--strict-checksums", "-q", "-B", "-f", str(pom), goal, *options)
        wrong = _others(jars)
        if wrong:
            raise Unavailable(f"Maven's {', '.join(wrong)}: not those of {SOURCE / 'jars.sha256'}")
        _run("javac", "--release", "17", "-cp", _path(part), "-d", str(classes), str(SOURCE / f"{MAIN}.java"))
        part.rename(folder)


def _others(jars: Path) -> list[str]:
    """Jars that are missing, too many, or not those that are named."""
    named = dict(line.split()[::-1] for line in (SOURCE / "jars.sha256").read_text().splitlines())
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in jars.glob("*.jar")}
    return sorted(name for name in {*named, *found} if named.get(name) != found.get(name))


def _run(program: str, *arguments: str) -> None:
    where = shutil.which(program)
    if where is None:
        raise Unavailable(f"there is no {program}: install a JDK and Maven")
    try:
        run([where, *arguments])
    except subprocess.CalledProcessError as error:
        raise Unavailable(f"{program}: {(error.stdout + error.stderr).strip()[-300:]}") from None
    except (OSError, subprocess.SubprocessError) as error:
        raise Unavailable(f"{program}: {error}") from None
