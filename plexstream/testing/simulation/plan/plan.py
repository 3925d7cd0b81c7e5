"""What one seed decides beforehand: how large, with which limits, and which faults. No two seeds are alike.

Each kind of fault is left out by many seeds (swarm testing): what hides one bug often shows another.
"""

from __future__ import annotations

from random import Random
from typing import Any, NamedTuple

from plexstream.processor import Settings

DAY = 86_400_000
NOUNS = ("plex.kv", "plex.lock", "plex.queue", "plex.space")
"""Kinds of system actors that are simulated."""


class Plan(NamedTuple):
    """The shape of one schedule. Rates are per step of the scheduler."""

    steps: int
    processes: int
    partitions: int
    clients: int
    cells: int
    briefs: int
    settings: Settings
    load_batch: int
    lane_turns: int
    keep_cores: int
    crash: float
    pause: float
    reassign: float
    stall: float
    fail: float  # of an appender
    jump: float  # of a clock
    wipe: float
    full: float  # of a disk
    stuck: float  # a partition that takes nothing for a while
    window: int  # bytes that a process has on their way to one partition
    kept: int  # bytes that wait in memory for one partition
    compact: float
    unknown_offset: float
    commit: float  # with an unknown outcome
    answer: float  # a question to the log that gets none
    slow: float  # how often a delivery is put off
    duplicates: float
    bad: float  # malformed and senseless messages
    kill: float
    late: int  # ms after which something may still be appended for a dead sender
    workers: int = 0  # supervised ones besides the pool's; 0: no tree
    waiters: int = 0  # actors whose handlers wait; 0: none
    kept_tasks: int = 20_000  # of handlers that wait, in the memory of one partition
    park_after: int = 5_000  # ms
    announced_after: int = 1_000  # ms
    probe_after: int = 1_000  # ms
    plain: int = 0  # messages that a caller sends at once to actors that stay in memory; 0: none does
    no_offset: float = 0.0  # of a question that is answered with -1001
    astray: float = 0.0  # of a question for a range that is answered by who led before
    misled: float = 0.0  # of a question for a position that is answered by who coordinated before
    away: float = 0.0  # of a partition that loses its leader, or has one again
    burst: float = 0.0  # of several crashes of one process, one after the other
    stop: float = 0.0  # of an orderly restart
    again: float = 0.0  # of groups of a journal that are appended again; or refused, with the next one taken
    fed: float = 0.0  # how often a record comes to a source that is fed into mailboxes; 0: there is none
    coordinated: tuple[str, ...] = ()  # kinds of system actors that callers call; empty: they call none
    mix: float = 0.0  # how often a store of another history is put into a process that does not run


def plan(random: Random, steps: int) -> Plan:
    """Draw a plan."""

    def some(rate: float, share: float = 0.6) -> float:
        return rate * random.choice((0.3, 1.0, 2.0)) if random.random() < share else 0.0

    settings = Settings(
        mark_turns=random.choice((1, 3, 8, 30)),
        mark_interval=random.choice((30, 100, 400)),
        flush_pieces=random.choice((1, 4, 12, 100)),
        flush_bytes=random.choice((100, 1000, 100_000)),
        flush_interval=random.choice((10, 50, 200)),
        max_in_flight=random.choice((1, 4, 32)),
        max_waiting=random.choice((1, 3, 20)),
        max_waiting_bytes=random.choice((1, 200, 10_000)),
        reply_ttl=DAY,
        poison_claims=random.choice((2, 3)),
        careful_turns=random.choice((5, 12)),  # not fewer: messages that wait for a retry use them up
        snapshot_interval=random.choice((30, 150, 600, 10_000)),
        snapshot_lag=random.choice((2, 6, 20, 1000)),
        snapshot_batch=random.choice((1, 3, 50)),
        keep_history=random.random() < 0.1,
    )
    return Plan(
        steps=steps,
        processes=random.randint(2, 4),
        partitions=random.choice((1, 1, 2, 3, 4)),
        clients=random.randint(1, 3),
        cells=random.randint(2, 6),
        briefs=random.randint(0, 2),
        settings=settings,
        load_batch=random.choice((0, 2, 5000)),
        lane_turns=random.choice((1, 3, 100)),
        keep_cores=random.choice((0, 2, 100)),
        crash=some(0.012),
        pause=some(0.012),
        reassign=some(0.02, 0.8),
        stall=some(0.004, 0.4),
        fail=some(0.008),
        jump=some(0.01, 0.3),
        wipe=some(0.01, 0.4),
        full=some(0.02, 0.4),
        stuck=some(0.05, 0.6),
        window=random.choice((1, 1, 300)),
        kept=random.choice((1, 1, 500)),
        compact=some(0.02),
        unknown_offset=some(0.01, 0.3),
        commit=some(0.15),
        answer=some(0.3),
        slow=random.choice((0.0, 0.3, 0.6)),
        duplicates=some(0.15),
        bad=some(0.06),
        kill=0.02 if random.random() < 0.12 else 0.0,
        late=random.choice((0, 100, 1000, 4000)),
    )


