"""The children of a supervisor, counted as they come, change and go."""

from __future__ import annotations

from plexstream.hosts.system.children.acts import NOBODY, Acts
from plexstream.hosts.system.children.children import Children, Node
from plexstream.hosts.system.children.state import Head

AT_REST = ("new", "stopped")
_ALIVE = ("starting", "running", "failed", "ended", "stopping")


class Crew:
    """Changes children, and with them what `head` counts of them."""

    def __init__(self, head: Head, children: Children, acts: Acts) -> None:
        self._head = head
        self.children = children
        self._acts = acts

    def child(self, id: str) -> Node:
        """One that there is."""
        child = self.children.get(id)
        assert child is not None
        return child

    def append(self, node: Node) -> Node:
        """One more. Raises ValueError or TooLarge where it could never be started."""
        self._acts.check(node)
        self.children.append(node)
        self._head.specs += 1
        self._head.supervisors += node.is_supervisor()
        return self.child(node.id)

    def remove(self, child: Node) -> None:
        """One less."""
        self.count(child, -1)
        self._head.specs -= 1
        self._head.supervisors -= child.is_supervisor()
        self.children.remove(child.id)

    def set(self, child: Node, status: str) -> None:
        """How it is from now on."""
        self.count(child, -1)
        child.status = status
        self.count(child, 1)

    def count(self, child: Node, by: int) -> None:
        """Before it changes in any other way (-1), and after (1)."""
        if is_active(child):
            self._head.active += by
            self._head.significant += by * child.significant

    def answer(self, child: Node, error: str) -> None:
        """Tell who waits for its start what came of it, if anybody does."""
        call, child.call = child.call, ""
        if call not in ("", NOBODY):
            self._acts.answer(call, child.address, error)

    def cancel(self, child: Node) -> None:
        """It is waited for no longer."""
        if child.timer:
            self._acts.cancel(child.timer)
            child.timer = ""


def is_active(child: Node) -> bool:
    """Whether a child has been started and has not stopped."""
    return child.status in _ALIVE
