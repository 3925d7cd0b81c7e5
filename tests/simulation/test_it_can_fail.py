"""A simulation that finds nothing proves nothing: each rule, broken, is found by some seed."""

import sys
from pathlib import Path

import pytest

from plexstream.testing.simulation import Simulation, Violation

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not

import mutations

SEEDS = 1500
"""Most are found by one of the first ten; the rarest by one of the first four hundred."""


@pytest.mark.parametrize("mutation", mutations.ALL, ids=lambda m: m.__name__)
def test_a_broken_rule_is_found(mutation, monkeypatch):
    mutation(monkeypatch)
    for seed in range(SEEDS):
        try:
            Simulation(seed).run()
        except Violation:
            return
    pytest.fail(f"{mutation.__name__} was not found in {SEEDS} seeds")
