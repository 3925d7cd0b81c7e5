"""The actors of random programs, for nodes; what is outside of them outlives their processes."""

import os
from pathlib import Path

from plexstream.testing.programs.actors.actors import CLASSES
from plexstream.testing.programs.outside import outside

outside.begin(Path(os.environ["FAULTS_OUTSIDE"]))
globals().update({cls.__name__: cls for cls in CLASSES})
