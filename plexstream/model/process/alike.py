"""Dicts that have their keys in common, as those of many objects of one class have: half the memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

KINDS = 256
"""How many kinds are known by name: names come from outside."""


def alike(names: Iterable[str] = ()) -> Callable[[], dict[str, Any]]:
    """Makes empty dicts which share the table of their keys, to begin with these `names`.

    Other keys may be set: a dict that has many of them has a table of its own.
    """
    cls = type("Alike", (), {})
    filled(cls().__dict__, dict.fromkeys(names))
    return lambda: cls().__dict__


@lru_cache(KINDS)
def of_kind(name: str) -> Callable[[], dict[str, Any]]:
    """Makes those of one kind."""
    return alike()


def filled(empty: dict[str, Any], items: Mapping[str, Any]) -> dict[str, Any]:
    """A dict with these items. Not by `update`, which may take over the table of the other one."""
    for name, value in items.items():
        empty[name] = value  # noqa: PERF403
    return empty
