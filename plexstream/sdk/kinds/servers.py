"""Servers (GenServer): handlers for calls and for casts."""

from __future__ import annotations

from typing import Any

from plexstream.sdk.declaring.declare import compose, declare
from plexstream.sdk.declaring.marks import Marked
from plexstream.sdk.errors import DeclarationError
from plexstream.sdk.spec import ActorType


def gen_server_actor(cls: Any = None, /, **options: Any) -> Any:
    """Declare a class as an actor type with calls, which have a result, and casts, which have none.

    Parameters:
        options: as for `actor`.
    """
    if cls is None:
        return lambda c: declare(c, _compose, **options)
    return declare(cls, _compose)


def _compose(spec: ActorType, found: list[Marked]) -> None:
    compose(spec, found)
    if spec.behaviour != "actor":
        raise DeclarationError(f"{spec.cls.__name__}: an EventSourced actor is declared with @actor")
    spec.behaviour = "gen_server"
