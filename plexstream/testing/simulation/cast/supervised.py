"""A tree of supervisors in the simulation: workers that fail, and what must be true of the tree's decisions.

None of the supervisor's code judges it: only the turns that count, and what each of them changed.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from random import Random
from typing import Any

from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.model.journal.journal import Out, OutKind, Step, Turn
from plexstream.model.messages.address import full
from plexstream.sdk.declaring.declare import actor, handler, init_handler
from plexstream.sdk.declaring.fields import state
from plexstream.sdk.host.host import host
from plexstream.sdk.host.supervision import Child, Supervisor
from plexstream.sdk.spec import Retry
from plexstream.testing.simulation.errors import Violation

ROOT, POOL = full("supervisor/app"), full("supervisor/app.pool")
MAX_RESTARTS, WINDOW = 1, 2.0
"""Of the pool, which gives up now and then."""
_TYPES = ("/worker/", "/supervisor/")


@actor(name="worker", max_active=2, idle_timeout=0.2, retry=Retry(attempts=2, interval=0.02))
class Worker:
    """Counts what it did in its present life."""

    n: int = state(default=0)
    tag: str = state(default="")

    @init_handler
    def init(self, config: dict[str, Any]) -> None:
        """Takes what it was started with; some are bound to fail, in their next life perhaps again."""
        self.tag = config.get("tag", "")
        if host.random() < config.get("odds", 0):
            host.tell(host.self_id(), "fail", op="by itself")

    @handler("work")
    def work(self, op: str) -> int:
        """Something that is gone after a restart."""
        self.n += 1
        return self.n

    @handler("fail")
    def fail(self, op: str) -> None:
        """Always."""
        self.n += 1000
        raise RuntimeError(op)

    @handler("leave")
    def leave(self, op: str) -> None:
        """End of its own accord."""
        host.exit("normal")


def types() -> dict[str, Any]:
    """What the simulated host has for this."""
    return {"worker": Worker.__plexstream__, **SYSTEM_TYPES}  # type: ignore[attr-defined]


def is_supervised(address: str) -> bool:
    """Whether an actor is judged here."""
    return any(name in address for name in _TYPES)


def tree(workers: int) -> dict[str, Any]:
    """The declaration: some workers, and a pool of two that stand and fall together."""
    pool = Supervisor(
        [Child("p0", "worker", {"odds": 0.6}), Child("p1", "worker", restart="transient")],
        "one_for_all", MAX_RESTARTS, WINDOW,
    )  # fmt: skip
    children = [Child(f"w{i}", "worker", {"tag": str(i), "odds": 0.5}) for i in range(workers)]
    return Supervisor([*children, Child("pool", supervisor=pool)], max_restarts=1_000_000).table()


def call(random: Random, workers: int, kill: bool) -> tuple[str, str]:
    """An address and a handler for somebody to call."""
    name = random.choice([f"w{i}" for i in range(workers)] + ["p0", "p1"])
    handlers = ["work", "work", "fail", "fail", "leave"] + ["kill"] * kill
    return full(f"worker/{name}"), random.choice(handlers)


class Judge:
    """Reads the turns of all partitions, each actor's in their order.

    Parameters:
        pool_limits: restarts that the pool may make, within so many seconds.
    """

    def __init__(self, pool_limits: tuple[int, float] = (MAX_RESTARTS, WINDOW)) -> None:
        self._pool_limits = pool_limits
        self.turns: dict[str, list[Turn | Step]] = {}
        self.restarts = self.gave_up = 0
        """Decided by the two, so far."""

    def take(self, turn: Turn | Step) -> None:
        """A turn that counts."""
        self.turns.setdefault(turn.actor, []).append(turn)
        if turn.actor in (ROOT, POOL):
            decided = Counter(entry["decision"] for entry in _written(turn))
            self.restarts += decided["restart"]
            self.gave_up += decided["give up"]

    @property
    def rests(self) -> bool:
        """Whether no supervisor has something to do. A real cluster is judged only then."""
        return all(_rests(self.turns[address]) for address in (ROOT, POOL) if address in self.turns)

    def check(self) -> None:
        """At the end, with nothing under way. Raises Violation."""
        root = self.turns.get(ROOT, [])
        # Crashes in a row may be blamed on any message: then the root was not told, or is stopped.
        if not _last(root, "head") or _last(root, "$life").get("stopped"):
            return
        for address in (ROOT, POOL):
            self._decisions(address)
            self._at_rest(address)
        below = [list(_entries(self.turns[address], "children").values()) for address in (ROOT, POOL)]
        for child in [*below[0], *below[1]]:
            self._child(full(child["address"]), child)
        for child in below[0]:
            self._one_for_one(full(child["address"]))

    def _decisions(self, address: str) -> None:
        """Counters survive everything: each restart is allowed, and nobody gives up before its time."""
        restarts: list[int] = []
        limit, seconds = self._pool_limits if address == POOL else (1_000_000, 5.0)
        window = seconds * 1000
        for turn in self.turns[address]:
            if turn.handler == "$start" and turn.status == 0 and turn.fresh:
                restarts = []
            for entry in _written(turn):
                what, time = entry["decision"], entry["time"]
                if what not in ("restart", "give up"):
                    continue
                restarts = [t for t in restarts if t > time - window] + [time]
                _claim_that((len(restarts) > limit) == (what == "give up"), f"{address}: {entry}: {restarts}")

    def _at_rest(self, address: str) -> None:
        turns = self.turns[address]
        head, children = _last(turns, "head"), _entries(turns, "children")
        _claim_that(_rests(turns), f"{address}: {head}, {_left(turns)}")
        active = sum(child["status"] == "running" for child in children.values())
        counted = (head["specs"], head["active"]) == (len(children), active)
        _claim_that(counted, f"{address}: {head}, {children}")
        for id, beside in _entries(turns, "order").items():
            known = id == "/" or id in children
            _claim_that(known and all(not i or i in children for i in beside), f"{address}: {id} in {beside}")

    def _child(self, address: str, child: dict[str, Any]) -> None:
        """Supervisor and child agree on how it is, and in which life."""
        life = _last(self.turns[address], "$life")
        _claim_that(life.get("id") == child["ref"], f"{address}: {life}, but its supervisor has {child}")
        stopped = life.get("stopped", False)
        _claim_that(stopped == (child["status"] == "stopped"), f"{address}: {life}, but {child}")
        _claim_that(not life.get("failed"), f"{address} has failed, and nothing came of it")

    def _one_for_one(self, address: str) -> None:
        """Each life but the last has ended once, and each end made one restart."""
        starts = [t for t in self.turns[address] if t.handler == "$start" and t.status == 0]
        told = Counter(
            (said["ref"], bool(said.get("failed")))  # who has failed may exit before the decision comes
            for t in self.turns[address] for o in t.outs if (said := _end(o)) is not None
        )  # fmt: skip
        twice = [ref for ref, count in told.items() if count > 1]
        _claim_that(not twice, f"{address}: ends told twice: {twice}")
        ends = {ref for ref, _ in told}
        untold = self._failed_lives(address) - ends
        _claim_that(not untold, f"{address}: has failed in its lives {untold}, and nobody was told")
        name = address.rpartition("/")[2].removeprefix("app.")
        decided = sum(
            entry["decision"] == "restart" and entry["child"] == name
            for t in self.turns[ROOT] for entry in _written(t)
        )  # fmt: skip
        _claim_that(
            len(starts) - 1 == len(ends) == decided,
            f"{address}: {len(starts)} starts, {len(ends)} ends, {decided} restarts decided",
        )

    def _failed_lives(self, address: str) -> set[str]:
        """The lives in which a message was put aside for the actor's own fault."""
        failed: set[str] = set()
        life: dict[str, Any] = {}
        for turn in self.turns[address]:
            letters = [o.key for o in turn.outs if o.kind == OutKind.DEADLETTER]
            lives = life.get("id") and not life.get("stopped")
            if lives and any(why in ("failed", "poisoned") for why in letters):
                failed.add(life["id"])
            life = _last([turn], "$life") or life
        return failed


