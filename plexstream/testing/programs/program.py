"""A program: what callers do, and what befalls the installation meanwhile. Plain data, made from a seed.

A *script* is what one call has an actor do: a list of operations, each a list of its kind's name and
arguments (`kinds`). A *move* is what happens from outside: a call, time, a crash, a command to a handler that
waits. Both are JSON, so that a program can be cut down and still is one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

Op = list[Any]
Move = list[Any]


CALLS = ("call", "again", "join")
"""Moves that are calls: a new one, one that is made again with its key, one more of a workflow's run."""


class Script(NamedTuple):
    """One call of one actor, or one run of a workflow that goes on as new.

    Attributes:
        sid: its name; what comes of it bears it.
        to: the actor.
        handler: what it is sent to.
        ops: what the handler does.
        ask: whether somebody waits for its result.
        parent: the script that calls it, or goes on as it; empty: a caller from outside.
    """

    sid: str
    to: str
    handler: str
    ops: list[Op]
    ask: bool
    parent: str = ""
    detached: bool = False


class Plan(NamedTuple):
    """How an installation behaves. Rates are per step of it; times in ms."""

    crash: float = 0.0
    poison: int = 1 << 30  # processes that a message may kill
    keep: float = 0.5  # of a store, over a crash
    late: bool = False  # acknowledgements are late, and what they are of may be lost
    batch: bool = False  # several messages are read at once
    slow: bool = False  # effects end later, and in another order
    flush: float = 0.0
    evict: float = 0.0
    kept_tasks: int = 20_000
    park_after: int = 5_000
    probe_after: int = 1_000
    announced_after: int = 1_000


class Program(NamedTuple):
    """All of one seed: the plan, and the moves in their order."""

    seed: int
    plan: Plan
    moves: list[Move]


def scripts(program: Program) -> dict[str, Script]:
    """Every script of a program by its name, with those that others call."""
    found: dict[str, Script] = {}

    def walk(script: Script) -> None:
        found.setdefault(script.sid, script)
        for op in script.ops:
            for inner in _called(op, script):
                walk(inner)

    for move in program.moves:
        if move[0] in CALLS:
            _, sid, to, handler, ask, _, ops = move
            walk(Script(sid, to, handler, ops, ask))
    return found


def _called(op: Op, of: Script) -> list[Script]:
    if op[0] == "ask":
        _, to, handler, sid, ops, _, detached = op
        return [Script(sid, to, handler, ops, True, of.sid, detached)]
    if op[0] == "renew":
        return [Script(op[1], of.to, of.handler, op[2], of.ask, of.sid)]
    if op[0] in ("all", "any", "race", "select"):
        return [script for leaf in op[2] for script in _called(leaf, of)]
    return []


def is_workflow(address: str) -> bool:
    """Whether an actor is a workflow."""
    return address.startswith(("flow/", "flowing/"))
