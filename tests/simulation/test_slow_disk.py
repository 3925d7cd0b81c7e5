"""Clusters whose state stores are opened, emptied and closed late, behind what happens meanwhile."""

from collections import Counter

from plexstream.testing.simulation.process.disk import Disk
from plexstream.testing.simulation.run.schedule import Simulation

SEEDS = range(900, 930)


def test_every_promise_holds_though_stores_are_opened_and_closed_late(monkeypatch):
    monkeypatch.setattr(Disk, "odds_late", 0.7)
    hits: Counter[str] = Counter()
    for seed in SEEDS:
        hits += Simulation(seed).run()
    assert hits["a store too late"] > 0
    assert hits["active from snapshots"] > 0
    assert hits["active from the store"] > 0
