"""What a supervisor decides: plain data, and one step at a time.

The shape is that of Erlang/OTP's supervisor (https://www.erlang.org/doc/system/sup_princ.html): starts in
order, stops in the reverse one, at most so many restarts within a window. But nothing here waits: a start or
a stop is sent, and the next step comes when its outcome does.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

from plexstream.hosts.system.children import FOR_EVER, Children, Node, node_of
from plexstream.model.life import NORMAL, SHUTDOWN
from plexstream.sdk.supervision import Child, Supervisor, check_significant

NOBODY = "-"
"""In the place of a call: a start was asked for by somebody who does not wait for its outcome."""
_ALIVE = ("starting", "running", "failed", "ended", "stopping")
_AT_REST = ("new", "stopped")
_BULK = ("stop all", "start all", "nothing")


class Acts(Protocol):
    """What a supervisor can do."""

    def now(self) -> int:
        """The time, in ms since the epoch."""

    def check(self, child: Node) -> None:
        """Raises ValueError or TooLarge where a child could never be started: its address, its arguments."""

    def start(self, child: Node) -> str:
        """Start a child; returns the reference of its new life."""

    def stop(self, child: Node, kill: bool) -> None: ...
    def configure_below(self, child: Node) -> None:
        """Tell a supervisor below of its new declaration."""

    def timeout(self, child: Node) -> str:
        """Ask to be told when a child has taken too long to stop; returns the timer's id."""

    def cancel(self, timer: str) -> None: ...
    def answer(self, call: str, address: str, error: str) -> None:
        """Tell whoever waits for a start what came of it."""

    def exit(self, reason: str) -> None: ...
    def note(self, decision: str, child: str, reason: str, restarts: int) -> None:
        """Write a decision down."""


@dataclass
class Step:
    """Something to do. The first one is under way.

    Attributes:
        what: start, stop, delete: of one child; exit; stop all: from the child `id` down to `floor`; start
            all: those that are to be started again, from the child `id` up. As it goes on, `id` does.
    """

    what: str
    id: str = ""
    floor: str = ""


@dataclass
class Event:
    """What a child's life has come to."""

    child: str
    ref: str
    what: str  # failed, exited
    reason: str


@dataclass
class Head:
    """One supervisor but for its children and what is to be done.

    Attributes:
        gone: declared temporary children that have ended, with digests of their definitions: they are not
            started again because the same declaration is told again.
        active, significant: how many children have been started and have not stopped, and how many of them
            are significant.
    """

    strategy: str = "one_for_one"
    max_restarts: int = 3
    window: float = 5.0
    auto_shutdown: str = "never"
    phase: str = "new"  # new, running, stopping, gave up
    reason: str = ""
    gone: dict[str, str] = field(default_factory=dict)
    specs: int = 0
    supervisors: int = 0
    active: int = 0
    significant: int = 0

    def take_limits(self, spec: Supervisor) -> bool:
        """Take over what a declaration says of the supervisor itself; whether that is another than before."""
        before = (self.strategy, self.max_restarts, self.window, self.auto_shutdown)
        self.strategy, self.max_restarts = spec.strategy, spec.max_restarts
        self.window, self.auto_shutdown = float(spec.max_restart_window_seconds), spec.auto_shutdown
        return before != (self.strategy, self.max_restarts, self.window, self.auto_shutdown)