class Drawn(NamedTuple):
    """A seed's plan, and what decides the rest.

    What came later has a source of its own, so that seeds without it are what they were before.
    """

    plan: Plan
    random: Random
    lives: Random
    astray: Random
    misled: Random
    again: Random


def draw(seed: int, steps: int, change: dict[str, Any]) -> Drawn:
    """All that a seed decides beforehand; `change`: parts of the plan that are not left to it."""
    random = Random(f"plexstream {seed}")
    waits = Random(f"waiting {seed}")
    drawn: dict[str, Any] = {
        "workers": Random(f"tree {seed}").choice((0, 0, 0, 1, 3)),
        "waiters": waits.choice((0, 0, 0, 0, 2, 4)),
        "kept_tasks": waits.choice((1, 3, 20_000)), "park_after": waits.choice((10, 30, 5_000)),
        "announced_after": waits.choice((1, 30, 1_000)), "probe_after": waits.choice((20, 200)),
        "plain": waits.choice((0, 0, 0, 0, 0, 0, 0, 40)),
        "no_offset": waits.choice((0, 0, 0.1, 0.4)), "away": waits.choice((0, 0, 0.02)),
        "burst": waits.choice((0, 0, 0.004, 0.015)), "stop": waits.choice((0, 0, 0.01, 0.03)),
    }  # fmt: skip
    if drawn["waiters"] and waits.random() < 0.5:  # few partitions, many waits, many crashes
        drawn.update(partitions=1, processes=2, workers=0, burst=0.02)
    lives = Random(f"lives {seed}")
    drawn["mix"] = lives.choice((0.0,) * 7 + (0.5,))
    if drawn["mix"]:  # long enough for stores to be written, copied and mistaken
        drawn.update(steps=3 * steps, crash=0.03, wipe=0.0)
    astray = Random(f"astray {seed}")
    # In every fifth seed, and none of those that are known to find broken rules.
    drawn["astray"] = astray.choice((0.1, 0.3)) if seed % 10 in (2, 6) else 0.0
    misled = Random(f"misled {seed}")
    drawn["misled"] = misled.choice((0.1, 0.3)) if seed % 10 in (2, 9) else 0.0
    again = Random(f"again {seed}")
    drawn["again"] = again.choice((0.05, 0.3)) if seed % 10 in (3, 7) else 0.0
    if seed % 10 in (2, 6):  # as above
        nouns = Random(f"nouns {seed}")
        kinds = tuple(nouns.sample(NOUNS, nouns.choice((1, 1, 2))))
        drawn.update(coordinated=kinds, steps=2 * steps, workers=0, plain=0, probe_after=200)
    drawn["fed"] = Random(f"fed {seed}").choice((0.0, 0.0, 0.0, 0.1))
    found = plan(random, steps)._replace(**{**drawn, **change})
    if found.coordinated:  # they change much, and the summary of it must come to an end
        found = found._replace(settings=found.settings._replace(snapshot_batch=50))
    if found.plain:
        found = found._replace(settings=found.settings._replace(max_in_flight=500, max_waiting=100))
    return Drawn(found, random, lives, astray, misled, again)
