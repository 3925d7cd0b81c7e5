"""How what plexstream offers is called, for those who have called it otherwise."""

from __future__ import annotations

import inspect
import re
from typing import Any

import plexstream
from plexstream.model.messages.text import said
from plexstream.sdk.declaring.options import closest

_WRONG = re.compile(r"(?:(\w+)\.)?(\w+)\(\) (?:missing|got|takes) ")
_OPTION = re.compile(r"unexpected keyword argument '(\w+)'")


def told(error: BaseException) -> str:
    """What an error says; of a wrong call of plexstream's own also how it is written."""
    text = said(error)
    if isinstance(error, AttributeError):
        return text + _attributes(error)
    found = _WRONG.match(str(error)) if type(error) is TypeError else None
    called = _called(error, found[1] or "", found[2]) if found else None
    if called is None:
        return text
    name, parameters = called
    option = _OPTION.search(text)
    near = closest(option[1], list(parameters)) if option else ""
    return f"{text.replace('.__init__', '')}: {near}write {name}({', '.join(_shown(parameters))})"


def _attributes(error: AttributeError) -> str:
    """What there is, where somebody has asked `host`, a collection or an actor for what it has not."""
    of = error.obj
    spec = getattr(type(of), "__plexstream__", None)
    if spec is not None:
        names = [*spec.fields, *(n for n in vars(type(of)) if n[:1] not in "_@")]
    elif isinstance(of, plexstream.StateMap | plexstream.StateList) or of is plexstream.host:
        names = [name for name in dir(of) if name[0] != "_"]
    else:
        return ""
    like = closest(str(error.name), names).rstrip() or f"it has {', '.join(sorted(names))}"
    return f": {like}"


def _called(error: BaseException, owner: str, name: str) -> tuple[str, dict[str, inspect.Parameter]] | None:
    """What was called, by its public name, and what it takes."""
    if owner and name != "__init__":
        if owner not in {cls.__name__ for cls in type(plexstream.host).__mro__}:
            return None
        return f"host.{name}", _parameters(getattr(plexstream.host, name, None))
    name = owner or name
    target = getattr(plexstream, name, None) if name in plexstream.__all__ else None
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    known = at.tb_frame.f_globals.get(name, target) if at is not None else target
    return None if target is None or known is not target else (name, _parameters(target))


def _parameters(target: Any) -> dict[str, inspect.Parameter]:
    found = inspect.signature(target).parameters.items()
    return {n: p for n, p in found if p.kind is not p.VAR_POSITIONAL and n not in ("unknown", "options")}


def _shown(parameters: dict[str, inspect.Parameter]) -> list[str]:
    shown: list[str] = []
    for name, p in parameters.items():
        if p.kind is p.VAR_KEYWORD:
            shown.append(f"**{name}")
            continue
        if p.kind is p.KEYWORD_ONLY and "*" not in shown and shown:
            shown.append("*")
        shown.append(name if p.default is p.empty else f"{name}=…")
    return shown
