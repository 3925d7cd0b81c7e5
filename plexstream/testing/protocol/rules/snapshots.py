"""What may be forgotten: stores that survive or not, snapshots, and a journal trimmed below them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from plexstream.testing.protocol.rules.journal import Entry, Journal, in_order, twice, valid

RULES = {
    "fencing": "a newer transaction fences the older ones",
    "proof": "who opens a transaction makes sure afterwards that nobody has claimed since",
    "answer": "who asks for an offset and gets none asks again: -1001 is no offset",
    "end": "a trim names an end that its caller has proven, and never deletes more",
    "floor": "the journal is trimmed below what a committed snapshot holds, and no further",
    "hole": "a store or a snapshot is of use only if the journal has all that comes after it",
    "trimmed gap": "a gap that somebody has trimmed is a newer owner's",
    "acknowledgement": "snapshots and stores hold what is acknowledged, and nothing else",
}
MESSAGES, CLAIMS, EPOCHS = 1, 3, 2

Sum = tuple[int, frozenset[int]]  # a journal offset, and the messages that had a turn below it


class Owner(NamedTuple):
    """One owner. `phase`: idle, claiming, claimed, loaded, active. `store` survives its death."""

    phase: str = "idle"
    token: int = -1
    claim: int = -1
    expect: int = -1
    done: frozenset[int] = frozenset()
    known: frozenset[int] = frozenset()  # `done` as far as it is acknowledged
    net: tuple[Entry, ...] = ()
    acks: tuple[tuple[int, Entry], ...] = ()
    base: Sum | None = None
    store: Sum | None = None
    epoch: int = -1
    proved: bool = False
    keep: int = 0  # below it the journal may be trimmed


class World(NamedTuple):
    """`journal` is all that was ever written; below `begin` it is trimmed."""

    journal: Journal = ()
    begin: int = 0
    snapshot: Sum = (0, frozenset())
    epoch: int = 0
    owners: tuple[Owner, Owner] = (Owner(), Owner())
    claims: int = 0


Put = Callable[[Owner, World], World]
Step = tuple[str, World]


def messages(journal: Journal, begin: int = 0) -> frozenset[int]:
    """Messages that had a turn from offset `begin` on."""
    return frozenset(message for _, message in valid(journal, begin))


class Snapshots:
    """Store, snapshots and trimming, on top of ownership."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def start(self) -> World:
        return World()

    def next(self, world: World) -> Iterator[Step]:
        if len(world.journal) > 4:
            return
        for i, owner in enumerate(world.owners):

            def put(new: Owner, w: World, i: int = i) -> World:
                return w._replace(owners=in_order(new, w.owners[1 - i]))

            for step, after in self._owner(world, owner, put):
                yield f"{i} {step}", after

    def _owner(self, w: World, o: Owner, put: Put) -> Iterator[Step]:
        if o.phase == "idle" and not o.acks and w.claims < CLAIMS:
            new = o._replace(phase="claiming", token=w.claims, net=(*o.net, Entry(-1, w.claims)))
            yield "claims", put(new, w._replace(claims=w.claims + 1))
        elif o.phase in ("claimed", "loaded"):
            yield from self._takeover(w, o, put)
        elif o.phase == "active":
            yield from self._active(w, o, put)
        if o.net:
            new = o._replace(net=o.net[1:], acks=(*o.acks, (len(w.journal), o.net[0])))
            yield f"{o.net[0]} is appended", put(new, w._replace(journal=(*w.journal, o.net[0])))
        if o.acks:
            yield self._acknowledged(w, o, put)
        if o.phase != "idle":
            yield "dies", put(Owner(net=o.net, store=o.store), w)
            yield "dies with its store and what it sent", put(Owner(), w)

    def _takeover(self, w: World, o: Owner, put: Put) -> Iterator[Step]:
        if o.phase == "claimed":
            if o.store is not None and w.begin <= o.store[0] <= o.claim:
                yield "uses its store", put(o._replace(phase="loaded", base=o.store), w)
            else:
                yield "reads the snapshots", put(o._replace(phase="loaded", base=w.snapshot), w)
        else:
            assert o.base is not None
            start, known = o.base
            if start < w.begin and self.without != "hole":
                yield "finds a hole", put(o._replace(phase="claimed", store=None, base=None), w)
                return
            if max(w.begin, start) > o.claim:
                yield "does not find its claim", put(Owner(net=o.net), w)
                return
            known = known | messages(w.journal[: o.claim + 1], max(w.begin, start))
            new = o._replace(phase="active", expect=o.claim + 1, done=known, known=known, base=None)
            yield "is active", put(new, w)

    def _owns(self, w: World, since: int) -> bool:
        """Whether the journal shows no claim since offset `since`, nor that somebody has trimmed it."""
        return w.begin <= since and not any(e.is_claim for e in w.journal[since:])

    def _active(self, w: World, o: Owner, put: Put) -> Iterator[Step]:
        fresh = [m for m in range(MESSAGES) if m not in o.done]
        if fresh:
            new = o._replace(done=o.done | {fresh[0]}, net=(*o.net, Entry(fresh[0], o.claim)))
            yield f"handles {fresh[0]}", put(new, w)
        held = o.done if self.without == "acknowledgement" else o.known
        if o.store != (o.expect, held):
            yield "writes its store", put(o._replace(store=(o.expect, held)), w)
        if o.epoch < 0 and w.epoch < EPOCHS:
            new = o._replace(epoch=w.epoch + 1, proved=False)
            yield "opens its transaction", put(new, w._replace(epoch=w.epoch + 1))
        elif o.epoch >= 0 and not o.proved:
            if self.without in ("proof", "answer") or self._owns(w, o.expect):
                yield "proves itself", put(o._replace(proved=True), w)
            else:
                yield "is fenced", put(Owner(net=o.net, store=o.store), w)
        elif o.epoch >= 0 and o.keep < o.expect:
            if o.epoch == w.epoch or self.without == "fencing":
                saved = w._replace(snapshot=(o.expect, held))
                yield "commits a snapshot", put(o._replace(keep=o.expect), saved)
            else:
                yield "is fenced there", put(Owner(net=o.net, store=o.store), w)
        keep = o.expect if self.without == "floor" else o.keep
        if keep > w.begin:
            yield f"trims the journal below {keep}", w._replace(begin=keep)
            if self.without == "end":
                yield f"trims the journal below {keep}, and all of it goes", w._replace(begin=len(w.journal))

    def _acknowledged(self, w: World, o: Owner, put: Put) -> Step:
        (offset, entry), rest = o.acks[0], o.acks[1:]
        if o.phase == "claiming" and entry == Entry(-1, o.token):
            return "has its claim", put(o._replace(phase="claimed", claim=offset, acks=rest), w)
        if o.phase == "active" and not entry.is_claim and entry.claim == o.claim:
            trimmed = offset > o.expect and w.begin > o.expect and self.without != "trimmed gap"
            if trimmed or any(e.is_claim for e in w.journal[max(o.expect, w.begin) : offset]):
                return "is fenced", put(Owner(net=o.net, store=o.store), w)
            new = o._replace(expect=offset + 1, acks=rest, known=o.known | {entry.message})
            return "is acknowledged", put(new, w)
        return "hears of something old", put(o._replace(acks=rest), w)

    def wrong(self, world: World) -> str:
        if bad := twice(valid(world.journal)):
            return bad
        everything = messages(world.journal)
        start, known = world.snapshot
        rebuilt = known | messages(world.journal, max(start, world.begin))
        if rebuilt != everything:
            return f"a rebuild finds {sorted(rebuilt)}, the turns were of {sorted(everything)}"
        for owner in world.owners:
            if owner.store is not None:
                start, known = owner.store
                if known != messages(world.journal[:start]):
                    return f"a store as of {start} holds {sorted(known)}"
        return ""
