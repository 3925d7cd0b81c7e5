"""Apache Kafka from Maven's jars, prepared once for all later starts and kept in a cache folder.

The folder holds the jars, a formatted storage folder to copy, and per JVM an archive of loaded classes
(AppCDS), which halves the start. All of it can be deleted at any time, and is made again.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from plexstream.testing.errors import KafkaUnavailableError
from plexstream.testing.kafka.process.java import BASE_FLAGS, QUICK_START, find_java

VERSION = "4.1.1"
FORMATTED_CLUSTER = "AAAAAAAAAAAAAAAAAAAAAQ"  # replaced in every copy

# Kafka's own POM brings no SLF4J binding, and a broker without one fails without a word. The binding's
# version is that of the log4j-core which Kafka depends on.
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>plexstream</groupId><artifactId>test-broker</artifactId><version>1</version>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>2.24.3</version>
    </dependency>
  </dependencies>
</project>
"""

_LOG4J = """\
status = error
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
rootLogger.level = WARN
rootLogger.appenderRef.out.ref = out
"""

_FORMAT_CONFIG = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:9093
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093
"""

Record = Callable[["Distribution", Path, str], None]


class Distribution:
    """The prepared Kafka of this user's cache folder, `${XDG_CACHE_HOME:-~/.cache}/plexstream`.

    Raises:
        KafkaUnavailableError: there is no usable Java.
    """

    def __init__(self) -> None:
        self._java = find_java()
        recipe = _digest(_POM, _LOG4J, _FORMAT_CONFIG)
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        self._folder = cache / "plexstream" / f"kafka-{VERSION}-{recipe}"
        self._jars = self._folder / "jars"
        self._log4j = self._folder / "log4j2.properties"
        self._archive = self._folder / f"classes-{_digest(self._java.identity, *BASE_FLAGS)}.jsa"
        self.storage = self._folder / "storage"

    def prepare(self, record: Record) -> None:
        """Make what is missing; other processes that come meanwhile wait.

        Args:
            record: `record(distribution, folder, flag)` runs a broker in `folder` with the JVM flag `flag`,
                lets it serve clients, and shuts it down in order, upon which the JVM writes its archive.

        Raises:
            KafkaUnavailableError: a download or a first run failed.
        """
        if self._archive.exists():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._log4j.write_text(_LOG4J)
            self._make(self._jars, f"downloading Kafka {VERSION} with Maven", self._download)
            self._make(self.storage, "formatting the storage", self._format)
            self._make(self._archive, "recording a class archive", lambda part: self._record(record, part))

    def command(self, main: str, *arguments: str | Path, flags: Iterable[str] = ()) -> list[str]:
        """Return the command that runs a class of Kafka.

        Args:
            main: the class.
            arguments: of the program.
            flags: of the JVM.
        """
        # Sorted: the class archive is bound to the class path as it is written.
        path = ":".join(str(jar) for jar in sorted(self._jars.glob("*.jar")))
        log4j = f"-Dlog4j2.configurationFile={self._log4j}"
        return [self._java.launcher, *BASE_FLAGS, *flags, log4j, "-cp", path, main, *map(str, arguments)]

    def archive_flags(self) -> list[str]:
        """Return the JVM flags that load the class archive, if this JVM could write one."""
        usable = self._archive.exists() and self._archive.stat().st_size > 0
        return [f"-XX:SharedArchiveFile={self._archive}"] if usable else []

    def _make(self, target: Path, doing: str, make: Callable[[Path], None]) -> None:
        if target.exists():
            return
        print(f"plexstream: first use: {doing} ...", file=sys.stderr, flush=True)
        with tempfile.TemporaryDirectory(dir=self._folder) as folder:
            part = Path(folder) / "part"
            make(part)
            part.rename(target)

    def _download(self, part: Path) -> None:
        maven = shutil.which("mvn")
        if maven is None:
            raise KafkaUnavailableError(
                "Kafka's jars are not in the cache yet, and there is no mvn to download them: install Maven "
                "(Debian: apt-get install maven; macOS: brew install maven), or set KAFKA_BOOTSTRAP_SERVERS"
            )
        pom = part.with_name("pom.xml")
        pom.write_text(_POM)
        goal = "dependency:copy-dependencies"
        options = ["-DincludeScope=runtime", f"-DoutputDirectory={part}"]
        command = [maven, "-q", "-B", "-f", str(pom), goal, *options]
        _run(command, "Maven could not download Kafka's jars (is its repository reachable?)")

    def _format(self, part: Path) -> None:
        # Static voters: what is formatted names no port, so a copy fits every start.
        config = part.with_name("server.properties")
        config.write_text(f"{_FORMAT_CONFIG}log.dirs={part}\n")
        arguments = ("format", "--cluster-id", FORMATTED_CLUSTER, "--config", config)
        command = self.command("kafka.tools.StorageTool", *arguments, flags=[QUICK_START])
        _run(command, "Kafka's storage could not be formatted")

    def _record(self, record: Record, part: Path) -> None:
        record(self, part.with_name("broker"), f"-XX:ArchiveClassesAtExit={part}")
        # A JVM without the feature: the empty file keeps later starts from trying again.
        part.touch()


def _run(command: Sequence[str | Path], complaint: str) -> None:
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise KafkaUnavailableError(f"{complaint}; the last it said:\n{done.stdout[-2000:]}")


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