class Tree:
    """One supervisor, as a turn of it sees it.

    Parameters:
        own_id: the supervisor's.
        todo: steps in their order.
        waiting: ends of children that are looked at once nothing is under way.
        restarts: times within the window, in ms since the epoch.
    """

    def __init__(
        self, own_id: str, head: Head, children: Children, todo: MutableSequence[Step],
        waiting: MutableSequence[Event], restarts: MutableSequence[int], acts: Acts,
    ) -> None:  # fmt: skip
        self._own_id = own_id
        self.head = head
        self.children = children
        self.todo = todo
        self.waiting = waiting
        self.restarts = restarts
        self._acts = acts

    # Declarations

    def configure(self, spec: Supervisor) -> None:
        """Become what `spec` says: new children are started, others stopped, changed ones restarted.

        Those that `start_child` has started are none of its business.

        Raises:
            ValueError: a child would become another actor, or could not be started.
            TooLarge: its arguments are.
        """
        head = self.head
        first = head.phase == "new"
        over = self._over()
        nodes = {child.id: node_of(self._own_id, child) for child in spec.children}
        for node in nodes.values():
            old = self.children.get(node.id)
            if old is not None and old.address != node.address:
                raise ValueError(
                    f"child {node.id!r} is {old.address} and cannot become {node.address}: give it another id"
                )
        changed = head.take_limits(spec)
        plan = [
            Step("delete", c.id) for c in reversed([*self.children]) if not c.dynamic and c.id not in nodes
        ]
        head.gone = {id: known for id, known in head.gone.items() if id in nodes}
        begin = False
        for child in spec.children:
            node, old = nodes[child.id], self.children.get(child.id)
            if old is None and head.gone.get(child.id) == node.digest():
                continue
            if old is None:
                head.gone.pop(child.id, None)
                self._append(node)
                node = self._child(child.id)
                node.again = begin = True
            elif old.definition() != node.definition():
                changed = True
                alike = old.definition()[1:] == node.definition()[1:]
                self._count(old, -1)
                old.define(child)
                self._acts.check(old)
                self._count(old, 1)
                if child.supervisor is not None and alike and not over:
                    self._acts.configure_below(old)
                elif old.status != "stopped" and not (old.status == "new" and old.again):
                    plan.append(Step("stop", old.id))
                    old.again = begin = True
            if old is not None:
                old.dynamic = False
        self.children.begin_with([id for id in nodes if self.children.get(id) is not None])
        if not (plan or begin or changed or first):
            return
        self._note("start" if first else "configure")
        if over:  # it is what a restart on demand begins with
            for step in plan:
                old = self.children.get(step.id)
                if step.what == "delete" and old is not None and old.status in _AT_REST:
                    self._forget(old)
            return
        head.phase = "running"
        steps: list[Step] = []
        for step in plan:
            steps += [Step("stop", step.id), step] if step.what == "delete" else [step]
        self._plan([*steps, Step("start all")] if begin else steps)

    def revive(self) -> None:
        """After giving up: start every child again that ran then."""
        self.head.phase, self.head.reason = "running", ""
        self.restarts.clear()
        self._plan([Step("start all")])

    def add(self, child: Child, call: str) -> None:
        """Start one more child. Raises ValueError: there is one of that id, or it is over."""
        self._refuse("start", child.id)
        if self.children.get(child.id) is not None:
            raise ValueError(f"there is a child {child.id!r} already: use restart_child or delete_child")
        check_significant(child, self.head.auto_shutdown)
        self.head.gone.pop(child.id, None)
        self._append(node_of(self._own_id, child, dynamic=True))
        self._child(child.id).call = call
        self._plan([Step("start", child.id)])

    def stop_child(self, id: str) -> None:
        """Stop a child. Raises ValueError: there is none of that id."""
        self._known(id)
        self._note("stop on demand", id)
        self._plan([Step("stop", id)])

    def restart_child(self, id: str, call: str) -> None:
        """Start a child that is stopped. Raises ValueError: there is none of that id, or it is not."""
        self._refuse("restart", id)
        child = self._at_rest("restart", id)
        if child.call:
            raise ValueError(f"{id!r} is about to start")
        child.call = call
        self._note("restart on demand", id)
        self._plan([Step("start", id)])

    def delete_child(self, id: str) -> None:
        """Forget a child that is stopped. Raises ValueError: there is none of that id, or it is not."""
        self._at_rest("delete", id)
        self._note("delete on demand", id)
        self._plan([Step("delete", id)])

    def _known(self, id: str) -> Node:
        child = self.children.get(id)
        if child is None:
            known = [*islice(self.children.ids(), 20)] + (["…"] if self.head.specs > 20 else [])
            raise ValueError(f"there is no child {id!r}; there are {', '.join(known) or 'none'}")
        return child

    def _at_rest(self, what: str, id: str) -> Node:
        child = self._known(id)
        if child.status not in (*_AT_REST, "stopping"):
            raise ValueError(f"cannot {what} {id!r}: it is {child.status}; stop it first, by stop_child")
        return child

    def _refuse(self, what: str, id: str) -> None:
        if self._over():
            why = f" ({self.head.reason})" if self.head.reason else ""
            phase = f"the supervisor is {self.head.phase}{why}"
            raise ValueError(f"cannot {what} {id!r}: {phase}; restart it first")

    def _over(self) -> bool:
        return self.head.phase in ("stopping", "gave up")

    def stop(self, reason: str) -> None:
        """Stop every child, then itself."""
        if self.head.phase != "stopping":
            self._leave("stop", "", reason)

    # What becomes of children

    def started(self, address: str, ref: str) -> None:
        """A child has been started."""
        child = self._current(address, ref)
        if child is not None and child.status == "starting":
            self._set(child, "running")
            child.again = False
            self._answer(child, "")
            self._done("start", child.id)
            self._go_on()

    def ended(self, address: str, ref: str, what: str, reason: str) -> None:
        """A child has failed, or exited, or kept its state after a failure, or is not to be (`what`)."""
        child = self._current(address, ref)
        if child is None or child.status == "stopped":
            return
        if what == "resumed":
            self._note("resume", child.id, reason)
            child.reason = reason
            return
        if child.status == "stopping":
            if what == "failed":  # it was asked to stop, and cannot
                self._acts.stop(child, True)
                return
            self._cancel(child)
            self._done("stop", child.id)
            self._stopped(child)
            self._go_on()
            return
        known = child.status in ("failed", "ended")  # what becomes of it will be decided, or is
        child.reason = reason
        if child.status == "starting":
            self._start_ended(child, what, reason)
        else:
            self._set(child, "failed" if what == "failed" else "ended")
            if not known and self.todo:
                self.waiting.append(Event(child.id, ref, what, reason))
            elif not known:
                self._decide(child, what, reason)
        self._go_on()

    def late(self, id: str, ref: str) -> None:
        """A child has taken too long to stop."""
        child = self.children.get(id)
        if child is not None and child.ref == ref and child.status == "stopping":
            child.timer = ""
            self._note("kill", id, f"not stopped within {child.shutdown} s")
            self._acts.stop(child, True)

    def _current(self, address: str, ref: str) -> Node | None:
        child = self.children.at(address, self._own_id)
        return child if child is not None and child.ref == ref else None

    # Decisions

    def _decide(self, child: Node, what: str, reason: str) -> None:
        """A child has ended while nothing is under way."""
        if what == "failed" and child.on_failure == "escalate":
            self._leave("escalate", child.id, reason)
            return
        abnormal = what == "failed" or not is_fine(reason)
        again = child.restart == "permanent" or (child.restart == "transient" and abnormal)
        if again and not (what == "failed" and child.on_failure == "stop"):
            if self._may_restart(child, reason):
                self._restart(child)
            return
        self._note("stop", child.id, reason)
        id, significant, auto = child.id, child.significant, self.head.auto_shutdown
        if what == "failed":
            self.todo.append(Step("stop", id))  # it goes on as it was before the message that failed
        else:
            self._stopped(child)
        left = self.head.significant - (significant and what == "failed")
        if significant and (auto == "any_significant" or (auto == "all_significant" and not left)):
            self._leave("shut down", id, SHUTDOWN)

    def _start_ended(self, child: Node, what: str, reason: str) -> None:
        """A child that was being started has not come to run."""
        call = child.call
        self._set(child, "stopped")
        if what == "ignored":
            child.again = False
            self._note("ignored", child.id, reason)
            self._answer(child, f"{child.address}: {reason}")
            self._done("start", child.id)
            self._stopped(child)
        elif self.head.phase == "stopping":
            self._answer(child, reason)
            self._done("start", child.id)
        elif call:  # who has asked for the start is told, and decides
            child.again = False
            self._note("not started", child.id, reason)
            self._answer(child, f"{child.address} could not be started: {reason}")
            self._done("start", child.id)
            if child.dynamic and child.starts == 1:
                self._forget(child)
            else:
                self._stopped(child)
        elif child.on_failure == "escalate":
            child.again = True
            self._leave("escalate", child.id, reason)
        elif child.restart == "temporary" or child.on_failure == "stop":
            child.again = False
            self._note("stop", child.id, reason)
            self._done("start", child.id)
            self._stopped(child)
        else:
            child.again = True
            if self._may_restart(child, reason) and self.head.strategy == "one_for_all":
                del self.todo[0]  # the start that has failed, alone or of all
                self._restart(child)

    def _may_restart(self, child: Node, reason: str) -> bool:
        """Count one more restart; give up where that is too many."""
        now = self._acts.now()
        begin = now - round(self.head.window * 1000)
        while len(self.restarts) and self.restarts[0] <= begin:
            del self.restarts[0]
        self.restarts.append(now)
        if len(self.restarts) > self.head.max_restarts:
            child.again = True
            self._leave("give up", child.id, reason)
            return False
        self._note("restart", child.id, reason)
        return True

    def _restart(self, child: Node) -> None:
        """Start a child again, and with it whom the strategy says."""
        child.again = True
        if self.head.strategy == "one_for_one":
            steps = [Step("start", child.id)]
        else:
            floor = child.id if self.head.strategy == "rest_for_one" else ""
            steps = [Step("stop all", self.children.last(), floor), Step("start all", floor)]
        for step in reversed(steps):
            self.todo.insert(0, step)

    def _leave(self, decision: str, id: str, reason: str) -> None:
        """Stop all children, then exit."""
        self._note(decision, id, reason)
        self.head.phase = "stopping"
        self.head.reason = f"{id}: {reason}" if id and reason != SHUTDOWN else reason
        self.waiting.clear()
        self.todo.clear()
        self._plan([Step("stop all", self.children.last()), Step("exit")])

    # Steps

    def _plan(self, steps: list[Step]) -> None:
        busy = bool(self.todo)
        self.todo.extend(steps)
        if not busy:
            self._go_on()

    def _done(self, step: str, id: str) -> None:
        if self.todo and (self.todo[0].what, self.todo[0].id) == (step, id):
            del self.todo[0]

    def _go_on(self) -> None:
        """Take steps until one has to wait for its outcome."""
        while True:
            while self.todo and self._step(self.todo[0]):
                del self.todo[0]
            if self.todo or not self.waiting:
                return
            event = self.waiting[0]
            del self.waiting[0]
            child = self.children.get(event.child)
            if child is not None and child.ref == event.ref and child.status in ("failed", "ended"):
                self._decide(child, event.what, event.reason)

    def _step(self, step: Step) -> bool:
        """Take a step, or go on with it; whether it is over."""
        if step.what in _BULK:
            return self._walk(step)
        if step.what == "exit":
            self.head.phase = "gave up"
            self._acts.exit(self.head.reason)
            return True
        child = self.children.get(step.id)
        if child is None:
            return True
        if step.what == "delete":
            self._forget(child)
            return True
        return self._stop(child) if step.what == "stop" else self._start(child)

    def _walk(self, step: Step) -> bool:
        """Go on with a step for many children, up to the first that it has to wait for."""
        down = step.what == "stop all"
        if step.what == "start all" and not step.id:
            step.id = self.children.first()
        while step.id and step.what != "nothing":
            child = self._child(step.id)
            if down:
                child.again = child.again or (child.status in _ALIVE and child.restart != "temporary")
                if self.head.phase == "stopping":
                    self._answer(child, f"the supervisor is stopping: {self.head.reason}")
                if not self._stop(child):
                    return False
            elif child.again and not self._start(child):
                return False
            if step.id == child.id:  # it has not been forgotten
                step.id = self._next(step)
        return True

    def _next(self, step: Step) -> str:
        if step.what == "start all":
            return self.children.after(step.id)
        return self.children.before(step.id) if step.id != step.floor else ""

    def _stop(self, child: Node) -> bool:
        """Stop a child; whether it is."""
        if child.status in _AT_REST:
            return True
        if child.status == "ended":
            self._stopped(child)
            return True
        if child.status != "stopping":
            kill = child.status == "failed" or child.shutdown == 0  # who has crashed is not asked
            self._set(child, "stopping")
            self._acts.stop(child, kill)
            if not kill and child.shutdown != FOR_EVER:
                child.timer = self._acts.timeout(child)
        return False

    def _start(self, child: Node) -> bool:
        """Start a child; whether it runs."""
        if child.status == "running":
            self._answer(child, "")
            return True
        if child.status not in ("starting", "stopping"):
            child.ref = self._acts.start(child)
            self._set(child, "starting")
            child.starts += 1
        return False

    # Children

    def _child(self, id: str) -> Node:
        child = self.children.get(id)
        assert child is not None
        return child

    def _append(self, node: Node) -> None:
        self._acts.check(node)
        self.children.append(node)
        self.head.specs += 1
        self.head.supervisors += node.is_supervisor()

    def _set(self, child: Node, status: str) -> None:
        self._count(child, -1)
        child.status = status
        self._count(child, 1)

    def _count(self, child: Node, by: int) -> None:
        if is_active(child):
            self.head.active += by
            self.head.significant += by * child.significant

    def _stopped(self, child: Node) -> None:
        """A child is stopped; it is forgotten if it is temporary, and is not about to start."""
        self._set(child, "stopped")
        if child.restart == "temporary" and not (child.again or child.call):
            if not child.dynamic:
                self.head.gone[child.id] = child.digest()
            self._forget(child)

    def _forget(self, child: Node) -> None:
        for place in range(min(2, len(self.todo))):
            step = self.todo[place]
            if step.what in _BULK and child.id == step.id:
                step.id = self._next(step)
                step.what = step.what if step.id else "nothing"
            if step.what in _BULK and child.id == step.floor:
                step.floor = self.children.after(child.id)
        self._count(child, -1)
        self.head.specs -= 1
        self.head.supervisors -= child.is_supervisor()
        self.children.remove(child.id)

    def _answer(self, child: Node, error: str) -> None:
        call, child.call = child.call, ""
        if call not in ("", NOBODY):
            self._acts.answer(call, child.address, error)

    def _cancel(self, child: Node) -> None:
        if child.timer:
            self._acts.cancel(child.timer)
            child.timer = ""

    def _note(self, decision: str, child: str = "", reason: str = "") -> None:
        self._acts.note(decision, child, reason, len(self.restarts))


def is_active(child: Node) -> bool:
    """Whether a child has been started and has not stopped."""
    return child.status in _ALIVE


def is_fine(reason: str) -> bool:
    """Whether an exit is in order: ``normal``, ``shutdown``, or ``shutdown: `` and why."""
    return reason in (NORMAL, SHUTDOWN) or reason.startswith(f"{SHUTDOWN}: ")
