"""Operations that send: messages, outputs, timers."""

from __future__ import annotations

from collections.abc import Iterator

from plexstream.sdk.host.host import host
from plexstream.testing.programs.operations.kinds import Came, Entry, Kind, Me, Play, Scope, kind, nothing
from plexstream.testing.programs.program import Op

OUTPUT = "told"
_DELAYS = (0, 0.1, 1, 7)


@kind
class Tell(Kind):
    """``[tell, to, fails]``: it is written down there, once it does not fail any more."""

    name = "tell"

    def draw(self, scope: Scope) -> Op:
        return ["tell", scope.random.choice(scope.everyone), scope.random.choice((0, 0, 0, 0, 1, 2))]

    def play(self, me: Me, op: Op) -> Play:
        host.tell(op[1], "note", sender=host.self_id(), sid=me.sid, at=me.at, given="", fails=op[2])
        return nothing()

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        yield op[1], ("note", sender, sid, at)

    def looks(self, op: Op) -> Iterator[str]:
        yield op[1]


@kind
class Uuid(Kind):
    """``[uuid, to]``: what is random is the same for the handler, and for whom it has told it, ever after."""

    name = "uuid"

    def draw(self, scope: Scope) -> Op:
        return ["uuid", scope.random.choice(scope.everyone)]

    def play(self, me: Me, op: Op) -> Play:
        drawn = f"{host.uuid()} {host.random()}"
        host.tell(op[1], "note", sender=host.self_id(), sid=me.sid, at=me.at, given=drawn)
        yield from ()
        return drawn

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        yield op[1], ("note", sender, sid, at)

    def looks(self, op: Op) -> Iterator[str]:
        yield op[1]

    def judge(self, op: Op, came: Came) -> None:
        told = [e[4] for e in came.known.entries(op[1], "note", came.sid, came.at)]
        came.claim(came.value in told, f"it has told {told}")


@kind
class Emit(Kind):
    """``[emit]``: an output."""

    name = "emit"

    def play(self, me: Me, op: Op) -> Play:
        host.emit(OUTPUT, [me.sid, me.at])
        return nothing()

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        yield OUTPUT, ("emit", "", sid, at)


@kind
class After(Kind):
    """``[after, seconds, to]``: a message later."""

    name = "after"

    def draw(self, scope: Scope) -> Op:
        random = scope.random
        return ["after", random.choice(_DELAYS), random.choice((None, random.choice(scope.everyone)))]

    def play(self, me: Me, op: Op) -> Play:
        due = host.now() + round(op[1] * 1000)
        host.send_after(op[1], "rang", to=op[2], sid=me.sid, at=me.at, due=due)
        return nothing()

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        yield op[2] or sender, ("ring", "", sid, at)

    def looks(self, op: Op) -> Iterator[str]:
        yield from (op[2],) if op[2] else ()


@kind
class TakenBack(Kind):
    """``[taken back, seconds]``: a timer that is set and taken back."""

    name = "taken back"

    def draw(self, scope: Scope) -> Op:
        return ["taken back", scope.random.choice(_DELAYS)]

    def play(self, me: Me, op: Op) -> Play:
        host.cancel(host.send_after(op[1], "rang", sid=me.sid, at=me.at, due=0))
        return nothing()


@kind
class Remind(Kind):
    """``[remind, seconds]``: a reminder under a name."""

    name = "remind"

    def draw(self, scope: Scope) -> Op:
        return ["remind", scope.random.choice(_DELAYS)]

    def play(self, me: Me, op: Op) -> Play:
        due = host.now() + round(op[1] * 1000)
        host.remind(me.key(), "rang", {"sid": me.sid, "at": me.at, "due": due}, at=due)
        return nothing()

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        yield sender, ("ring", "", sid, at)
