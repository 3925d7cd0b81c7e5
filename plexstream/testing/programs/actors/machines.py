"""State machines: timeouts of states and of events, events that are kept, and all of it rolled back.

Each writes down what happens to it, in order. It comes to rest in the state ``open``, which keeps nothing and
has no timeout.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from plexstream.sdk.declaring.declare import handler
from plexstream.sdk.declaring.fields import state, state_list, state_map
from plexstream.sdk.host.host import host
from plexstream.sdk.host.waiting import Waitable
from plexstream.sdk.machines.actions import fsm
from plexstream.sdk.machines.fsm import event_timeout, fsm_actor, state_enter, state_timeout
from plexstream.sdk.spec import Retry
from plexstream.testing.programs.operations.kinds import Came, Entry, Kind, Me, Play, Scope, kind, nothing
from plexstream.testing.programs.operations.waits import error
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import Op
from plexstream.testing.simulation.errors import Violation

LONGEST = {"new": 4.0, "busy": 6.0}
"""Seconds that it is in each state at most."""
SILENCE = 1.5
_SOON = 2.5
_RETRY = Retry(attempts=50, interval=0.3, factor=1, jitter=0)
_ONCE = Retry(attempts=1)


@fsm_actor(
    states=["new", "busy", "open"], initial="new", name="machine", retry=_RETRY, max_active=1,
    idle_timeout=0.2,
)  # fmt: skip
class Machine:
    """Goes where events say."""

    n: int = state(default=0)
    log: Any = state_list()
    m: Any = state_map()

    @state_enter("new", "busy", "open")
    def entered(self, before: str) -> None:
        """Before anything else that comes of it."""
        self._write("enter", "", 0, before)

    @handler("turn")
    async def turn(self, sid: str, at: int, to: str, then: str, ms: int, fails: int) -> list[Any]:
        """Go to a state, and fail some times after that."""
        return await self._handle("turn", sid, at, to, then, ms, fails)

    @handler("keep", postpone_in=["new", "busy"])
    async def keep(self, sid: str, at: int, to: str, then: str, ms: int, fails: int) -> list[Any]:
        """The same, but in one state only; in the others it is kept."""
        return await self._handle("keep", sid, at, to, then, ms, fails)

    @handler("only", states=["busy"])
    async def only(self, sid: str, at: int, to: str, then: str, ms: int, fails: int) -> list[Any]:
        """The same, but in one state only; the others refuse it."""
        return await self._handle("only", sid, at, to, then, ms, fails)

    @handler("later")
    async def later(self, sid: str, at: int, to: str, then: str, ms: int, fails: int) -> list[Any]:
        """The same, but it decides itself that it is kept."""
        if self.fsm_state != "open":
            self._write("not yet", sid, at)
            fsm.postpone()
            return ["never seen"]
        return await self._handle("later", sid, at, to, then, ms, fails)

    @handler("next")
    def next(self, sid: str, at: int) -> None:
        """An event that another one inserts."""
        self._write("next", sid, at)

    @state_timeout("new", after=LONGEST["new"])
    def is_old(self) -> None:
        """It has been new for long enough."""
        self._open("timeout")

    @state_timeout("busy", after=LONGEST["busy"])
    def is_done(self) -> None:
        """It has been busy for long enough."""
        self._open("timeout")

    @event_timeout("busy", after=SILENCE)
    def silence(self) -> None:
        """Nothing has come while it was busy."""
        self._open("silence")

    @handler("look", read_only=True)
    def look(self) -> dict[str, Any]:
        """All that there is."""
        return {"n": 0, "log": list(self.log), "m": {}, "items": []}

    fsm_state: str

    async def _handle(
        self, name: str, sid: str, at: int, to: str, then: str, ms: int, fails: int
    ) -> list[Any]:
        before, set_at = self.fsm_state, host.now()
        if to:
            self.fsm_state = to
        if then == "repeat":
            fsm.repeat_state()
        elif then == "next":
            fsm.next_event("next", sid=sid, at=at)
        elif then == "soon" and self.fsm_state in LONGEST:
            fsm.set_timeout(_SOON)
        if ms:
            await host.sleep(ms / 1000)
        if fails:  # a step: after one that was kept has failed the turn goes on, and may have to run again
            await host.run("fail", outside.effect, f"{sid}.{at} {name}", fails, retry=_ONCE)
        self._write("event", sid, at, name, before, set_at)
        return [name, before, self.fsm_state]

    def _open(self, what: str) -> None:
        before = self.fsm_state
        self.fsm_state = "open"
        self._write(what, "", 0, before)

    def _write(self, what: str, sid: str, at: int, *more: Any) -> None:
        self.log.append([what, "", sid, at, [host.now(), self.fsm_state, *more]])


class _Said(NamedTuple):
    """What one operation says."""

    machine: str
    name: str
    to: str
    then: str
    ms: int
    fails: int
    asks: bool


@kind
class Event(Kind):
    """``[event, …]``: a state machine is told something, or asked."""

    name = "event"
    waits = True

    def draw(self, scope: Scope) -> Op:
        pick = scope.random.choice
        said = _Said(
            f"machine/{scope.random.randrange(2)}", pick(("turn", "turn", "keep", "keep", "only", "later")),
            pick(("", "new", "busy", "busy", "open")), pick(("", "", "repeat", "next", "soon")),
            pick((0, 0, 100, 2000)), pick((0, 0, 0, 1, 2)), pick((False, True)),
        )  # fmt: skip
        return [self.name, *said]

    def play(self, me: Me, op: Op) -> Play:
        said = _Said(*op[1:])
        about = {
            "sid": me.sid, "at": me.at, "to": said.to, "then": said.then, "ms": said.ms, "fails": said.fails,
        }  # fmt: skip
        if not said.asks:
            host.tell(said.machine, said.name, about)
            return nothing()
        asked: Waitable[Any] = host.start.ask(said.machine, said.name, about)
        return self._wait(asked)

    def _wait(self, asked: Waitable[Any]) -> Play:
        return (yield asked)

    def looks(self, op: Op) -> Iterator[str]:
        yield op[1]

    def judge(self, op: Op, came: Came) -> None:
        said, known, at = _Said(*op[1:]), came.known, int(came.at)
        if known.disturbed(came.sid, at):
            return
        entries = [e[4] for e in known.entries(said.machine, "event", came.sid, at)]
        letters = known.letters(came.sid, at) or []
        again = known.again(came.sid)
        if not said.asks:
            once = len(entries) + len(letters) == 1 or (not known.alone and not entries)
            came.claim(again or once, f"{entries} came of it, and was put aside: {letters}")
            return
        code = error(came.value)
        came.claim(code in ("", *self._codes(said)), f"it never fails so: {said}")
        if not code:
            came.claim(came.value in [[said.name, e[3], e[1]] for e in entries], f"{entries} came of it")
        came.claim(again or len(entries) == (not code), f"{entries} came of it")

    def puts_aside(self, op: Op, sender: str, code: str, again: bool) -> bool:
        return code in self._codes(_Said(*op[1:]))

    def _codes(self, said: _Said) -> list[str]:
        """With which errors it may end for good."""
        found = ["rejected"] if said.name == "only" else []
        # What was kept is tried once, and so is what is asked.
        once = said.fails and (said.asks or said.name in ("keep", "later"))
        return [*found, "failed", "step_failed"] if once else found

    def whole(self, known: Any) -> None:
        for address, log in known.logs("machine/"):
            _Model(address, known).live(log)


class _Model:
    """What a machine may do, entry by entry of what it has written down."""

    def __init__(self, address: str, known: Any) -> None:
        self._address = address
        self._known = known
        self._state = "new"
        self._soonest = 1 << 60  # when it may be in its state for too long, in ms since the epoch
        self._heard = 0  # when the latest event came
        self._left: str | None = "new"  # the state before, until the present one has been entered
        self._inserted: tuple[str, int] | None = None
        self._kept: list[tuple[str, int]] = []  # by decision, oldest first; others are not seen
        self._doubtful: list[tuple[str, int]] = []  # those that may have failed
        self._tried: list[tuple[str, int]] = []  # those that are to be tried before all that is new

    def live(self, log: list[Entry]) -> None:
        """Raise Violation unless it may have come to this."""
        for number, (what, _, sid, at, (now, to, *more)) in enumerate(log):
            try:
                getattr(self, "_" + what.replace(" ", "_"))(now, to, (sid, at), *more)
            except Violation as why:
                raise Violation(f"{self._address}: {why} in {log[max(0, number - 5) : number + 1]}") from None
        if log:
            self._begins(())
            if self._state != "open":
                raise Violation(f"{self._address} is {self._state} for ever: {log[-6:]}")

    def _enter(self, now: int, state: str, _: object, before: str) -> None:
        right = self._left == before and state == self._state
        self._claim(right, f"it enters {self._state} from {self._left}")
        self._left = None
        if self._soonest == 1 << 60:
            self._go("new", now)
            self._left = None
        self._heard = max(now, self._heard)
        self._tried = list(self._kept)

    def _next(self, now: int, state: str, what: tuple[str, int]) -> None:
        self._claim(self._left is None and what == self._inserted, f"{self._inserted} was inserted")
        self._inserted = None

    def _event(self, now: int, state: str, what: tuple[str, int], name: str, before: str, came: int) -> None:
        said = _Said(*self._known.op(*what)[1:])
        self._begins(what, name)
        self._claim(before == self._state, f"it is {self._state}")
        self._claim(state == (said.to or before), "it does not go where it is told")
        self._claim(name != "only" or before == "busy", "it is refused here")
        self._claim(name not in ("keep", "later") or before == "open", "it is kept here")
        if what in self._kept:
            self._kept.remove(what)
        self._heard = came
        if state != before or said.then == "repeat":
            self._go(state, came)
        if said.then == "soon" and state in LONGEST:
            self._soonest = came + round(_SOON * 1000)
        self._inserted = what if said.then == "next" else None

    def _not_yet(self, now: int, state: str, what: tuple[str, int]) -> None:
        self._begins(what, "later")
        self._claim(state == self._state != "open", f"it is {self._state}")
        self._heard = now
        if what not in self._kept:
            self._kept.append(what)

    def _timeout(self, now: int, state: str, _: object, before: str) -> None:
        self._begins(())
        self._claim(before == self._state in LONGEST, f"it is {self._state}")
        self._claim(now >= self._soonest, f"that is {self._soonest - now} ms before its time")
        self._go(state, now)

    def _silence(self, now: int, state: str, _: object, before: str) -> None:
        self._begins(())
        self._claim(before == self._state == "busy", f"it is {self._state}")
        self._claim(now - self._heard >= SILENCE * 1000, f"an event came {now - self._heard} ms before")
        self._go(state, now)

    def _go(self, state: str, now: int) -> None:
        self._left, self._state = self._state, state
        self._soonest = now + round(LONGEST.get(state, 0) * 1000)

    def _begins(self, what: tuple[Any, ...], name: str = "") -> None:
        """Raise Violation unless its turn has come: entered, inserted, kept, new is the order."""
        self._claim(self._left is None, f"it has not entered {self._state}")
        self._claim(self._inserted is None, f"{self._inserted} was inserted before")
        if name == "keep":
            self._doubtful += [kept for kept in self._tried if self._may_fail(kept)]
            return  # whether it was older is not seen
        while self._tried:
            first = self._tried.pop(0)
            if first == what:
                return
            # Or else it has failed, and is put aside.
            self._claim(self._may_fail(first) or first in self._doubtful, f"{first} was kept before")
            self._kept.remove(first)

    def _may_fail(self, kept: tuple[str, int]) -> bool:
        fails = bool(_Said(*self._known.op(*kept)[1:]).fails)
        return self._known.disturbed(*kept) or (self._state == "open" and fails)

    def _claim(self, holds: bool, otherwise: str) -> None:
        if not holds:
            raise Violation(otherwise)
