"""The installation that one seed makes: brokers, processes, callers, a source, and the time there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from plexstream.log.base import TopicSpec
from plexstream.model.topics.topics import COPARTITIONED, Topics
from plexstream.testing.simulation.cast.actors import OUTPUT, Cell, SimHost, make_host
from plexstream.testing.simulation.cast.clients import SimClient
from plexstream.testing.simulation.cast.coordinated import Caller
from plexstream.testing.simulation.checks.checks import Checks
from plexstream.testing.simulation.network.network import Network
from plexstream.testing.simulation.plan.plan import Drawn
from plexstream.testing.simulation.process.feeding import Feeding
from plexstream.testing.simulation.process.process import SimProcess

START = 1_700_000_000_000
"""When each schedule begins, in ms since the epoch."""
_host: list[SimHost] = []


class World:
    """What there is. It does nothing by itself.

    Parameters:
        tell: gets each line of the trace; None: no trace.

    Attributes:
        random: decides about everything that has no source of its own.
        step: of the schedule.
        now: the time, in ms since the epoch.
        hits: what happened how often.
        feeding: a source that is fed into mailboxes; None: there is none.
    """

    def __init__(self, seed: int, drawn: Drawn, tell: Callable[[str], None] | None) -> None:
        self.plan = p = drawn.plan
        self.random = drawn.random
        self.hits: Counter[str] = Counter()
        self.step = 0
        self.now = START
        self._tell = tell
        self.topics = Topics("s.")
        self.network = self._network(seed, drawn)
        self.feeding: Feeding | None = None
        if p.fed:
            cell = Cell.__plexstream__  # type: ignore[attr-defined]
            self.feeding = Feeding(seed, self.network, self.topics, p.cells, self.clock, p.late, cell)
        self.processes = [self.process(f"w{i}") for i in range(p.processes)]
        addresses = [f"cell/{i}" for i in range(p.cells)] + [f"brief/{i}" for i in range(p.briefs)]
        self.clients = [
            SimClient(
                name, self.network, self.topics, p, self.random, self.clock, addresses,
                Caller(name, Random(f"calls {seed} {name}"), p.coordinated),
            )
            for name in (f"edge{i}" for i in range(p.clients))
        ]  # fmt: skip

    def _network(self, seed: int, drawn: Drawn) -> Network:
        p = drawn.plan
        network = Network(self.random, self.clock, self.note)
        network.odds_unknown_offset = p.unknown_offset
        network.odds_commit = p.commit
        network.odds_no_offset = p.no_offset
        network.odds_answer = p.answer
        network.odds_astray, network.astray = p.astray, drawn.astray
        network.odds_misled, network.misled = p.misled, drawn.misled
        network.odds_again, network.again = p.again, drawn.again
        network.again_at = self.topics.journal
        network.apart = Random(f"answers {seed}")
        network.odds_late_answer = network.apart.choice((0.0, 0.1, 0.5))
        names = [getattr(self.topics, kind) for kind in COPARTITIONED]
        network.create([TopicSpec(name, p.partitions) for name in names])
        network.create([TopicSpec(self.topics.out(OUTPUT), 2), TopicSpec(self.topics.control, 1)])
        return network

    def process(self, name: str) -> SimProcess:
        """A new process."""
        if not _host:
            _host.append(make_host())
        self.host = _host[0]
        p = self.plan
        return SimProcess(
            name, self.network, self.topics, p.partitions, self.host, p.settings, self.clock, self.random,
            self.hits, self.note,
        )  # fmt: skip

    def clock(self) -> int:
        """The simulation's time, in ms since the epoch."""
        return self.now

    def note(self, text: str) -> None:
        """A line of the trace."""
        if self._tell is not None:
            self._tell(f"{self.step:5} {self.now - START:7} ms  {text}")

    def checks(self) -> Checks:
        """Of all that the log has by now."""
        return Checks(self.network, self.topics, self.plan.partitions, self.clients)
