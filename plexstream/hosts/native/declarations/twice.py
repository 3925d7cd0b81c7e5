"""Classes and methods of one name in one file: the second replaces the first, and Python says nothing."""

from __future__ import annotations

import ast

_METHODS = frozenset(
    {
        "handler", "init_handler", "on_activate", "on_deactivate", "on_crash", "migrate", "event", "cron",
        "run_handler", "signal_handler", "query_handler", "state_enter", "state_timeout", "event_timeout",
    }
)  # fmt: skip
_CLASSES = frozenset(
    {
        "actor", "gen_server_actor", "fsm_actor", "event_actor", "service", "workflow", "workflow_actor",
        "subscribe",
    }
)  # fmt: skip
_Named = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def declared_twice(source: bytes) -> list[tuple[int, str]]:
    """Where an actor class, or a decorated method of one, replaces another: lines, and what is to be said."""
    tree = ast.parse(source)
    found = _again(tree.body, "", _CLASSES)
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            found += _again(node.body, f"{node.name}.", _METHODS)
    return found


def _again(body: list[ast.stmt], where: str, decorators: frozenset[str]) -> list[tuple[int, str]]:
    first: dict[str, int] = {}
    found = []
    for node in body:
        if isinstance(node, _Named) and decorators & set(map(_name, node.decorator_list)):
            line = first.setdefault(node.name, node.lineno)
            if line != node.lineno:
                what = (
                    f"{where}{node.name} takes the place of the one in line {line}, which is lost: give one"
                )
                found.append((node.lineno, f"{what} of them another name"))
    return found


def _name(decorator: ast.expr) -> str:
    inner = decorator.func if isinstance(decorator, ast.Call) else decorator
    return inner.attr if isinstance(inner, ast.Attribute) else inner.id if isinstance(inner, ast.Name) else ""
