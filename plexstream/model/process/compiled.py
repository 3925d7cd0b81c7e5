"""Whether compiled code is used where it is there: with ``PLEXSTREAM_COMPILED=0`` Python does everything."""

from __future__ import annotations

import os

WANTED = os.environ.get("PLEXSTREAM_COMPILED", "") != "0"
