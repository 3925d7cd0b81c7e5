"""The turn that runs, per thread."""

from __future__ import annotations

import threading
from typing import Any


class _Current(threading.local):
    turn: Any = None  # a TurnApi while a handler runs


current = _Current()
"""Set by an actor host around each handler."""
