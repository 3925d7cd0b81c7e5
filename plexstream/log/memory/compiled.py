"""What is compiled for the logs of one process; `format.py` and `local.py` say what is right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from plexstream.model.process.compiled import WANTED

if TYPE_CHECKING:
    from types import ModuleType

try:
    if not WANTED:
        raise ImportError
    from plexstream.log.memory import _records
except ImportError:
    RECORDS: ModuleType | None = None
    """None: Python does all."""
else:
    RECORDS = _records
