"""Writing a journal: what an acknowledgement proves, and of a producer of whom the broker knows nothing.

Turns are pipelined: each is made in the state that those before it have left, acknowledged or not. A broker
guards the order of a producer's batches once it has a state of it, and may forget that while it is idle: of
two batches on their way the first may then be refused and the second taken, and the first is told as
delivered, without an offset. Answers get lost, or come late, when what they answer was given up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from plexstream.testing.protocol.journal import in_order

RULES = {
    "alone": "until a producer has its first offset, and again after idleness, one batch alone is on its way",
    "offset": "an acknowledgement is an offset: without one the reign is over",
    "own": "an answer counts for what was asked, not for what was given up",
    "gap": "what stands between one's own records is read before anything counts",
}
MESSAGES, CLAIMS, FORGETS = 3, 2, 1


class Entry(NamedTuple):
    """A claim (`message` is -1, `claim` its token), or the turn of a message in a state of `seen` turns."""

    message: int
    claim: int
    seen: int = 0


class Owner(NamedTuple):
    """One owner with its producer; `late`: what former producers of its process have sent."""

    phase: str = "idle"
    token: int = -1
    claim: int = -1
    expect: int = -1
    done: tuple[int, ...] = ()
    open: tuple[Entry, ...] = ()  # turns whose answer is due
    net: tuple[Entry, ...] = ()
    acks: tuple[tuple[int, Entry], ...] = ()
    known: bool = False  # the broker has a state of the producer
    proven: bool = False  # and the producer knows that
    late: tuple[Entry, ...] = ()


class World(NamedTuple):
    """`heard`: messages whose callers have an answer."""

    journal: tuple[Entry, ...] = ()
    owners: tuple[Owner, Owner] = (Owner(), Owner())
    claims: int = 0
    forgets: int = 0
    heard: frozenset[int] = frozenset()


Put = Callable[[Owner, World], World]
Step = tuple[str, World]


class Writing:
    """Rule 4 of the architecture's chapter on ownership."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def start(self) -> World:
        return World()

    def next(self, world: World) -> Iterator[Step]:
        if len(world.journal) > 5:
            return
        for i, owner in enumerate(world.owners):

            def put(new: Owner, w: World, i: int = i) -> World:
                return w._replace(owners=in_order(new, w.owners[1 - i]))

            for step, after in self._owner(world, owner, put):
                yield f"{i} {step}", after

    def _owner(self, w: World, o: Owner, put: Put) -> Iterator[Step]:
        if o.phase == "idle" and w.claims < CLAIMS:
            new = o._replace(phase="claiming", token=w.claims, net=(Entry(-1, w.claims),))
            yield "claims", put(new, w._replace(claims=w.claims + 1))
        may = self.without == "alone" or o.proven or not o.open
        if o.phase == "active" and may and len(o.done) < MESSAGES:
            turn = Entry(min(set(range(MESSAGES)) - set(o.done)), o.claim, len(o.done))
            new = o._replace(done=(*o.done, turn.message), open=(*o.open, turn), net=(*o.net, turn))
            yield f"handles {turn.message}", put(new, w)
        if o.net:
            yield from self._sent(w, o, put)
        elif o.known and not o.acks and w.forgets < FORGETS:
            # Who was idle for as long as that counts itself unknown.
            yield (
                "is forgotten",
                put(o._replace(known=False, proven=False), w._replace(forgets=w.forgets + 1)),
            )
        if o.late:
            longer = w._replace(journal=(*w.journal, o.late[0]))
            after = o._replace(late=o.late[1:], acks=(*o.acks, (len(w.journal), o.late[0])))
            yield f"{o.late[0]} is appended late", put(after, longer)
        if o.acks:
            yield self._answered(w, o, put)
        if o.open:
            yield "loses an answer", put(self._over(o), w)
        if o.phase != "idle":
            yield "dies", put(Owner(late=(*o.late, *o.net)), w)

    def _over(self, o: Owner) -> Owner:
        """The reign has ended, and with it the producer; answers to what it sent may still come."""
        return Owner(acks=o.acks, late=(*o.late, *o.net))

    def _sent(self, w: World, o: Owner, put: Put) -> Iterator[Step]:
        head, rest = o.net[0], o.net[1:]
        longer = w._replace(journal=(*w.journal, head))
        taken = o._replace(net=rest, known=True, acks=(*o.acks, (len(w.journal), head)))
        yield f"{head} is appended", put(taken, longer)
        # As a duplicate of what was sent twice: the broker does not remember where it is.
        nowhere = taken._replace(acks=(*o.acks, (-1, head)))
        yield f"{head} is appended, and acknowledged without an offset", put(nowhere, longer)
        if not o.known and rest:
            longer = w._replace(journal=(*w.journal, rest[0]))
            acks = (*o.acks, (-1, head), (len(w.journal), rest[0]))
            yield (
                f"{head} is refused, and {rest[0]} taken",
                put(o._replace(net=rest[1:], known=True, acks=acks), longer),
            )

    def _answered(self, w: World, o: Owner, put: Put) -> Step:
        (offset, entry), rest = o.acks[0], o.acks[1:]
        o = o._replace(acks=rest)
        if o.phase == "claiming" and entry == Entry(-1, o.token):
            turns = valid(w.journal[: offset + 1])
            done = tuple(turn.message for turn in turns)
            new = o._replace(phase="active", claim=offset, expect=offset + 1, done=done, proven=True)
            return "owns the journal", put(new, w)
        if o.phase != "active" or not o.open or (entry != o.open[0] and self.without != "own"):
            return "hears of something old", put(o, w)
        if offset < o.expect:
            if offset >= 0 or self.without != "offset":
                return "hears of no offset that counts", put(self._over(o), w)
            offset = o.expect
        if any(e.message < 0 for e in w.journal[o.expect : offset]) and self.without != "gap":
            return "is fenced", put(self._over(o), w)
        new = o._replace(expect=offset + 1, open=o.open[1:], proven=True)
        return "is acknowledged", put(new, w._replace(heard=w.heard | {o.open[0].message}))

    def wrong(self, world: World) -> str:
        turns = valid(world.journal)
        for number, turn in enumerate(turns):
            if turn.seen != number:
                return (
                    f"the turn of {turn.message} was made after {turn.seen} turns, and stands after {number}"
                )
        if missing := world.heard - {turn.message for turn in turns}:
            return f"{sorted(missing)} were acknowledged, and are nowhere"
        return ""


def valid(journal: tuple[Entry, ...]) -> list[Entry]:
    """The turns that count, each under the latest claim before it."""
    latest, found = -1, []
    for offset, entry in enumerate(journal):
        if entry.message < 0:
            latest = offset
        elif entry.claim == latest:
            found.append(entry)
    return found
