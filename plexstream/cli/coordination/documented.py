"""What an operation's docstring says of its parameters: the help of its command's arguments and options."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

_SECTION = re.compile(r"^Parameters:\n((?:    .*\n?|\n)+)", re.MULTILINE)
_ENTRY = re.compile(r"^    (\w+(?:, \w+)*): ", re.MULTILINE)
_KINDS: Mapping[str, str] = {
    "str": "text",
    "int": "a whole number",
    "float": "a number",
    "Any": "JSON, or text",
}
_ALSO: Mapping[str, str] = {
    "wait": "seconds to wait; 0: not at all; null: for as long as it takes",
    "ttl": "seconds after which it is gone; null: it stays",
    "lease": "in seconds",
    "limit": "how many at most",
    "id": "as its lease has it",
    "after": "the one behind which to go on",
}
"""Of parameters that mean the same to all, where a docstring leaves them to another."""


def parameters(method: Callable[..., Any]) -> dict[str, str]:
    """What is said of each parameter, on one line and without the full stop; of some nothing is."""
    section = _SECTION.search((inspect.getdoc(method) or "") + "\n")
    pieces = _ENTRY.split(section[1])[1:] if section else []
    said: dict[str, str] = {}
    for names, text in zip(pieces[::2], pieces[1::2], strict=True):
        line = " ".join(text.split()).removesuffix(".")
        said |= dict.fromkeys(names.split(", "), line.replace("None:", "null:"))
    return said


def described(of: inspect.Parameter, said: Mapping[str, str]) -> str:
    """The help of a parameter: what is said of it, or else what may be given; and what it is by default."""
    text = (said.get(of.name) or _ALSO.get(of.name) or kind(of)).replace("``", "")
    shown = text if text.startswith("JSON") else text[0].upper() + text[1:]
    if kind(of) == "JSON" and shown != "JSON":
        shown += " (JSON)"
    if of.default in (of.empty, None, "", ()) or isinstance(of.default, bool):
        return f"{shown}."
    default = f"{of.default:g}" if isinstance(of.default, float) else of.default
    return f"{shown} (default {default})."


def kind(of: inspect.Parameter) -> str:
    """What may be given for it, by its hint."""
    hint = str(of.annotation).removesuffix(" | None")
    return _KINDS.get("int" if hint.endswith(" | int") else hint, "JSON")


def in_lines(method: Callable[..., Any]) -> bool:
    """Whether it gives several things, each of which is a line; a tuple or a value is one, be it a list."""
    returned = str(inspect.signature(method).return_annotation).removeprefix("Operation")
    return returned.startswith(("[list[", "[Sequence[", "[Rows]"))


def says_nothing(method: Callable[..., Any]) -> bool:
    """Whether all that it has to say is that it has been done."""
    return str(inspect.signature(method).return_annotation) == "Operation[None]"
