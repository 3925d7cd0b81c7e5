"""S3Proxy as a process: it speaks S3, checks signatures, keeps objects as files. Its jars come by Maven."""

import fcntl
import os
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path

from plexstream.testing import free_port

VERSION = "2.7.0"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
LONG = 60.0  # seconds: a machine under load
_POM = f"""\
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>plexstream</groupId><artifactId>test-objects</artifactId><version>1</version>
  <dependencies>
    <dependency><groupId>org.gaul</groupId><artifactId>s3proxy</artifactId><version>{VERSION}</version></dependency>
  </dependencies>
</project>
"""


def jars():
    """The folder of its jars, downloaded once and kept, as Kafka's are."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "plexstream"
    folder = cache / f"s3proxy-{VERSION}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "s3proxy.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            part = cache / "s3proxy.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            (part / "pom.xml").write_text(_POM)
            command = ["mvn", "-q", "-B", "-f", str(part / "pom.xml"), "dependency:copy-dependencies"]
            options = ["-DincludeScope=runtime", f"-DoutputDirectory={part}"]
            subprocess.run([*command, *options], check=True, stdout=subprocess.DEVNULL)
            part.rename(folder)
    return folder


class S3Proxy:
    """One server with one bucket, `bucket`.

    Attributes:
        folder: where the bucket's objects are, as files.
        environment: by which clients reach it.
    """

    def __init__(self, folder):
        self.port = free_port()
        self.folder = folder / "bucket"
        self.folder.mkdir(parents=True)
        self.environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self.port}"}
        self._config = folder.with_suffix(".properties")
        self._config.write_text(
            f"s3proxy.endpoint=http://127.0.0.1:{self.port}\ns3proxy.authorization=aws-v2-or-v4\n"
            "s3proxy.identity=test\ns3proxy.credential=secret\ns3proxy.ignore-unknown-headers=true\n"
            "jclouds.provider=filesystem-nio2\njclouds.identity=-\njclouds.credential=-\n"
            f"jclouds.filesystem.basedir={folder}\n"
        )
        self._process = None
        self.start()

    def start(self):
        path = ":".join(str(jar) for jar in sorted(jars().glob("*.jar")) if "logback-classic" not in jar.name)
        main = ["org.gaul.s3proxy.Main", "--properties", str(self._config)]
        with self._config.with_suffix(".out").open("ab") as out:
            self._process = subprocess.Popen(
                ["java", "-Xmx200m", "-XX:TieredStopAtLevel=1", "-cp", path, *main], stdout=out, stderr=out
            )
        end = time.monotonic() + LONG
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.port}/", timeout=5).close()
                return
            except urllib.error.HTTPError as refusal:  # it wants a signature
                refusal.close()
                return
            except OSError:
                assert self._process.poll() is None, self._config.with_suffix(".out").read_text()
                assert time.monotonic() < end, "S3Proxy is not ready"
                time.sleep(0.05)

    def stop(self):
        self._process.kill()
        self._process.wait(LONG)
