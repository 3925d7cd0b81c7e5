"""The librdkafka that confluent-kafka has loaded, for compiled code that uses it beside that one."""

from __future__ import annotations

import glob
from collections.abc import Callable
from pathlib import Path

import confluent_kafka

_SEEN = (2, 13), (2, 16)
"""First and last version of confluent-kafka whose structures were compared with those in the C code."""


def found(load: Callable[[str], bool]) -> bool:
    """Whether there is one that can be used; `load` is given the paths that it may have."""
    beside = Path(confluent_kafka.__file__).parents[1] / "confluent_kafka.libs"
    version = tuple(map(int, str(confluent_kafka.__version__).split(".")[:2]))
    return _SEEN[0] <= version <= _SEEN[1] and any(load(path) for path in glob.glob(f"{beside}/librdkafka*"))
