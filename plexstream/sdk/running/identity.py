"""Mutable values that a handler holds across its waits stay those that the state has."""

from __future__ import annotations

import dataclasses
import enum
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

ATOMS = frozenset(
    (int, str, bool, float, type(None), bytes, Decimal, datetime, date, time, timedelta, UUID)
)  # fmt: skip
"""Types of values that nobody can change inside."""
_CONTAINERS = (list, dict, set)


class Places:
    """Where in an actor's state the objects are that its handlers hold: each of them in one place.

    The same object may have been put in two entries, or in one twice. Read back, these are two values; so it
    stays the one that has claimed it first, and others get a copy.
    """

    def __init__(self) -> None:
        self._owners: dict[int, object] = {}
        self._used: set[int] = set()

    def claim(self, value: Any, spot: object) -> None:
        """An object and its parts are those of a place, but for what others have claimed."""
        if type(value) not in ATOMS and self._owners.setdefault(id(value), spot) == spot:
            for part in _parts(value):
                if id(part) not in self._owners:
                    self.claim(part, spot)

    def take(self, value: Any, spot: object) -> bool:
        """Whether an object is to stay that of a place. It is once."""
        free = id(value) not in self._used and self._owners.get(id(value), spot) == spot
        if free:
            self._used.add(id(value))
        return free

    def is_elsewhere(self, value: Any) -> bool:
        """Whether an object, or a part of it, is that of a place."""
        return id(value) in self._owners or any(map(self.is_elsewhere, _parts(value)))


def _parts(value: Any) -> list[Any]:
    """What can be changed in a value, which has been stored."""
    if isinstance(value, list):
        found = value
    elif isinstance(value, dict):
        found = list(value.values())
    else:
        found = [getattr(value, name, None) for name in _fields(type(value)) or ()]
    return [part for part in found if type(part) not in ATOMS]


def settle(old: Any, new: Any, places: Places | None = None, spot: object = None) -> Any:
    """The object that stands for `new` from now on: `old` with its content, where that can be.

    Parts of it stay what they are, too: entries by their key, elements by their place.

    Parameters:
        places: of all objects, where some may be in several; None: each is in one.
        spot: the place of this one.
    """
    kind = type(old)
    if old is new or kind is not type(new) or kind in ATOMS:
        return new
    if places is not None and not places.take(old, spot):
        return new
    if kind is list:
        now = [settle(a, b, places, spot) for a, b in zip(old, new, strict=False)] + new[len(old) :]
        if len(now) != len(old) or any(a is not b for a, b in zip(old, now, strict=True)):
            old[:] = now
    elif kind is dict:
        entries = {
            key: settle(old[key], value, places, spot) if key in old else value for key, value in new.items()
        }
        if [(type(k), k) for k in old] != [(type(k), k) for k in new]:
            old.clear()  # another order, other keys
        for key, value in entries.items():
            if key not in old or old[key] is not value:
                old[key] = value
    elif kind is set:
        if {(type(item), item) for item in old} != {(type(item), item) for item in new}:
            old.clear()
            old.update(new)
    elif (names := _fields(kind)) is not None:
        for name in names:
            setattr(old, name, settle(getattr(old, name, None), getattr(new, name), places, spot))
    else:
        return new
    return old


def _fields(kind: Any, frozen: bool = False) -> list[str] | None:
    """The names of the fields of a record, if they can be changed. `frozen`: if not, too."""
    if dataclasses.is_dataclass(kind):
        is_frozen = getattr(kind, "__dataclass_params__").frozen  # noqa: B009 - it is in no stub
        return [field.name for field in dataclasses.fields(kind)] if frozen or not is_frozen else None
    if hasattr(kind, "__struct_config__") and (frozen or not kind.__struct_config__.frozen):  # msgspec's
        return list(kind.__struct_fields__)
    return None


def held(value: Any, own: int = 2) -> bool:
    """Whether anybody else has a reference to a mutable value, or to a part of it.

    `own`: how many references to it the caller has, with that of its argument.
    """
    if type(value) in ATOMS or isinstance(value, enum.Enum):
        return False
    names = _fields(type(value), frozen=True)
    changes = names is None or _fields(type(value)) is not None
    if changes and sys.getrefcount(value) > own + 2:  # and this function's, and getrefcount's
        return True
    if names is not None:
        return any(held(getattr(value, name, None), 1) for name in names)
    if isinstance(value, dict):
        return any(held(part) for part in value.values())
    if isinstance(value, list | tuple):
        return any(held(part) for part in value)
    return not isinstance(value, _CONTAINERS)  # an object: who knows
