"""The Java that runs the broker."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache

from plexstream.testing.errors import KafkaUnavailableError

OLDEST = 17

# Serial collection and no perf file: a small heap that starts fast. IPv4 only, because the broker
# listens on 127.0.0.1.
BASE_FLAGS = ("-XX:+UseSerialGC", "-XX:-UsePerfData", "-Djava.net.preferIPv4Stack=true")
# Without the optimising compiler a broker starts in half the time, and never becomes fast.
QUICK_START = "-XX:TieredStopAtLevel=1"


@dataclass(frozen=True, slots=True)
class Java:
    """A usable Java.

    Attributes:
        launcher: path of the `java` program.
        identity: text that differs between any two builds of the JVM.
    """

    launcher: str
    identity: str


@cache
def find_java() -> Java:
    """Find the Java of `JAVA_HOME`, or else the one on the path.

    Raises:
        KafkaUnavailableError: there is none, or it is too old.
    """
    home = os.environ.get("JAVA_HOME")
    launcher = shutil.which(os.path.join(home, "bin", "java") if home else "java")
    advice = (
        f"install a JDK or JRE from {OLDEST} on "
        "(Debian: apt-get install default-jdk-headless; macOS: brew install openjdk), or set JAVA_HOME"
    )
    if launcher is None:
        raise KafkaUnavailableError(f"there is no java {f'in {home}' if home else 'on the path'}: {advice}")
    answer = subprocess.run(
        [launcher, "-XshowSettings:properties", "-version"], capture_output=True, text=True, check=False
    )
    properties = dict(re.findall(r"^\s+([\w.]+) = (.*)$", answer.stderr, re.MULTILINE))
    version = properties.get("java.specification.version", "")
    if not version.isdecimal() or int(version) < OLDEST:
        found = f"is version {version}" if version else "does not run"
        raise KafkaUnavailableError(f"{launcher} {found}, and Kafka needs {OLDEST}: {advice}")
    identity = " ".join(
        properties.get(key, "") for key in ("java.home", "java.vm.vendor", "java.vm.name", "java.vm.version")
    )
    return Java(launcher, identity)
