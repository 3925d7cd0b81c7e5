"""One broker of a cluster, and by which names it finds the others."""

from __future__ import annotations

import socket
from collections.abc import Mapping

from plexstream.testing.kafka.process.jvm import KafkaProcess, kafka_port
from plexstream.testing.kafka.speaking.requests import Target

_ADVICE = "end what listens on ports from 20000 on"


class Node:
    """One broker: its process and its ports. `advertised` is where clients go, over a wire."""

    def __init__(self, number: int, process: KafkaProcess) -> None:
        self.number = number
        self.process = process
        self.clients, self.peers, self.controller, self.advertised = (kafka_port(_ADVICE) for _ in range(4))

    @property
    def direct(self) -> Target:
        return ("127.0.0.1", self.clients)

    def launch(self, settings: Mapping[str, str], flags: list[str], nodes: Mapping[int, Node]) -> None:
        """Start its process. `nodes`: all of the cluster, by number."""
        number = self.number
        self.process.formatted()
        # Each JVM has a hosts file of its own, which leads every way to a peer over a wire of its own. Only
        # its own name is the broker itself.
        names = {name_of(peer): loopback(number, peer) for peer in nodes}
        names |= {"localhost": "127.0.0.1", socket.gethostname(): "127.0.0.1"}
        hosts = self.process.folder / "hosts"
        hosts.write_text("".join(f"{address} {name}\n" for name, address in names.items()))
        voters = [f"{peer}@{name_of(peer)}:{other.controller}" for peer, other in nodes.items()]
        me = name_of(number)
        own = {
            **settings,
            "controller.quorum.voters": ",".join(voters),
            "listeners": f"CLIENTS://127.0.0.1:{self.clients},PEERS://127.0.0.1:{self.peers},"
            f"CONTROLLER://127.0.0.1:{self.controller}",
            "advertised.listeners": f"CLIENTS://127.0.0.1:{self.advertised},PEERS://{me}:{self.peers},"
            f"CONTROLLER://{me}:{self.controller}",
            "inter.broker.listener.name": "PEERS",
            "listener.security.protocol.map": "CLIENTS:PLAINTEXT,PEERS:PLAINTEXT,CONTROLLER:PLAINTEXT",
        }
        self.process.launch(own, [*flags, f"-Djdk.net.hosts.file={hosts}"])


def name_of(number: int) -> str:
    """By which name its peers know a broker."""
    return f"broker-{number}.test"


def loopback(source: int, target: int) -> str:
    """Where a broker finds another one: each way has an address of its own, and so a wire."""
    return "127.0.0.1" if source == target else f"127.0.{source}.{target}"
