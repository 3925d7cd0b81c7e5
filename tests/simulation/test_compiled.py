"""The simulation sees what is compiled: it runs with it and without, and finds mistakes in it."""

import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "processor"))  # pytest's importlib mode does not

from compiled_parts import COMPILER, build_mutant, run

PROGRAM = Path(__file__).parent / "plain_seeds.py"
SEEDS = 60
STEP = 6
TURNS = 100
"""Compiled ones in a seed, on average, or it tests less than it says."""

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C compiler {COMPILER!r}")


@pytest.mark.parametrize("wanted", ["1", "0"])
def test_every_promise_holds_with_and_without(wanted):
    done = run(PROGRAM, 0, STEP, PLEXSTREAM_COMPILED=wanted)
    assert done.returncode == 0, done.stderr[-3000:]
    turns = int(done.stdout)
    assert turns > STEP * TURNS if wanted == "1" else turns == 0


FOUND = (
    "repetitions are taken",
    "failures are plain",
    "outputs are not owed",
    "causes stay open",
    "changes inside are not seen",
    "asks are not answered",
    "answers go to the sender",
    "answers have no id",
    "answers are not owed",
)


@pytest.mark.parametrize("mutant", FOUND)
def test_a_mutant_is_found(mutant, tmp_path):
    build_mutant(tmp_path, mutant)
    for first in range(0, SEEDS, STEP):
        if run(PROGRAM, first, first + STEP, folder=tmp_path).returncode:
            return
    pytest.fail(f"{mutant} was not found in {SEEDS} seeds")
