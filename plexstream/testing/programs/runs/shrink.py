"""Cuts a program that fails down to a small one that fails the same way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from plexstream.testing.programs.operations.kinds import ALL
from plexstream.testing.programs.program import Op, Plan, Program

_STEADY = Plan()


def shrink(program: Program, fails: Callable[[Program], bool], seconds: float) -> Program:
    """Leave out what `program` fails without, for so many seconds at most."""
    until = time.monotonic() + seconds
    found = True
    while found and time.monotonic() < until:
        found = False
        for smaller in _smaller(program):
            if time.monotonic() > until:
                break
            if fails(smaller):
                program, found = smaller, True
                break
    return program


def _smaller(program: Program) -> Iterator[Program]:
    moves = program.moves
    size = len(moves) // 2
    while size:
        for at in range(0, len(moves), size):
            yield program._replace(moves=moves[:at] + moves[at + size :])
        size //= 2
    for field, value in _STEADY._asdict().items():
        if getattr(program.plan, field) != value:
            yield program._replace(plan=program.plan._replace(**{field: value}))
    for n, move in enumerate(moves):
        if move[0] == "call" and move[1] not in [m[1] for m in moves if m[0] in ("again", "join")]:
            for ops in _fewer(move[-1]):
                yield program._replace(moves=[*moves[:n], [*move[:-1], ops], *moves[n + 1 :]])


def _fewer(ops: list[Op]) -> Iterator[list[Op]]:
    for n, op in enumerate(ops):
        yield ops[:n] + ops[n + 1 :]
        for other in _simpler(op):
            yield [*ops[:n], other, *ops[n + 1 :]]


def _simpler(op: Op) -> Iterator[Op]:
    if op[0] == "ask":
        for ops in _fewer(op[4]):
            yield [*op[:4], ops, *op[5:]]
    elif op[0] == "change":
        yield from ([op[0], things] for n in range(len(op[1])) if (things := op[1][:n] + op[1][n + 1 :]))
    elif ALL[op[0]].leaves(op):
        leaves: list[Any] = op[2]
        if len(leaves) > 1:
            yield from ([*op[:2], leaves[:n] + leaves[n + 1 :]] for n in range(len(leaves)))
