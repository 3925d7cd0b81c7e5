"""Coordination: system actors for what needs more than messages. Each is loaded when somebody first calls it.

They are ordinary actors, written with `sdk` alone: durable, replayed, moved and shown like all others. What
calls them, from handlers, clients, HTTP and the command line, is `sdk.host.coordination`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plexstream.sdk.spec import ActorType

PREFIX = "plex."
"""What the names of all system types begin with, and of no others."""

_CLASSES = {
    "plex.blob": "plexstream.coordination.kept.blobs:Blobs",
    "plex.election": "plexstream.coordination.held.election:Election",
    "plex.group": "plexstream.coordination.groups.group:Group",
    "plex.kv": "plexstream.coordination.kept.kv:KeyValue",
    "plex.lock": "plexstream.coordination.held.locks:Lock",
    "plex.pool": "plexstream.coordination.held.pools:Pool",
    "plex.channel": "plexstream.coordination.channels.channel:Channel",
    "plex.queue": "plexstream.coordination.channels.queue:Queue",
    "plex.space": "plexstream.coordination.space.actor:TupleSpace",
    "plex.registry": "plexstream.coordination.groups.registry:Registry",
    "plex.spread": "plexstream.coordination.shards.everywhere:Spread",
    "plex.shards": "plexstream.coordination.shards.group:Group",
}
"""By the name of its type, where its class is."""


def system_type(name: str) -> ActorType | None:
    """The system type `name`, loaded now if it was not; None: there is no such type."""
    where = _CLASSES.get(name)
    if where is None:
        return None
    module, _, cls = where.partition(":")
    found: ActorType = getattr(importlib.import_module(module), cls).__plexstream__
    return found
