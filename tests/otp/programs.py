"""Actors for what Erlang/OTP's supervisors, servers and state machines are expected to do."""

from __future__ import annotations

from typing import Any

from plexstream import (
    AlreadyStarted,
    Ignore,
    Retry,
    actor,
    event_timeout,
    fsm,
    fsm_actor,
    gen_server_actor,
    handler,
    host,
    init_handler,
    on_crash,
    state,
    state_enter,
    state_timeout,
)

ONCE = Retry(attempts=1)


@actor
class Log:
    lines: list[str] = state(default_factory=list)

    @handler()
    def line(self, text: str) -> None:
        self.lines.append(text)

    @handler(read_only=True)
    def get(self) -> list[str]:
        return self.lines


def note(what: str) -> None:
    """To the log of all whose ids end alike."""
    name, _, group = host.self_id().partition("/")[2].partition("-")
    host.tell(f"log/{group}", "line", text=f"{what} {name}")


@actor
class Tally:
    """How often each has been started: actors forget that with their lives."""

    starts: dict[str, int] = state(default_factory=dict)

    @handler()
    def start(self, who: str) -> int:
        self.starts[who] = self.starts.get(who, 0) + 1
        return self.starts[who]


@actor(retry=ONCE)
class Worker:
    n: int = state(default=0)

    @init_handler
    def init(self, config: dict[str, Any]) -> None:
        if "ignore" in config:
            raise Ignore("not here")
        if "fail_at" in config:
            start = host.ask(f"tally/{host.self_id().partition('-')[2]}", "start", who=host.self_id())
            if config["fail_at"] <= start < config.get("good_from", 1_000):
                raise ValueError(f"start {start} fails")
        note("start")

    @handler()
    def add(self) -> int:
        self.n += 1
        return self.n

    @handler()
    def fail(self) -> None:
        raise ValueError("abnormal")

    @handler()
    def leave(self, reason: str = "normal") -> str:
        host.exit(reason)
        return "bye"

    @handler("__stop__")
    def stop(self, reason: str) -> None:
        note("stop")
        host.exit(reason)

    @on_crash
    def crashed(self, reason: str) -> None:
        note(f"crash at {self.n}")


@actor(retry=ONCE)
class Slow:
    """Takes `seconds` to stop; for ever, if negative."""

    seconds: float = state(default=0.0)

    @handler("__stop__")
    def stop(self, reason: str) -> None:
        note("asked")
        if self.seconds >= 0:
            host.send_after(self.seconds, "done", reason=reason)

    @handler()
    def done(self, reason: str) -> None:
        note("done")
        host.exit(reason)


@actor
class Helper:
    """Does what only an actor can."""

    down: list[str] = state(default_factory=list)
    exits: list[str] = state(default_factory=list)

    @handler()
    def supervise(self, id: str, spec: dict[str, Any]) -> None:
        host.spawn("supervisor", id, spec)

    @handler()
    async def start(self, type: str, id: str, args: dict[str, Any] | None = None) -> str:
        try:
            return await host.spawn(type, id, args, wait=True)
        except AlreadyStarted:
            return "already started"

    @handler()
    def stop(self, address: str, reason: str = "shutdown") -> None:
        host.stop(address, reason)

    @handler()
    def monitor(self, address: str) -> None:
        host.monitor(address)

    @handler()
    def link(self, address: str) -> None:
        host.link(address)

    @handler("__down__")
    def on_down(self, address: str, ref: str, reason: str) -> None:
        self.down.append(f"{address.rpartition('/')[2].partition('-')[0]}: {reason}")

    @handler("__exit__")
    def on_exit(self, address: str, reason: str) -> None:
        self.exits.append(reason)

    @handler(read_only=True)
    def heard(self) -> list[list[str]]:
        return [self.down, self.exits]


@gen_server_actor(retry=ONCE)
class Server:
    seen: list[Any] = state(default_factory=list)
    froms: list[str] = state(default_factory=list)

    @handler("req", "call")
    def request(self, x: Any = None) -> list[Any]:
        self.seen.append(x)
        return ["ok", x]

    @handler("note", "cast")
    def note(self, x: Any) -> None:
        self.seen.append(x)

    @handler()
    def later(self) -> None:
        self.froms.append(host.defer())

    @handler("reply_all", "cast")
    def reply_all(self, x: Any) -> None:
        for call in self.froms:
            host.reply(call, x)
        self.froms = []

    @handler()
    async def slow(self, seconds: float) -> str:
        await host.sleep(seconds)
        return "late"

    @handler()
    def crash(self) -> None:
        self.seen.append("lost")
        raise ValueError("crash")

    @handler()
    def stop_and_reply(self) -> str:
        host.exit("normal")
        return "stopped"

    @handler("*", "cast")
    def info(self, **rest: Any) -> None:
        self.seen.append(rest)

    @handler(read_only=True)
    def get(self) -> list[Any]:
        return self.seen


