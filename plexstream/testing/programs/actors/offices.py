"""Supervisors: their children fail, leave, are stopped and started again, until all is over or one gives up.

A script does one thing after the other, and waits in between until the tree is at rest: so a model of it can
say what each child must have come to.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from plexstream.model.errors import AlreadyStarted, CallError, Cancelled
from plexstream.sdk.declaring.declare import actor, handler, init_handler
from plexstream.sdk.declaring.fields import state
from plexstream.sdk.errors import Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.host.waiting import Waitable
from plexstream.sdk.spec import Retry
from plexstream.testing.programs.actors.guests import Habits
from plexstream.testing.programs.actors.plays import blocking, waiting
from plexstream.testing.programs.operations.kinds import Came, Entry, Kind, Me, Play, Scope, kind
from plexstream.testing.programs.program import Op, is_workflow

_HOUR = 3600.0
_POLLS = 100
_AT_REST = ("running", "stopped")
_NEVER = "it never comes to rest"


@actor(
    name="clerk", retry=Retry(attempts=2, interval=0.1, factor=1, jitter=0), max_active=2, idle_timeout=0.2
)
class Clerk:
    """A child: counts what it has done in this life. Its init hook and its stop may wait."""

    done: int = state(default=0)

    @init_handler
    def init(self, config: dict[str, Any]) -> None:
        """It begins, if it can."""
        blocking(Habits.of(host.self_id()).take_time("init"))
        if config.get("broken"):
            raise RuntimeError("as the script says")

    @handler("work")
    async def work(self, how: str) -> int:
        """Do something more, and go on or not."""
        self.done += 1
        await waiting(Habits.of(host.self_id()).take_time("work"))
        if how == "crash":
            raise RuntimeError("as the script says")
        if how == "refuse":
            raise Reject("as the script says")
        if how == "leave":
            host.exit("normal")
        return self.done

    @handler("__stop__")
    async def stop(self, reason: str) -> None:
        """End in its own time."""
        await waiting(Habits.of(host.self_id()).take_time("stop"))
        host.exit(reason)


class _Kid(NamedTuple):
    """A child's declaration."""

    restart: str
    on_failure: str
    shutdown: float | str
    broken: bool


class _Said(NamedTuple):
    """What one operation says."""

    strategy: str
    most: int  # restarts
    ms: int
    children: list[Any]  # _Kid as lists
    shocks: list[Any]  # the number of a child, and what befalls it
    end: str

    def id(self, key: str) -> str:
        return f"{key}~{self.ms}~0"

    def kids(self) -> list[_Kid]:
        return [_Kid(*child) for child in self.children]

    def child(self, key: str, number: int) -> str:
        """The id of a child."""
        return f"{self.id(key)}~{number}"

    def table(self, key: str, about: dict[str, Any]) -> dict[str, Any]:
        """The supervisor's declaration."""
        children = [
            {
                "id": self.child(key, n), "type": "clerk", "args": {**about, "broken": kid.broken},
                "restart": kid.restart, "on_failure": kid.on_failure,
                "shutdown_timeout_seconds": kid.shutdown,
            }
            for n, kid in enumerate(self.kids())
        ]  # fmt: skip
        return {
            "children": children, "strategy": self.strategy, "max_restarts": self.most,
            "max_restart_window_seconds": _HOUR,
        }  # fmt: skip


