"""Checks of what is said to system actors. What cannot be is rejected, in words for who has said it."""

from __future__ import annotations

import json
from typing import Any

from plexstream.sdk.errors import Reject
from plexstream.sdk.spec import MAX_SECONDS


def milliseconds(
    what: str, seconds: float, most: int = MAX_SECONDS, least: str = "seconds above 0"
) -> int:
    """A length of time, of which there has to be some.

    Parameters:
        what: it is, for people.
        seconds: above 0.
        most: seconds it may be; ten years, if nothing else is said.
        least: what is to be given, for people.

    Returns:
        Milliseconds, at least 1.

    Raises:
        Reject: it is none.
    """
    if isinstance(seconds, bool) or not 0 < seconds <= most:
        raise Reject(f"{what} is {_shown(seconds)}: give {least}, at most {most}")
    return max(1, round(seconds * 1000))


def count(what: str, number: int, most: int, least: int = 1) -> int:
    """A whole number within limits. Raises Reject."""
    if isinstance(number, bool) or not least <= number <= most:
        raise Reject(f"{what} is {_shown(number)}: give a whole number from {least} to {most}")
    return number


def text(what: str, given: str, most: int, least: int = 1) -> str:
    """A printable text of so many bytes as UTF-8. Raises Reject."""
    size = len(given.encode(errors="replace"))
    if not least <= size <= most:
        raise Reject(f"{what} of {size} bytes ({given[:40]!r}): give a text of {least} to {most} bytes")
    if not given.isprintable():
        raise Reject(f"{what} {given[:40]!r}: give printable text")
    return given


def patience(what: str, seconds: float | None) -> int | None:
    """How long somebody waits: milliseconds; 0 is not at all, None for ever. Raises Reject."""
    if seconds is None:
        return None
    if seconds == 0 and not isinstance(seconds, bool):
        return 0
    return milliseconds(what, seconds, least="0, null for ever, or seconds above 0")


MAX_DEPTH = 100
"""How deep a value may be nested: state, messages and answers have it inside, and at most 200."""


def check_depth(what: str, value: Any, left: int = MAX_DEPTH) -> None:
    """Raises Reject: a value is nested too deep to be kept."""
    if isinstance(value, list | dict):
        if not left:
            raise Reject(f"{what} is nested more than {MAX_DEPTH} deep: keep it flatter, or as text")
        for inner in value.values() if isinstance(value, dict) else value:
            check_depth(what, inner, left - 1)


def json_size(value: Any) -> int:
    """Bytes of a value as JSON, about."""
    text = json.dumps(value, ensure_ascii=False)
    return len(text) if text.isascii() else len(text.encode(errors="replace"))


def _shown(number: float) -> str:
    """A number for people. Python writes none of more than 4,300 digits."""
    try:
        return f"{number!r:.80}"
    except ValueError:
        return "a number of thousands of digits"
