"""A journal that was trimmed to its end before somebody read what he has to read: no record will tell him."""

from collections import Counter
from random import Random

import pytest

from plexstream.log.base import TopicSpec
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.topics.topics import COPARTITIONED, Topics
from plexstream.node.partition.service.driver import State
from plexstream.node.partition.takeover.ground import Phase
from plexstream.processor import Settings
from plexstream.schema.codec import encode_envelope
from plexstream.testing.simulation.cast.actors import make_host
from plexstream.testing.simulation.network.network import Network
from plexstream.testing.simulation.process.process import PHASES, SimProcess

TOPICS = Topics("s.")
JOURNAL = (TOPICS.journal, 0)


class Cluster:
    def __init__(self):
        self.now = 1_700_000_000_000
        random = Random(1)
        self.network = Network(random, lambda: self.now, lambda text: None)
        self.network.create([TopicSpec(getattr(TOPICS, kind), 1) for kind in COPARTITIONED])
        self.network.odds_split = 0.0
        host = make_host()
        self.one, self.other = (
            SimProcess(
                name, self.network, TOPICS, 1, host, Settings(), lambda: self.now, random, Counter(),
                lambda text: None,
            )
            for name in ("one", "other")
        )  # fmt: skip

    def run(self, process, until, phases=PHASES):
        for _ in range(500):
            if until():
                return
            self.now += 15
            self.deliver(process)
            for phase in phases:
                process.step(phase)
        pytest.fail("it does not come to that")

    def deliver(self, process):
        for flow in [f for f in self.network.ready() if f.sender is process.sender]:
            self.network.deliver(flow, 100)

    def trim_all(self):
        end = self.network.log.range(JOURNAL)[1]
        self.network.log.trim(JOURNAL, end, end)


@pytest.fixture
def cluster():
    return Cluster()


def test_a_gap(cluster):
    one, other = cluster.one, cluster.other
    one.wanted = other.wanted = frozenset({0})
    cluster.run(one, lambda: one.serves())
    driver = one.drivers[0]
    tell = Envelope(TELL, "1", "default/default/cell/1", "add", b'{"op": "1", "amount": 1}')
    cluster.network.append((TOPICS.mailbox, 0), [(b"x", encode_envelope(tell))])
    one.step("receive")
    one.step("pump")
    assert driver.processor.in_flight
    other.step("follow")
    cluster.deliver(other)
    cluster.deliver(one)
    cluster.trim_all()
    cluster.run(one, lambda: driver.state is State.LOST)
    assert "newer owner" in driver.why


def test_a_takeover(cluster):
    one = cluster.one
    one.wanted = frozenset({0})
    restoring = lambda: 0 in one.drivers and one.drivers[0].takeover.phase is Phase.RESTORING  # noqa: E731
    cluster.run(one, restoring)
    driver = one.drivers[0]
    cluster.trim_all()
    cluster.run(one, lambda: driver.state is State.LOST)
    assert "newer owner" in driver.why
