"""Writing a journal: what an acknowledgement proves, and what of it counts.

Turns are pipelined: each is made in the state that those before it have left, acknowledged or not. A broker
guards the order of a producer's batches while it has a state of it. Once it has forgotten that, of two on
their way the first may be refused and the second taken, and the first is told as delivered, without an
offset; that senders take care of this, as in `delivery`, saves reigns here, and nothing hangs on it. Answers
get lost, or come late, when what they answer was given up. And what was appended may be appended again: right
behind, where its answer was lost, or later.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from plexstream.testing.protocol.rules.journal import in_order

RULES = {
    "offset": "an acknowledgement is an offset: without one the reign is over",
    "own": "an answer counts for what was asked, not for what was given up",
    "gap": "what stands between one's own records is read before anything counts",
    "once": "a turn counts if its number is higher than any before it in its reign",
    "next": "and if no number between is missing; behind that one nothing of the reign counts",
}
MESSAGES, CLAIMS, FORGETS, COPIES = 3, 2, 1, 1


class Entry(NamedTuple):
    """A claim (`message` is -1, `claim` its token), or the turn of a message in a state of `seen` turns.

    A turn has a `number` in its reign, from 1.
    """

    message: int
    claim: int
    seen: int = 0
    number: int = 0


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
    numbers: int = 0  # given in this reign
    late: tuple[Entry, ...] = ()


class World(NamedTuple):
    """`heard`: messages whose callers have an answer. `copies`: what will be appended once more."""

    journal: tuple[Entry, ...] = ()
    owners: tuple[Owner, Owner] = (Owner(), Owner())
    claims: int = 0
    forgets: int = 0
    copied: int = 0
    copies: tuple[Entry, ...] = ()
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
        if len(world.journal) > 4:
            return
        for i, owner in enumerate(world.owners):

            def put(new: Owner, w: World, i: int = i) -> World:
                return w._replace(owners=in_order(new, w.owners[1 - i]))

            for step, after in self._owner(world, owner, put):
                yield f"{i} {step}", after
        if world.copies:
            journal = (*world.journal, *world.copies)
            yield f"{world.copies[0]} is appended again", world._replace(journal=journal, copies=())

    def _owner(self, w: World, o: Owner, put: Put) -> Iterator[Step]:
        if o.phase == "idle" and w.claims < CLAIMS:
            new = o._replace(phase="claiming", token=w.claims, net=(Entry(-1, w.claims),))
            yield "claims", put(new, w._replace(claims=w.claims + 1))
        if o.phase == "active" and len(o.done) < MESSAGES:
            turn = Entry(min(set(range(MESSAGES)) - set(o.done)), o.claim, len(o.done), o.numbers + 1)
            new = o._replace(done=(*o.done, turn.message), open=(*o.open, turn), net=(*o.net, turn))
            new = new._replace(numbers=turn.number)
            yield f"handles {turn.message}", put(new, w)
        if o.net:
            yield from self._sent(w, o, put)
        if o.known and len(o.net) > 1 and w.forgets < FORGETS:
            yield "is forgotten", put(o._replace(known=False), w._replace(forgets=w.forgets + 1))
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
        if w.copied < COPIES and head.message >= 0:
            copied = longer._replace(copied=w.copied + 1)
            yield f"{head} is appended, and sent again", put(o._replace(known=True), copied)
            yield f"{head} is appended, and will be again", put(taken, copied._replace(copies=(head,)))
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
            turns = valid(w.journal[: offset + 1], self.without)
            done = tuple(turn.message for turn in turns)
            new = o._replace(phase="active", claim=offset, expect=offset + 1, done=done)
            return "owns the journal", put(new, w)
        if o.phase != "active" or not o.open or (entry != o.open[0] and self.without != "own"):
            return "hears of something old", put(o, w)
        if offset < o.expect:
            if offset >= 0 or self.without != "offset":
                return "hears of no offset that counts", put(self._over(o), w)
            offset = o.expect
        if any(e.message < 0 for e in w.journal[o.expect : offset]) and self.without != "gap":
            return "is fenced", put(self._over(o), w)
        while o.expect < offset and self.without != "gap":
            # One's own record is where it stands first, which may be before.
            other = w.journal[o.expect]
            if other == o.open[0]:
                offset = o.expect
            elif other.claim == o.claim and other.number > o.open[0].number:
                return "misses what it has sent", put(self._over(o), w)
            else:
                o = o._replace(expect=o.expect + 1)
        new = o._replace(expect=offset + 1, open=o.open[1:])
        return "is acknowledged", put(new, w._replace(heard=w.heard | {o.open[0].message}))

    def wrong(self, world: World) -> str:
        turns = valid(world.journal, self.without)
        for number, turn in enumerate(turns):
            if turn.seen != number:
                return (
                    f"the turn of {turn.message} was made after {turn.seen} turns, and stands after {number}"
                )
        if missing := world.heard - {turn.message for turn in turns}:
            return f"{sorted(missing)} were acknowledged, and are nowhere"
        return ""


def valid(journal: tuple[Entry, ...], without: str = "") -> list[Entry]:
    """The turns that count, each as the next under the latest claim before it."""
    latest, number, found = -1, 0, []
    for offset, entry in enumerate(journal):
        if entry.message < 0:
            latest, number = offset, 0
        elif entry.claim == latest:
            if (entry.number <= number and without != "once") or number < 0:
                continue
            if entry.number > number + 1 and without != "next":
                number = -1  # something is missing
                continue
            number = entry.number
            found.append(entry)
    return found
