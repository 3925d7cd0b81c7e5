"""A tree of supervisors as the log has it: children, what is under way, and the decisions so far."""

from __future__ import annotations

from typing import Any

from plexstream.hosts.system.children.children import Children
from plexstream.inspection.history import Progress
from plexstream.inspection.views.state_view import state_at
from plexstream.log.base import Log
from plexstream.model.messages.address import parse
from plexstream.model.topics.topics import Topics

_TYPE = "supervisor"


def tree(log: Log, topics: Topics, address: str, progress: Progress | None = None) -> dict[str, Any] | None:
    """A supervisor and all below it, as of now; None if it has had no turn.

    Returns:
        ``address, phase, strategy, max_restarts, max_restart_window_seconds, restarts, todo, children,
        history``; a child that is a supervisor has its own under ``supervisor``.

    Raises:
        BadAddress: `address` is none.
    """
    if "/" not in address:
        address = f"{_TYPE}/{address}"
    found = state_at(log, topics, address, None, progress)
    own = _parts(found.state)
    if own is None:
        return None
    children = []
    for child in own["children"]:
        row = {k: child[k] for k in ("id", "address", "status", "starts", "restart", "on_failure", "reason")}
        if parse(child["address"]).type == _TYPE:
            row["supervisor"] = tree(log, topics, child["address"], progress)
        children.append(row)
    return {
        "address": parse(found.address).short, "phase": own["phase"], "reason": own["reason"],
        "strategy": own["strategy"], "max_restarts": own["max_restarts"],
        "max_restart_window_seconds": own["window"], "restarts": len(own["restarts"]),
        "todo": [" ".join(step).strip() for step in own["todo"]], "children": children,
        "history": found.state.get("history", []),
    }  # fmt: skip


def _parts(state: dict[str, Any]) -> dict[str, Any] | None:
    """What a supervisor's fields say; None where it has none yet."""
    if state.get("tree") is not None:  # of before children had entries of their own
        old: dict[str, Any] = state["tree"]
        return old
    if "head" not in state:
        return None
    nodes = state.get("children", {})
    ids = Children(nodes, state.get("order", {})).ids()
    todo = [(step["what"], step["id"]) for step in state.get("todo", [])]
    rows = [nodes[id] for id in ids]
    return {**state["head"], "children": rows, "todo": todo, "restarts": state.get("restarts", [])}
