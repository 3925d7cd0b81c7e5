"""What befalls brokers and nodes while callers go on, and how it is undone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import NamedTuple

from callers import KINDS
from room import Installation
from serving import PARTITIONS, until

from plexstream.testing.kafka.cluster import Cut

BEYOND_A_SESSION_S = 7.0  # a worker's session ends after 6 s, a broker's of these tests after 3


class Outage(NamedTuple):
    """`strike` returns once the fault has taken effect, and gives what undoes it.

    Attributes:
        goes_on: the kinds of operations that go on before it is undone.
    """

    name: str
    strike: Callable[[Installation], Callable[[], object]]
    goes_on: tuple[str, ...] = KINDS

    @property
    def id(self) -> str:
        """The name in the test's own."""
        return self.name.replace(" -", "-").replace(" ", "-").lower()


def _leader(on: Installation) -> int:
    return on.brokers.leader(on.topics.mailbox, 0)


def _another_leads(on: Installation, victim: int) -> None:
    until("another broker leads", lambda: _leader(on) not in (-1, victim))


def broker_is_killed(on: Installation) -> Callable[[], object]:
    victim = _leader(on)
    on.brokers.kill(victim)
    _another_leads(on, victim)
    return lambda: on.brokers.start(victim)


def broker_is_paused(on: Installation) -> Callable[[], object]:
    victim = _leader(on)
    on.brokers.pause(victim)
    _another_leads(on, victim)
    return lambda: on.brokers.resume(victim)


def leaders_are_moved(on: Installation) -> Callable[[], object]:
    for name in (on.topics.mailbox, on.topics.journal, on.topics.reply):
        for partition in range(PARTITIONS):
            on.brokers.move_leader(name, partition)
    return lambda: None


def brokers_are_rolled(on: Installation) -> Callable[[], object]:
    on.brokers.roll()
    return lambda: None


def two_brokers_are_dead(on: Installation) -> Callable[[], object]:
    victims = [broker for broker in on.brokers.brokers if broker != _leader(on)]
    for victim in victims:
        on.brokers.kill(victim)
    time.sleep(3)
    return lambda: on.brokers.start(*victims)


def broker_is_cut_off_from_clients(on: Installation) -> Callable[[], object]:
    on.brokers.cut(_leader(on), Cut.CLIENTS)
    time.sleep(BEYOND_A_SESSION_S)
    return on.brokers.mend


def broker_is_cut_off_from_its_peers(on: Installation) -> Callable[[], object]:
    victim = _leader(on)
    on.brokers.cut(victim, Cut.PEERS)
    _another_leads(on, victim)
    return on.brokers.mend


def broker_is_cut_off_from_all(on: Installation) -> Callable[[], object]:
    victim = _leader(on)
    on.brokers.cut(victim, Cut.ALL)
    _another_leads(on, victim)
    return on.brokers.mend


def one_mailbox_partition_is_below_its_min_isr(on: Installation) -> Callable[[], object]:
    place = (on.topics.mailbox, 0)
    before = list(on.brokers.partition(*place).replicas)
    kept, victim = before[:2]
    on.brokers.set_replicas(*place, [kept, victim])
    until("two replicas", lambda: sorted(on.brokers.partition(*place).in_sync) == sorted([kept, victim]))
    on.brokers.kill(victim)
    until("one replica in sync", lambda: on.brokers.partition(*place).in_sync == (kept,))

    def undo() -> None:
        on.brokers.start(victim)
        on.brokers.set_replicas(*place, before)

    return undo


def node_is_killed(on: Installation) -> Callable[[], object]:
    node, other = on.nodes
    node.kill_all()
    until("the other node serves all", lambda: other.active() == PARTITIONS, 60)
    return node.start


def node_is_paused(on: Installation) -> Callable[[], object]:
    node, other = on.nodes
    pids = node.alive()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)

    def undo() -> None:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)

    try:
        until("the other node serves all", lambda: other.active() == PARTITIONS, 60)
    except BaseException:
        undo()
        raise
    return undo


OUTAGES = [
    Outage("nothing", lambda on: lambda: None),
    Outage("broker kill -9", broker_is_killed),
    Outage("broker paused", broker_is_paused),
    Outage("leaders moved", leaders_are_moved),
    Outage("rolling restart", brokers_are_rolled),
    Outage("two brokers dead", two_brokers_are_dead, ()),
    Outage("broker cut off from clients", broker_is_cut_off_from_clients, ()),
    Outage("broker cut off from peers", broker_is_cut_off_from_its_peers),
    Outage("broker cut off from all", broker_is_cut_off_from_all),
    Outage("mailbox below min ISR", one_mailbox_partition_is_below_its_min_isr, ("bystander",)),
    Outage("node kill -9", node_is_killed),
    Outage("node paused", node_is_paused),
]
