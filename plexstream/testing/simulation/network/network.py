"""A log behind a network: what is sent may arrive late, after its sender's end, or never; answers get lost.

Records wait in flows, one for each sender and partition, first in first out. The scheduler decides when the
head of a flow is appended. A flow outlives its sender: what was sent may be appended long afterwards.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from plexstream.log.base import (
    Ack,
    Appender,
    Item,
    Place,
    Record,
    TopicSpec,
    appended,
    failed,
)
from plexstream.log.kafka.appending.pace import PacedAppender
from plexstream.log.limits.limits import check_group
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import Fenced, LogError, LogUnavailable

_LIMIT = 1_048_588


class Group:
    """Records handed over together."""

    __slots__ = ("appended", "items", "token")

    def __init__(self, items: Sequence[Item], token: object) -> None:
        self.items = list(items)
        self.token = token
        self.appended = 0


class Flow:
    """What one sender has sent to one partition and is not appended yet.

    Attributes:
        known: the broker has a state of the sender. Before, a batch may be refused and the next one taken.
        again: what was appended, is acknowledged, and will be appended once more.
    """

    __slots__ = ("again", "groups", "known", "place", "ready_at", "sender")

    def __init__(self, place: Place, sender: SimProducer) -> None:
        self.place = place
        self.sender = sender
        self.groups: deque[Group] = deque()
        self.again: deque[Sequence[Item]] = deque()
        self.ready_at = 0
        self.known = False


class Network:
    """Everything between the log and those who use it.

    Attributes:
        log: what the brokers have.
        history: every record that was ever appended to a mailbox or a journal, trimmed or not.
        stalled: no broker answers.
        away: numbers of partitions whose brokers do not answer.
        stuck: partitions that take nothing.
        odds: how likely an acknowledgement has an unknown offset, a commit an unknown outcome, a question no
            answer; how likely everybody sees a commit for a while before the answer to it arrives.
    """

    def __init__(self, random: Random, now: Callable[[], int], note: Callable[[str], None]) -> None:
        self.random = random
        self.now = now
        self.note = note
        self.log = MemoryLog(now, "simulation")
        self.history: dict[Place, list[Record]] = {}
        self.flows: list[Flow] = []
        self.stalled = False
        self.stuck: set[Place] = set()
        self.odds_unknown_offset = 0.0
        self.odds_no_offset = 0.0  # that a question for an offset is answered with -1001
        self.odds_refused = 0.5  # that a first batch is refused, if more are on their way
        self.away: set[int] = set()
        self.odds_commit = 0.0
        self.odds_answer = 0.0  # that a question to the log gets none
        self.odds_split = 0.2
        self._late: list[tuple[int, str, int, Mapping[Place, int] | None, str]] = []
        self.odds_late_answer = 0.0
        self.odds_astray = 0.0  # that a question for a range is answered by who led before
        self.astray = Random(0)
        self.odds_misled = 0.0  # that a question for a position is answered by who coordinated before
        self.misled = Random(0)
        self.positions: dict[tuple[str, Place, str], int | None] = {}  # as they were when they were asked for
        self.odds_again = 0.0  # that a journal gets something twice, or refuses it and takes the next
        self.again = Random(0)
        self.again_at = ""  # the topic where that happens
        self.apart = random  # what it decides leaves the rest of a schedule as it was

    def create(self, topics: Iterable[TopicSpec]) -> None:
        """Create topics, at once."""
        self.log.create(topics)

    def append(self, place: Place, items: Sequence[Item]) -> int:
        """Append at once, as the broker does."""
        last = self.log.append_now(place, items)
        first = last - len(items) + 1
        self.history.setdefault(place, []).extend(
            Record(*place, first + i, key, value, self.now()) for i, (key, value) in enumerate(items)
        )
        return last

    def flow(self, place: Place, sender: SimProducer) -> Flow:
        """The flow of a sender that is alive."""
        for flow in self.flows:
            if flow.sender is sender and flow.place == place:
                return flow
        self.flows.append(flow := Flow(place, sender))
        return flow

    def ready(self) -> list[Flow]:
        """Flows from which something can be appended now."""
        now = self.now()
        return [
            f
            for f in self.flows
            if f.groups and f.ready_at <= now and f.place[1] not in self.away and f.place not in self.stuck
        ]

    def deliver(self, flow: Flow, limit: int) -> None:
        """The broker appends up to `limit` groups, and sends the acknowledgements on their way."""
        self._refuse_the_first(flow)
        if self._happens(flow) and len(flow.groups) > 1 and not flow.groups[0].appended:
            # The broker has forgotten the sender while several groups were on their way.
            self.note(f"{flow.place} refuses a batch of {flow.sender.name}, and takes the next")
            flow.sender.arrived(flow.place, flow.groups.popleft(), None)
        if self._happens(flow):
            self._append_twice(flow, limit)
        for _ in range(min(limit, len(flow.groups))):
            while flow.again and self.again.random() < 0.5:
                self.append(flow.place, flow.again.popleft())
            group = flow.groups[0]
            rest = group.items[group.appended :]
            if len(rest) > 1 and self.random.random() < self.odds_split:
                some = rest[: self.random.randrange(1, len(rest))]
                self.append(flow.place, some)
                group.appended += len(some)
                return
            offset = self.append(flow.place, rest)
            flow.groups.popleft()
            if self._happens(flow):
                flow.again.append(rest[: self.again.randrange(1, len(rest) + 1)])
            if self.random.random() < self.odds_unknown_offset:
                offset = -1
            flow.sender.arrived(flow.place, group, offset)
        if not flow.groups and flow.sender.ended:
            self.flows.remove(flow)

    def _happens(self, flow: Flow) -> bool:
        return flow.place[0] == self.again_at and self.again.random() < self.odds_again

    def _append_twice(self, flow: Flow, limit: int) -> None:
        """Groups are appended, the answers are lost, and the sender sends them again under a new epoch."""
        groups = [flow.groups.popleft() for _ in range(min(limit, len(flow.groups)))]
        rests = [group.items[group.appended :] for group in groups]
        self.note(f"{flow.place} gets {len(groups)} groups of {flow.sender.name} twice")
        for rest in rests:
            self.append(flow.place, rest)
        for group, rest in zip(groups, rests, strict=True):
            flow.sender.arrived(flow.place, group, self.append(flow.place, rest))

    def _refuse_the_first(self, flow: Flow) -> None:
        """Refuse the first batch of a sender of whom the broker has no state; what follows it is taken.

        The sender hears that it was delivered, without an offset; or with one, if only a part was refused.
        """
        group = flow.groups[0] if flow.groups else None
        several = len(flow.groups) > 1 or (group is not None and len(group.items) - group.appended > 1)
        if not flow.known and group is not None and several and self.apart.random() < self.odds_refused:
            self.note(f"{flow.place} refuses the first batch of {flow.sender.name}")
            if len(flow.groups) == 1 or (len(group.items) > 1 and self.apart.random() < 0.5):
                group.items = group.items[self.apart.randrange(1, len(group.items)) :]
            else:
                flow.groups.popleft()
                flow.sender.arrived(flow.place, group, None)
        flow.known = flow.known or group is not None

    def orphan(self, sender: SimProducer, longest: int) -> None:
        """A sender has ended: of what it sent some is appended, up to `longest` ms later, the rest never."""
        for flow in [f for f in self.flows if f.sender is sender]:
            keep = self.random.randrange(len(flow.groups) + 1) if self.random.random() < 0.7 else 0
            while len(flow.groups) > keep:
                flow.groups.pop()
            if flow.groups and len(flow.groups[-1].items) > 1 and self.random.random() < 0.3:
                last = flow.groups[-1]
                last.items = last.items[: self.random.randrange(max(1, last.appended), len(last.items) + 1)]
                if last.appended >= len(last.items):
                    flow.groups.pop()
            flow.ready_at = self.now() + self.random.randrange(longest + 1)
            if not flow.groups:
                self.flows.remove(flow)

    def end_later(self, id: str, epoch: int, positions: Mapping[Place, int] | None, life: str) -> None:
        """A transaction ends later, unless it is fenced before: aborted where `positions` is None."""
        self._late.append((self.now() + self.random.randrange(200), id, epoch, positions, life))

    def end_late(self) -> None:
        """Let what `end_later` was told take effect where it is due."""
        now = self.now()
        for entry in [e for e in self._late if e[0] <= now]:
            self._late.remove(entry)
            _, id, epoch, positions, life = entry
            try:
                self.log.end_now(id, epoch, positions, life)
                self.note(f"transaction {id} ends late")
            except Fenced:
                pass

    def range_of_before(self, first: int, end: int) -> tuple[int, int]:
        """What a broker says of a partition that it leads no more: what may once have been its range."""
        before = end - self.astray.randrange(end + 1)
        return min(before, first - self.astray.randrange(first + 1)), before

    def compact(self, place: Place) -> None:
        """Drop every record that a newer one with its key replaces, as the broker's cleaner does."""
        partition = self.log._partition(place)
        newest: set[bytes] = set()
        for index in range(len(partition.slots) - 1, -1, -1):
            record = partition.slots[index]
            if record is None:
                continue
            owner = partition.owners.get(record.offset)
            if owner is not None and (owner.aborted or owner in self.log._open.values()):
                continue
            if record.key in newest:
                partition.slots[index] = None
            newest.add(record.key)

    def check_up(self, place: Place | None = None) -> None:
        """Raises LogUnavailable while no broker answers, or none of a place."""
        if self.stalled or (place is not None and place[1] in self.away):
            raise LogUnavailable("the brokers are away")

    def seconds(self) -> float:
        """A clock that only goes forward."""
        return self.now() / 1000


