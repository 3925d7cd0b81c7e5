"""Thousands of whole clusters, each with its own faults; and that a seed replays."""

import os
import subprocess
import sys
from collections import Counter

import pytest

from plexstream.hosts.native.plain.compiled import INVOKER
from plexstream.testing.simulation import Simulation
from plexstream.testing.simulation.run.many import command, run_many

SEEDS = 2000
PROCESSES = 2
WANTED = (
    "fenced", "gap", "careful", "killed by a handler", "lane fenced", "lane failed", "unknown offset",
    "released", "active from the store", "active from a snapshot that has something", "catching up",
    "reading paused", "appended for a dead sender", "crash, losing something", "crash, losing everything",
    "brokers away", "compacted", "records of zombies", "poison put aside", "journal trimmed",
    "snapshots taken", "a child restarted", "a supervisor gave up",
    "effect done", "parked behind a handler", "a handler cancelled", "took over handlers that wait",
    "a circle found", "a store of another history", "no answer from the log", "an answer too late",
    "a partition is stuck", "a place fails", "parked for a retry", "records of a source",
    "appended again", "behind a missing record",
    "a call waits for its answer", "a later turn answers", "a system actor refuses", "histories checked",
    "a call that waits is withdrawn",
)  # fmt: skip
"""What must have happened in some of the seeds, or they test less than they say."""


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_every_promise_holds_in_every_seed():
    failed, total = [], Counter()
    for outcome in run_many(range(SEEDS), PROCESSES):
        failed += [f"{command(seed)}\n    {why}" for seed, why in outcome.failed]
        total.update(outcome.hits)
    assert not failed, f"{len(failed)} of {SEEDS} seeds fail; replay:\n" + "\n".join(failed[:10])
    wanted = WANTED if INVOKER is None else (*WANTED, "compiled turns")
    assert not [name for name in wanted if not total[name]]


def trace(seed):
    lines = []
    Simulation(seed, tell=lines.append).run()
    return lines


def test_a_seed_is_the_same_schedule_every_time():
    assert trace(3) == trace(3)
    assert trace(3) != trace(4)


def test_a_seed_is_the_same_schedule_in_another_process():
    outputs = set()
    for hash_seed in ("0", "1"):
        arguments = [sys.executable, "-m", "plexstream.testing.simulation", "--seed", "3", "-v"]
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
        outputs.add("\n".join(line for line in done.stdout.splitlines() if " ms " in line))
    assert len(outputs) == 1
