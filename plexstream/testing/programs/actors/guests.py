"""Actors that are started, watched and ended; the hooks wait: init, ``__stop__``, ``__down__``, ``__exit__``.

Each guest tells the story of its life when it ends. Who watches it writes down how it has heard of that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

from plexstream.model.errors import CallError, Cancelled
from plexstream.sdk.declaring.declare import actor, handler, init_handler, on_crash
from plexstream.sdk.declaring.fields import state
from plexstream.sdk.errors import Ignore, Reject
from plexstream.sdk.host.host import host
from plexstream.sdk.spec import Retry
from plexstream.testing.programs.actors.plays import blocking, waiting
from plexstream.testing.programs.operations.kinds import Came, Entry, Kind, Me, Play, Scope, kind
from plexstream.testing.programs.operations.sends import OUTPUT
from plexstream.testing.programs.outside import outside
from plexstream.testing.programs.program import Op, is_workflow
from plexstream.testing.simulation.errors import Violation

_RETRY = Retry(attempts=5, interval=0.3, factor=1, jitter=0)


class Habits(NamedTuple):
    """What the id of a guest says: of which operation it is, and how all that concerns it behaves."""

    key: str
    ms: int
    fails: int

    @classmethod
    def of(cls, address: str) -> Habits:
        """Those of a guest."""
        key, ms, fails, *_ = address.partition("/")[2].split("~")
        return cls(key, int(ms), int(fails))

    def take_time(self, what: str, fails: int = 0) -> Play:
        """Wait as this guest does, and fail so many times before and after it."""
        if outside.fails(f"{self.key} {what} begins", fails):
            raise RuntimeError("as its id says")
        if self.ms:
            yield host.start.sleep(self.ms / 1000)
        yield host.start.run(what, outside.effect, f"{self.key} {what}", self.fails, retry=_RETRY)
        if outside.fails(f"{self.key} {what} ends", fails):
            raise RuntimeError("as its id says")


def hears(actor: Any, what: str, address: str, reason: str, ref: str = "") -> Play:
    """One of the players hears of a guest's end, and takes its time to write that down."""
    began = host.now()
    habits = Habits.of(address)
    yield from habits.take_time(what, habits.fails)
    sid, _, at = habits.key.rpartition(".")
    actor.log.append([what, address, sid, int(at), [ref, reason, began, host.now()]])


class _Guest:
    story: list[Any] = state(default_factory=list)

    @init_handler
    def init(self, config: dict[str, Any]) -> None:
        """It may wait as a plain handler does."""
        began = host.now()
        blocking(Habits.of(host.self_id()).take_time("init"))
        self.story.append(["init", began, host.now()])
        fate = config.get("fate", "comes")
        if fate == "ignores":
            raise Ignore("as the script says")
        if fate == "refuses":
            raise Reject("as the script says")
        if fate == "fails":
            raise RuntimeError("as the script says")

    def _greet(self, nth: int, fails: int) -> Play:
        began = host.now()
        yield from Habits.of(host.self_id()).take_time(f"greet {nth}", fails)
        self.story.append([f"greet {nth}", began, host.now()])

    def _stop(self, reason: str) -> Play:
        began = host.now()
        yield from Habits.of(host.self_id()).take_time("stop")
        self.story.append(["stop", began, host.now()])
        self._tell()
        host.exit(reason)

    @handler("leave")
    def leave(self, sid: str, at: int, crash: bool) -> None:
        """Go, in order or not."""
        if crash:
            self.story.append(["never", 0, 0])
            raise RuntimeError("as the script says")
        self._tell()
        host.exit("normal")

    @on_crash
    def crashed(self, reason: str) -> None:
        """A failure has ended it."""
        self._tell()

    def _tell(self) -> None:
        sid, _, at = Habits.of(host.self_id()).key.rpartition(".")
        host.emit(OUTPUT, [sid, int(at), host.self_id(), self.story])


@actor(name="guest", retry=_RETRY, max_active=2, idle_timeout=0.2)
class Guest(_Guest):
    """Waits in coroutines."""

    @handler("greet")
    async def greet(self, sid: str, at: int, nth: int, fails: int) -> None:
        """Something that it does while it lives."""
        await waiting(self._greet(nth, fails))

    @handler("__stop__")
    async def stop(self, reason: str) -> None:
        """End, in its own time."""
        await waiting(self._stop(reason))


@actor(name="lodger", retry=_RETRY)
class Lodger(_Guest):
    """Waits in plain functions."""

    @handler("greet")
    def greet(self, sid: str, at: int, nth: int, fails: int) -> None:
        """Something that it does while it lives."""
        blocking(self._greet(nth, fails))

    @handler("__stop__")
    def stop(self, reason: str) -> None:
        """End, in its own time."""
        blocking(self._stop(reason))


