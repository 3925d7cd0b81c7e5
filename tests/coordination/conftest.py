"""System actors run in the world of the hosts' tests: a real processor and host, a journal in memory."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent.parent / "hosts"))  # pytest's import mode adds no directories
