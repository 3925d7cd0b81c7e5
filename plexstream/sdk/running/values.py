"""Values as JSON holds them, and as type hints say. Outside a host, in unit tests, nothing is done."""

from __future__ import annotations

import copy
from typing import Any

from plexstream.sdk.running.current import current
from plexstream.sdk.spec import Field


def arguments_of(what: str, payload: Any, named: dict[str, Any]) -> Any:
    """The arguments of a message, given as one `payload` or by name. Raises TypeError where they are both."""
    if payload is None:
        return named
    if named:
        raise TypeError(f"{what}: give the arguments as one dict or by name, not both ({', '.join(named)})")
    return payload


def milliseconds(what: str, seconds: Any, most: float) -> int:
    """Seconds in milliseconds. Raises TypeError for what is no number, ValueError for one out of bounds."""
    try:
        fits = 0 <= seconds <= most
    except TypeError:
        raise TypeError(f"{what} {seconds!r} is no number: give seconds, as .total_seconds() says") from None
    if not fits:
        raise ValueError(f"{what} {seconds!r} s; from 0 to {most:.0f} is allowed")
    whole: int = round(seconds * 1000)
    return whole


def plain(value: Any) -> Any:
    """`value` as JSON holds it. Raises TypeError where it cannot."""
    return value if current.turn is None else current.turn.plain(value)


def typed(value: Any, hint: Any) -> Any:
    """What JSON holds as a value of the type `hint`, nothing coerced. Raises ValueError where it is none."""
    # A copy: what the hint leaves open would be the same object, and a change of it one of what is kept.
    return value if current.turn is None else current.turn.typed(copy.deepcopy(value), hint)


def initial(field: Field) -> Any:
    """The value of a field in a new actor, as it would be read back."""
    value = field.initial()
    try:
        return typed(plain(value), field.annotation)
    except (TypeError, ValueError):  # None, which the hint leaves out
        return value
