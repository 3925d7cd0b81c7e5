"""Lineage: stores and origins outlive what they are of, when topics are deleted and made again, or restored.

A journal may begin another life, or be put back to an earlier point of this one and go on from there under
other claims. A source may be made again, and counts its records from 0 once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

RULES = {
    "life": "a store is of use for the life of the journal that it names",
    "claim": "and only if the journal has the claim that it names, where it names it",
    "origin": "the life of a source is part of the origin of its records",
}
TURNS, LIVES, CLAIMS = 3, 2, 3


class Turn(NamedTuple):
    """A turn; the claim that it names is unlike that of any other reign, ever. `source`: life and number."""

    claim: int
    source: tuple[int, int]


class Store(NamedTuple):
    """What a state store holds, and of which journal."""

    life: int
    claim: int
    turns: tuple[Turn, ...]


class World(NamedTuple):
    """`state`: of the owner; None while there is none."""

    life: int = 0
    journal: tuple[Turn, ...] = ()
    store: Store | None = None
    claim: int = 0
    state: tuple[Turn, ...] | None = ()
    source: tuple[int, int] = (0, 0)  # its life, and the number that comes next
    lost: int = -1  # a record of the source's that was taken for a repetition


class Lives:
    """Rule 8 of the design: what belongs to another life is not taken for this one's."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def start(self) -> World:
        return World()

    def next(self, w: World) -> Iterator[tuple[str, World]]:
        life, number = w.source
        if w.state is None:
            if w.claim < CLAIMS:
                kept = w.store is not None and self._fits(w, w.store)
                base = w.store.turns if kept and w.store is not None else ()
                yield "takes over", w._replace(claim=w.claim + 1, state=(*base, *w.journal[len(base) :]))
        elif len(w.journal) < TURNS and number < 2:
            newest = max((n for then, n in (t.source for t in w.state) if self._same(then, life)), default=-1)
            after = w._replace(source=(life, number + 1))
            if number <= newest:
                yield "drops a repetition", after._replace(lost=number)
            else:
                turn = Turn(w.claim, w.source)
                yield "makes a turn", after._replace(journal=(*w.journal, turn), state=(*w.state, turn))
        if w.state is not None:
            yield "writes its store", w._replace(store=Store(w.life, w.claim, w.state))
            yield "dies", w._replace(state=None)
        else:
            if w.life + 1 < LIVES:
                yield "the journal is made again", w._replace(life=w.life + 1, journal=())
            for end in range(len(w.journal)):
                yield f"the journal is put back to {end}", w._replace(journal=w.journal[:end])
        if life + 1 < LIVES:
            yield "the source is made again", w._replace(source=(life + 1, 0))

    def _same(self, one: int, other: int) -> bool:
        return one == other or self.without == "origin"

    def _fits(self, w: World, store: Store) -> bool:
        if store.life != w.life and self.without != "life":
            return False
        if len(store.turns) > len(w.journal):
            return False  # it is of a journal that was longer
        last = store.turns[-1:]
        named = not last or w.journal[len(store.turns) - 1].claim == last[0].claim
        return named or (self.without == "claim" or (store.life != w.life and self.without == "life"))

    def wrong(self, w: World) -> str:
        if w.state is not None and w.state != w.journal:
            return f"the state is of {w.state}, the journal has {w.journal}"
        return f"record {w.lost} of the source is taken for a repetition" if w.lost >= 0 else ""