class _Said(NamedTuple):
    """What one operation says."""

    type: str
    early: bool  # it is told something before it is started: so it lives already
    fate: str  # of its init
    ms: int
    fails: int
    greets: int
    watch: str
    end: str
    late: bool  # it is told something more, behind its end

    def address(self, key: str) -> str:
        return f"{self.type}/{key}~{self.ms}~{self.fails}"

    @property
    def lives(self) -> bool:
        return self.early or self.fate == "comes"

    def links(self, sender: str) -> bool:
        return self.watch in ("link", "both") and not is_workflow(sender)

    def monitors(self, sender: str) -> bool:
        return self.watch in ("monitor", "both") and not is_workflow(sender)

    def ends(self, sender: str) -> bool:
        """Whether its life ends: a failure ends nobody that is nobody's."""
        return self.lives and (self.end != "crash" or not self.early or self.links(sender))

    def outcomes(self, key: str, again: bool) -> list[str]:
        """What the start may come to."""
        codes = {"ignores": "ignored", "refuses": "rejected", "fails": "failed"}
        first = codes.get(self.fate, self.address(key))
        if again:
            return ["already_started", first]
        return ["already_started"] if self.early else [first]

    def fits(self, reason: str) -> bool:
        """Whether who watches it may hear that."""
        if not self.lives:
            return reason == "noproc"
        if self.end == "crash":
            return reason.startswith("failed: ")
        return reason == {"stop": "over", "leave": "normal"}[self.end]

    def story(self) -> list[str]:
        first = ["init", "greet 0"] if self.early else ["init"]
        greets = [f"greet {n + 1}" for n in range(self.greets)]
        return [*first, *greets, *(["stop"] if self.end == "stop" else [])]

    def letters(self, sender: str) -> Counter[str]:
        """With which errors messages to it are put aside."""
        if not self.lives:
            return Counter(stopped=self.greets + (self.end != "stop") + self.late)
        return Counter(stopped=self.late and self.ends(sender), failed=self.end == "crash")


@kind
class Stay(Kind):
    """``[stay, …]``: an actor of its own is started, watched, told something, and ends."""

    name = "stay"
    waits = True

    def draw(self, scope: Scope) -> Op:
        pick = scope.random.choice
        fate = pick(("comes", "comes", "comes", "ignores", "refuses", "fails"))
        watch = pick(("", "monitor", "monitor", "link", "both", "not after all"))
        said = _Said(
            pick(("guest", "lodger")), pick((False, False, True)), fate, pick((0, 100, 1500)),
            pick((0, 0, 1, 2)), pick((0, 1, 2)), watch, pick(("stop", "stop", "leave", "crash")),
            pick((False, True)),
        )  # fmt: skip
        return [self.name, *said]

    def play(self, me: Me, op: Op) -> Play:
        said = _Said(*op[1:])
        address = said.address(me.key())
        about = {"sid": me.sid, "at": me.at}
        if said.early:
            host.tell(address, "greet", {**about, "nth": 0, "fails": 0})
        came: Any
        try:
            started = host.spawn(said.type, address.partition("/")[2], {"fate": said.fate}, wait=True)
            came = started if isinstance(started, str) else (yield started)
        except Cancelled:
            raise
        except CallError as error:
            came = error.code
        sender = host.self_id()
        ref = host.monitor(address) if said.monitors(sender) else ""
        if said.watch == "not after all":
            host.demonitor(host.monitor(address))
        if said.links(sender):
            host.link(address)
        for n in range(said.greets):
            host.tell(address, "greet", {**about, "nth": n + 1, "fails": said.fails})
        if said.end == "stop":
            host.stop(address, "over")
        else:
            host.tell(address, "leave", {**about, "crash": said.end == "crash"})
        if said.late:
            host.tell(address, "greet", {**about, "nth": 9, "fails": 0})
        return [came, ref]

    def sends(self, op: Op, sender: str, sid: str, at: int) -> Iterator[tuple[str, Entry]]:
        said = _Said(*op[1:])
        address = said.address(f"{sid}.{at}")
        if said.monitors(sender):
            yield sender, ("down", address, sid, at)
        if said.links(sender):
            yield sender, ("exit", address, sid, at)
        if said.ends(sender):
            yield OUTPUT, ("emit", "", sid, at)

    def judge(self, op: Op, came: Came) -> None:
        said = _Said(*op[1:])
        known, sid, at = came.known, came.sid, int(came.at)
        if known.disturbed(sid, at):
            return
        outcome, ref = came.value
        again = known.again(sid)
        wanted = said.outcomes(f"{sid}.{at}", again)
        came.claim(outcome in wanted, f"its start should come to {wanted}")
        if again:
            return
        sender = known.sender(sid)
        heard = [e[4] for what in ("down", "exit") for e in known.entries(sender, what, sid, at)]
        for its_ref, reason, began, over in heard:
            came.claim(its_ref in ("", ref), f"{its_ref} is not its reference")
            came.claim(said.fits(reason), f"{sender} has heard of its end: {reason}")
            came.claim(over - began >= said.ms, f"a hook of {said.ms} ms took {over - began}")
        letters = known.letters(sid, at)
        came.claim(
            letters is None or Counter(letters) == +said.letters(sender),
            f"put aside were {letters}, and should have been {said.letters(sender)}",
        )

    def puts_aside(self, op: Op, sender: str, code: str, again: bool) -> bool:
        return again or _Said(*op[1:]).letters(sender)[code] > 0

    def whole(self, known: Any) -> None:
        for sid, at, who, story in known.outputs(self.name):
            said = _Said(*known.op(sid, at)[1:])
            names = [what for what, _, _ in story]
            disturbed = known.disturbed(sid, at)
            right = names[:1] == ["init"] and names.count("init") == 1
            right = right or (disturbed and not names)  # none of its handlers came to an end
            if not (right if known.again(sid) or disturbed else names == said.story()):
                raise Violation(f"{who} has lived through {story}, and should have through {said.story()}")
            for what, began, over in story:
                if over - began < said.ms:
                    raise Violation(f"{who}: {what} took {over - began} ms, and waits for {said.ms}")
