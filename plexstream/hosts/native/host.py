"""The native actor host: runs the handlers of Python classes, inline on the processor's thread."""

from __future__ import annotations

import inspect
import logging
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from greenlet import getcurrent, greenlet

from plexstream.hosts.native.arguments import Bind, WrongArguments, binder, takes_rest
from plexstream.hosts.native.fields import PlainFields, encode, refuse_nan
from plexstream.hosts.native.instance import FieldEntries, Instance, entry_decoder
from plexstream.hosts.native.replay import Replay, new_task
from plexstream.hosts.native.start import starter
from plexstream.hosts.native.task import Task
from plexstream.hosts.native.time import crons_of
from plexstream.hosts.native.turn import MAX_DETAIL, Turn
from plexstream.model.errors import CallError, Failed, TooLarge
from plexstream.model.host import Again, Outcome, Reader, Result, RetryInfo, Suspended, TypeInfo
from plexstream.model.journal import Begin, Change, Completion, Step
from plexstream.model.life import HOOKS, START
from plexstream.model.text import text
from plexstream.sdk.current import current
from plexstream.sdk.errors import Reject
from plexstream.sdk.spec import ActorType, Handler, Retry
from plexstream.sdk.waiting import Waitable

_new = tuple.__new__  # a named tuple's own costs twice the time
_log = logging.getLogger("plexstream.actor")

MAX_MESSAGE = 1_000_000
"""Bytes of one payload: with its envelope and Kafka's framing it fits the 1,048,588 bytes that a broker takes
by default; the rest is room for two addresses (512 bytes each), handler, key, headers."""
WORKFLOW, RESULT = "@workflow", "result"
"""Collection and key under which a workflow keeps what its run has come to."""
MAX_TURN = 4_194_304
"""Bytes that one turn may change and send in all: the journal takes larger records than other topics."""


class _Bound:
    """A handler with its arguments' check."""

    __slots__ = ("bind", "function", "is_async", "name", "read_only", "rest", "retry", "role", "waits")

    def __init__(self, handler: Handler, where: str, retry: Retry) -> None:
        function = handler.function
        self.function = function
        self.name = handler.name
        self.read_only = handler.read_only
        self.role = handler.role
        self.retry = handler.retry or retry
        self.waits = False  # known once it has waited, if it is a plain def
        self.bind: Bind = binder(function, where)
        self.rest = takes_rest(self.bind)
        self.is_async = inspect.iscoroutinefunction(function)


class _Type:
    """An actor type made ready to run."""

    def __init__(self, spec: ActorType, version: str) -> None:
        self.name = spec.name
        self.spec = spec
        self.plain = PlainFields(spec)
        self.handlers = {n: _Bound(h, f"{spec.name}.{n}", spec.retry) for n, h in spec.handlers.items()}
        self.handlers[START] = _Bound(
            Handler(START, starter(spec), False), f"{spec.name}.{START}", spec.retry
        )
        self.init_config = spec.init is not None and len(inspect.signature(spec.init).parameters) > 1
        self.collections = [
            (f, entry_decoder(f, f"{spec.name}.{f.name}")) for f in spec.fields.values() if f.kind != "plain"
        ]
        self.info = TypeInfo(
            spec.name, version, round(spec.idle_timeout * 1000), spec.max_active,
            round(spec.state_ttl * 1000), _retry_info(spec.retry), spec.snapshots.turns,
            -1 if spec.snapshots.seconds is None else round(spec.snapshots.seconds * 1000),
            spec.snapshots.on_deactivation, HOOKS & spec.handlers.keys(), crons_of(spec), _shared(spec),
            spec.kind == "service", spec.kind == "workflow",
            {n: _retry_info(h.retry) for n, h in spec.handlers.items() if h.retry is not None},
        )  # fmt: skip


def _retry_info(retry: Retry) -> RetryInfo:
    delays = [round(retry.delay(a) * 1000) for a in range(1, max(2, min(retry.attempts, 64)))]
    attempts = retry.attempts
    if retry.max_duration:
        spent = 0.0
        for attempt in range(1, min(retry.attempts, 100_000)):
            spent += delays[min(attempt, len(delays)) - 1] / 1000
            if spent > retry.max_duration:
                attempts = attempt
                break
    return RetryInfo(attempts, tuple(delays), retry.jitter)


def _shared(spec: ActorType) -> frozenset[str]:
    """The handlers that run while another one waits."""
    return frozenset(
        n for n, h in spec.handlers.items()
        if spec.kind == "service" or h.read_only or h.role in ("signal", "query")
    )  # fmt: skip


