"""What a supervisor decides: plain data, and one step at a time.

The shape is that of Erlang/OTP's supervisor (https://www.erlang.org/doc/system/sup_princ.html): starts in
order, stops in the reverse one, at most so many restarts within a window. But nothing here waits: a start or
a stop is sent, and the next step comes when its outcome does.
"""

from __future__ import annotations

from collections.abc import MutableSequence
from itertools import islice

from plexstream.hosts.system.children.acts import Acts
from plexstream.hosts.system.children.children import Children, Node, node_of
from plexstream.hosts.system.children.crew import AT_REST, Crew
from plexstream.hosts.system.children.state import Event, Head, Step
from plexstream.hosts.system.declared import Declared
from plexstream.hosts.system.steps import Steps
from plexstream.model.journal.life import NORMAL, SHUTDOWN
from plexstream.sdk.host.supervision import Child, Supervisor, check_significant


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
        self._crew = Crew(head, children, acts)
        self._steps = Steps(head, self._crew, todo, acts)
        self._declared = Declared(own_id, head, self._crew, acts)

    # Declarations

    def configure(self, spec: Supervisor) -> None:
        """Become what `spec` says: new children are started, others stopped, changed ones restarted.

        Those that `start_child` has started are none of its business.

        Raises:
            ValueError: a child would become another actor, or could not be started.
            TooLarge: its arguments are.
        """
        head = self.head
        first, over = head.phase == "new", self._over()
        changes = self._declared.become(spec, over)
        if not (changes.any or first):
            return
        self._note("start" if first else "configure")
        if over:  # it is what a restart on demand begins with
            for step in changes.steps:
                old = self.children.get(step.id)
                if step.what == "delete" and old is not None and old.status in AT_REST:
                    self._steps.forget(old)
            return
        head.phase = "running"
        steps: list[Step] = []
        for step in changes.steps:
            steps += [Step("stop", step.id), step] if step.what == "delete" else [step]
        self._plan([*steps, Step("start all")] if changes.starts else steps)

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
        self._crew.append(node_of(self._own_id, child, dynamic=True)).call = call
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
        if child.status not in (*AT_REST, "stopping"):
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
            self._crew.set(child, "running")
            child.again = False
            self._crew.answer(child, "")
            self._steps.done("start", child.id)
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
            self._crew.cancel(child)
            self._steps.done("stop", child.id)
            self._steps.stopped(child)
            self._go_on()
            return
        known = child.status in ("failed", "ended")  # what becomes of it will be decided, or is
        child.reason = reason
        if child.status == "starting":
            self._start_ended(child, what, reason)
        else:
            self._crew.set(child, "failed" if what == "failed" else "ended")
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
            self._steps.stopped(child)
        left = self.head.significant - (significant and what == "failed")
        if significant and (auto == "any_significant" or (auto == "all_significant" and not left)):
            self._leave("shut down", id, SHUTDOWN)

    def _start_ended(self, child: Node, what: str, reason: str) -> None:
        """A child that was being started has not come to run."""
        call = child.call
        self._crew.set(child, "stopped")
        if what == "ignored":
            child.again = False
            self._note("ignored", child.id, reason)
            self._crew.answer(child, f"{child.address}: {reason}")
            self._steps.done("start", child.id)
            self._steps.stopped(child)
        elif self.head.phase == "stopping":
            self._crew.answer(child, reason)
            self._steps.done("start", child.id)
        elif call:  # who has asked for the start is told, and decides
            child.again = False
            self._note("not started", child.id, reason)
            self._crew.answer(child, f"{child.address} could not be started: {reason}")
            self._steps.done("start", child.id)
            if child.dynamic and child.starts == 1:
                self._steps.forget(child)
            else:
                self._steps.stopped(child)
        elif child.on_failure == "escalate":
            child.again = True
            self._leave("escalate", child.id, reason)
        elif child.restart == "temporary" or child.on_failure == "stop":
            child.again = False
            self._note("stop", child.id, reason)
            self._steps.done("start", child.id)
            self._steps.stopped(child)
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
        self._steps.first(steps)

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
        if self._steps.plan(steps):
            self._go_on()

    def _go_on(self) -> None:
        """Take steps until one has to wait for its outcome; then look at what has ended meanwhile."""
        while self._steps.run() and self.waiting:
            event = self.waiting[0]
            del self.waiting[0]
            child = self.children.get(event.child)
            if child is not None and child.ref == event.ref and child.status in ("failed", "ended"):
                self._decide(child, event.what, event.reason)

    def _note(self, decision: str, child: str = "", reason: str = "") -> None:
        self._acts.note(decision, child, reason, len(self.restarts))


def is_fine(reason: str) -> bool:
    """Whether an exit is in order: ``normal``, ``shutdown``, or ``shutdown: `` and why."""
    return reason in (NORMAL, SHUTDOWN) or reason.startswith(f"{SHUTDOWN}: ")
