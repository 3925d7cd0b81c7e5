"""Who owns a journal: claims, fencing by offsets, the relay with its repetitions, and reads with proof."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from plexstream.testing.protocol.rules.journal import Entry, Journal, in_order, twice, valid

RULES = {
    "validity": "a turn counts only under the latest claim before it",
    "gap": "what stands between one's own records is read before anything leaves",
    "acknowledgement": "nothing leaves before its turn is acknowledged",
    "dedupe": "the receiver drops what is not newer than what it has",
    "order": "the relay sends in the order of the turns",
    "debts": "a new owner relays again what may not have arrived",
    "proof": "a read is answered with the next acknowledgement",
}
MESSAGES, CLAIMS = 2, 3
MARK = 99


class Owner(NamedTuple):
    """One owner: `phase` is idle, claiming or active."""

    phase: str = "idle"
    token: int = -1
    claim: int = -1
    expect: int = -1  # the journal offset that comes next, if nobody else writes
    done: frozenset[int] = frozenset()  # messages that had a turn, acknowledged or not
    net: tuple[Entry, ...] = ()
    acks: tuple[tuple[int, Entry], ...] = ()
    relay: tuple[int, ...] = ()
    read: int = -1  # what a read saw that waits for proof: how many turns


class World(NamedTuple):
    """`heard`: how many turns a caller knows of. `asked`: that number when the read was sent, or -1."""

    journal: Journal = ()
    mailbox: tuple[int, ...] = ()  # of the receiver: journal offsets of the causing turns
    owners: tuple[Owner, Owner] = (Owner(), Owner())
    claims: int = 0
    heard: int = 0
    asked: int = -1
    answer: int = -1


Put = Callable[[Owner, World], World]


class Ownership:
    """Rules 1 to 6 and 9 of the architecture's chapter on ownership."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def start(self) -> World:
        return World()

    def _valid(self, journal: Journal) -> list[tuple[int, int]]:
        return valid(journal, reading_rule=self.without != "validity")

    def next(self, world: World) -> Iterator[tuple[str, World]]:
        if len(world.journal) > 4 or len(world.mailbox) > 2:
            return
        if world.asked < 0 and world.heard:
            yield "a read is sent", world._replace(asked=world.heard)
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
                if self.without == "acknowledgement":
                    new = new._replace(relay=(*o.relay, o.expect))
                yield f"handles {fresh[0]}", put(new, w)
            if w.asked >= 0 and w.answer < 0 and o.read < 0:
                if self.without == "proof":
                    yield "answers the read", put(o, w._replace(answer=len(o.done)))
                else:
                    # A mark where nothing else is under way; a turn serves as well.
                    yield "reads", put(o._replace(read=len(o.done), net=(*o.net, Entry(MARK, o.claim))), w)
        if o.net:
            entry = o.net[0]
            appended = w._replace(journal=(*w.journal, entry))
            yield (
                f"{entry} is appended",
                put(o._replace(net=o.net[1:], acks=(*o.acks, (len(w.journal), entry))), appended),
            )
        if o.acks:
            yield from self._acknowledged(w, o, put)
        if o.relay:
            yield (
                f"relays {o.relay[0]}",
                put(o._replace(relay=o.relay[1:]), w._replace(mailbox=(*w.mailbox, o.relay[0]))),
            )
        if o.phase != "idle":
            yield "dies", put(Owner(net=o.net), w)
            if o.net:
                yield "dies with what it sent", put(Owner(), w)

    def _acknowledged(self, w: World, o: Owner, put: Put) -> Iterator[tuple[str, World]]:
        (offset, entry), rest = o.acks[0], o.acks[1:]
        if o.phase == "claiming" and entry == Entry(-1, o.token):
            turns = [t for t in self._valid(w.journal[: offset + 1]) if t[1] < MESSAGES]
            owed = () if self.without == "debts" else tuple(offset for offset, _ in turns)
            yield "owns the journal", put(
                o._replace(
                    phase="active", claim=offset, expect=offset + 1, acks=rest,
                    done=frozenset(message for _, message in turns), relay=owed,
                ),
                w,
            )  # fmt: skip
        elif o.phase == "active" and not entry.is_claim and entry.claim == o.claim:
            if any(e.is_claim for e in w.journal[o.expect : offset]) and self.without != "gap":
                yield "is fenced", put(Owner(net=o.net), w)
                return
            new, world = o._replace(expect=offset + 1, acks=rest), w
            if entry.message == MARK:
                world = w._replace(answer=o.read)
                new = new._replace(read=-2)
            else:
                world = w._replace(heard=max(w.heard, self._count(w.journal, offset)))
                if self.without == "order":
                    new = new._replace(relay=(offset, *o.relay))
                elif self.without != "acknowledgement":
                    new = new._replace(relay=(*o.relay, offset))
            yield "is acknowledged", put(new, world)
        else:
            yield "hears of something old", put(o._replace(acks=rest), w)

    def _count(self, journal: Journal, offset: int) -> int:
        return len([t for t in self._valid(journal[: offset + 1]) if t[1] < MESSAGES])

    def wrong(self, world: World) -> str:
        turns = [turn for turn in self._valid(world.journal) if turn[1] < MESSAGES]
        if bad := twice(turns):
            return bad
        wanted = [offset for offset, _ in turns]
        got: list[int] = []
        for offset in world.mailbox:
            if not got or offset > got[-1] or self.without == "dedupe":
                got.append(offset)
        if got != wanted[: len(got)]:
            return f"{got} arrived, of the turns {wanted}"
        if len(got) < len(wanted) and self._lost(world, wanted):
            return f"{wanted} will never arrive in full"
        if 0 <= world.answer < world.asked:
            return f"a read saw {world.answer} turns after {world.asked} were acknowledged"
        return ""

    def _lost(self, world: World, wanted: list[int]) -> bool:
        """Whether the owner of the latest claim has nothing left to do, and something is missing still."""
        quiet = all(not o.net and not o.acks and not o.relay for o in world.owners)
        latest = max((k for k, e in enumerate(world.journal) if e.is_claim), default=-1)
        return quiet and any(o.phase == "active" and o.claim == latest for o in world.owners)
