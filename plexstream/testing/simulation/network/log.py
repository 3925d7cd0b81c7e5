"""The log as a simulated process sees it: records come late, commits end nobody knows how."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from plexstream.log.base import Appender, Place, Record, TopicSpec, believed, known_offset
from plexstream.log.memory.local import LocalReader
from plexstream.model.errors import LogUnavailable, Shortened
from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.network.network import Network, SimProducer


class SimReader(LocalReader):
    """A reader to which some records come late, or not at all while the brokers are away."""

    def __init__(self, network: Network, committed: bool) -> None:
        super().__init__(network.log, committed)
        self._network = network

    def read(self, limit: int, timeout: float) -> list[Record]:
        try:
            return self._some(limit)
        except Shortened as error:
            raise Violation(f"what is read here never gets shorter: {error}") from None

    def _some(self, limit: int) -> list[Record]:
        network = self._network
        if network.stalled:
            return []
        limit = min(limit, network.random.choice((1, 2, 5, 20, 100)))
        if not network.away:
            return super().read(limit, 0)
        order, self._order = self._order, [place for place in self._order if place[1] not in network.away]
        try:
            return super().read(limit, 0)
        finally:
            self._order = order


class SimTransaction:
    """A `Transaction` whose commits may end with an unknown outcome.

    Parameters:
        proves: whether it takes the word only of a coordinator that knows the last commit: another one tells
            what was so when it was asked before.
    """

    def __init__(self, network: Network, id: str, life: str, proves: bool) -> None:
        self._network = network
        self._id = id
        self._life = life
        self._proves = proves
        self._failed = False
        self._epoch = network.log.begin_now(id)

    def commit(
        self, records: Iterable[tuple[str, int | None, bytes, bytes | None]], positions: Mapping[Place, int]
    ) -> None:
        network, log = self._network, self._network.log
        assert not self._failed, "a transaction is used after it has failed"
        self._failed = True
        network.check_up()
        for topic, partition, _, _ in (records := list(records)):
            network.check_up((topic, partition or 0))
        fate = network.random.random()
        odds = network.odds_commit
        if fate < odds / 4:
            raise LogUnavailable("nothing of it was sent")
        log.write_now(self._id, self._epoch, records)
        if fate < odds / 2:
            network.end_later(self._id, self._epoch, dict(positions), self._life)
            raise LogUnavailable("the commit is under way")
        if fate < odds * 3 / 4:
            network.end_later(self._id, self._epoch, None, "")
            raise LogUnavailable("it was written and will be aborted")
        log.end_now(self._id, self._epoch, positions, self._life)
        if fate < odds:
            raise LogUnavailable("it is committed, but the answer is lost")
        self._failed = False

    def position(self, place: Place) -> int | None:
        network = self._network
        network.check_up()
        asked = self._id, place, self._life
        found = network.log.position_now(*asked, self._epoch)
        before, network.positions[asked] = network.positions.get(asked), found
        if network.misled.random() < network.odds_misled:
            if self._proves:
                raise LogUnavailable("a coordinator answers that does not know what was just committed")
            network.note(f"{self._id} hears of an earlier position in {place}: {before}, not {found}")
            return before
        return found

    def close(self) -> None:
        """What is open is aborted by the next owner, or by the broker's time limit."""


class SimLog:
    """The log as one simulated process sees it."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def reader(self, *, committed: bool = False) -> SimReader:
        return SimReader(self.network, committed)

    def appender(self) -> Appender:
        return SimProducer(self.network, "somebody").paced()

    def transaction(self, id: str, life: str = "", witness: Place | None = None) -> SimTransaction:
        self.network.check_up()
        return SimTransaction(self.network, id, life, proves=witness is not None)

    def create(self, topics: Iterable[TopicSpec]) -> list[str]:
        return self.network.log.create(topics)

    def partitions(self, topic: str) -> int | None:
        return self.network.log.partitions(topic)

    def topics(self) -> dict[str, int]:
        return self.network.log.topics()

    def topic_id(self, topic: str) -> str:
        self.network.check_up()
        return self.network.log.topic_id(topic)

    def prepare(self, topics: Iterable[str]) -> None:
        self.network.check_up()

    def range(self, place: Place) -> tuple[int, int]:
        network = self.network
        network.check_up(place)
        first, end = network.log.range(place)
        contradicted: bool | None = False
        if network.astray.random() < network.odds_astray:
            first, end = network.range_of_before(first, end)
            network.note(f"{place} is answered for by a broker that led it before: {first} to {end}")
            contradicted = network.astray.choice((True, None))
        if network.apart.random() < network.odds_no_offset:
            network.note(f"asked for its offsets, {place} answers -1001")
            first, end = network.apart.choice(((first, -1001), (-1001, end), (-1001, -1001)))
        doing = f"asking for the offsets of {place[0]}[{place[1]}]"
        return believed(place, (known_offset(first, doing), known_offset(end, doing)), contradicted)

    def trim(self, place: Place, before: int, end: int) -> None:
        self.network.check_up(place)
        self.network.log.trim(place, before, end)

    def close(self) -> None:
        """Nothing to do."""
