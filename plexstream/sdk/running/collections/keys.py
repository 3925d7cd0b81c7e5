"""Keys of a `StateMap`: how they are stored, as texts whose order is that of the keys.

A text key is stored as it is. All others begin with a mark, and then have a letter for the type of each of
their fields, so that they can be read without the code that declares them:

- an int: how many digits it has, and these. Of a negative one all is turned round: nine less each digit.
- a float: the bits of IEEE 754 as 16 hex digits, with all of them turned round where it is negative, else the
  first one. ``-0.0`` is ``0.0``, as in a dict; NaN, which has no place in an order, is refused.
- a text inside a tuple: itself, and a NUL where it ends.

Each field shows where it ends, so a tuple's first fields are a prefix of what is stored for it.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, get_args, get_origin

MAX_KEY: Final = 1024
"""Bytes of a key as it is stored."""
_MARK = "\x01"
_LONG_INT = 25
"""Digits for whose number one letter is enough, ``a`` to ``y``."""
_USUAL = 10**_LONG_INT
_LENGTHS = [f"i{chr(96 + size)}" for size in range(_LONG_INT + 1)]
"""What is before so many digits."""
_MOST_BITS = 3_400
"""Of an int that may fit into a key."""
_LAST = "\U0010ffff"
_TURNED = str.maketrans("0123456789", "9876543210")
_SIGN = 1 << 63
_ALL = (1 << 64) - 1
SCALARS: Final[frozenset[Any]] = frozenset((str, int, float))


class Keys:
    """The keys of one map.

    Parameters:
        where: the map, for people.
        type: `str`, `int`, `float`, or a tuple of these: ``tuple[str, int]``.

    Attributes:
        fields: the types of its fields.

    Raises:
        ValueError: `type` is none of these.
    """

    __slots__ = ("_usual", "fields", "named", "of_tuples", "type", "where")

    def __init__(self, where: str, type: Any) -> None:
        self.where = where
        self.type = type
        self.fields = fields_of(type)
        self._usual = _usual(self.fields)
        self.of_tuples = get_origin(type) is tuple
        self.named = name_of(type)

    def store(self, key: Any) -> str:
        """What is stored for a key.

        Raises TypeError; ValueError for NaN, an int that is too long, and what is no Unicode text.
        """
        if self.type is str:
            if not isinstance(key, str):
                raise self._wrong(key)
            return key if type(key) is str and key.isascii() else self._stored(_plain, key, key)
        if not self.of_tuples:
            return _MARK + self._field(self.type, key, key)
        if not isinstance(key, tuple) or len(key) != len(self.fields):
            raise self._wrong(key)
        return self.store_start(key)

    def store_start(self, key: Any) -> str:
        """The same of the first fields of a tuple, where the map has tuples: less than all that begin so."""
        if not self.of_tuples:
            return self.store(key)
        if not isinstance(key, tuple) or len(key) > len(self.fields):
            raise self._wrong(key)
        stored = _MARK
        for kind, value in zip(self.fields, key, strict=False):
            if kind is int and type(value) is int and 0 <= value < _USUAL:
                digits = str(value)
                stored += _LENGTHS[len(digits)] + digits
            elif kind is str and type(value) is str and value.isascii() and not _special(value):
                stored += f"s{value}{_NUL}"
            else:
                stored += self._field(kind, value, key)
        return stored

    def _field(self, type: Any, value: Any, key: Any) -> str:
        right = isinstance(value, (int, float) if type is float else type) and not isinstance(value, bool)
        if not right:
            raise self._wrong(key)
        return self._stored(_STORE[type], value, key)

    def _stored(self, store: Callable[[Any], str], value: Any, key: Any) -> str:
        try:
            return store(value)
        except ValueError as error:
            raise ValueError(f"{self.where}: the key {_shown(key)}: {error}") from None

    def read(self, stored: str) -> Any:
        """The inverse of `store`. Raises ValueError where it was not stored as a key of this type."""
        if self.type is str:
            return stored
        match = self._usual.fullmatch(stored)
        if match is not None:
            usual = tuple(map(_usual_value, match.groups(), self.fields))
            if None not in usual:
                return usual if self.of_tuples else usual[0]
        found = parse(stored)
        types = None if found is None else tuple(map(type, found))
        if found is None or types != self.fields:
            raise ValueError(
                f"{self.where} has a key that is no {self.named}, but {readable(stored)!r}: other code has "
                "stored it; declare the map with that type, and let a handler move its entries to another"
            )
        return found if self.of_tuples else found[0]

    def _wrong(self, key: Any) -> TypeError:
        what = "text" if self.type is str else self.named
        hint = ": write str(key)" if self.type is str else ""
        return TypeError(f"{self.where} has {what} keys, not {_shown(key)} ({type(key).__name__}){hint}")


def fields_of(type: Any) -> tuple[Any, ...]:
    """The types of the fields of a key. Raises ValueError: there is no such key."""
    fields = get_args(type) if get_origin(type) is tuple else (type,)
    if not fields or any(one not in SCALARS for one in fields):
        raise ValueError(
            f"the keys of a state_map are str, int, float or a tuple of these, not {name_of(type)}: as in "
            "tuple[str, int], each field with its type"
        )
    return fields


def name_of(type: Any) -> str:
    """A type as it is written."""
    return repr(type) if get_args(type) else getattr(type, "__name__", repr(type))


def behind(start: str) -> str | None:
    """The first text behind all that begin with `start`; None: there is none."""
    start = start.rstrip(_LAST)
    if not start:
        return None
    code = ord(start[-1]) + 1
    return start[:-1] + chr(0xE000 if code == 0xD800 else code)  # in between is no text


def readable(stored: str) -> str:
    """A key for people, and as the key of a JSON object: a text as it is, else the key as JSON."""
    found = parse(stored)
    if found is None:
        return stored
    return json.dumps(found[0] if len(found) == 1 else found, ensure_ascii=False)


def bound(stored: str) -> str:
    """An end of a range for people: a key, or what comes right behind one."""
    behind_it = stored[-1:] == _NUL and parse(stored) is None
    return f"behind {readable(stored[:-1])}" if behind_it else readable(stored)


def parse(stored: str) -> tuple[Any, ...] | None:
    """The fields of a key; None where it is a text."""
    if stored[:1] != _MARK:
        return None
    found: list[Any] = []
    at = 1
    try:
        while at < len(stored):
            start = at
            value, at = _READ[stored[at]](stored, at + 1)
            if _STORE[type(value)](value) != stored[start:at]:
                return None  # a text that looks alike
            found.append(value)
    except (KeyError, IndexError, ValueError):
        return None
    return tuple(found)


def _store_int(value: int) -> str:
    if type(value) is int and 0 <= value < _USUAL:
        digits = str(value)
        return _LENGTHS[len(digits)] + digits
    value = int(value)
    if value.bit_length() > _MOST_BITS:
        raise ValueError(f"it has {value.bit_length()} bits: an int has at most {MAX_KEY} bytes as text")
    digits = str(abs(value))
    size = len(digits)
    if value >= 0:
        return f"i{chr(96 + size)}{digits}" if size <= _LONG_INT else f"iz{size:04}{digits}"
    turned = digits.translate(_TURNED)
    return f"i-{chr(122 - size)}{turned}" if size <= _LONG_INT else f"i-A{9999 - size:04}{turned}"


def _read_int(stored: str, at: int) -> tuple[int, int]:
    negative = stored[at] == "-"
    at += negative
    letter = stored[at]
    at += 1
    if letter == ("A" if negative else "z"):
        size, at = int(stored[at : at + 4]), at + 4
        size = 9999 - size if negative else size
    else:
        size = 122 - ord(letter) if negative else ord(letter) - 96
    digits = stored[at : at + size]
    if size < 1 or len(digits) != size or not digits.isdecimal():
        raise ValueError(stored)
    return (-int(digits.translate(_TURNED)) if negative else int(digits)), at + size


def _store_float(value: float) -> str:
    try:
        found = float(value) + 0.0  # -0.0 is 0.0
    except OverflowError:
        found = math.nan
    if found != value:
        what = "NaN has no place in an order" if value != value else "no float is that int"
        raise ValueError(what)
    (bits,) = struct.unpack(">Q", struct.pack(">d", found))
    return f"f{bits ^ _ALL if bits & _SIGN else bits | _SIGN:016x}"


def _read_float(stored: str, at: int) -> tuple[float, int]:
    digits = stored[at : at + 16]
    if len(digits) != 16:
        raise ValueError(stored)
    bits = int(digits, 16)
    bits = bits ^ _SIGN if bits & _SIGN else bits ^ _ALL
    return struct.unpack(">d", struct.pack(">Q", bits))[0], at + 16


def _plain(value: str) -> str:
    """A text of a subclass, such as a member of an enumeration, as one: that is what is read back."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError("it is no Unicode text, but has half of a surrogate pair") from None
    return str.__str__(value)


