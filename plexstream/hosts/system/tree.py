"""What a supervisor decides: plain data, and one step at a time.

The shape is that of Erlang/OTP's supervisor (https://www.erlang.org/doc/system/sup_princ.html): starts in
order, stops in the reverse one, at most so many restarts within a window. But nothing here waits: a start or
a stop is sent, and the next step comes when its outcome does.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Protocol

from plexstream.model.life import NORMAL, SHUTDOWN
from plexstream.sdk.supervision import TYPE, Child, Supervisor

_FINE = (NORMAL, SHUTDOWN)


class Acts(Protocol):
    """What a supervisor can do."""

    def now(self) -> int:
        """The time, in ms since the epoch."""

    def start(self, address: str, args: dict[str, Any], restart: bool, resumes: bool) -> str:
        """Start a child; returns the reference of its new life."""

    def stop(self, address: str, ref: str, kill: bool) -> None: ...
    def configure_below(self, address: str, spec: dict[str, Any]) -> None:
        """Tell a supervisor below of its new declaration."""

    def timeout(self, seconds: float, child: str, ref: str) -> str:
        """Ask to be told when a child has taken too long; returns the timer's id."""

    def cancel(self, timer: str) -> None: ...
    def exit(self, reason: str) -> None: ...
    def note(self, decision: str, child: str, reason: str, restarts: int) -> None:
        """Write a decision down."""


@dataclass
class Node:
    """A child and how it is. `ref` names its latest life: what is said of an earlier one is out of date."""

    id: str
    address: str
    args: dict[str, Any]
    restart: str
    on_failure: str
    shutdown: float
    status: str = "new"  # new, starting, running, stopping, stopped
    ref: str = ""
    starts: int = 0
    reason: str = ""  # of its latest end that it was not asked for
    timer: str = ""

    def define(self, child: Child) -> None:
        """Take over a new declaration."""
        self.args = child.supervisor.table() if child.supervisor else child.args
        self.restart, self.on_failure = child.restart, child.on_failure
        self.shutdown = float(child.shutdown_timeout_seconds)


@dataclass
class Event:
    """What a child's life has come to."""

    child: str
    ref: str
    what: str  # failed, exited
    reason: str


