"""What a supervisor has begun to do: one step at a time, each until its outcome comes."""

from __future__ import annotations

from collections.abc import MutableSequence

from plexstream.hosts.system.children.acts import Acts
from plexstream.hosts.system.children.children import FOR_EVER, Node
from plexstream.hosts.system.children.crew import AT_REST, Crew, is_active
from plexstream.hosts.system.children.state import Head, Step

_BULK = ("stop all", "start all", "nothing")


class Steps:
    """Takes steps in their order. Nothing waits: the next one comes when the outcome of the last does.

    Parameters:
        todo: the steps; the first one is under way.
    """

    def __init__(self, head: Head, crew: Crew, todo: MutableSequence[Step], acts: Acts) -> None:
        self.head = head
        self.todo = todo
        self._crew = crew
        self._children = crew.children
        self._acts = acts

    def plan(self, steps: list[Step]) -> bool:
        """Do these when all before is done. Whether that is now: then `run`."""
        busy = bool(self.todo)
        self.todo.extend(steps)
        return not busy

    def first(self, steps: list[Step]) -> None:
        """Do these before all others."""
        for step in reversed(steps):
            self.todo.insert(0, step)

    def done(self, what: str, id: str) -> None:
        """The outcome of a step has come, if it is the one under way."""
        if self.todo and (self.todo[0].what, self.todo[0].id) == (what, id):
            del self.todo[0]

    def run(self) -> bool:
        """Go on until a step has to wait for its outcome. Whether all are done."""
        while self.todo and self._step(self.todo[0]):
            del self.todo[0]
        return not self.todo

    def _step(self, step: Step) -> bool:
        """Take a step, or go on with it; whether it is over."""
        if step.what in _BULK:
            return self._walk(step)
        if step.what == "exit":
            self.head.phase = "gave up"
            self._acts.exit(self.head.reason)
            return True
        child = self._children.get(step.id)
        if child is None:
            return True
        if step.what == "delete":
            self.forget(child)
            return True
        return self._stop(child) if step.what == "stop" else self._start(child)

    def _walk(self, step: Step) -> bool:
        """Go on with a step for many children, up to the first that it has to wait for."""
        down = step.what == "stop all"
        if step.what == "start all" and not step.id:
            step.id = self._children.first()
        while step.id and step.what != "nothing":
            child = self._crew.child(step.id)
            if down:
                child.again = child.again or (is_active(child) and child.restart != "temporary")
                if self.head.phase == "stopping":
                    self._crew.answer(child, f"the supervisor is stopping: {self.head.reason}")
                if not self._stop(child):
                    return False
            elif child.again and not self._start(child):
                return False
            if step.id == child.id:  # it has not been forgotten
                step.id = self._next(step)
        return True

    def _next(self, step: Step) -> str:
        if step.what == "start all":
            return self._children.after(step.id)
        return self._children.before(step.id) if step.id != step.floor else ""

    def _stop(self, child: Node) -> bool:
        """Stop a child; whether it is."""
        if child.status in AT_REST:
            return True
        if child.status == "ended":
            self.stopped(child)
            return True
        if child.status != "stopping":
            kill = child.status == "failed" or child.shutdown == 0  # who has crashed is not asked
            self._crew.set(child, "stopping")
            self._acts.stop(child, kill)
            if not kill and child.shutdown != FOR_EVER:
                child.timer = self._acts.timeout(child)
        return False

    def _start(self, child: Node) -> bool:
        """Start a child; whether it runs."""
        if child.status == "running":
            self._crew.answer(child, "")
            return True
        if child.status not in ("starting", "stopping"):
            child.ref = self._acts.start(child)
            self._crew.set(child, "starting")
            child.starts += 1
        return False

    def stopped(self, child: Node) -> None:
        """A child is stopped; it is forgotten if it is temporary, and is not about to start."""
        self._crew.set(child, "stopped")
        if child.restart == "temporary" and not (child.again or child.call):
            if not child.dynamic:
                self.head.gone[child.id] = child.digest()
            self.forget(child)

    def forget(self, child: Node) -> None:
        """A child is none any more: steps that stand at it go on to the next one."""
        for place in range(min(2, len(self.todo))):
            step = self.todo[place]
            if step.what in _BULK and child.id == step.id:
                step.id = self._next(step)
                step.what = step.what if step.id else "nothing"
            if step.what in _BULK and child.id == step.floor:
                step.floor = self._children.after(child.id)
        self._crew.remove(child)