def _end(out: Out) -> dict[str, Any] | None:
    if out.kind == OutKind.TELL and out.handler == "$exited":
        said: dict[str, Any] = json.loads(out.payload)
        return said
    return None


def _rests(turns: Sequence[Turn | Step]) -> bool:
    running = _last(turns, "head").get("phase") == "running"
    return running and all(entries.keys() <= {"#"} for entries in _left(turns).values())


def _left(turns: Sequence[Turn | Step]) -> dict[str, dict[str, Any]]:
    """What a supervisor has yet to do."""
    return {name: _entries(turns, name) for name in ("todo", "waiting")}


def _written(turn: Turn | Step) -> list[dict[str, Any]]:
    """The decisions that a turn wrote down."""
    changes = [c for c in turn.patch if c.field == "history" and c.key != "#"]
    return [json.loads(c.value) for c in changes if c.value is not None]


def _entries(turns: Sequence[Turn | Step], field: str) -> dict[str, Any]:
    """The entries of a collection after some turns."""
    found: dict[str, Any] = {}
    for turn in turns:
        for change in turn.patch:
            if change.field == field and change.key is not None:
                found.pop(change.key, None)
                if change.value is not None:
                    found[change.key] = json.loads(change.value)
    return found


def _last(turns: Sequence[Turn | Step], field: str) -> dict[str, Any]:
    for turn in reversed(turns):
        for change in turn.patch:
            if change.field == field and change.value is not None:
                found: dict[str, Any] = json.loads(change.value)
                return found
    return {}


def _claim_that(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)