@dataclass
class Tree:
    """One supervisor: its children, and what is under way.

    Attributes:
        todo: steps in their order, as (start, stop, delete or exit; child's id). The first one is under way.
        waiting: ends of children that come once nothing is under way.
        restarts: times within the window, in ms since the epoch.
    """

    strategy: str = "one_for_one"
    max_restarts: int = 3
    window: float = 5.0
    phase: str = "new"  # new, running, stopping, gave up
    reason: str = ""
    children: list[Node] = field(default_factory=list)
    todo: list[tuple[str, str]] = field(default_factory=list)
    waiting: list[Event] = field(default_factory=list)
    restarts: list[int] = field(default_factory=list)

    def find(self, id: str) -> Node | None:
        """The child of that id."""
        return next((c for c in self.children if c.id == id), None)

    # Declarations

    def configure(self, own_id: str, spec: Supervisor, acts: Acts) -> None:
        """Become what `spec` says: new children are started, others stopped, changed ones restarted.

        Raises:
            ValueError: a child would become another actor.
        """
        first = self.phase == "new"
        over = self.phase in ("stopping", "gave up")
        nodes = [_node(own_id, child) for child in spec.children]
        for node in nodes:
            old = self.find(node.id)
            if old is not None and old.address != node.address:
                raise ValueError(
                    f"child {node.id!r} is {old.address} and cannot become {node.address}: give it another id"
                )
        changed = (self.strategy, self.max_restarts, self.window) != _limits(spec)
        self.strategy, self.max_restarts, self.window = _limits(spec)
        plan: list[tuple[str, str]] = []
        for old in reversed(self.children):
            if all(node.id != old.id for node in nodes):
                plan += [("stop", old.id), ("delete", old.id)]
        for child, node in zip(spec.children, nodes, strict=True):
            old = self.find(node.id)
            if old is None:
                self.children.append(node)
                plan.append(("start", node.id))
            elif _definition(old) != _definition(node):
                changed = True
                alike = _definition(old)[1:] == _definition(node)[1:]
                old.define(child)
                if child.supervisor is not None and alike and not over:
                    acts.configure_below(old.address, old.args)
                elif old.status != "stopped":
                    plan += [("stop", old.id), ("start", old.id)]
        order = [node.id for node in nodes]
        self.children.sort(key=lambda c: order.index(c.id) if c.id in order else len(order))
        if not (plan or changed or first):
            return
        acts.note("start" if first else "configure", "", "", len(self.restarts))
        if over:  # it is what a restart on demand begins with
            self.children = [c for c in self.children if c.id in order or c.status not in ("new", "stopped")]
            return
        self.phase = "running"
        self._plan(plan, acts)

    def revive(self, acts: Acts) -> None:
        """After giving up: start every child again."""
        self.phase, self.reason, self.restarts = "running", "", []
        self._plan([("start", c.id) for c in self.children], acts)

    def add(self, own_id: str, child: Child, acts: Acts) -> None:
        """Start one more child. Raises ValueError: there is one of that id, or it is over."""
        self._refuse("start", child.id)
        if self.find(child.id) is not None:
            raise ValueError(f"there is a child {child.id!r} already: use restart_child or delete_child")
        self.children.append(_node(own_id, child))
        self._plan([("start", child.id)], acts)

    def order(self, what: str, id: str, acts: Acts) -> None:
        """Stop, restart or delete a child. Raises ValueError: there is none of that id."""
        if self.find(id) is None:
            known = ", ".join(c.id for c in self.children) or "none"
            raise ValueError(f"there is no child {id!r}; there are {known}")
        if what == "restart":
            self._refuse(what, id)
        steps = {"stop": ["stop"], "restart": ["stop", "start"], "delete": ["stop", "delete"]}[what]
        acts.note(f"{what} on demand", id, "", len(self.restarts))
        self._plan([(step, id) for step in steps], acts)

    def _refuse(self, what: str, id: str) -> None:
        if self.phase in ("stopping", "gave up"):
            why = f" ({self.reason})" if self.reason else ""
            raise ValueError(f"cannot {what} {id!r}: the supervisor is {self.phase}{why}; restart it first")

    def stop(self, reason: str, acts: Acts) -> None:
        """Stop every child, then itself."""
        if self.phase != "stopping":
            self._leave("stop", "", reason, acts)

    # What becomes of children

    def started(self, address: str, ref: str, acts: Acts) -> None:
        """A child has been started."""
        child = self._current(address, ref)
        if child is not None and child.status == "starting":
            child.status = "running"
            self._done("start", child.id)
            self._go_on(acts)

    def ended(self, address: str, ref: str, what: str, reason: str, acts: Acts) -> None:
        """A child has failed, or exited, or kept its state after a failure (`what`)."""
        child = self._current(address, ref)
        if child is None or child.status == "stopped":
            return
        if what == "resumed":
            acts.note("resume", child.id, reason, len(self.restarts))
            child.reason = reason
            return
        if child.status == "stopping":
            if what == "failed":  # it was asked to stop, and cannot
                acts.stop(child.address, child.ref, True)
                return
            self._cancel(child, acts)
            child.status = "stopped"
            self._done("stop", child.id)
            self._go_on(acts)
            return
        child.reason = reason
        if child.status == "starting":
            child.status = "stopped"
            self._done("start", child.id)
            self._start_failed(child, reason, acts)
        elif not self.todo:
            self._decide(child, what, reason, acts)
        else:
            if what == "exited":
                child.status = "stopped"
            if all(id != child.id for _, id in self.todo):
                self.waiting.append(Event(child.id, ref, what, reason))
        self._go_on(acts)

    def late(self, id: str, ref: str, acts: Acts) -> None:
        """A child has taken too long to stop."""
        child = self.find(id)
        if child is not None and child.ref == ref and child.status == "stopping":
            child.timer = ""
            acts.note("kill", id, f"not stopped within {child.shutdown} s", len(self.restarts))
            acts.stop(child.address, ref, True)

    def _current(self, address: str, ref: str) -> Node | None:
        child = next((c for c in self.children if c.address == address), None)
        return child if child is not None and child.ref == ref else None

    # Decisions

    def _decide(self, child: Node, what: str, reason: str, acts: Acts) -> None:
        """A child has ended while nothing is under way."""
        abnormal = what == "failed" or reason not in _FINE
        if what == "exited":
            child.status = "stopped"
        if what == "failed" and child.on_failure == "escalate":
            self._leave("escalate", child.id, reason, acts)
            return
        again = child.restart == "permanent" or (child.restart == "transient" and abnormal)
        if not again or (what == "failed" and child.on_failure == "stop"):
            acts.note("stop", child.id, reason, len(self.restarts))
            self.todo = [("stop", child.id)]
        elif self._may_restart(child, reason, acts):
            self.todo = self._restart_plan(child)

    def _start_failed(self, child: Node, reason: str, acts: Acts) -> None:
        if self.phase == "stopping":
            return
        if child.on_failure == "escalate":
            self._leave("escalate", child.id, reason, acts)
        elif child.restart == "temporary" or child.on_failure == "stop":
            acts.note("stop", child.id, reason, len(self.restarts))
        elif self._may_restart(child, reason, acts):
            self.todo.insert(0, ("start", child.id))

    def _may_restart(self, child: Node, reason: str, acts: Acts) -> bool:
        """Count one more restart; give up where that is too many."""
        now = acts.now()
        begin = now - round(self.window * 1000)
        self.restarts = [t for t in self.restarts if t > begin] + [now]
        if len(self.restarts) > self.max_restarts:
            self._leave("give up", child.id, reason, acts)
            return False
        acts.note("restart", child.id, reason, len(self.restarts))
        return True

    def _restart_plan(self, child: Node) -> list[tuple[str, str]]:
        if self.strategy == "one_for_one":
            return [("start", child.id)]
        concerned = self.children
        if self.strategy == "rest_for_one":
            concerned = concerned[concerned.index(child) :]
        alive = [c for c in concerned if c is child or c.status not in ("stopped", "new")]
        again = [c for c in alive if c is child or c.restart != "temporary"]
        return [("stop", c.id) for c in reversed(alive)] + [("start", c.id) for c in again]

    def _leave(self, decision: str, id: str, reason: str, acts: Acts) -> None:
        """Stop all children, then exit."""
        acts.note(decision, id, reason, len(self.restarts))
        self.phase = "stopping"
        self.reason = f"{id}: {reason}" if id else reason
        self.waiting = []
        self.todo = []
        self._plan([("stop", c.id) for c in reversed(self.children)] + [("exit", "")], acts)

    # Steps

    def _plan(self, steps: list[tuple[str, str]], acts: Acts) -> None:
        busy = bool(self.todo)
        self.todo += steps
        if not busy:
            self._go_on(acts)

    def _done(self, step: str, id: str) -> None:
        if self.todo and self.todo[0] == (step, id):
            del self.todo[0]

    def _go_on(self, acts: Acts) -> None:
        """Take steps until one has to wait for its outcome."""
        while True:
            while self.todo and self._step(*self.todo[0], acts):
                del self.todo[0]
            if self.todo or not self.waiting:
                return
            event = self.waiting.pop(0)
            child = self.find(event.child)
            if child is not None and child.ref == event.ref:
                self._decide(child, event.what, event.reason, acts)

    def _step(self, step: str, id: str, acts: Acts) -> bool:
        """Take a step; whether it is over at once."""
        if step == "exit":
            self.phase = "gave up"
            acts.exit(self.reason)
            return True
        child = self.find(id)
        if child is None:
            return True
        if step == "delete":
            self.children.remove(child)
            return True
        if step == "stop":
            if child.status in ("stopped", "new"):
                return True
            if child.status != "stopping":
                child.status = "stopping"
                acts.stop(child.address, child.ref, False)
                child.timer = acts.timeout(child.shutdown, child.id, child.ref)
            return False
        if child.status != "starting":
            resumes = child.on_failure == "resume"
            child.ref = acts.start(child.address, child.args, child.starts > 0, resumes)
            child.status = "starting"
            child.starts += 1
        return False

    def _cancel(self, child: Node, acts: Acts) -> None:
        if child.timer:
            acts.cancel(child.timer)
            child.timer = ""


def _node(own_id: str, child: Child) -> Node:
    below = child.supervisor is not None
    address = f"{TYPE}/{own_id}.{child.id}" if below else f"{child.type}/{child.id}"
    node = Node(child.id, address, {}, "", "", 0.0)
    node.define(child)
    return node


def _definition(node: Node) -> tuple[Any, ...]:
    return (node.args, node.restart, node.on_failure, node.shutdown)


def _limits(spec: Supervisor) -> tuple[str, int, float]:
    return (spec.strategy, spec.max_restarts, float(spec.max_restart_window_seconds))