@fsm_actor(states=["idle", "waiting", "connected"], initial="idle")
class Line:
    log: list[str] = state(default_factory=list)

    @handler(read_only=True)
    def get(self) -> list[Any]:
        return [self.fsm_state, self.log]

    @handler(states=["idle"])
    def connect(self) -> str:
        self.fsm_state = "waiting"
        return "accept"

    @handler(states=["waiting"])
    def confirm(self) -> str:
        self.fsm_state = "connected"
        return "yes"

    @handler(states=["connected"], postpone_in=["waiting"])
    def ping(self, tag: str) -> list[str]:
        if tag == "bad":
            raise ValueError("bad")
        self.log.append(f"pong {tag}")
        return ["pong", tag]

    @handler(states=["connected", "waiting"])
    def disconnect(self) -> str:
        self.fsm_state = "idle"
        return "yes"


@fsm_actor(states=["start", "buffer"], initial="start")
class Order:
    got: list[str] = state(default_factory=list)

    @handler("put", "cast", states=["buffer"], postpone_in=["start"])
    def put(self, what: str) -> None:
        self.got.append(what)

    @handler(states=["start"])
    def buffer(self, more: list[str]) -> str:
        self.fsm_state = "buffer"
        for what in more:
            fsm.next_event("put", what=what)
        return "ok"

    @handler(read_only=True)
    def get(self) -> list[str]:
        return self.got


@fsm_actor(
    states=["locked", "open", "half"], initial="locked",
    transitions={"locked": ["open"], "open": ["half", "locked"], "half": ["locked"]},
)  # fmt: skip
class Door:
    log: list[int] = state(default_factory=list)

    @handler()
    def to(self, state: str) -> str:
        self.fsm_state = state
        return self.fsm_state

    @handler("knock", "cast", states=["open"], postpone_in=["locked", "half"])
    def knock(self, n: int) -> None:
        if n < 0:
            raise ValueError("bad")
        self.log.append(n)
        if n == 2:
            self.fsm_state = "half"

    @handler("when_even")
    def when_even(self, n: int) -> int:
        """Postponed by decision: as long as so much has not been heard that it is even."""
        if (len(self.log) + n) % 2:
            fsm.postpone()
        return len(self.log)

    @handler()
    def again(self) -> None:
        self.log.append(0)
        fsm.repeat_state()

    @handler(read_only=True)
    def get(self) -> list[Any]:
        return [self.fsm_state, self.log]


@fsm_actor(states=["a", "b", "c", "quiet"], initial="a")
class Timed:
    log: list[str] = state(default_factory=list)

    @state_enter("a", "b", "c", "quiet")
    def enter(self, before: str) -> None:
        self.log.append(f"{before}>{self.fsm_state}")

    @handler()
    def go(self, to: str) -> None:
        self.fsm_state = to

    @handler()
    def touch(self) -> None:
        self.log.append("touch")

    @handler()
    def again(self) -> None:
        fsm.repeat_state()

    @handler()
    def timeout(self, seconds: float | None) -> None:
        fsm.set_timeout(seconds)

    @state_timeout("b", after=1.2)
    def late(self) -> None:
        self.log.append("timeout b")
        self.fsm_state = "a"

    @state_timeout("c", after=0)
    def at_once(self) -> None:
        self.log.append("timeout c")

    @event_timeout("quiet", after=1.2)
    def silence(self) -> None:
        self.log.append("silence")

    @handler()
    def remind(self, name: str, seconds: float) -> None:
        host.remind(name, "fire", at=host.now() + round(seconds * 1000), what=name)

    @handler()
    def forget(self, name: str) -> None:
        host.forget(name)

    @handler()
    def fire(self, what: str) -> None:
        self.log.append(what)

    @handler(read_only=True)
    def get(self) -> list[Any]:
        return [self.fsm_state, self.log]


ALL = (Log, Tally, Worker, Slow, Helper, Server, Line, Order, Door, Timed)
