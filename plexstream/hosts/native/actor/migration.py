"""State that other code stored: fields that were renamed, retyped, or are no longer declared.

It is brought up when an actor is loaded, and goes into the journal with the actor's next turn. Until then
every loading does the same again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from plexstream.hosts.native.actor.fields import BadState, PlainFields
from plexstream.model.journal.journal import Change
from plexstream.model.messages.text import said
from plexstream.model.process.alike import filled
from plexstream.sdk.spec import ActorType

_log = logging.getLogger("plexstream.actor")
_told: set[tuple[str, str]] = set()
"""Types and their fields that the log has been told of: once in a process."""


def bring_up(
    spec: ActorType, plain: PlainFields, obj: Any, attributes: dict[str, Any], stored: Mapping[str, bytes]
) -> tuple[dict[str, bytes], tuple[Change, ...]]:
    """Fill an actor's attributes from what is stored; returns that as this code stores it, and what changed.

    Raises:
        BadState: a field that this code cannot read, and no hook has set.
    """
    encoded: dict[str, bytes] = filled(plain.encoded(), stored)
    renamed = {c.name: c.field.was for c in plain.codecs if c.field.was in encoded and c.name not in encoded}
    for name, was in renamed.items():
        encoded[name] = encoded.pop(was)
    strange = [name for name in encoded if name not in plain.names and name[0] not in "$@"]
    unread: dict[str, BadState] = {}
    for codec in plain.codecs:
        try:
            plain.load_one(codec, attributes, encoded)
        except BadState as error:
            if spec.migrate is None:
                raise
            unread[codec.name] = error
    if spec.migrate is None:
        _tell(spec, strange)
    elif strange or unread:
        _migrate(spec.migrate, obj, {name: encoded[name] for name in (*strange, *unread)})
        for name, problem in unread.items():
            if name not in attributes:
                raise problem
        for name in strange:
            del encoded[name]
        for codec in plain.codecs:
            data, attributes[codec.name] = codec.seal(attributes[codec.name])
            if data != encoded.get(codec.name, codec.initial):
                encoded[codec.name] = data
    gone = [Change(name, None, None) for name in stored if name not in encoded]
    new = [Change(n, None, data) for n, data in encoded.items() if stored.get(n) != data]
    return encoded, (*gone, *new)


def _migrate(hook: Callable[..., Any], obj: Any, stored: Mapping[str, bytes]) -> None:
    old = {name: msgspec.json.decode(data) for name, data in stored.items()}
    try:
        hook(obj, old)
    except Exception as error:
        what = f"{said(error)}, given {old!r:.200}"
        raise BadState(f"the migrate hook raised {what}") from error


def _tell(spec: ActorType, strange: list[str]) -> None:
    for name in strange:
        if (spec.name, name) not in _told:
            _told.add((spec.name, name))
            _log.warning(
                "%s.%s is stored and no longer declared: it is kept, and nobody sees it. Declare it again, "
                "give its successor state(was=%r), or take it over in a @migrate hook",
                spec.name, name, name,
            )  # fmt: skip
