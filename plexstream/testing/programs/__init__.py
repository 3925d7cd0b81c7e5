"""Random programs against a model: actors that do whatever plexstream offers, under every fault, from a seed.

The simulation plays whole clusters; here one partition is enough, and what handlers do is the matter: waits,
retries, timers, changes of state, commands to handlers that wait. What must come of a program is told by the
program alone.

    python -m plexstream.testing.programs --seeds 0:2000
    python -m plexstream.testing.programs --seed 17 --shrink
"""

from plexstream.testing.programs.program import Program
from plexstream.testing.programs.runs.draw import draw
from plexstream.testing.programs.runs.many import failure

__all__ = ["Program", "draw", "failure"]
