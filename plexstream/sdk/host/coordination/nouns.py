"""The nouns there are: as attributes of `host` and of clients, and by name for HTTP."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from plexstream.sdk.host.coordination.operation import Noun, Operation, Runner

if TYPE_CHECKING:
    from plexstream.sdk.host.coordination.kept.kv import KeyValues

_NOUNS = {
    "kv": "kept.kv:Store",
}
"""By its word in a path, where the class of a noun is."""


def noun_class(word: str) -> type[Noun] | None:
    """The class of nouns that a path calls `word`; None: there is none."""
    where = _NOUNS.get(word)
    if where is None:
        return None
    module, _, cls = where.partition(":")
    found: type[Noun] = getattr(importlib.import_module(f"{__package__}.{module}"), cls)
    return found


def words() -> list[str]:
    """The words of all nouns."""
    return sorted(_NOUNS)


class Nouns:
    """What is there to coordinate by. Each attribute is loaded when it is first used."""

    def _operate(self, steps: Operation[Any]) -> Any:
        raise NotImplementedError

    @property
    def kv(self) -> KeyValues:
        """Values by key."""
        from plexstream.sdk.host.coordination.kept.kv import KeyValues

        return KeyValues(self._operate, "default")


class NounsBy(Nouns):
    """The nouns, with calls made by `run`."""

    def __init__(self, run: Runner) -> None:
        self._run = run

    def _operate(self, steps: Operation[Any]) -> Any:
        return self._run(steps)
