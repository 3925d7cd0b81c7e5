"""Rules of system actors, broken: the simulation finds each, some of them by what callers saw alone."""

import sys
from pathlib import Path

import pytest

from plexstream.testing.simulation import Simulation, Violation
from plexstream.testing.simulation.checks.model.coordinated import judge
from plexstream.testing.simulation.checks.model.coordinated.handled import Line, Waiter

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not

import nouns_broken

SEEDS = 100
"""Most are found by one of the first three."""


def found(mutation, steps=400):
    """What the first seed says that finds it. They are about the kind that is broken, and little else."""
    focus = {"coordinated": (nouns_broken.KINDS[mutation],), "waiters": 0, "cells": 1, "briefs": 0}
    for seed in range(SEEDS):
        try:
            Simulation(seed, steps, change=focus).run()
        except Violation as error:
            return str(error)
    return ""


@pytest.mark.parametrize("mutation", nouns_broken.KINDS, ids=lambda m: m.__name__)
def test_a_broken_rule_of_a_system_actor_is_found(mutation, monkeypatch):
    mutation(monkeypatch)
    assert found(mutation), f"it was not found in {SEEDS} seeds"


class Blind:
    """Judges nothing, and knows who waits."""

    def __init__(self):
        self.line = Line()
        self.there = {}

    def take(self, h):
        answered = {answer.call for answer in h.answers}
        self.line.waiters = [w for w in self.line.waiters if w.call not in answered]
        if h.call and h.call not in answered:
            self.line.waiters.append(Waiter(h.call, 0, None))

    def refused(self, h):
        pass

    def saw(self, h, view):
        return True


VISIBLE = [
    nouns_broken.a_take_does_not_remove,
    nouns_broken.a_lock_is_given_twice,
    nouns_broken.a_queue_gives_the_last_first,
    nouns_broken.versions_do_not_rise,
]
"""Those that show in what callers were answered."""


@pytest.mark.parametrize("mutation", VISIBLE, ids=lambda m: m.__name__)
def test_what_callers_saw_is_enough_for_some(mutation, monkeypatch):
    mutation(monkeypatch)
    monkeypatch.setattr(judge, "_NOUNS", dict.fromkeys(judge._NOUNS, Blind))
    monkeypatch.setattr("plexstream.testing.simulation.checks.checks.check_applied", lambda *_: None)
    assert "no history of one object" in found(mutation, 150)
