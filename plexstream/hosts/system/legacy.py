"""Supervisors of before their children had entries of their own: all of one was one field."""

from __future__ import annotations

from collections.abc import MutableSequence
from typing import Any

from plexstream.hosts.system.children.children import Children, Node
from plexstream.hosts.system.children.crew import is_active
from plexstream.hosts.system.children.state import Event, Head, Step


def take_over(
    old: dict[str, Any], children: Children, todo: MutableSequence[Step], waiting: MutableSequence[Event],
    restarts: MutableSequence[int],
) -> Head:  # fmt: skip
    """Fill what is empty with what the field `tree` held."""
    head = Head(old["strategy"], old["max_restarts"], old["window"], phase=old["phase"], reason=old["reason"])
    for known in old["children"]:
        node = Node(**known)
        children.append(node)
        head.specs += 1
        head.supervisors += node.is_supervisor()
        head.active += is_active(node)
    todo.extend(Step(what, id) for what, id in old["todo"])
    waiting.extend(Event(**event) for event in old["waiting"])
    for event in old["waiting"]:
        ended = children.get(event["child"])
        if ended is not None and ended.ref == event["ref"] and ended.status in ("running", "stopped"):
            head.active += ended.status == "stopped"
            ended.status = "failed" if event["what"] == "failed" else "ended"
    restarts.extend(old["restarts"])
    return head