@kind
class Office(Kind):
    """``[office, …]``: a supervisor of its own, and what befalls its children."""

    name = "office"
    waits = True

    def draw(self, scope: Scope) -> Op | None:
        random, pick = scope.random, scope.random.choice
        if random.random() < 0.5:
            return None  # it takes long
        strategy = pick(("one_for_one", "one_for_all", "rest_for_one"))
        restarts = ("permanent", "permanent", "transient", "temporary")
        broken = random.random() < 0.1
        children = [
            [
                pick(restarts), pick(("restart", "restart", "restart", "resume", "stop", "escalate")),
                pick((0, 5, "infinity", "infinity")), broken and random.random() < 0.5,
            ]
            for _ in range(random.randint(1, 3))
        ]  # fmt: skip
        befalls = ("work", "work", "crash", "crash", "crash", "refuse", "leave", "stop", "restart", "delete")
        shocks = [[random.randrange(len(children)), pick(befalls)] for _ in range(random.randint(0, 6))]
        if any(kid[3] for kid in children):
            shocks = []  # those behind it are never started, and would be nobody's
        said = _Said(strategy, pick((0, 1, 2, 3)), pick((0, 0, 100)), children, shocks, pick(("", "stop")))
        return [self.name, *said]

    def play(self, me: Me, op: Op) -> Play:
        said, key = _Said(*op[1:]), me.key()
        address = f"supervisor/{said.id(key)}"
        found: list[Any] = []
        table = said.table(key, {"sid": me.sid, "at": me.at})
        try:
            started = host.spawn("supervisor", said.id(key), table, wait=True)
            found.append(started if isinstance(started, str) else (yield started))
        except AlreadyStarted as error:  # who is restarted finds the office that it has opened
            found.append(error.code)
        yield from _at_rest(address)
        for number, what in said.shocks:
            child = said.child(key, number)
            if what in ("stop", "restart", "delete"):
                asked = host.start.ask(address, f"{what}_child", id=child)
            else:
                asked = host.start.ask(f"clerk/{child}", "work", how=what)
            found.append((yield from _outcome(asked)))
            yield from _at_rest(address)
        rows = yield from _at_rest(address)
        found.append(rows if isinstance(rows, str) else [[r["id"], r["status"], r["starts"]] for r in rows])
        if not is_workflow(host.self_id()):
            host.monitor(address)
        if said.end == "stop":
            host.stop(address, "over")
        return found

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        said = _Said(*op[1:])
        if not is_workflow(sender) and (said.end == "stop" or _Tree(said, f"{sid}.{at}").gave_up):
            yield sender, ("down", f"supervisor/{said.id(f'{sid}.{at}')}", sid, at)

    def may_send(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        said = _Said(*op[1:])
        if not is_workflow(sender) and said.end != "stop":  # what befalls it twice may be too much
            yield sender, ("down", f"supervisor/{said.id(f'{sid}.{at}')}", sid, at)

    def puts_aside(self, op: Op, sender: str, code: str, again: bool) -> bool:
        return code == "failed" and any(kid.broken for kid in _Said(*op[1:]).kids())

    def judge(self, op: Op, came: Came) -> None:
        if isinstance(came.value, list):
            came.claim(_NEVER not in came.value, "a supervisor waits for ever")
        if came.known.again(came.sid) or not came.known.alone or came.known.disturbed(came.sid, came.at):
            return
        said = _Said(*op[1:])
        tree = _Tree(said, f"{came.sid}.{came.at}")
        came.claim(came.value == tree.found, f"it should have come to {tree.found}")
        for entry in came.known.entries(came.known.sender(came.sid), "down", came.sid, int(came.at)):
            reason = "noproc" if tree.gave_up else "over"
            came.claim(entry[4][1] == reason, f"who monitors it has heard {entry[4][1]}, and not {reason}")


def _outcome(asked: Waitable[Any]) -> Play:
    """What an ask comes to: the result, or the error's code."""
    try:
        return (yield asked)
    except Cancelled:
        raise
    except CallError as error:
        return error.code


def _at_rest(address: str) -> Play:
    """Wait until nothing is under way in a tree; returns its children, or why there are none."""
    for _ in range(_POLLS):
        rows = yield from _outcome(host.start.ask(address, "which_children"))
        if isinstance(rows, str) or all(row["status"] in _AT_REST for row in rows):
            return rows
        yield host.start.sleep(0.1)
    return _NEVER


class _Tree:
    """What becomes of a supervisor and its children.

    Attributes:
        found: what the operation comes to.
        gave_up: whether the supervisor has.
    """

    def __init__(self, said: _Said, key: str) -> None:
        self._said = said
        self._key = key
        self._kids = said.kids()
        self._there = [True for _ in self._kids]
        self._runs = [True for _ in self._kids]
        self._starts = [1 for _ in self._kids]
        self._done = [0 for _ in self._kids]
        self._restarts = 0
        self.gave_up = False
        for number, kid in enumerate(self._kids):
            lasts = kid.restart != "temporary" and kid.on_failure != "stop"
            if kid.broken and (lasts or kid.on_failure == "escalate"):
                self.gave_up = True  # at once, or when it was tried once too often
            elif kid.broken:
                self._end(number, again=False)
        self.found: list[Any] = [f"supervisor/{said.id(key)}"]
        for number, what in said.shocks:
            of_clerk = what in ("work", "crash", "refuse", "leave")
            self.found.append(self._work(number, what) if of_clerk else self._order(number, what))
        rows = [
            [said.child(key, n), "running" if self._runs[n] else "stopped", self._starts[n]]
            for n in range(len(self._kids)) if self._there[n]
        ]  # fmt: skip
        self.found.append("stopped" if self.gave_up else rows)

    def _work(self, number: int, how: str) -> Any:
        if self.gave_up or not self._runs[number]:
            return "stopped"
        kid = self._kids[number]
        if how == "refuse":
            return "rejected"
        if how == "crash":
            self._crash(number, kid)
            return "failed"
        self._done[number] += 1
        done = self._done[number]
        if how == "leave":
            self._end(number, again=kid.restart == "permanent")
        return done

    def _crash(self, number: int, kid: _Kid) -> None:
        if kid.on_failure == "escalate":
            self.gave_up = True
        elif kid.on_failure != "resume":
            self._end(number, again=kid.on_failure == "restart" and kid.restart != "temporary")

    def _end(self, number: int, again: bool) -> None:
        if not again:
            self._runs[number] = False
            self._there[number] = self._kids[number].restart != "temporary"
            return
        self._restarts += 1
        if self._restarts > self._said.most:
            self.gave_up = True
            return
        first = {"one_for_one": number, "rest_for_one": number, "one_for_all": 0}[self._said.strategy]
        last = number if self._said.strategy == "one_for_one" else len(self._kids) - 1
        for n in range(first, last + 1):
            if self._runs[n] and self._kids[n].restart == "temporary":
                self._end(n, again=False)  # it ends with the others, and is not started again
            elif self._runs[n]:
                self._start(n)

    def _start(self, number: int) -> None:
        self._runs[number] = True
        self._starts[number] += 1
        self._done[number] = 0

    def _order(self, number: int, what: str) -> Any:
        """One of the supervisor's own messages."""
        if self.gave_up:
            return "stopped"
        if not self._there[number] or (what in ("restart", "delete") and self._runs[number]):
            return "rejected"
        if what == "restart":
            self._start(number)
            return f"clerk/{self._said.child(self._key, number)}"
        if what == "stop":
            self._end(number, again=False)
        else:
            self._there[number] = False
        return None