class SimProducer:
    """A producer of the client library: what `PacedAppender` stands in front of, here as on Kafka.

    It takes any number of groups for a partition, and of the first ones some may be nowhere (`Flow.known`).
    After an error it takes nothing more.
    """

    holding = False

    def __init__(self, network: Network, name: str) -> None:
        self._network = network
        self.name = name
        self._pending: dict[Group, Place] = {}
        self._acks: dict[Place, deque[Ack]] = {}
        self._broken: LogError | None = None
        self._failing: set[Place] = set()  # places whose errors come with the next poll
        self.ended = False

    def paced(self) -> Appender:
        """The appender that the code under test uses, in front of this."""
        return PacedAppender(self, lambda place: _LIMIT, self._network.seconds, 1e9)

    @property
    def broken(self) -> bool:
        """Whether it has failed as a whole."""
        return self._broken is not None

    @property
    def pending(self) -> int:
        """Groups that are not appended yet, as far as is known here."""
        return len(self._pending)

    def announce(self, came: Callable[[], None]) -> bool:
        return False

    def append(self, place: Place, items: Sequence[Item], token: object, *, urgent: bool = True) -> None:
        if self._broken is not None or self.ended:
            raise LogError("this appender has failed, open a new one")
        check_group(place[0], items, _LIMIT)
        group = Group(items, token)
        if place in self._failing:  # never sent: not without what was before it
            self._acks[place].append(failed(place, token, LogUnavailable("it was not sent")))
            return
        self._pending[group] = place
        self._network.flow(place, self).groups.append(group)

    def arrived(self, place: Place, group: Group, offset: int | None) -> None:
        """The broker has appended a group; nobody hears of it if the sender has ended."""
        if self._pending.pop(group, None) is not None and not self.ended:
            self._acks.setdefault(place, deque()).append(appended(place, group.token, offset))

    def poll(self, timeout: float) -> list[Ack]:
        """Some of the acknowledgements: others are still on their way."""
        random = self._network.random
        if self._network.stalled and self._broken is None:
            return []
        acks: list[Ack] = []
        for place, queue in self._acks.items():
            at_once = self._broken is not None or place in self._failing
            count = len(queue) if at_once else random.randrange(len(queue) + 1)
            acks += [queue.popleft() for _ in range(count)]
        self._failing.clear()
        if self._broken is not None:
            pending, self._pending = self._pending, {}
            acks += [failed(place, group.token, self._broken) for group, place in pending.items()]
        return acks

    def fail(self, longest: int) -> None:
        """An acknowledgement is lost for good: what became of all that is pending is unknown."""
        self._broken = LogUnavailable("an acknowledgement is lost")
        for queue in self._acks.values():
            if queue and self._network.random.random() < 0.5:  # appended, and the sender will never know
                for ack in queue:
                    self._pending[Group((), ack.token)] = (ack.topic, ack.partition)
                queue.clear()
        self._network.orphan(self, longest)

    def fail_place(self, place: Place) -> None:
        """What became of all that is pending at one place is unknown; others, and what comes next, go on."""
        pending = [group for group, at in self._pending.items() if at == place]
        for group in pending:
            del self._pending[group]
            self._failing.add(place)
            self._acks.setdefault(place, deque()).append(
                failed(place, group.token, LogUnavailable("nobody knows what became of it"))
            )
        for flow in self._network.flows:
            if flow.sender is self and flow.place == place and flow.groups:
                # Of what is on its way, the first ones may still be appended, before whatever comes next.
                for _ in range(self._network.random.randrange(len(flow.groups) + 1)):
                    if not flow.groups[-1].appended:
                        flow.groups.pop()

    @property
    def places(self) -> list[Place]:
        """Where something is pending."""
        return sorted(set(self._pending.values()))

    def die(self, longest: int) -> None:
        """The process is gone."""
        if not self.ended:
            self.ended = True
            if self._broken is None:
                self._network.orphan(self, longest)
            self._pending.clear()
            self._acks.clear()

    def close(self) -> None:
        self.die(1000)
