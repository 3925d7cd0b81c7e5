"""The children of a supervisor, in the order in which they start: one entry each, whatever their number."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, MutableMapping
from dataclasses import dataclass
from typing import Any

from plexstream.sdk.host.supervision import INFINITY, TYPE, Child

_ENDS = "/"
"""Key of the links from the ends of the row: no child has such an id."""
FOR_EVER = -1.0
"""The time to stop of a child that has any."""


@dataclass
class Node:
    """A child and how it is. `ref` names its latest life: what is said of an earlier one is out of date.

    Attributes:
        status: new, starting, running, stopping, stopped; failed or ended: what becomes of it is not decided.
        again: it is to be started by the plan that is under way, or once the supervisor is restarted.
        call: who waits to hear of its start.
        dynamic: started by `start_child`: no declaration speaks of it.
    """

    id: str
    address: str
    args: dict[str, Any]
    restart: str
    on_failure: str
    shutdown: float
    significant: bool = False
    dynamic: bool = False
    status: str = "new"
    ref: str = ""
    starts: int = 0
    reason: str = ""  # of its latest end that it was not asked for
    timer: str = ""
    again: bool = False
    call: str = ""

    def define(self, child: Child) -> None:
        """Take over a new declaration."""
        self.args = child.supervisor.table() if child.supervisor else child.args
        self.restart, self.on_failure, self.significant = child.restart, child.on_failure, child.significant
        seconds = child.shutdown_timeout_seconds
        self.shutdown = FOR_EVER if isinstance(seconds, str) else float(seconds)

    def definition(self) -> tuple[Any, ...]:
        """What a declaration says of it."""
        return (self.args, self.restart, self.on_failure, self.shutdown, self.significant)

    def is_supervisor(self) -> bool:
        """Whether it is a supervisor below this one."""
        return self.address.partition("/")[0] == TYPE

    def digest(self) -> str:
        """The same for two definitions that are the same."""
        text = json.dumps(self.definition(), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def table(self) -> dict[str, Any]:
        """Its declaration as `parse_child` reads it."""
        what: dict[str, Any] = {"type": self.address.partition("/")[0], "args": self.args}
        if self.is_supervisor():
            what = {"supervisor": self.args}
        shutdown = INFINITY if self.shutdown == FOR_EVER else self.shutdown
        return {
            "id": self.id, **what, "restart": self.restart, "on_failure": self.on_failure,
            "shutdown_timeout_seconds": shutdown, "significant": self.significant,
        }  # fmt: skip

    def row(self) -> dict[str, Any]:
        """What is told of it."""
        return {
            "id": self.id, "address": self.address, "status": self.status, "starts": self.starts,
            "reason": self.reason,
        }  # fmt: skip


def node_of(own_id: str, child: Child, *, dynamic: bool = False) -> Node:
    """A child of the supervisor `own_id`, which has not been started yet."""
    below = child.supervisor is not None
    address = f"{TYPE}/{own_id}.{child.id}" if below else f"{child.type}/{child.id}"
    node = Node(child.id, address, {}, "", "", 0.0, dynamic=dynamic)
    node.define(child)
    return node


class Children:
    """Children by id, in a row that can be walked in both directions.

    Adding and removing one costs the same however many there are: it changes the two beside it.

    Parameters:
        nodes: by id.
        links: by id the one before and the one after; at the ends of the row there is none, "".
    """

    def __init__(self, nodes: MutableMapping[str, Node], links: MutableMapping[str, list[str]]) -> None:
        self._nodes = nodes
        self._links = links

    def get(self, id: str) -> Node | None:
        """The child of that id."""
        return self._nodes.get(id)

    def at(self, address: str, own_id: str) -> Node | None:
        """The child at an address."""
        type, _, id = address.partition("/")
        node = self.get(id.removeprefix(f"{own_id}.") if type == TYPE else id)
        return node if node is not None and node.address == address else None

    def first(self) -> str:
        """The id of the first one; "" where there is none."""
        return self.after("")

    def last(self) -> str:
        """The id of the last one; "" where there is none."""
        return self.before("")

    def after(self, id: str) -> str:
        """The id of the one behind `id`."""
        return self._beside(id)[1]

    def before(self, id: str) -> str:
        """The id of the one before `id`."""
        return self._beside(id)[0]

    def __iter__(self) -> Iterator[Node]:
        id = self.first()
        while id:
            yield self._nodes[id]
            id = self.after(id)

    def ids(self, after: str = "") -> Iterator[str]:
        """The ids behind `after`, in order."""
        id = self.after(after)
        while id:
            yield id
            id = self.after(id)

    def append(self, node: Node) -> None:
        """Put a new one at the end."""
        self._nodes[node.id] = node
        self._link(node.id, behind=self.last())

    def remove(self, id: str) -> None:
        """Forget a child."""
        self._unlink(id)
        del self._nodes[id]

    def begin_with(self, ids: Iterable[str]) -> None:
        """Let the row begin with these, in this order."""
        place = ""
        for id in ids:
            if self.after(place) != id:
                self._unlink(id)
                self._link(id, behind=place)
            place = id

    def _beside(self, id: str) -> list[str]:
        return self._links.get(id or _ENDS) or ["", ""]

    def _link(self, id: str, behind: str) -> None:
        after = self.after(behind)
        self._links[id] = [behind, after]
        self._set(behind, 1, id)
        self._set(after, 0, id)

    def _unlink(self, id: str) -> None:
        before, after = self._beside(id)
        self._set(before, 1, after)
        self._set(after, 0, before)
        del self._links[id]

    def _set(self, id: str, side: int, to: str) -> None:
        links = list(self._beside(id))
        links[side] = to
        self._links[id or _ENDS] = links
