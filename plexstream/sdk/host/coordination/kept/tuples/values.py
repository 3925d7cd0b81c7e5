"""Values of tuples: when two are the same, and texts that stand for them, in their order.

Two values are the same if they are as JSON, type included: ``1``, ``1.0``, ``true`` and ``"1"`` are four.
The order of an object's keys does not count, and ``-0.0`` is ``0.0``.
"""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, Final

MAX_DEPTH: Final = 100
"""How deep a tuple may be nested: rows, answers and events have it inside."""
MAX_BITS: Final = 3_320
"""Of a whole number: a thousand digits."""
SHORT: Final = 200
"""Characters of a text that `key` gives as it is: with four bytes each it fits into a key of the state."""
_CUT = 180
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
_EXACT = 1 << 53
_TURNED = str.maketrans("0123456789", "9876543210")
_dumps = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False
).encode
_sorted = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, separators=(",", ":"), check_circular=False, sort_keys=True
).encode


def json_of(value: Any) -> str:
    """The JSON of a value.

    Raises:
        ValueError: it is none: NaN, too deep, too long a number. The text says which, for people.
    """
    try:
        text = _dumps(value)
    except RecursionError:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep") from None
    except ValueError as error:
        what = "it has NaN or Infinity, which JSON has not"
        raise ValueError(what if "JSON compliant" in str(error) else str(error)) from None
    if text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(value, MAX_DEPTH)
    return text


def canonical(value: Any) -> str:
    """A text that two values have in common if, and only if, they are the same."""
    text = _sorted(value)
    return _sorted(_plus(value)) if "-0.0" in text else text


def same(one: Any, other: Any) -> bool:
    """Whether two values are the same."""
    kind = type(one)
    if kind is not type(other):
        return False
    return canonical(one) == canonical(other) if kind is list or kind is dict else bool(one == other)


def order(value: Any) -> str:
    """A text for a value: numbers, ints and floats in one, are in their order, and texts in that of UTF-8.

    Of a number it is a letter, the bits of the next double in an order of their own, how much is missing to
    it, and the type: two are in order by the first of these in which they differ.
    """
    kind = type(value)
    if kind is str:
        return f"s{value}"
    if kind is int or kind is float:
        return f"{number(value)}{'i' if kind is int else 'f'}"
    if value is None:
        return "n"
    if kind is bool:
        return "b1" if value else "b0"
    return f"j{canonical(value)}"


def number(value: float) -> str:
    """What `order` has of a number but the type: less than all that begin with it."""
    if type(value) is float:
        near, rest = value + 0.0, 0  # -0.0 is 0.0
    elif -_EXACT <= value <= _EXACT:
        near, rest = float(value), 0
    else:
        try:
            near = float(value)
            rest = int(value) - int(near)
        except OverflowError:
            near, rest = math.inf if value > 0 else -math.inf, int(value)
    (bits,) = struct.unpack(">Q", struct.pack(">d", near))
    start = f"d{bits ^ _ALL if bits & _SIGN else bits | _SIGN:016x}"
    if not rest:
        return f"{start}1"
    digits = str(abs(rest))
    if rest > 0:
        return f"{start}2{len(digits):04}{digits}"
    return f"{start}0{9999 - len(digits):04}{digits.translate(_TURNED)}"


def key(value: Any) -> str:
    """`order`, as short as a key has to be: of a longer one its beginning and a digest."""
    text = order(value)
    if len(text) <= SHORT:
        return text
    return f"{text[:_CUT]}{blake2b(text.encode(errors='replace'), digest_size=16).hexdigest()}"


def is_whole(key: str) -> bool:
    """Whether a `key` is all there is of a value: two that have it are the same."""
    return len(key) <= SHORT


def bound(text: str) -> str:
    """Where the keys of all values begin whose `order` is from `text` on."""
    return text[:_CUT]


def is_cut(text: str) -> bool:
    """Whether `bound` is less than the text."""
    return len(text) > _CUT


def _check_depth(value: Any, left: int) -> None:
    if isinstance(value, list | dict):
        if not left:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        for inner in value.values() if isinstance(value, dict) else value:
            _check_depth(inner, left - 1)


def check_numbers(value: Any) -> None:
    """Raises ValueError where a whole number is too long. The value is not nested too deeply."""
    if type(value) is int:
        if value.bit_length() > MAX_BITS:
            raise ValueError(f"a whole number has {value.bit_length()} bits, at most {MAX_BITS} are allowed")
    elif isinstance(value, list | dict):
        for inner in value.values() if isinstance(value, dict) else value:
            check_numbers(inner)


def _plus(value: Any) -> Any:
    """The same with 0.0 for -0.0."""
    walk: Callable[[Any], Any] = _plus
    if type(value) is float:
        return value + 0.0
    if type(value) is list:
        return [walk(inner) for inner in value]
    if type(value) is dict:
        return {name: walk(inner) for name, inner in value.items()}
    return value
