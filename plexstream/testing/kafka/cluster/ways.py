"""The ways between the brokers of a cluster and from their clients, and which of them are cut."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping

from plexstream.testing.kafka.cluster.node import Node, loopback
from plexstream.testing.kafka.cluster.wires import Wire, Wires


class Cut(enum.Enum):
    """Whom a broker that is cut off cannot reach, and who cannot reach it."""

    CLIENTS = "clients"
    PEERS = "peers"  # replicas and controllers
    ALL = "all"


class Ways:
    """All ways of a cluster. They are open from here on until `close`."""

    def __init__(self, nodes: Mapping[int, Node]) -> None:
        self._nodes = nodes
        self._cuts: dict[int, Cut] = {}
        self._wires = Wires(_all_wires(nodes))

    def cut(self, number: int, whom: Cut) -> None:
        """Cut a broker off; what is on its way waits for `mend`."""
        self._cuts[number] = whom
        self._now()

    def mend(self, *numbers: int) -> None:
        """Undo every cut, or those of some brokers."""
        for number in numbers or tuple(self._cuts):
            self._cuts.pop(number, None)
        self._now()

    def among_peers(self, number: int) -> bool:
        """Whether a broker reaches the others."""
        return self._cuts.get(number) not in (Cut.PEERS, Cut.ALL)

    def close(self) -> None:
        """End all connections."""
        self._wires.close()

    def _now(self) -> None:
        names = set()
        for number, whom in self._cuts.items():
            if whom is not Cut.PEERS:
                names.add(_clients(number))
            if whom is not Cut.CLIENTS:
                for peer in self._nodes:
                    names |= {_between(number, peer), _between(peer, number)}
        self._wires.cut(names)


def _all_wires(nodes: Mapping[int, Node]) -> Iterator[Wire]:
    for number, node in nodes.items():
        yield Wire(_clients(number), ("127.0.0.1", node.advertised), node.direct)
        for peer in nodes:
            if peer != number:
                name, host = _between(peer, number), loopback(peer, number)
                for port in (node.peers, node.controller):
                    yield Wire(name, (host, port), ("127.0.0.1", port))


def _clients(number: int) -> str:
    return f"clients-{number}"


def _between(source: int, target: int) -> str:
    return f"{source}-{target}"
