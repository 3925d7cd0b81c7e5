"""What leaves by transactions: each output once, whoever commits it, and whatever became of a commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from plexstream.testing.protocol.rules.journal import Entry, Journal, in_order, twice, valid

RULES = {
    "fencing": "a newer transaction fences the older ones",
    "position": "a commit carries the relay's position, which is read back when a transaction is opened",
    "proof": "a position is taken only from who knows what was committed last, and not from who knew before",
    "gap": "what stands between one's own records is read before anything leaves",
    "debts": "a new owner commits again what may not be committed",
}
MESSAGES, CLAIMS, EPOCHS = 2, 2, 3


class Owner(NamedTuple):
    """One owner, with its transaction: `epoch` is -1 where none is open."""

    phase: str = "idle"
    token: int = -1
    claim: int = -1
    expect: int = -1
    done: frozenset[int] = frozenset()
    net: tuple[Entry, ...] = ()
    acks: tuple[tuple[int, Entry], ...] = ()
    queue: tuple[int, ...] = ()
    epoch: int = -1
    position: int = 0


class World(NamedTuple):
    """`output` is what readers of committed records see; `position` stands with it; `before`, what it was."""

    journal: Journal = ()
    output: tuple[int, ...] = ()
    position: int = 0
    before: int = 0
    epoch: int = 0
    owners: tuple[Owner, Owner] = (Owner(), Owner())
    claims: int = 0


Put = Callable[[Owner, World], World]


class Outputs:
    """Rule 7, on top of ownership."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def start(self) -> World:
        return World()

    def next(self, world: World) -> Iterator[tuple[str, World]]:
        if len(world.journal) > 4 or len(world.output) > 3:
            return
        for i, owner in enumerate(world.owners):

            def put(new: Owner, w: World, i: int = i) -> World:
                return w._replace(owners=in_order(new, w.owners[1 - i]))

            for step, after in self._owner(world, owner, put):
                yield f"{i} {step}", after

    def _owner(self, w: World, o: Owner, put: Put) -> Iterator[tuple[str, World]]:
        if o.phase == "idle" and not o.acks and w.claims < CLAIMS:
            new = o._replace(phase="claiming", token=w.claims, net=(*o.net, Entry(-1, w.claims)))
            yield "claims", put(new, w._replace(claims=w.claims + 1))
        if o.phase == "active":
            fresh = [m for m in range(MESSAGES) if m not in o.done]
            if fresh:
                new = o._replace(done=o.done | {fresh[0]}, net=(*o.net, Entry(fresh[0], o.claim)))
                yield f"handles {fresh[0]}", put(new, w)
            if o.queue:
                yield from self._lane(w, o, put)
        if o.net:
            new = o._replace(net=o.net[1:], acks=(*o.acks, (len(w.journal), o.net[0])))
            yield f"{o.net[0]} is appended", put(new, w._replace(journal=(*w.journal, o.net[0])))
        if o.acks:
            yield self._acknowledged(w, o, put)
        if o.phase != "idle":
            yield "dies", put(Owner(net=o.net), w)
            if o.net:
                yield "dies with what it sent", put(Owner(), w)

    def _lane(self, w: World, o: Owner, put: Put) -> Iterator[tuple[str, World]]:
        if o.epoch < 0:
            if w.epoch < EPOCHS:
                position = 0 if self.without == "position" else w.position
                new = o._replace(epoch=w.epoch + 1, position=position)
                yield "opens a transaction", put(new, w._replace(epoch=w.epoch + 1))
                if self.without == "proof":
                    misled = new._replace(position=w.before)
                    yield "opens a transaction, and is misled", put(misled, w._replace(epoch=w.epoch + 1))
            return
        if o.epoch != w.epoch and self.without != "fencing":
            yield "is fenced there", put(Owner(net=o.net), w)
            return
        some = o.queue
        new_ones = tuple(offset for offset in some if offset >= o.position)
        end = some[-1] + 1
        committed = w._replace(output=w.output + new_ones, position=max(w.position, end))
        if self.without == "proof":  # else nobody asks for it
            committed = committed._replace(before=w.position)
        yield f"commits {some}", put(o._replace(queue=(), position=max(o.position, end)), committed)
        unsure = o._replace(epoch=-1)
        yield f"commits {some} and does not know", put(unsure, committed)
        yield f"fails to commit {some}", put(unsure, w)

    def _acknowledged(self, w: World, o: Owner, put: Put) -> tuple[str, World]:
        (offset, entry), rest = o.acks[0], o.acks[1:]
        if o.phase == "claiming" and entry == Entry(-1, o.token):
            turns = valid(w.journal[: offset + 1])
            queue = () if self.without == "debts" else tuple(offset for offset, _ in turns)
            done = frozenset(message for _, message in turns)
            new = o._replace(phase="active", claim=offset, expect=offset + 1, done=done)
            return "owns the journal", put(new._replace(acks=rest, queue=queue), w)
        if o.phase == "active" and not entry.is_claim and entry.claim == o.claim:
            if any(e.is_claim for e in w.journal[o.expect : offset]) and self.without != "gap":
                return "is fenced", put(Owner(net=o.net), w)
            new = o._replace(expect=offset + 1, acks=rest, queue=(*o.queue, offset))
            return "is acknowledged", put(new, w)
        return "hears of something old", put(o._replace(acks=rest), w)

    def wrong(self, world: World) -> str:
        turns = valid(world.journal)
        if bad := twice(turns):
            return bad
        wanted = tuple(offset for offset, _ in turns)
        if world.output != wanted[: len(world.output)]:
            return f"outputs {world.output} are committed, of the turns {wanted}"
        latest = max((k for k, e in enumerate(world.journal) if e.is_claim), default=-1)
        quiet = all(not o.net and not o.acks and not o.queue for o in world.owners)
        if quiet and len(world.output) < len(wanted) and any(o.claim == latest for o in world.owners):
            return f"outputs of {wanted} will never leave in full"
        return ""