def _store_str(value: str) -> str:
    value = value if type(value) is str and value.isascii() else _plain(value)
    # NUL ends it: what is one, and what stands for one, is written as two characters above it.
    if _MARK in value or _NUL in value:
        value = value.replace(_MARK, _MARK + _TWO).replace(_NUL, _MARK + _MARK)
    return f"s{value}{_NUL}"


def _read_str(stored: str, at: int) -> tuple[str, int]:
    end = stored.index(_NUL, at)
    return stored[at:end].replace(_MARK + _MARK, _NUL).replace(_MARK + _TWO, _MARK), end + 1


_NUL, _TWO = "\0", "\x02"
_special = re.compile(f"[{_MARK}{_NUL}]").search
_USUAL_FIELD = {int: "(i[a-y](?:0|[1-9][0-9]*))", str: "s([\x02-\x7f]*)\0"}


@lru_cache(maxsize=256)
def _usual(fields: tuple[Any, ...]) -> re.Pattern[str]:
    """What keys of these fields look like where nothing about them is unusual; of floats, all are."""
    return re.compile(_MARK + "".join(_USUAL_FIELD.get(field, "(?!)") for field in fields))


def _usual_value(found: str, type: Any) -> Any:
    """The value of a field that looks as usual; None: it does not say how many digits it has."""
    if type is str:
        return found
    return int(found[2:]) if ord(found[1]) - 96 == len(found) - 2 else None


_STORE: dict[Any, Callable[[Any], str]] = {int: _store_int, float: _store_float, str: _store_str}
_READ: dict[str, Callable[[str, int], tuple[Any, int]]] = {"i": _read_int, "f": _read_float, "s": _read_str}


def _shown(key: Any) -> str:
    try:
        text = repr(key)
    except ValueError:  # Python writes no int of more than 4,300 digits
        text = "…"
    return text if len(text) <= 80 else f"{text[:80]}…"


TEXT: Final = Keys("a StateMap", str)
"""Of a map of which nothing is said."""
