"""Breadth-first search of everything that can happen."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Hashable, Iterator
from typing import NamedTuple, Protocol, TypeVar

W = TypeVar("W", bound=Hashable)


class Model(Protocol[W]):
    """A protocol in small."""

    def start(self) -> W:
        """The world in which nothing has happened."""

    def next(self, world: W) -> Iterator[tuple[str, W]]:
        """Everything that can happen next, named, with the world that comes of it."""

    def wrong(self, world: W) -> str:
        """Which promise is broken here; nothing if all hold."""


class Found(NamedTuple):
    """The end of a search: how many worlds there are, or what goes wrong after which steps."""

    worlds: int
    wrong: str
    steps: list[str]


def explore(model: Model[W], limit: int = 3_000_000) -> Found:
    """Look at every world that can be reached, nearest first, until something is wrong.

    Raises:
        RuntimeError: there are more than `limit` of them: the bounds are too wide.
    """
    enabled = gc.isenabled()
    gc.disable()  # a million tuples and no cycle among them: the collector would take half the time
    try:
        return _search(model, limit)
    finally:
        if enabled:
            gc.enable()


def _search(model: Model[W], limit: int) -> Found:
    first = model.start()
    came: dict[W, tuple[W, str] | None] = {first: None}
    todo = deque([first])
    while todo:
        world = todo.popleft()
        if wrong := model.wrong(world):
            return Found(len(came), wrong, _path(came, world))
        for step, after in model.next(world):
            if after not in came:
                came[after] = (world, step)
                todo.append(after)
        if len(came) > limit:
            raise RuntimeError(f"more than {limit} worlds")
    return Found(len(came), "", [])


def _path(came: dict[W, tuple[W, str] | None], world: W) -> list[str]:
    steps: list[str] = []
    before = came[world]
    while before is not None:
        world, step = before
        steps.append(step)
        before = came[world]
    return steps[::-1]
