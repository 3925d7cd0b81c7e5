"""Options of decorators: one that there is not is an error that names the closest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from plexstream.sdk.errors import DeclarationError


def refuse_unknown(what: str, given: Mapping[str, Any], known: Iterable[str]) -> None:
    """Raises DeclarationError where one of the `given` options is not `known`."""
    names = list(known)
    for option in given:
        if option not in names:
            like = closest(option, names).rstrip() or f"it has {', '.join(names)}"
            raise DeclarationError(f"{what} has no option {option!r}: {like}")


def closest(option: str, names: list[str]) -> str:
    """A question that names the option which was meant; "" where none is like it."""
    close = get_close_matches(option, names, 1) or [name for name in names if name.startswith(option)][:1]
    return f"did you mean {close[0]}? " if close else ""
