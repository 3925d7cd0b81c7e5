"""Thousands of random programs, each under its own faults; and that a seed replays."""

import os
import subprocess
import sys

import pytest

from plexstream.testing.programs import draw, failure
from plexstream.testing.programs.runs.many import command, run_many

SEEDS = int(os.environ.get("PLEXSTREAM_PROGRAMS", "2000"))
PROCESSES = 2


@pytest.mark.slow
@pytest.mark.timeout(1500 if SEEDS <= 2000 else 0)
def test_every_program_comes_to_what_it_must():
    failed = []
    for outcome in run_many(range(SEEDS), PROCESSES):
        failed += [f"{command(seed)}\n    {why}" for seed, why in outcome.failed]
    assert not failed, f"{len(failed)} of {SEEDS} programs fail; replay:\n" + "\n".join(failed[:10])


def test_a_seed_is_the_same_program_every_time():
    lines = [[], []]
    for told in lines:
        assert failure(draw(3), told.append) == ""
    assert lines[0] == lines[1]
    assert draw(3) != draw(4)


def test_a_seed_is_the_same_program_in_another_process():
    outputs = set()
    for hash_seed in ("0", "1"):
        arguments = [sys.executable, "-m", "plexstream.testing.programs", "--seed", "3", "-v"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1
