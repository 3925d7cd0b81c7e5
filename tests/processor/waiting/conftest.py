"""Makes the world of one partition importable, as for the tests of hosts."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2] / "hosts"))
