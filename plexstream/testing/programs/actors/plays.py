"""Plays in handlers: generators that yield what they wait for, in coroutines and in plain functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from plexstream.model.errors import CallError
from plexstream.testing.programs.operations.kinds import Play


async def waiting(play: Play) -> Any:
    """Play in a coroutine."""
    given: Callable[[], Any] = lambda: next(play)  # noqa: E731
    while True:
        try:
            waitable = given()
        except StopIteration as stop:
            return stop.value
        try:
            given = _sender(play, await waitable)
        except CallError as error:
            given = _thrower(play, error)


def blocking(play: Play) -> Any:
    """Play in a plain function."""
    given: Callable[[], Any] = lambda: next(play)  # noqa: E731
    while True:
        try:
            waitable = given()
        except StopIteration as stop:
            return stop.value
        try:
            given = _sender(play, waitable.wait())
        except CallError as error:
            given = _thrower(play, error)


def _sender(play: Play, value: Any) -> Callable[[], Any]:
    return lambda: play.send(value)


def _thrower(play: Play, error: CallError) -> Callable[[], Any]:
    return lambda: play.throw(error)
