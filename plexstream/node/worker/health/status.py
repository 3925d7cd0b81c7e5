"""A partition of a worker, for people and metrics."""

from __future__ import annotations

from typing import NamedTuple

from plexstream.node.partition.service.driver import Driver


class PartitionStatus(NamedTuple):
    """One partition, for people and metrics."""

    partition: int
    phase: str
    position: int  # next mailbox offset
    journal: int  # next journal offset that is acknowledged
    claim: int
    turns: int
    active: int  # actors in memory
    waiting: int  # messages held for busy actors
    owed: int  # turns whose mails or outputs are on their way
    timers: int
    stuck: int = 0  # handlers whose code does not fit what is recorded of them


def status_of(driver: Driver) -> PartitionStatus:
    """How it is with a driver's partition."""
    p = driver.processor
    if p is None:
        return PartitionStatus(
            driver.partition, driver.phase, 0, 0, driver.takeover.claim, driver.turns, 0, 0, 0, 0
        )
    return PartitionStatus(
        driver.partition, driver.phase, p.position, p.fold.next, p.claim, driver.turns, len(p.actors.active),
        len(p.inbox.waiting), driver.owed, len(p.timers), p.invocations.stuck,
    )  # fmt: skip
