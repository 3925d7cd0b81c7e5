"""A supervisor's declaration against the children that there are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from plexstream.hosts.system.children.acts import Acts
from plexstream.hosts.system.children.children import Node, node_of
from plexstream.hosts.system.children.crew import Crew
from plexstream.hosts.system.children.state import Head, Step
from plexstream.sdk.host.supervision import Child, Supervisor


class Changes(NamedTuple):
    """What a declaration has changed.

    Attributes:
        steps: deletes and stops that it asks for, without the stops that come before deletes.
        starts: whether children are to be started, too.
        any: whether anything is another than before.
    """

    steps: list[Step]
    starts: bool
    any: bool


class Declared:
    """Makes the children those that are declared. Those that `start_child` has started are left alone."""

    def __init__(self, own_id: str, head: Head, crew: Crew, acts: Acts) -> None:
        self._own_id = own_id
        self._head = head
        self._crew = crew
        self._acts = acts

    def become(self, spec: Supervisor, over: bool) -> Changes:
        """Take over a declaration.

        Parameters:
            over: the supervisor is about to end, or has: supervisors below are not told.

        Raises:
            ValueError: a child would become another actor, or could not be started.
            TooLarge: its arguments are.
        """
        head, children = self._head, self._crew.children
        nodes = self._nodes(spec)
        changed = head.take_limits(spec)
        steps = [Step("delete", c.id) for c in reversed([*children]) if not c.dynamic and c.id not in nodes]
        head.gone = {id: known for id, known in head.gone.items() if id in nodes}
        starts = False
        for child in spec.children:
            node, old = nodes[child.id], children.get(child.id)
            if old is None:
                if head.gone.get(child.id) != node.digest():
                    head.gone.pop(child.id, None)
                    self._crew.append(node).again = starts = True
                continue
            if old.definition() != node.definition():
                changed = True
                if self._redefine(old, node, child, over):
                    steps.append(Step("stop", old.id))
                    old.again = starts = True
            old.dynamic = False
        children.begin_with([id for id in nodes if children.get(id) is not None])
        return Changes(steps, starts, bool(steps or starts or changed))

    def _nodes(self, spec: Supervisor) -> Mapping[str, Node]:
        """By id, in their order. Raises ValueError."""
        nodes = {child.id: node_of(self._own_id, child) for child in spec.children}
        for node in nodes.values():
            old = self._crew.children.get(node.id)
            if old is not None and old.address != node.address:
                raise ValueError(
                    f"child {node.id!r} is {old.address} and cannot become {node.address}: give it another id"
                )
        return nodes

    def _redefine(self, old: Node, node: Node, child: Child, over: bool) -> bool:
        """Another definition of a child; whether it has to be started again for that."""
        alike = old.definition()[1:] == node.definition()[1:]
        self._crew.count(old, -1)
        old.define(child)
        self._acts.check(old)
        self._crew.count(old, 1)
        if child.supervisor is not None and alike and not over:
            self._acts.configure_below(old)
            return False
        return old.status != "stopped" and not (old.status == "new" and old.again)
