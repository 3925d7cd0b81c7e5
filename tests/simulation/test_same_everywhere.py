"""A seed is the same in every process, whatever its hashes are: schedules, records, what is told."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # pytest's importlib mode does not

from unordered import unordered

import plexstream

SEEDS = (1116, *range(20, 30))
TRACED = """
import hashlib, re, sys
from plexstream.testing.simulation import Simulation

for seed in map(int, sys.argv[1:]):
    lines = []
    simulation = Simulation(seed, tell=lines.append)
    simulation.run()
    print(seed, hashlib.md5("\\n".join(lines).encode()).hexdigest())
    for place, records in sorted(simulation.world.network.history.items()):
        data = repr([(r.offset, r.key, r.value, r.time) for r in records])
        data = re.sub("@[0-9a-f]{32}", "@", data)  # what tells processes from each other
        print(seed, place, hashlib.md5(data.encode()).hexdigest())
"""


def test_nothing_is_done_in_the_order_of_a_set():
    """Texts have other hashes in every process; what is sorted, or in a dict, has an order of its own."""
    assert unordered(Path(plexstream.__file__).parent) == []


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_seed_gives_the_same_records_in_another_process():
    outputs = []
    for hash_seed in ("0", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        arguments = [sys.executable, "-c", TRACED, *map(str, SEEDS)]
        done = subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True)
        outputs.append(done.stdout.splitlines())
    assert outputs[0] == outputs[1]
    assert len(outputs[0]) > 3 * len(SEEDS)
