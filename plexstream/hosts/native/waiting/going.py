"""A handler that waits goes on until it waits again, or ends."""

from __future__ import annotations

from typing import Any

from greenlet import getcurrent

from plexstream.hosts.native.turn.aside import changed_beside
from plexstream.hosts.native.waiting.dropped import close
from plexstream.hosts.native.waiting.outcome import fail, finish, foreign
from plexstream.hosts.native.waiting.task import WAITS, Task
from plexstream.model.host import Outcome, Suspended
from plexstream.model.journal.journal import Change, Completion
from plexstream.sdk.host.waiting import Waitable
from plexstream.sdk.running.current import current

_new = tuple.__new__  # a named tuple's own costs several times as much


def wait_or_go_on(task: Task) -> Outcome:
    """It waits for something, which may be there already."""
    assert task.waiting is not None
    return go_on(task) if task.waiting.done() else _wait(task)


def _wait(task: Task) -> Outcome:
    """What it waits for is not there: all that has come about leaves."""
    turn, instance = task.turn, task.instance
    patch: list[Change] = []
    if task.ended is not None or task.refusal:
        outcome = fail(turn, task.ended or TypeError(task.refusal))
        task.drop()
        return outcome
    if turn.beside is not None or instance.type.info.visible:
        try:
            if turn.beside is None:
                patch = instance.take_changes(turn.room, True)
            else:
                turn.beside.waits = True
                patch = changed_beside(turn, turn.room)
                task.commands.done += turn.beside.seen(turn.room)
        except Exception as error:
            task.drop()
            return fail(turn, error)
    instance.is_held = turn.beside is None and instance.own is not None
    return _new(Suspended, (task, *task.commands.take(), patch, turn.take_outs(), turn.base, False))


def go_on(task: Task, came: tuple[int, Any] | None = None) -> Outcome:
    """Run the handler until it waits for what is not there yet, or ends.

    `came`: it has run, and has yielded (0), returned (1) or raised (2) this, of which nothing is noted yet.
    """
    turn = task.turn
    turn.instance.is_held = False
    current.turn = turn
    try:
        if turn.beside is not None:
            turn.beside.refresh(turn.instance)
        while True:
            error, task.error = task.error, None
            if task.coroutine is not None:
                try:
                    if came is not None:
                        (how, value), came = came, None
                        if how == 2:
                            raise value
                        if how == 1:
                            return finish(turn, value)
                        task.waiting = value
                    elif error is not None:
                        task.waiting = task.coroutine.throw(error)
                    else:
                        task.waiting = task.coroutine.send(None)
                except StopIteration as stop:
                    return finish(turn, stop.value)
                if not isinstance(task.waiting, Waitable):
                    close(task.coroutine)
                    raise TypeError(foreign(turn))
            else:
                task.error = error
                assert task.greenlet is not None
                task.greenlet.parent = getcurrent()
                waiting = task.greenlet.switch()
                if task.greenlet.dead:
                    return finish(turn, waiting)
                task.waiting = waiting
            if not task.waiting.done():
                break
    except BaseException as error:
        return fail(turn, error)
    finally:
        current.turn = None
    return _wait(task)


def resume(task: Task, completion: Completion, now: int) -> Outcome:
    """A completion has come."""
    if WAITS is not None and (came := WAITS.resume(task, completion, now)) is not None:
        return came if type(came) is Suspended else go_on(task, came)
    if task.feed(completion, now):
        return go_on(task)
    return Suspended(task, [], [], {}, [], [])
