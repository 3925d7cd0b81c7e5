"""Where an actor is in its life, and how actors hear of each other's ends.

All of it is ordinary durable state, in fields that no class can declare: FIELD and the three collections.
Signals are ordinary messages whose handler's name begins with ``$``.
"""

from __future__ import annotations

import json
from typing import NamedTuple

FIELD = "$life"
LINKS = "$links"
"""Collection: addresses that are told of this actor's exit, and whose exit is told to it."""
MONITORS = "$monitors"
"""Collection: who is told of this actor's exit, by reference."""
WATCHING = "$watching"
"""Collection: whose exit this actor wants to be told of, by reference."""

START, STOP, KILL = "$start", "$stop", "$kill"
STARTED, EXITED = "$started", "$exited"
LINK, UNLINK, EXIT = "$link", "$unlink", "$exit"
MONITOR, DEMONITOR, DOWN = "$monitor", "$demonitor", "$down"
SIGNALS = frozenset((
    START, STOP, KILL, STARTED, EXITED, LINK, UNLINK, EXIT, MONITOR, DEMONITOR, DOWN,
))  # fmt: skip
"""What the system itself answers. EXIT to oneself, sent by a handler, ends the actor with that very turn."""

ON_CHILD, ON_STOP, ON_EXIT, ON_DOWN = "__child__", "__stop__", "__exit__", "__down__"
"""Handlers that a class may declare to be asked instead of being stopped, and to hear of others."""
HOOKS = frozenset((ON_CHILD, ON_STOP, ON_EXIT, ON_DOWN))

NORMAL, SHUTDOWN, KILLED, RESTARTED, NOBODY = "normal", "shutdown", "killed", "restarted", "noproc"
"""Exit reasons that mean something; any other text is that of a failure."""


class Life(NamedTuple):
    """One life of an actor.

    An actor that nobody has started, linked or monitored has none: it lives whenever messages come.
    """

    id: str = ""  # given by who started it; empty: nobody did
    starts: int = 0
    stopped: bool = False
    reason: str = ""  # why the latest life ended
    parent: str = ""  # address of the supervisor
    resumes: bool = False  # a failure does not end it: its parent is told, and it keeps its state
    failed: bool = False  # told to its parent, which decides


def encode_life(life: Life) -> bytes:
    """A life as the JSON of a field; what is as in a new one is left out."""
    told = {k: v for k, v in life._asdict().items() if v != Life._field_defaults[k]}
    return json.dumps(told, separators=(",", ":")).encode()


def decode_life(data: bytes | None) -> Life | None:
    """The life that a field holds; None where there is none."""
    return None if data is None else Life(**json.loads(data))
