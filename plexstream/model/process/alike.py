"""Dicts that have their keys in common, as those of many objects of one class have: half the memory."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

KINDS = 256
"""How many kinds are known by name: names come from outside."""
_FIRST = 40
"""So many have room for names that may still come, and what comes behind them for those that are known."""
_LARGE = sys.getsizeof(dict.fromkeys("abc"))


class Alike:
    """Makes empty dicts which share the table of their keys.

    Where there come to be so many names that the places for what a dict has not take more than a table of its
    own, dicts are as all others.
    """

    __slots__ = ("_class", "_made")

    def __init__(self) -> None:
        self._class: type | None = type("Alike", (), {})
        self._made = 0

    def __call__(self) -> dict[str, Any]:
        if self._class is None:
            return {}
        made: dict[str, Any] = self._class().__dict__
        if self._made < _FIRST:
            self._made += 1
        elif sys.getsizeof(made) > _LARGE:
            self._class = None
        return made


@lru_cache(KINDS)
def of_kind(name: str) -> Alike:
    """What makes those of one kind."""
    return Alike()


def filled(empty: dict[str, Any], items: Mapping[str, Any]) -> dict[str, Any]:
    """A dict with these items. Not by `update`, which may take over the table of the other one."""
    for name, value in items.items():
        empty[name] = value  # noqa: PERF403
    return empty
