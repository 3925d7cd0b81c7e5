"""A generator that finds nothing proves nothing: each broken rule is found by some seed."""

import sys
from pathlib import Path

import pytest

from plexstream.testing.programs import draw, failure

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not

import mutations

SEEDS = 2000


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", mutations.ALL, ids=lambda m: m.__name__)
def test_a_broken_rule_is_found(mutation, monkeypatch):
    mutation(monkeypatch)
    for seed in range(SEEDS):
        if failure(draw(seed)):
            return
    pytest.fail(f"{mutation.__name__} was not found in {SEEDS} seeds")
