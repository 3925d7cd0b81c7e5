"""What is said of a payload that is not what a handler takes: the argument, its value, what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from plexstream.sdk.declaring.options import closest

_MISSING = re.compile(r"Object missing required field `(\w+)`$")
_UNKNOWN = re.compile(r"Object contains unknown field `(.*)`$")
_PLACE = re.compile(r" - at `\$((?:\.\w+|\[\d+\])+)`$")
_PART = re.compile(r"\.(\w+)|\[(\d+)\]")
_SHOWN = 80
"""Characters of a value that are shown."""


def refusal(error: Exception, payload: bytes, takes: dict[str, bool]) -> str:
    """Why a payload does not fit. `takes`: the arguments that there are, and whether each must be given."""
    text = str(error)
    has = ", ".join(name if must else f"{name}=…" for name, must in takes.items()) or "none"
    if missing := _MISSING.match(text):
        return f"the argument {missing[1]} is missing: it takes {has}"
    if unknown := _UNKNOWN.match(text):
        name = unknown[1]
        return f"there is no argument {name[:_SHOWN]!r}: {closest(name, list(takes))}it takes {has}"
    if place := _PLACE.search(text):
        path = place[1].lstrip(".")
        return f"{path} is {_shown(payload, place[1])}: {text[: place.start()]}"
    return text


def _shown(payload: bytes, path: str) -> str:
    try:
        value: Any = msgspec.json.decode(payload)
        for name, index in _PART.findall(path):
            value = value[int(index)] if index else value[name]
        return json.dumps(value, ensure_ascii=False)[:_SHOWN]
    except Exception:
        return "wrong"
