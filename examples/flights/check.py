"""Compares what the actors report with what pandas expects."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

MISSING = "nothing"


def figures(value: Any) -> int:
    """How many single figures there are in a report, or in all of them."""
    if isinstance(value, Mapping):
        return sum(figures(part) for part in value.values())
    if isinstance(value, list):
        return sum(figures(part) for part in value)
    return 1


def differences(expected: Any, actual: Any, path: str = "") -> Iterator[str]:
    """One line for each figure that differs: where it is, what was expected, what was found."""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        for key in sorted(expected.keys() | actual.keys()):
            below = f"{path}.{key}" if path else str(key)
            yield from differences(expected.get(key, MISSING), actual.get(key, MISSING), below)
    elif type(expected) is not type(actual) or expected != actual:
        yield f"{path}: expected {expected}, found {actual}"


def alert_differences(expected: Mapping[str, Any], emitted: Iterable[tuple[str, Any]]) -> Iterator[str]:
    """Alerts that are wrong, missing, unexpected, or there more than once; `emitted` is (key, alert)."""
    found: dict[str, Any] = {}
    times: Counter[str] = Counter()
    for key, alert in emitted:
        found[key] = alert
        times[key] += 1
    for key in sorted(key for key, n in times.items() if n > 1):
        yield f"alert {key}: emitted {times[key]} times"
    for line in differences(expected, found):
        yield f"alert {line}"
