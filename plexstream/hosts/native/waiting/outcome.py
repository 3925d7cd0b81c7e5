"""What a turn's handler has come to, whether it has returned or raised."""

from __future__ import annotations

from typing import Any

from plexstream.hosts.native.data.values import BadValue, encode_value
from plexstream.hosts.native.turn.aside import changed_beside
from plexstream.hosts.native.turn.failures import ASYNCIO, explain, failure, is_fatal
from plexstream.hosts.native.turn.forgotten import forgotten
from plexstream.hosts.native.turn.turn import Turn
from plexstream.hosts.native.waiting.task import waiting_of
from plexstream.model.errors import TooLarge
from plexstream.model.host import Again, Outcome, Result
from plexstream.model.journal.journal import Change
from plexstream.model.journal.life import START
from plexstream.model.journal.workflow import RESULT, WORKFLOW
from plexstream.sdk.errors import Ignore

_new = tuple.__new__  # a named tuple's own costs twice the time


def finish(turn: Turn, value: Any) -> Result:
    """The handler has returned. Raises what is wrong with its result or the state."""
    instance, bound = turn.instance, turn.bound
    forgotten(turn, value)
    if (task := waiting_of(turn)) is not None:
        task.check()
        task.leave()
    if value is None:
        data = b"null"
    else:
        try:
            data = encode_value(value)
        except BadValue as error:
            raise TypeError(f"its result is no JSON: {error}") from None
        if len(data) > turn.max_message:
            size, limit = len(data), turn.max_message
            raise TooLarge(f"{where(turn)} returned {size} bytes, at most {limit} are allowed")
    if bound.role == "run":
        instance.hidden(WORKFLOW)[RESULT] = ["v", value]
    if bound.read_only:
        if turn.outs or (changed := instance.changed()):
            what = "sent something" if turn.outs else f"changed {', '.join(changed)}"
            raise TypeError(f"{where(turn)} is read_only, but {what}")
        if instance.cells:
            instance.end_reading()
        return _new(Result, ("", data, [], [], True, "", None, None))
    if bound.beside:
        patch = changed_beside(turn, turn.room - len(data))
    else:
        patch = instance.take_changes(turn.room - len(data), turn.waits() is not None)
    return _new(Result, ("", data, patch, turn.outs, False, "", None, None))


def fail(turn: Turn, error: BaseException) -> Outcome:
    """The handler has raised, or what it did cannot be."""
    instance, bound = turn.instance, turn.bound
    task = waiting_of(turn)
    ended = task.ended if task is not None else None
    if task is not None and ended is not None and ended.error is None:  # whatever the handler made of it
        task.leave()
        try:
            patch = instance.take_changes(turn.room)
            return Again(ended.payload, patch, turn.take_outs(), instance.fields())
        except Exception as problem:
            error = problem
    instance.roll_back()
    if is_fatal(error):
        raise error
    if ended is not None and ended.error is not None:
        error = ended.error
    if isinstance(error, Ignore) and bound.name == START:
        return failure("ignored", f"{instance.address} is not to be started: {error.reason}".rstrip(": "))
    result = explain(error, _blamed(turn), instance.address, bound.read_only, turn.max_message)
    if task is not None:
        result = result._replace(undone=task.failures.undone(error))
    if bound.role == "run" and result.code != "non_deterministic":
        entry = encode_value(["e", {"code": result.code, "detail": result.detail, "data": result.data}])
        result = result._replace(patch=[Change(WORKFLOW, RESULT, entry)])
    return result


def where(turn: Turn) -> str:
    """The handler, for people."""
    return f"{turn.instance.type.name}.{turn.bound.name}"


def _blamed(turn: Turn) -> str:
    """Whose an error of the turn is, for its text."""
    spec, name = turn.instance.type.spec, turn.bound.name
    starts = name == START
    if spec.init is not None and (starts or turn.init_failed):
        return f"{spec.name}: the init hook {spec.init.__name__}{'' if starts else f', before {name},'}"
    return f"the start of {spec.name}" if starts else where(turn)


def foreign(turn: Turn) -> str:
    """What is said to a handler that waits for what is none of plexstream's."""
    return ASYNCIO.format(f"{turn.instance.type.name}.{turn.bound.name}")
