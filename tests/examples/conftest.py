"""What the tests of the examples import: the examples' own modules, and the processes of the fault tests."""

import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]

# pytest's import mode adds no directories.
sys.path += [str(TESTS / "faults"), str(TESTS.parent / "examples")]
