"""What a pattern of a tuple space may ask of a field, beside a value: written out, as it travels.

    from plexstream import match

    host.ts.take(["job", match.between(1, 10), str, None])
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_TYPES: dict[Any, str] = {
    int: "int", float: "float", str: "str", bool: "bool", list: "list", dict: "dict", type(None): "null",
}  # fmt: skip


def exactly(value: Any) -> dict[str, Any]:
    """This value, of this type: the way to say ``None``, ``"*"`` or an object."""
    return {"is": value}


def between(low: Any = None, high: Any = None) -> dict[str, Any]:
    """From `low` to before `high`: numbers, ints and floats alike, or texts. None: that end is open."""
    return {"range": [low, high]}


def prefix(text: str) -> dict[str, Any]:
    """A text that begins so."""
    return {"prefix": text}


def one_of(values: Iterable[Any]) -> dict[str, Any]:
    """One of these values."""
    return {"in": list(values)}


def where(name: str) -> dict[str, Any]:
    """What the predicate of that name says yes to: see `plexstream.predicate`."""
    return {"where": name}


def number() -> dict[str, Any]:
    """An int or a float."""
    return {"type": "number"}


def pattern(fields: Iterable[Any]) -> list[Any]:
    """A pattern as it travels: types and ``...`` for what they stand for.

    Raises:
        ValueError: it is no list, or has a type that no value can have.
    """
    if not isinstance(fields, list | tuple):
        raise ValueError(
            f"a pattern is a list with something for each field, not {fields!r:.80}: give one such as "
            '["job", {"type": "int"}, "*"], which is JSON'
        )
    return [_field(field) for field in fields]


def _field(field: Any) -> Any:
    if field is ...:
        return None
    if not isinstance(field, type):
        return field
    if field not in _TYPES:
        known = ", ".join(t.__name__ for t in _TYPES)
        raise ValueError(f"no field of a tuple is a {field.__name__}: the types of JSON are {known}")
    return {"type": _TYPES[field]}
