"""What scripts are made of. A kind of operation is one class: how it is drawn, what a handler does for it,
and what must come of it. So what is new comes with its model.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from random import Random
from typing import Any, NamedTuple

from plexstream.sdk.host.waiting import Waitable
from plexstream.testing.programs.program import Op
from plexstream.testing.simulation.errors import Violation

Play = Generator[Waitable[Any], Any, Any]
Entry = tuple[Any, ...]


class Scope:
    """Where an operation is drawn: for whom, and what it may use.

    Parameters:
        random: decides.
        sid: of the script.
        others: actors that may be asked: none of them asks back.
        everyone: actors that may be told something.
        depth: how many scripts wait for this one.
        kinds: the names of the kinds that this program has.
    """

    def __init__(
        self, random: Random, sid: str, others: list[str], everyone: list[str], depth: int, kinds: list[str]
    ) -> None:
        self.random = random
        self.sid = sid
        self.others = others
        self.everyone = everyone
        self.depth = depth
        self.kinds = kinds
        self.at = 0
        self.runs = 0
        """Of a workflow: how often it goes on as new."""
        self.used: set[str] = set()
        """What there is once in a script."""

    def name(self) -> str:
        """A name that no other operation has."""
        return f"{self.sid}.{self.at}"


class Me(NamedTuple):
    """The handler that plays: its actor, its script's name, the number of the operation."""

    actor: Any
    sid: str
    at: int | str

    def key(self) -> str:
        """The operation's name."""
        return f"{self.sid}.{self.at}"


class Came(NamedTuple):
    """What an operation came to, as its handler has told: when it began, when it was over, and the value."""

    sid: str
    at: int | str
    began: int
    over: int
    value: Any
    known: Any  # `known.Known`

    def claim(self, holds: bool, otherwise: str) -> None:
        """Raise Violation unless it holds."""
        if not holds:
            took = self.over - self.began
            raise Violation(f"{self.sid}.{self.at} came to {self.value!r} after {took} ms: {otherwise}")


class Kind:
    """One kind of operation.

    Attributes:
        name: the first item of its operations.
        waits: whether its handler waits there.
        last: whether its handler ends there, and goes on as new.
    """

    name = ""
    waits = False
    last = False

    def draw(self, scope: Scope) -> Op | None:
        """Make one up; None where there is no place for it."""
        return [self.name]

    def play(self, me: Me, op: Op) -> Play:
        """Do it; returns what it came to, or None where there is nothing to tell."""
        raise NotImplementedError

    def judge(self, op: Op, came: Came) -> None:
        """Raise Violation unless it may have come to that."""

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        """To whom something goes when it has been done, and what they write down of it."""
        return iter(())

    def may_send(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        """What may go besides, or need not, where it may have been done more than once."""
        return iter(())

    def puts_aside(self, op: Op, sender: str, code: str, again: bool) -> bool:
        """Whether a message of one may be put aside with an error.

        Parameters:
            sender: the actor whose script it is of.
            again: whether that may have been played more than once.
        """
        return False

    def whole(self, known: Any) -> None:
        """Raise Violation unless all of this kind together has come to what it must.

        Parameters:
            known: the `known.Known` of the program.
        """

    def looks(self, op: Op) -> Iterator[str]:
        """The actors at which one must look to judge it."""
        return iter(())

    def leaves(self, op: Op) -> list[Op]:
        """The operations in it."""
        return []


def begins(kind: Kind, me: Me, op: Op) -> Waitable[Any]:
    """The handle of a kind that can wait beside others."""
    found: Waitable[Any] = kind.start(me, op)  # type: ignore[attr-defined]
    return found


def nothing() -> Play:
    """A play that does not wait."""
    yield from ()


ALL: dict[str, Kind] = {}
"""Every kind by its name."""


def kind(cls: type[Kind]) -> type[Kind]:
    """Add a kind."""
    ALL[cls.name] = cls()
    return cls
