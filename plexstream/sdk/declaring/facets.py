"""``facets=[…]``: what a program asks of its actors. What is not there is refused, not overlooked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from plexstream.sdk.errors import DeclarationError

Facet = str | Mapping[str, Any]

_CONFIGS: dict[str, dict[str, str]] = {
    # Facet -> keys of its config -> the option of the actor type that they are.
    "virtual_actor": {"idle_timeout": "idle_timeout", "max_active": "max_active"},
    "durability": {},
    "timer": {},
    "reminder": {},
    "event_emitter": {},
    "metrics": {},
}
_KEYS = {"type", "priority", "config"}


def read_facets(where: str, facets: Iterable[Facet], options: dict[str, Any]) -> tuple[str, ...]:
    """The names of `facets`; what they configure is added to `options`.

    A facet is a name, or a mapping of ``type``, ``config`` and ``priority`` (which orders nothing here).

    Raises:
        DeclarationError: a facet, or a key of one, that there is not.
    """
    given: Any = facets
    listed = isinstance(given, Iterable) and not isinstance(given, str)
    if not listed or not all(isinstance(facet, str | Mapping) for facet in given):
        raise DeclarationError(f"{where}: facets={facets!r}: give a list of names, or of dicts with a type")
    return tuple(_read(where, facet, options) for facet in facets)


def _read(where: str, facet: Facet, options: dict[str, Any]) -> str:
    entry: dict[str, Any] = {"type": facet} if isinstance(facet, str) else dict(facet)
    name = entry.get("type")
    known = _CONFIGS.get(name) if isinstance(name, str) else None
    if known is None:
        raise DeclarationError(f"{where}: there is no facet {name!r}; there are {', '.join(_CONFIGS)}")
    for key in entry:
        if key not in _KEYS:
            raise DeclarationError(
                f"{where}: the facet {name} has no key {key!r}; it has {', '.join(sorted(_KEYS))}"
            )
    for key, value in (entry.get("config") or {}).items():
        option = known.get(key)
        if option is None:
            raise DeclarationError(
                f"{where}: the facet {name} has no setting {key!r}; it has {', '.join(known) or 'none'}"
            )
        options.setdefault(option, value)
    return str(name)
