"""Operations that wait: effects, asks, time, promises, awakeables, and several of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from plexstream.sdk.host.host import host
from plexstream.sdk.host.waiting import Waitable
from plexstream.sdk.spec import Retry
from plexstream.testing.programs.operations.kinds import ALL, Came, Entry, Kind, Me, Play, Scope, begins, kind
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import Op

TRIES = 4
_HOUR = 3600
_RETRY = Retry(attempts=TRIES, interval=0.2, factor=2, jitter=0)


def error(value: Any) -> str:
    """The code of the error that an operation came to; empty: it came to none."""
    return str(value["error"]) if isinstance(value, dict) and set(value) == {"error"} else ""


@kind
class Run(Kind):
    """``[run, fails, refuse]``: an effect."""

    name = "run"
    waits = True

    def draw(self, scope: Scope) -> Op:
        return ["run", scope.random.choice((0, 0, 0, 1, 2, 99)), scope.random.random() < 0.05]

    def start(self, me: Me, op: Op) -> Waitable[Any]:
        return host.start.run(me.key(), outside.effect, me.key(), op[1], op[2], retry=_RETRY)

    def play(self, me: Me, op: Op) -> Play:
        return (yield self.start(me, op))

    def judge(self, op: Op, came: Came) -> None:
        if op[2]:
            came.claim(error(came.value) == "rejected", "its effect refuses")
        elif op[1] >= TRIES:
            came.claim(error(came.value) == "step_failed", "its effect always fails")
        else:
            ran = outside.results.get(f"{came.sid}.{came.at}", [])
            came.claim(came.value in ran, f"its effect has returned {ran}")


@kind
class Sleep(Kind):
    """``[sleep, seconds]``."""

    name = "sleep"
    waits = True

    def draw(self, scope: Scope) -> Op:
        return ["sleep", scope.random.choice((0, 0.05, 0.5, 3, 9))]

    def start(self, me: Me, op: Op) -> Waitable[Any]:
        return host.start.sleep(op[1])

    def play(self, me: Me, op: Op) -> Play:
        yield self.start(me, op)
        return "slept"

    def judge(self, op: Op, came: Came) -> None:
        came.claim(came.value == "slept", "it only sleeps")
        came.claim(came.over - came.began >= op[1] * 1000, f"a sleep of {op[1]} s is over before its time")


@kind
class Ask(Kind):
    """``[ask, to, handler, sid, ops, timeout, detached]``: another actor plays a script."""

    name = "ask"
    waits = True

    def draw(self, scope: Scope) -> Op | None:
        if not scope.others or scope.depth > 2:
            return None
        random = scope.random
        sid = f"{scope.sid}a{scope.at}"
        at = random.randrange(len(scope.others))
        to, handler = scope.others[at], "go"
        if "workflows" in scope.kinds and random.random() < 0.4:
            to, handler = f"{random.choice(('flow', 'flowing'))}/{sid}", "run"
        inner = Scope(random, sid, scope.others[at + 1 :], scope.everyone, scope.depth + 1, scope.kinds)
        inner.runs = random.randint(0, 2) if handler == "run" else 0
        timeout = random.choice((None, None, 0.3, 5, _HOUR))
        return ["ask", to, handler, sid, script(inner, calm=True), timeout, random.random() < 0.2]

    def start(self, me: Me, op: Op) -> Waitable[Any]:
        _, to, handler, sid, ops, timeout, detached = op
        return host.start.ask(to, handler, sid=sid, ops=ops, timeout=timeout, detach=detached)

    def play(self, me: Me, op: Op) -> Play:
        return (yield self.start(me, op))

    def judge(self, op: Op, came: Came) -> None:
        sid, timeout = op[3], op[5]
        code = error(came.value)
        if code == "timed_out":
            came.claim(timeout not in (None, _HOUR), "there was no hour in which it was not answered")
            came.claim(came.over - came.began >= timeout * 1000, f"a timeout of {timeout} s is over early")
        else:
            came.known.answered(came, sid)


@kind
class Serve(Kind):
    """``[serve, desk, seconds, fails]``: a service, which handles all calls at the same time."""

    name = "serve"
    waits = True

    def draw(self, scope: Scope) -> Op:
        random = scope.random
        desk = f"desk/no {random.randrange(2)}"
        return ["serve", desk, random.choice((0, 0.1, 2)), random.choice((0, 0, 1))]

    def start(self, me: Me, op: Op) -> Waitable[Any]:
        return host.start.ask(op[1], "fetch", key=me.key(), seconds=op[2], fails=op[3])

    def play(self, me: Me, op: Op) -> Play:
        return (yield self.start(me, op))

    def judge(self, op: Op, came: Came) -> None:
        key = f"{came.sid}.{came.at}"
        ran = [[key, result, key] for result in outside.results.get(key, [])]
        came.claim(came.value in ran, f"its effect has returned {ran}")
        came.claim(came.over - came.began >= op[2] * 1000, f"{op[2]} s are over before their time")


@kind
class Promise(Kind):
    """``[promise, name]``: a value that somebody gives by name; that of the operation, or one of all runs."""

    name = "promise"
    waits = True

    def draw(self, scope: Scope) -> Op:
        once = scope.runs and "once" not in scope.used and scope.random.random() < 0.5
        if once:
            scope.used.add("once")
        return ["promise", "each run's" if once else ""]

    def play(self, me: Me, op: Op) -> Play:
        return (yield host.promise(op[1] or me.key()).start())

    def judge(self, op: Op, came: Came) -> None:
        given = came.known.given(came.sid, op[1] or f"{came.sid}.{came.at}")
        if op[1]:  # the promises of a run end with it
            at = came.known.runs_before(came.sid, op)
            came.claim(given[at : at + 1] == [came.value], f"the promises of the runs were given {given}")
        else:
            # A value that comes too late for its run is the next one's.
            right = given[:1] == [came.value] and len(given) <= 1 + came.known.runs_after(came.sid)
            came.claim(right, f"the promise was given {given}")


@kind
class Awakeable(Kind):
    """``[awakeable, bell, fate, seconds]``: a bell completes it."""

    name = "awakeable"
    waits = True

    def draw(self, scope: Scope) -> Op:
        random = scope.random
        fate = random.choice(("resolve", "resolve", "reject", "twice"))
        return ["awakeable", f"bell/{random.randrange(2)}", fate, random.choice((0, 0, 0.5))]

    def play(self, me: Me, op: Op) -> Play:
        _, bell, fate, delay = op
        awakeable = host.start.awakeable()
        host.tell(bell, "ring", id=awakeable.id, fate=fate, delay=delay, value=me.key())
        return (yield awakeable)

    def judge(self, op: Op, came: Came) -> None:
        if op[2] == "reject":
            came.claim(error(came.value) == "rejected", "it is rejected")
        else:
            came.claim(came.value == f"{came.sid}.{came.at}", "it is given its own name")


class _Several(Kind):
    """``[kind, timeout, leaves]``."""

    waits = True

    def draw(self, scope: Scope) -> Op:
        random = scope.random
        found: list[Op] = []
        for _ in range(random.randint(1, 3)):
            leaf = ALL[random.choice(("run", "sleep", "sleep", "ask", "serve"))].draw(scope)
            if leaf is None or (leaf[0] == "ask" and any(op[0] == "ask" for op in found)):
                leaf = ["sleep", random.choice((0, 0.2, 2))]
            if leaf[0] == "ask":
                leaf[5] = None  # what is waited for together has one timeout
            found.append(leaf)
        return [self.name, random.choice((None, None, 0.1, 1, 5)), found]

    def start(self, me: Me, op: Op) -> list[Waitable[Any]]:
        keys = (Me(me.actor, me.sid, f"{me.at}/{n}") for n in range(len(op[2])))
        return [begins(ALL[leaf[0]], key, leaf) for key, leaf in zip(keys, op[2], strict=True)]

    def play(self, me: Me, op: Op) -> Play:
        return (yield getattr(host.start, self.name)(*self.start(me, op), timeout=op[1]))

    def leaves(self, op: Op) -> list[Op]:
        return list(op[2])

    def judge(self, op: Op, came: Came) -> None:
        if error(came.value) == "timed_out" and op[1] is not None:
            late = came.over - came.began >= op[1] * 1000
            came.claim(late, f"a timeout of {op[1]} s is over before its time")
            return
        self.judge_leaves(op, came)

    def judge_leaves(self, op: Op, came: Came) -> None:
        """Raise Violation unless the leaves may come to that."""
        may = [self.fits(n, leaf, came, came.value) for n, leaf in enumerate(op[2])]
        came.claim(any(may), "none of its parts comes to that")

    def fits(self, n: int, leaf: Op, came: Came, value: Any) -> bool:
        """Whether leaf number `n` may come to `value`."""
        if leaf[0] == "sleep":
            return value is None and came.over - came.began >= leaf[1] * 1000
        try:
            ALL[leaf[0]].judge(leaf, came._replace(at=f"{came.at}/{n}", value=value))
        except AssertionError:
            return False
        return True


@kind
class All(_Several):
    """All of them, or the first error."""

    name = "all"

    def judge_leaves(self, op: Op, came: Came) -> None:
        if error(came.value):
            super().judge_leaves(op, came)
            return
        came.claim(len(came.value) == len(op[2]), "it has another number of parts")
        for n, (leaf, value) in enumerate(zip(op[2], came.value, strict=True)):
            came.claim(self.fits(n, leaf, came, value), f"part {n}, {leaf}, does not come to {value!r}")


@kind
class Any_(_Several):
    """The first that succeeds."""

    name = "any"


@kind
class Race(_Several):
    """The first that is done."""

    name = "race"


# Those that send, change and end are in rooms of their own: they add themselves to ALL.


def script(scope: Scope, calm: bool = False) -> list[Op]:
    """Make up a script. `calm`: it does not fail, as somebody asks for it."""
    ops: list[Op] = []
    for _ in range(scope.random.randint(1, 6)):
        name = scope.random.choice(scope.kinds)
        if name not in ALL or (calm and name == "fail"):
            continue
        scope.at = len(ops)
        op = ALL[name].draw(scope)
        if op is not None:
            ops.append(op)
    if scope.runs:
        scope.at = len(ops)
        next_run = Scope(
            scope.random, f"{scope.sid}+", scope.others, scope.everyone, scope.depth, scope.kinds
        )
        next_run.runs = scope.runs - 1
        ops.append(["renew", next_run.sid, script(next_run, calm=calm)])
    return ops


def sends(op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
    """What an operation sends."""
    return ALL[op[0]].sends(op, sender, sid, at)
