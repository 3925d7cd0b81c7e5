"""The actors of random programs, for nodes; what is outside of them outlives their processes."""

import os
from pathlib import Path

from plexstream.testing.programs.actors import Bell, Coro, Desk, Flow, Flowing, Lone, Plain
from plexstream.testing.programs.outside import outside

outside.begin(Path(os.environ["FAULTS_OUTSIDE"]))

__all__ = ["Bell", "Coro", "Desk", "Flow", "Flowing", "Lone", "Plain"]
