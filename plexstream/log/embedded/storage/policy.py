"""What a topic's configuration says of how long its records are kept, by Kafka's names and defaults."""

from __future__ import annotations

from collections.abc import Mapping

_KEEP_TOMBSTONES_MS = 86_400_000


def compacts(config: Mapping[str, str]) -> bool:
    """Whether a topic keeps only the newest record of each key."""
    return "compact" in config.get("cleanup.policy", "")


def tombstones_ms(config: Mapping[str, str]) -> int:
    """For how many milliseconds a compacted topic says that a key is gone: slower readers may miss it."""
    return int(config.get("delete.retention.ms", _KEEP_TOMBSTONES_MS))


def expires(config: Mapping[str, str]) -> int | None:
    """For how many milliseconds a topic keeps its records; None: for ever, or nothing is said."""
    if "delete" not in config.get("cleanup.policy", "delete"):
        return None
    retention = int(config.get("retention.ms", -1))
    return retention if retention >= 0 else None
