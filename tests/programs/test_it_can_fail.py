"""A generator that finds nothing proves nothing: each broken rule is found by some seed."""

import sys
from pathlib import Path

import pytest

from plexstream.testing.programs import draw, failure

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not
sys.path.append(str(Path(__file__).parents[1] / "simulation"))

import broken

from plexstream.processor import partition

SEEDS = 1000
KNOWN = {
    broken.cancel_does_not_reach_down: 203,
    broken.killed_workflows_run_again: 51,
    broken.promises_outlive_their_run: 209,
    broken.revive_forgets_answers_with_timeouts: 84,
    broken.starts_that_are_killed_are_not_told: 4,
    broken.states_that_were_left_time_out: 46,
    broken.stops_that_are_cut_short_end_nobody: 4,
    broken.temporary_children_start_again_with_the_others: 53,
    broken.withdrawals_behind_what_is_tried_again_are_lost: 94,
}
"""The first seeds to find what took longest: tried first. A change of the programs may make them out of
date, which costs the time of the seeds before and nothing else."""


@pytest.fixture(autouse=True)
def in_python(monkeypatch):
    """The rules that are broken are the Python code's."""
    monkeypatch.setattr(partition, "mailbox", lambda *_: None)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("mutation", broken.ALL, ids=lambda m: m.__name__)
def test_a_broken_rule_is_found(mutation, monkeypatch):
    mutation(monkeypatch)
    for seed in (KNOWN.get(mutation, 0), *range(SEEDS)):
        if failure(draw(seed)):
            return
    pytest.fail(f"{mutation.__name__} was not found in {SEEDS} seeds")
