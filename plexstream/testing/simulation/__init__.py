"""Deterministic simulation: whole clusters in one thread, under every fault that we can think of.

One seed decides everything: how many processes and partitions, who is assigned what, which step comes
next, what the network does, who dies and what its disk forgets. The code under test is the real one, from
driver to actor host; only the log's clients, the clock and the disks are simulated. In the end the log's
content is compared with a model that knows nothing of the code.

    python -m plexstream.testing.simulation --seeds 0:1000
    python -m plexstream.testing.simulation --seed 17 -v
"""

from plexstream.testing.simulation.errors import Violation
from plexstream.testing.simulation.run.schedule import STEPS, Simulation

__all__ = ["STEPS", "Simulation", "Violation"]
