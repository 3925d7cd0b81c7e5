"""The actors of the simulation. Between them they use every durable thing that a handler can do.

Each handler has a twin in `semantics`, written without the SDK: the checks compare the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plexstream import (
    Reject,
    Retry,
    Snapshots,
    actor,
    handler,
    host,
    init_handler,
    state,
    state_list,
    state_map,
)
from plexstream.coordination import system_type
from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.plain.compiled import INVOKER
from plexstream.model.host import Outcome
from plexstream.sdk.spec import ActorType
from plexstream.testing.simulation.cast import supervised, waiting
from plexstream.testing.simulation.errors import Killed

KEPT = 4
"""Items that a cell's list keeps."""
TTL = 0.15
"""Seconds without a turn after which a brief cell begins anew."""
OUTPUT = "audit"
EVERY = 100
"""Milliseconds between two of a series; fewer than `TTL`, which would let it begin anew for ever."""
RINGS = 3
ALWAYS = 99
"""So often fails what never succeeds."""


def bad_time(now: int) -> bool:
    """Whether a bad series fails then, in ms: often enough that some use up all attempts."""
    return now % 4 != 0


@actor(
    name="cell", max_active=2, idle_timeout=0.2, retry=Retry(attempts=3, interval=0.02, factor=2),
    snapshots=Snapshots(turns=3, on_deactivation=True),
)  # fmt: skip
class Cell:
    """Lives for ever, and is evicted all the time."""

    n: int = state(default=0)
    last: str = state(default="")
    total: int = state(default=0)
    sent: int = state(default=0)
    timers: dict[str, str] = state(default_factory=dict)
    rings: dict[str, int] = state(default_factory=dict)
    counts: Any = state_map()
    inbox: Any = state_map()
    items: Any = state_list()

    def _note(self, op: str) -> dict[str, Any]:
        self.n += 1
        self.last = op
        return {"n": self.n, "op": op}

    @init_handler
    def begin(self) -> None:
        """Runs once in an actor's life."""
        self.total = 7

    @handler("add")
    def add(self, op: str, amount: int) -> dict[str, Any]:
        """Change a plain field, an entry of a map, both ends of a list."""
        self.total += amount
        key = str(amount)
        self.counts[key] = self.counts.get(key, 0) + 1
        self.items.append(op)
        if len(self.items) > KEPT:
            del self.items[0]
        return self._note(op)

    @handler("shrink")
    def shrink(self, op: str) -> dict[str, Any]:
        """Delete entries."""
        self.counts.clear()
        if len(self.items):
            self.items.pop()
        return self._note(op)

    @handler("get", read_only=True)
    def get(self) -> dict[str, Any]:
        """Everything, as of one turn."""
        return {
            "n": self.n, "op": self.last, "total": self.total, "sent": self.sent,
            "counts": dict(self.counts), "items": list(self.items),
        }  # fmt: skip

    @handler("spread")
    def spread(self, op: str, to: list[str]) -> dict[str, Any]:
        """Tell others, with numbers that rise."""
        for index, target in enumerate(to):
            self.sent += 1
            host.tell(target, "got", op=f"{op}/{index}", source=host.self_id(), number=self.sent)
        return self._note(op)

    @handler("got")
    def got(self, op: str, source: str, number: int) -> dict[str, Any]:
        """Hear from another; every third time it is told on."""
        self.inbox[source] = number
        if number % 3 == 0 and op.count("/") < 3:
            self.sent += 1
            host.tell(source, "got", op=f"{op}/0", source=host.self_id(), number=self.sent)
        return self._note(op)

    @handler("publish")
    def publish(self, op: str, count: int) -> dict[str, Any]:
        """Write to the output topic."""
        for index in range(count):
            host.emit(OUTPUT, {"actor": host.self_id(), "n": self.n, "op": op, "index": index})
        return self._note(op)

    @handler("later")
    def later(self, op: str, timer: str, delay: int, to: str | None) -> dict[str, Any]:
        """Set a timer, for itself or for another."""
        self.timers[timer] = host.send_after(delay / 1000, "fired", {"op": f"{op}/t", "timer": timer}, to=to)
        return self._note(op)

    @handler("drop")
    def drop(self, op: str, timer: str) -> dict[str, Any]:
        """Take a timer back, if it was ever set."""
        if timer in self.timers:
            host.cancel(self.timers.pop(timer))
        return self._note(op)

    @handler("fired")
    def fired(self, op: str, timer: str) -> dict[str, Any]:
        """A timer has come; one of them takes another back."""
        self.timers.pop(timer, None)
        if timer.startswith("t0") and (other := "t1" + timer[2:]) in self.timers:
            host.cancel(self.timers.pop(other))
        return self._note(op)

    @handler("series")
    def series(self, op: str, name: str, misfire: Any) -> dict[str, Any]:
        """Begin a series, anew if there is one of the name."""
        self.rings[name] = 0
        arguments = {"op": f"{op}/r", "name": name}
        host.remind(name, "rang", arguments, every=EVERY / 1000, misfire=misfire)
        return self._note(op)

    @handler("rang")
    def rang(self, op: str, name: str) -> dict[str, Any]:
        """One of a series has come; after some of them it ends. Some fail at three of four milliseconds."""
        self.rings[name] = self.rings.get(name, 0) + 1
        if name == "bad" and bad_time(host.now()):
            raise RuntimeError("a bad time")
        if self.rings[name] >= RINGS:
            host.forget(name)
        return self._note(op)

    @handler("unset")
    def unset(self, op: str, name: str) -> dict[str, Any]:
        """End a series, if there is one."""
        host.forget(name)
        return self._note(op)

    @handler("wake")
    def wake(self, op: str, delay: int) -> dict[str, Any]:
        """Set the alarm, instead of any that there is."""
        host.alarm.set_in(delay / 1000)
        return self._note(op)

    @handler("__alarm__")
    def alarm(self) -> dict[str, Any]:
        """The alarm has come; every other time it is set again."""
        if self.n % 2:
            host.alarm.set_in(0.02)
        return self._note("alarm")

    @handler("refuse")
    def refuse(self, op: str) -> dict[str, Any]:
        """Refuse every other time, after changes that must be rolled back."""
        self.total += 1000
        self.counts["refused"] = 1
        if self.n % 2 == 0:
            raise Reject("even", {"n": self.n})
        return self._note(op)

    @handler("break")
    def break_(self, op: str, times: int) -> dict[str, Any]:
        """Raise the first few times that it is tried while the actor is in memory, or always."""
        tries = self.__dict__.setdefault("_tries", {})
        tries[op] = tries.get(op, 0) + 1
        self.total += 1
        self.items.append("broken")
        host.emit(OUTPUT, {"never": op})
        if times == ALWAYS or tries[op] <= times:
            raise RuntimeError("broken")
        return self._note(op)


