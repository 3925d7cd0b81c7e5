"""Text of unknown origin on its way into a record."""

from __future__ import annotations

import re


def text(value: object, limit: int) -> str:
    """`value` as text that can be encoded, of at most `limit` characters."""
    plain = value if type(value) is str else str(value)
    if len(plain) > limit:
        plain = plain[: limit - 1] + "…"
    return plain if plain.isascii() else plain.encode(errors="replace").decode()


def check_text(value: str) -> None:
    """Raises ValueError where `value` has half of a surrogate pair: no record can hold that."""
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{value!r} has half of a surrogate pair: give Unicode text") from None


_MARK = "\u00a0"
_WRITTEN = {_MARK: f"{_MARK}-", " ": f"{_MARK}_"}
_TO_WRITE, _TO_READ = re.compile(f"[ {_MARK}]"), re.compile(f"{_MARK}[-_]?")


def joined(*parts: str) -> str:
    """Parts that may have spaces, as one text with a space between them, which `taken_apart` undoes.

    A space inside of a part, and what marks one, is written in two characters. In the last part they stay.
    """
    *firsts, last = parts
    return " ".join([*(_TO_WRITE.sub(lambda found: _WRITTEN[found[0]], part) for part in firsts), last])


def taken_apart(text: str) -> tuple[str, str]:
    """The first of what was `joined`, and the rest."""
    first, _, rest = text.partition(" ")
    if _MARK in first:
        first = _TO_READ.sub(lambda found: _MARK if found[0] == _WRITTEN[_MARK] else " ", first)
    return first, rest


def said(error: BaseException) -> str:
    """An error's type and text, whatever its ``__str__`` does: it may be a user's."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except BaseException:
        return name


def words(value: object) -> str:
    """`value` as text, whatever its ``__str__`` does."""
    try:
        return f"{value}"
    except BaseException:
        return f"a {type(value).__name__} without a text"


def shown(value: object, limit: int = 200) -> str:
    """A value for an error's text, whatever its ``__repr__`` does."""
    try:
        found = repr(value)
    except BaseException:
        return f"a {type(value).__name__}"
    return found if len(found) <= limit else f"{found[:limit]}…"
