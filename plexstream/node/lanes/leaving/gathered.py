"""What turns send, gathered for a transaction: compiled, or in Python, which says what is right."""

from __future__ import annotations

from collections.abc import Callable

from plexstream.model.journal.journal import Out, OutKind, Step, Turn
from plexstream.model.process.compiled import WANTED
from plexstream.node.lanes.records.encode import Output

try:
    if not WANTED:
        raise ImportError
    from plexstream.node.lanes.leaving import _outputs
except ImportError:
    COMPILED = False
else:
    COMPILED = True
    _outputs.load(Turn, Step, Out)

_EMIT = OutKind.EMIT.value

Turns = list[tuple[int, Turn | Step]]
"""Turns with their journal offsets, in their order."""


def payloads(turns: Turns) -> int:
    """How many bytes all that these turns send has."""
    size = _outputs.payloads(turns) if COMPILED else None
    return sum([len(out.payload) for _, turn in turns for out in turn.outs]) if size is None else size


def outputs(turns: Turns, position: int, names: dict[str, str], name: Callable[[str], str]) -> list[Output]:
    """The records of all outputs of the turns from offset `position` on, in their order.

    Parameters:
        names: topics by the names that handlers give them; those that it does not have are added.
        name: finds the topic of a name.
    """
    found = _outputs.records(turns, position, names, name) if COMPILED else None
    return _outputs_of(turns, position, names, name) if found is None else found


def _outputs_of(
    turns: Turns, position: int, names: dict[str, str], name: Callable[[str], str]
) -> list[Output]:
    records: list[Output] = []
    for offset, turn in turns:
        if offset >= position:
            for out in turn.outs:
                if out.kind == _EMIT:
                    topic = names.get(out.target)
                    if topic is None:
                        topic = names[out.target] = name(out.target)
                    records.append((topic, None, (out.key or turn.actor).encode(), out.payload))
    return records
