"""Apache Kafka's own image through testcontainers."""

import os
from typing import Self

from testcontainers.core.container import DockerContainer

from plexstream.testing.errors import KafkaUnavailableError
from plexstream.testing.kafka.broker import SETTINGS
from plexstream.testing.kafka.speaking.probe import wait_until_ready

IMAGE = os.environ.get("PLEXSTREAM_KAFKA_IMAGE", "apache/kafka:4.1.1")

_CLIENTS, _BROKER, _CONTROLLER = 9092, 9093, 9094
_SCRIPT = "/tmp/plexstream-start.sh"
_LAST_LINE = "# complete"

# With any KAFKA_ variable set the image drops all of its default settings. The broker reaches itself through
# a listener of its own, because the host's port, which clients are told, does not exist in the container.
_LISTENERS = {
    "controller.quorum.voters": f"1@localhost:{_CONTROLLER}",
    "listeners": f"PLAINTEXT://:{_CLIENTS},BROKER://:{_BROKER},CONTROLLER://:{_CONTROLLER}",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "BROKER",
}


class KafkaContainer(DockerContainer):
    """A single-node Kafka broker in a container, with the settings of `LocalBroker`.

    Args:
        image: of Apache Kafka, laid out as the official one.
    """

    def __init__(self, image: str = IMAGE) -> None:
        super().__init__(image)
        self.with_exposed_ports(_CLIENTS)
        for key, value in {**SETTINGS, **_LISTENERS}.items():
            self.with_env("KAFKA_" + key.upper().replace(".", "_"), value)
        self.with_env("KAFKA_HEAP_OPTS", "-Xmx512m")
        # The address that clients must be told has a port which is known only once the container runs: so it
        # waits for a script, and for that script's last line, lest it run half of it.
        wait = f"until grep -qsx '{_LAST_LINE}' {_SCRIPT}; do sleep 0.05; done; exec sh {_SCRIPT}"
        self.with_command(["sh", "-c", wait])

    @property
    def address(self) -> str:
        """The bootstrap address, `host:port`, as this machine reaches it."""
        return f"{self.get_container_host_ip()}:{self.get_exposed_port(_CLIENTS)}"

    def start(self, timeout: float = 90.0) -> Self:
        """Start the container and wait until the broker serves clients.

        Args:
            timeout: seconds to wait for the broker once the container runs.

        Raises:
            KafkaUnavailableError: the broker did not answer in time.
            docker.errors.DockerException: the engine refused; most often it could not pull the image.
        """
        super().start()
        advertised = f"PLAINTEXT://{self.address},BROKER://localhost:{_BROKER}"
        script = f"export KAFKA_ADVERTISED_LISTENERS={advertised}\nexec /etc/kafka/docker/run\n{_LAST_LINE}\n"
        self.copy_into_container(script.encode(), _SCRIPT)
        if not wait_until_ready(self.address, timeout):
            said = b"".join(self.get_logs()).decode(errors="replace")
            self.stop()
            raise KafkaUnavailableError(
                f"the Kafka broker of image {IMAGE} did not answer within {timeout:g} s; "
                f"the last of its log:\n{said[-3000:]}"
            )
        return self
