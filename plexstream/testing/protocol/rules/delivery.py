"""Messages to another's mailbox, of relay, clients and ingest: each arrives once, and none is overtaken.

A sender numbers what it sends, and the receiver drops what is not newer than what it has: a message that is
overtaken by the next one never counts. Producers are replaced after errors and deaths; what the former ones
sent may be appended late. As in `writing`, a broker may refuse a first batch and take the next one; to send
it again then is of no use any more.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

RULES = {
    "alone": "until a producer has its first offset, one batch alone is on its way",
    "idle": "and again after it was idle for longer than brokers remember",
    "again": "what was given up is sent again, from the first that is not acknowledged",
    "position": "a position that outlives the sender covers what is acknowledged, and nothing else",
    "dedupe": "the receiver drops what is not newer than what it has",
}
MESSAGES, PRODUCERS, FORGETS = 3, 3, 1


class World(NamedTuple):
    """`mailbox`: the numbers as they were appended. `late`: what each former producer has sent."""

    mailbox: tuple[int, ...] = ()
    next: int = 0  # the number that is sent next
    proven: int = 0  # all below are acknowledged
    position: int = 0  # all below are done, for whoever begins anew
    net: tuple[int, ...] = ()
    acks: tuple[tuple[int, bool], ...] = ()  # numbers, each with or without an offset
    known: bool = False  # the broker has a state of the producer
    counts: bool = False  # the producer takes it that it has
    producers: int = 1
    forgets: int = 0
    late: tuple[tuple[int, ...], ...] = ()


Step = tuple[str, World]


class Delivery:
    """Rules 4 and 6 of the architecture's chapter on ownership, for one sender and one receiver."""

    def __init__(self, without: str = "") -> None:
        self.without = without

    def start(self) -> World:
        return World()

    def next(self, w: World) -> Iterator[Step]:
        if len(w.mailbox) > 6:
            return
        if w.next < MESSAGES and (self.without == "alone" or w.counts or w.next == w.proven):
            yield f"sends {w.next}", w._replace(next=w.next + 1, net=(*w.net, w.next))
        if w.net:
            head, rest = w.net[0], w.net[1:]
            longer = w._replace(mailbox=(*w.mailbox, head), net=rest, known=True)
            yield f"{head} is appended", longer._replace(acks=(*w.acks, (head, True)))
            yield f"{head} is appended, and the answer lost", self._anew(longer)
            if not w.known and rest:
                refused = w._replace(mailbox=(*w.mailbox, rest[0]), net=rest[1:], known=True)
                acks = (*w.acks, (head, False), (rest[0], True))
                yield f"{head} is refused, and {rest[0]} taken", refused._replace(acks=acks)
        elif w.known and not w.acks and w.forgets < FORGETS:
            counts = w.counts if self.without == "idle" else False
            yield "is forgotten", w._replace(known=False, counts=counts, forgets=w.forgets + 1)
        if w.acks:
            yield self._answered(w)
        covered = w.next if self.without == "position" else w.proven
        if covered > w.position:
            yield f"keeps its position {covered}", w._replace(position=covered)
        yield "dies", self._anew(w, w.position)
        for i, flow in enumerate(w.late):
            left = (*w.late[:i], flow[1:], *w.late[i + 1 :])
            yield (
                f"{flow[0]} is appended late",
                w._replace(mailbox=(*w.mailbox, flow[0]), late=tuple(sorted(filter(None, left)))),
            )

    def _answered(self, w: World) -> Step:
        (number, offset), rest = w.acks[0], w.acks[1:]
        if not offset:
            return f"{number} is acknowledged without an offset", self._anew(w)
        return f"{number} is acknowledged", w._replace(proven=number + 1, counts=True, acks=rest)

    def _anew(self, w: World, begin: int | None = None) -> World:
        """Another producer begins where `begin` says, or behind what is acknowledged."""
        if w.producers == PRODUCERS:
            return w
        begin = (w.next if self.without == "again" else w.proven) if begin is None else begin
        late = tuple(sorted(filter(None, (*w.late, w.net))))
        return w._replace(
            next=begin, proven=begin, net=(), acks=(), known=False, counts=False,
            producers=w.producers + 1, late=late,
        )  # fmt: skip

    def wrong(self, w: World) -> str:
        got: list[int] = []
        for number in w.mailbox:
            if self.without == "dedupe" or not got or number > got[-1]:
                got.append(number)
        if got != list(range(len(got))):
            return f"{got} counted, of {list(range(MESSAGES))}"
        if len(got) < w.proven:
            return f"{list(range(w.proven))} are acknowledged, {got} counted"
        return ""