class NativeHost:
    """Runs actor types of Python classes.

    Parameters:
        types: by name, as `load_actors` finds them.
        version: of their code, noted in claims.
        max_message: bytes of one payload.
    """

    def __init__(
        self, types: Mapping[str, ActorType], version: str = "", *, max_message: int = MAX_MESSAGE
    ) -> None:
        self._types = {name: _Type(spec, version) for name, spec in types.items()}
        self._max_message = max_message
        self._turn = self._new_turn()

    def _new_turn(self) -> Turn:
        return Turn(self._max_message, MAX_TURN, new_task)

    def type_info(self, type: str) -> TypeInfo | None:
        found = self._types.get(type)
        return found.info if found else None

    def versions(self) -> dict[str, str]:
        return {name: t.info.version for name, t in self._types.items()}

    def activate(self, type: str, address: str, fields: Mapping[str, bytes], reader: Reader) -> Instance:
        t = self._types[type]
        obj: Any = object.__new__(t.spec.cls)
        instance = Instance(t, obj, address, t.plain, fields, reader)
        for field, decode in t.collections:
            where = f"{t.name}.{field.name}"
            instance.collection(field, FieldEntries(reader, field, decode, where, t.spec.max_state))
        if t.spec.activate is not None:
            self._run_hook(instance, t.spec.activate, "on_activate")
        return instance

    def twin(self, instance: Instance) -> Instance:
        return self.activate(instance.type.name, instance.address, instance.encoded, instance.reader)

    def apply(self, instance: Instance, patch: Sequence[Change]) -> None:
        instance.apply(patch)

    def deactivate(self, instance: Instance) -> None:
        hook = instance.type.spec.deactivate
        if hook is not None:
            try:
                self._run_hook(instance, hook, "on_deactivate")
            except Exception:
                _log.exception("%s: its on_deactivate hook failed", instance.address)

    def _run_hook(self, instance: Instance, hook: Callable[..., Any], name: str) -> None:
        try:
            hook(instance.object)
            changed = instance.changed()
        except BaseException as error:
            instance.roll_back()
            if is_fatal(error):
                raise
            raise Failed(f"{instance.type.name}: the {name} hook raised {describe(error)}") from error
        instance.end_reading()
        if changed:
            instance.roll_back()
            raise TypeError(
                f"{instance.type.name}: the {name} hook changed {', '.join(changed)}; only turns may"
            )

    def invoke(
        self,
        instance: Instance,
        handler: str,
        payload: bytes,
        seq: int,
        now: int,
        sender: str,
        message_id: str,
        must_read: bool,
        chain: str = "",
        fresh: bool = False,
    ) -> Outcome:
        t: _Type = instance.type
        bound = t.handlers.get(handler) or t.handlers.get("*")
        if bound is None:
            known = ", ".join(sorted(t.spec.handlers)) or "none"
            return _failure("unknown_handler", f"{t.name} has no handler {handler!r}; it has {known}")
        read_only = bound.read_only
        if must_read and not read_only:
            return _failure("not_read_only", f"{t.name}.{handler} may change state: use POST, not GET")
        try:
            arguments = bound.bind(payload)
        except WrongArguments as error:
            return _failure("bad_arguments", f"{t.name}.{handler}: {error}", read_only=read_only)
        turn = self._turn
        turn.begin(instance, bound, seq, now, sender, chain)
        turn.firing = message_id if sender == instance.address else ""
        turn.fresh = fresh
        if bound.role == "run":
            kept = _kept(instance)
            if kept is not None:
                return kept
            turn.base = instance.fields()
        if bound.waits:
            return self._begin_task(turn, arguments)
        current.turn = turn
        coroutine = None
        try:
            if seq == 1 or fresh:
                _init(turn)
            if bound.rest:
                value = bound.function(instance.object, *arguments[:-1], **arguments[-1])
            else:
                value = bound.function(instance.object, *arguments)
            if bound.is_async:
                coroutine, value = value, None
                try:
                    waiting = coroutine.send(None)
                except StopIteration as stop:
                    value = stop.value
                else:
                    return self._suspend(turn, coroutine, waiting)
            return self._finish(turn, value)
        except BaseException as error:
            task = turn.waits()
            if task is None or not task.needs_greenlet:
                return self._fail(turn, error)
            instance.roll_back()
            bound.waits = True
            base, firing = turn.base, turn.firing
            turn.begin(instance, bound, seq, now, sender, chain)
            turn.base, turn.firing, turn.fresh = base, firing, fresh
            return self._begin_task(turn, arguments)
        finally:
            current.turn = None

    def _finish(self, turn: Turn, value: Any) -> Result:
        """The handler has returned. Raises what is wrong with its result or the state."""
        instance, bound = turn.instance, turn.bound
        if (task := turn.waits()) is not None:
            task.check()
        where = f"{instance.type.name}.{bound.name}"
        if value is None:
            data = b"null"
        else:
            data = encode(value)
            if b"null" in data:
                refuse_nan(value, "the result")
            if len(data) > turn.max_message:
                size, limit = len(data), turn.max_message
                raise TooLarge(f"{where} returned {size} bytes, at most {limit} are allowed")
        if bound.role == "run":
            instance.hidden(WORKFLOW)[RESULT] = ["v", value]
        if bound.read_only:
            if turn.outs or (changed := instance.changed()):
                what = "sent something" if turn.outs else f"changed {', '.join(changed)}"
                raise TypeError(f"{where} is read_only, but {what}")
            if instance.cells:
                instance.end_reading()
            return _new(Result, ("", data, [], [], True, "", None))
        patch = instance.take_changes(turn.room - len(data))
        return _new(Result, ("", data, patch, turn.outs, False, "", None))

    def _fail(self, turn: Turn, error: BaseException) -> Outcome:
        """The handler has raised, or what it did cannot be."""
        instance, bound = turn.instance, turn.bound
        task = turn.waits()
        ended = task.ended if task is not None else None
        if ended is not None and ended.error is None:  # whatever the handler made of it
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
        result = self._explain(error, f"{instance.type.name}.{bound.name}", instance.address, bound.read_only)
        if bound.role == "run" and result.code != "non_deterministic":
            entry = encode(["e", {"code": result.code, "detail": result.detail, "data": result.data}])
            result = result._replace(patch=[Change(WORKFLOW, RESULT, entry)])
        return result

    # Handlers that wait

    def _begin_task(self, turn: Turn, arguments: tuple[Any, ...]) -> Outcome:
        task, bound, instance = turn.task(), turn.bound, turn.instance
        rest = arguments[-1] if bound.rest else {}
        plain = arguments[:-1] if bound.rest else arguments

        def start() -> Any:
            if turn.seq == 1 or turn.fresh:
                _init(turn)
            return bound.function(instance.object, *plain, **rest)

        self._turn = self._new_turn()  # this one is the task's
        if not bound.is_async:
            task.greenlet = greenlet(start)
            return self._go_on(task)
        current.turn = turn
        try:
            task.coroutine = start()
        except BaseException as error:
            return self._fail(turn, error)
        finally:
            current.turn = None
        return self._go_on(task)

    def _suspend(self, turn: Turn, coroutine: Any, waiting: Any) -> Outcome:
        """A coroutine has come to its first wait."""
        task = turn.waits()
        if task is None or not isinstance(waiting, Waitable):
            coroutine.close()
            raise TypeError(_foreign(turn))
        if self._turn is turn:
            self._turn = self._new_turn()
        task.coroutine = coroutine
        task.waiting = waiting
        return self._wait_or_go_on(task)

    def _wait_or_go_on(self, task: Task) -> Outcome:
        assert task.waiting is not None
        if task.waiting.done():
            return self._go_on(task)
        turn, instance = task.turn, task.instance
        patch: list[Change] = []
        if task.ended is not None or task.refusal:
            outcome = self._fail(turn, task.ended or TypeError(task.refusal))
            task.drop()
            return outcome
        if instance.type.info.visible:
            try:
                patch = instance.take_changes(turn.room)
            except Exception as error:
                task.drop()
                return self._fail(turn, error)
        commands, done, effects, outs = task.take()
        return Suspended(task, commands, done, effects, patch, outs, turn.base)

    def _go_on(self, task: Task) -> Outcome:
        """Run the handler until it waits for what is not there yet, or ends."""
        turn = task.turn
        current.turn = turn
        try:
            while True:
                error, task.error = task.error, None
                if task.coroutine is not None:
                    try:
                        if error is not None:
                            task.waiting = task.coroutine.throw(error)
                        else:
                            task.waiting = task.coroutine.send(None)
                    except StopIteration as stop:
                        return self._finish(turn, stop.value)
                    if not isinstance(task.waiting, Waitable):
                        task.coroutine.close()
                        raise TypeError(_foreign(turn))
                else:
                    task.error = error
                    assert task.greenlet is not None
                    task.greenlet.parent = getcurrent()
                    waiting = task.greenlet.switch()
                    if task.greenlet.dead:
                        return self._finish(turn, waiting)
                    task.waiting = waiting
                if not task.waiting.done():
                    break
        except BaseException as error:
            return self._fail(turn, error)
        finally:
            current.turn = None
        return self._wait_or_go_on(task)

    def resume(self, task: Task, completion: Completion, now: int) -> Outcome:
        if task.feed(completion, now):
            return self._go_on(task)
        return Suspended(task, [], [], {}, [], [])

    def replay(self, instance: Instance, begin: Begin, seq: int, history: Sequence[Step]) -> Outcome:
        t: _Type = instance.type
        bound = t.handlers.get(begin.handler) or t.handlers.get("*")
        if bound is None:
            return _failure("non_deterministic", f"{t.name} has no handler {begin.handler!r} any more")
        try:
            arguments = bound.bind(begin.payload)
        except WrongArguments as error:
            return _failure("non_deterministic", f"{t.name}.{begin.handler}: {error}")
        if bound.role == "run" and begin.base is None:
            kept = _kept(instance)  # it waited in the journal for the run that has ended
            if kept is not None:
                return kept
        turn = self._new_turn()
        turn.begin(instance, bound, seq, begin.time, begin.sender, begin.chain)
        turn.fresh = bool(history) and history[0].fresh
        bound.waits = True
        task = turn.task()
        task.expect(history)
        return Replay(self, task, history).run(lambda: self._begin_task(turn, arguments))

    def drop(self, task: Task) -> None:
        task.drop()

    def _explain(self, error: BaseException, where: str, address: str, read_only: bool) -> Result:
        if isinstance(error, Reject):
            data, problem = _error_data(error.data, self._turn.max_message)
            return _failure("rejected", f"{error.reason}{problem}", data, read_only)
        if isinstance(error, RuntimeError) and "no running event loop" in str(error):
            error = TypeError(_ASYNCIO.format(where))
        if isinstance(error, CallError):
            data, problem = _error_data(error.data, self._turn.max_message)
            return _failure(error.code, f"{error.detail}{problem}", data, read_only)
        _log.warning("%s: %s raised\n%s", address, where, _trace(error))
        return _failure("failed", f"{where} raised {describe(error)}", None, read_only)