@actor(name="brief", max_active=3, idle_timeout=0.3, state_ttl=TTL, retry=Retry(attempts=2, interval=0.03))
class Brief(Cell):
    """Forgets its state after a while without turns."""


@actor(name="plain", max_active=100, idle_timeout=60.0)
class Plain(Cell):
    """Stays in memory, its state in plain fields: most of its turns are of the kind that is compiled."""

    counts: dict[str, int] = state(default_factory=dict)
    inbox: dict[str, int] = state(default_factory=dict)
    items: list[str] = state(default_factory=list)


class SimHost(NativeHost):
    """The native host; the handler "kill" takes its process down.

    Attributes:
        plain_turns: messages that what is compiled has handled.
    """

    plain_turns = 0

    def __init__(self, types: Mapping[str, ActorType], version: str) -> None:
        super().__init__(types, version, more=system_type)
        self.plain = None if INVOKER is None else self._plainly

    def _plainly(
        self, instance: Any, handler: str, payload: bytes, seq: int, now: int, sender: str, message_id: str,
        reply_to: str,
    ) -> Outcome | None:  # fmt: skip
        waiting.world.ran.add(message_id)
        if handler == "kill":
            raise Killed(message_id)
        assert INVOKER is not None
        outcome: Outcome | None = INVOKER.invoke(
            self, instance, handler, payload, seq, now, sender, message_id, reply_to
        )
        self.plain_turns += outcome is not None
        return outcome

    def invoke(
        self, instance: Any, handler: str, payload: bytes, seq: int, now: int, sender: str, message_id: str,
        must_read: bool, chain: str = "", fresh: bool | None = None, reply_to: str = "",
    ) -> Outcome:  # fmt: skip
        waiting.world.ran.add(message_id)
        if handler == "kill":
            raise Killed(message_id)
        return super().invoke(
            instance, handler, payload, seq, now, sender, message_id, must_read, chain, fresh, reply_to
        )


def make_host() -> SimHost:
    """A host of all types; it has no state of its own, so that one serves every simulated process."""
    types = [cls.__plexstream__ for cls in (Cell, Brief, Plain)]  # type: ignore[attr-defined]
    return SimHost({**{spec.name: spec for spec in types}, **supervised.types(), **waiting.types()}, "1")
