"""A journal as the models see it: claims and turns, and who may write."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, TypeVar


class Entry(NamedTuple):
    """A claim (`message` is -1, `claim` its token), or the turn of a message under the claim at an offset."""

    message: int
    claim: int

    @property
    def is_claim(self) -> bool:
        """Whether it takes the partition."""
        return self.message < 0


Journal = tuple[Entry, ...]
Party = TypeVar("Party", bound=Any)


def in_order(one: Party, other: Party) -> tuple[Party, Party]:
    """Two owners in an order of their own: worlds in which they are swapped are one."""
    swap = (one.token, one.net, one.acks) > (other.token, other.net, other.acks)
    return (other, one) if swap else (one, other)


@lru_cache(maxsize=100_000)
def valid(journal: Journal, begin: int = 0, reading_rule: bool = True) -> list[tuple[int, int]]:
    """Turns from offset `begin` on that count, under the latest claim before them: (offset, message)."""
    latest, found = -1, []
    for offset, entry in enumerate(journal):
        if entry.is_claim:
            latest = offset
        elif offset >= begin and (entry.claim == latest or not reading_rule):
            found.append((offset, entry.message))
    return found


def twice(turns: list[tuple[int, int]]) -> str:
    """What is wrong if a message took effect twice."""
    messages = [message for _, message in turns]
    return "a message took effect twice" if len(set(messages)) < len(messages) else ""
