"""Patterns of tuples, as they come on the wire: a list with one field for each of the tuple's.

A field is ``null`` or ``"*"`` for any value, an object with one operator, or else exactly that value.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final

from plexstream.sdk.errors import Reject
from plexstream.sdk.host.coordination.kept.tuples.predicates import find, known
from plexstream.sdk.host.coordination.kept.tuples.values import (
    bound,
    canonical,
    check_numbers,
    is_cut,
    is_whole,
    json_of,
    key,
    number,
    same,
)
from plexstream.sdk.running.collections.keys import behind

MAX_FIELDS: Final = 64
MAX_BYTES: Final = 500_000
"""Of a tuple, and of a pattern, as JSON: with what is said of it it fits into a message."""
MAX_CHOICES: Final = 1_000
FEW: Final = 16
"""So many choices of a field are looked for one by one; of more it is only asked whether the value is one."""
_KEPT = 2_000
"""Characters of a pattern that is kept ready for whoever has it next."""

Test = Callable[[Any], bool]
Span = tuple[str, str | None]
_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (float,),
    "number": (int, float),
    "str": (str,),
    "bool": (bool,),
    "list": (list,),
    "dict": (dict,),
    "null": (type(None),),
}


class Pattern:
    """What a tuple has to be like.

    Attributes:
        text: the pattern as JSON.
        size: how many fields it has.
        exact: by position, the keys of the values that a field may have: few.
        spans: by position, between which keys its values are.
        decided_by: the positions whose keys say whether a tuple matches; empty: they do not say all.
    """

    __slots__ = ("_tests", "decided_by", "exact", "size", "spans", "text")

    def __init__(self, wire: list[Any], text: str) -> None:
        self.text = text
        self.size = len(wire)
        self.exact: dict[int, list[str]] = {}
        self.spans: dict[int, Span] = {}
        tests: list[tuple[int, Test]] = []
        for position, field in enumerate(wire):
            test = self._field(position, field)
            if test is not None:
                tests.append((position, test))
        self._tests = tests
        sure = {place for place, keys in self.exact.items() if all(map(is_whole, keys))}
        self.decided_by = sure if sure.issuperset(place for place, _ in tests) else set()

    def matches(self, tuple: list[Any]) -> bool:
        """Whether a tuple of `size` fields is like that. Raises Reject: a predicate of it cannot say."""
        return all(test(tuple[position]) for position, test in self._tests)

    def wire(self) -> list[Any]:
        """The pattern as it came."""
        found: list[Any] = json.loads(self.text)
        return found

    def _field(self, position: int, field: Any) -> Test | None:
        if field is None or field == "*":
            return None
        if not isinstance(field, dict):
            return self._value(position, field)
        if len(field) == 1:
            ((name, given),) = field.items()
            operator = _OPERATORS.get(name)
            if operator is not None:
                return operator(self, position, given)
        raise Reject(
            f"field {position} of the pattern is {_shown(field)}, which is no operator: there are "
            f'{", ".join(_OPERATORS)}; for exactly this object write {{"is": …}}'
        )

    def _value(self, position: int, value: Any) -> Test:
        self.exact[position] = [key(value)]
        kind = type(value)
        if kind is list or kind is dict:
            text = canonical(value)
            return lambda found: type(found) is kind and canonical(found) == text
        return lambda found: type(found) is kind and found == value

    def _type(self, position: int, given: Any) -> Test:
        types = _TYPES.get(given) if isinstance(given, str) else None
        if types is None:
            raise _wrong(position, "type", given, f"give one of {', '.join(_TYPES)}")
        return lambda found: type(found) in types

    def _range(self, position: int, given: Any) -> Test:
        ends = given if isinstance(given, list) and len(given) == 2 else [None, None]
        there = [end for end in ends if end is not None]
        texts = [end for end in there if isinstance(end, str)]
        numbers = [end for end in there if type(end) in (int, float)]
        if not there or len(there) not in (len(texts), len(numbers)):
            raise _wrong(
                position, "range", given, "give [from, before], two numbers or two texts; null: no end there"
            )
        low, high = ends
        self.spans[position] = _span(low, high, "s" if texts else "d")
        kinds = (str,) if texts else (int, float)
        return lambda found: (
            type(found) in kinds and (low is None or low <= found) and (high is None or found < high)
        )

    def _prefix(self, position: int, given: Any) -> Test:
        if not isinstance(given, str):
            raise _wrong(position, "prefix", given, "give a text")
        start = bound(f"s{given}")
        self.spans[position] = (start, behind(start))
        return lambda found: type(found) is str and found.startswith(given)

    def _in(self, position: int, given: Any) -> Test:
        if not isinstance(given, list) or not 0 < len(given) <= MAX_CHOICES:
            raise _wrong(position, "in", given, f"give a list of 1 to {MAX_CHOICES} values")
        keys = {key(value): value for value in given}
        if len(keys) <= FEW:
            self.exact[position] = list(keys)
        # Keys with a digest are compared as values, for what it is worth.
        return lambda found: (mine := key(found)) in keys and same(keys[mine], found)

    def _where(self, position: int, given: Any) -> Test:
        if find(given) is None:
            names = ", ".join(known())
            there = f"there are {names}" if names else "none is declared"
            raise _wrong(
                position, "where", given, f"{there}; declare it with @predicate in the program's file"
            )

        def test(found: Any) -> bool:
            predicate = find(given)
            if predicate is None:
                raise Reject(f"the predicate {given!r} is not declared any more: deploy it again")
            try:
                return bool(predicate(found))
            except Exception as error:
                what = f"{type(error).__name__}: {error}"[:200]
                raise Reject(f"the predicate {given!r} failed with {what}: let it take any value") from None

        return test

    def _is(self, position: int, given: Any) -> Test:
        return self._value(position, given)


_OPERATORS: Final[dict[str, Callable[[Pattern, int, Any], Test]]] = {
    "type": Pattern._type,
    "range": Pattern._range,
    "prefix": Pattern._prefix,
    "in": Pattern._in,
    "where": Pattern._where,
    "is": Pattern._is,
}


def pattern_of(wire: list[Any]) -> Pattern:
    """A pattern as it comes on the wire. Raises Reject where it is none."""
    text = checked("a pattern", wire)
    return read_pattern(text, wire)


def read_pattern(text: str, wire: list[Any] | None = None) -> Pattern:
    """A pattern by its JSON, which was checked. Raises Reject: a predicate of it is not there any more."""
    if len(text) <= _KEPT:
        return _ready(text)
    return Pattern(json.loads(text) if wire is None else wire, text)


@lru_cache(maxsize=1024)
def _ready(text: str) -> Pattern:
    return Pattern(json.loads(text), text)


def checked(what: str, fields: list[Any]) -> str:
    """The JSON of a tuple or a pattern. Raises Reject where it cannot be one."""
    if not 0 < len(fields) <= MAX_FIELDS:
        raise Reject(f"{what} of {len(fields)} fields: give 1 to {MAX_FIELDS}")
    try:
        text = json_of(fields)
        if len(text) > 2_000 or any(type(field) not in _SMALL for field in fields):
            check_numbers(fields)
    except ValueError as error:
        raise Reject(f"{what} cannot be kept: {error}") from None
    if len(text) > MAX_BYTES // 4 and len(text.encode(errors="replace")) > MAX_BYTES:
        size = len(text.encode(errors="replace"))
        raise Reject(
            f"{what} of {size} bytes as JSON, at most {MAX_BYTES} are allowed: keep what is large elsewhere"
        )
    return text


_SMALL = frozenset((str, bool, float, type(None)))


def _span(low: Any, high: Any, letter: str) -> Span:
    """Between which keys the values from `low` to before `high` are, and few more."""
    text = (lambda end: f"s{end}") if letter == "s" else number
    start = letter if low is None else bound(text(low))
    if high is None:
        return start, behind(letter)
    stop = text(high)
    return start, behind(bound(stop)) if is_cut(stop) else stop


def _wrong(position: int, operator: str, given: Any, what: str) -> Reject:
    return Reject(f"field {position} of the pattern: {operator} of {_shown(given)}: {what}")


def _shown(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (ValueError, RecursionError):
        text = "…"
    return text if len(text) <= 80 else f"{text[:80]}…"