def is_fatal(error: BaseException) -> bool:
    """Whether an error is not the handler's: Ctrl-C. All else, be it SystemExit, fails the turn."""
    return isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread()


def describe(error: BaseException) -> str:
    """An error's type and text, whatever its ``__str__`` does."""
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def _failure(code: str, detail: str, data: Any = None, read_only: bool = False) -> Result:
    return Result(code, b"", [], [], read_only, text(detail, MAX_DETAIL), data)


def _error_data(data: Any, limit: int) -> tuple[Any, str]:
    """What goes with an error, and what is said where it cannot."""
    if data is None:
        return None, ""
    try:
        encoded = encode(data)
        refuse_nan(data, "the error's data")
    except Exception as error:
        return None, f" (its data cannot be sent: {describe(error)})"
    if len(encoded) > limit:
        return None, f" (its data of {len(encoded)} bytes is over the limit of {limit})"
    return msgspec.json.decode(encoded), ""


def _trace(error: BaseException) -> str:
    try:
        return "".join(traceback.format_exception(error, limit=-20)).rstrip()
    except Exception:
        return type(error).__name__


def _init(turn: Turn) -> None:
    """In an actor's first turn, and in one that begins anew: its init hook, before the handler."""
    instance, bound = turn.instance, turn.bound
    spec = instance.type.spec
    if spec.init is not None and not bound.read_only and bound.name != START:
        spec.init(instance.object, *([{}] if instance.type.init_config else []))


def _kept(instance: Instance) -> Result | None:
    """What a workflow's run has come to, if it has ended."""
    entry = instance.hidden(WORKFLOW).get(RESULT)
    instance.end_reading()
    if entry is None:
        return None
    if entry[0] == "e":
        return _failure(entry[1]["code"], entry[1]["detail"], entry[1].get("data"))
    return Result("", encode(entry[1]), [], [])


_ASYNCIO = (
    "{} awaits something that is no step of plexstream: a handler must not wait on asyncio; "
    "do that in host.run(name, async_function)"
)


def _foreign(turn: Turn) -> str:
    return _ASYNCIO.format(f"{turn.instance.type.name}.{turn.bound.name}")
