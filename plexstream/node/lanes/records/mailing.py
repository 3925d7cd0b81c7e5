"""What acknowledged turns send to actors and edges, by the place it goes to; answers to edges compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plexstream.log.base import Item, Place
from plexstream.model.journal.journal import Out, Step, Turn
from plexstream.model.messages.address import partition_of
from plexstream.model.messages.message import Envelope
from plexstream.model.process.compiled import WANTED
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.encode import mails
from plexstream.schema.codec import encode_envelope

try:
    if not WANTED:
        raise ImportError
    from plexstream.node.lanes.records import _mails
except ImportError:
    ANSWERS: Callable[..., int] | None = None
else:
    _mails.load(Turn, Out, Envelope)
    ANSWERS = _mails.answers


def all_mails(
    topics: Topics, partitions: int, journal: str, turns: list[tuple[int, Turn | Step]]
) -> dict[Place, list[Item]]:
    """What turns send, by their offsets: see `mails`."""
    into: dict[Place, list[Item]] = {}
    ways: dict[str, tuple[bytes, list[Item]]] = {}

    def find(edge: str) -> tuple[bytes, list[Any]]:
        return edge.encode(), into.setdefault((topics.reply, partition_of(edge, partitions)), [])

    at = 0
    while at < len(turns):
        if ANSWERS is not None:
            at = ANSWERS(turns, at, ways, find, encode_envelope)
            if at == len(turns):
                break
        offset, turn = turns[at]
        mails(topics, partitions, journal, offset, turn, into)
        at += 1
    return into
