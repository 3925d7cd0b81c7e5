"""The native actor host: runs the handlers of Python classes, inline on the processor's thread."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from greenlet import greenlet

from plexstream.hosts.native.actor.instance import FieldEntries, Instance
from plexstream.hosts.native.data.arguments import WrongArguments
from plexstream.hosts.native.data.values import encode_value
from plexstream.hosts.native.declarations.prepared import Type
from plexstream.hosts.native.plain.compiled import INVOKER
from plexstream.hosts.native.turn.aside import stand_beside
from plexstream.hosts.native.turn.beside import Beside, first_sight
from plexstream.hosts.native.turn.failures import failure
from plexstream.hosts.native.turn.history.plan import plan_of
from plexstream.hosts.native.turn.hook import run_hook
from plexstream.hosts.native.turn.turn import Turn
from plexstream.hosts.native.waiting.asked.ends import NeedsGreenlet
from plexstream.hosts.native.waiting.dropped import close, drive
from plexstream.hosts.native.waiting.going import go_on, resume, wait_or_go_on
from plexstream.hosts.native.waiting.outcome import fail, finish, foreign, where
from plexstream.hosts.native.waiting.replay import Replay, init_ran, new_task
from plexstream.hosts.native.waiting.task import Task, task_of, waiting_of
from plexstream.model.host import Outcome, PlainInvoke, Reader, Result, TypeInfo
from plexstream.model.journal.deferred import call_name
from plexstream.model.journal.journal import Begin, Change, Completion, Out, OutKind, Step
from plexstream.model.journal.life import SIGNALS, START, STOP
from plexstream.model.journal.workflow import RESULT, WORKFLOW
from plexstream.model.messages.message import ASK
from plexstream.model.messages.text import said
from plexstream.sdk.host.coordination.kept.blobs import BlobStore
from plexstream.sdk.host.waiting import Waitable
from plexstream.sdk.running.current import current
from plexstream.sdk.spec import ActorType

_new = tuple.__new__  # a named tuple's own costs twice the time
_TELL, _EMIT = OutKind.TELL.value, OutKind.EMIT.value
_log = logging.getLogger("plexstream.actor")

MAX_MESSAGE = 1_000_000
"""Bytes of one payload: with its envelope and Kafka's framing it fits the 1,048,588 bytes that a broker takes
by default; the rest is room for two addresses (512 bytes each), handler, key, headers."""
MAX_TURN = 4_194_304
"""Bytes that one turn may change and send in all: the journal takes larger records than other topics."""


class NativeHost:
    """Runs actor types of Python classes.

    Parameters:
        types: by name, as `load_actors` finds them.
        version: of their code, noted in claims.
        max_message: bytes of one payload.
        salt: what makes `host.random` and `host.uuid` others than those of every other installation.
        more: finds a type that is not among `types`, when it is first called.
        blobs: the object store for `host.blobs`.
    """

    def __init__(
        self,
        types: Mapping[str, ActorType],
        version: str = "",
        *,
        max_message: int = MAX_MESSAGE,
        salt: str = "",
        more: Callable[[str], ActorType | None] = lambda _: None,
        blobs: BlobStore | None = None,
    ) -> None:
        self._salt, self._blobs = salt, blobs
        self._version = version
        self._more = more
        self._types = {name: Type(spec, version) for name, spec in types.items()}
        self._max_message = max_message
        self._turn = self._new_turn()
        # Where `invoke` is another one, that may be for all messages.
        own = type(self).invoke is not NativeHost.invoke
        self.plain: PlainInvoke | None = None if INVOKER is None or own else partial(INVOKER.invoke, self)

    def _new_turn(self) -> Turn:
        return Turn(self._max_message, MAX_TURN, new_task, self._salt, self._blobs)

    def type_info(self, type: str) -> TypeInfo | None:
        found = self._find(type)
        return found.info if found else None

    def _find(self, type: str) -> Type | None:
        found = self._types.get(type)
        if found is None and (spec := self._more(type)) is not None:
            found = self._types[type] = Type(spec, self._version)
        return found

    def versions(self) -> dict[str, str]:
        return {name: t.info.version for name, t in self._types.items()}

    def activate(self, type: str, address: str, fields: Mapping[str, bytes], reader: Reader) -> Instance:
        t = self._find(type)
        assert t is not None, type
        obj: Any = object.__new__(t.spec.cls)
        instance = Instance(t, obj, address, t.plain, fields, reader)
        for field, decode, keys in t.collections:
            entries = FieldEntries(reader, field, decode, keys.where, t.spec.max_state)
            instance.collection(field, entries, keys)
        if t.spec.activate is not None:
            run_hook(instance, t.spec.activate, "on_activate")
        return instance

    def twin(self, instance: Instance) -> Instance:
        return self.activate(instance.type.name, instance.address, instance.encoded, instance.reader)

    def fields(self, instance: Instance) -> list[Change]:
        return instance.fields()

    def apply(self, instance: Instance, patch: Sequence[Change]) -> None:
        instance.apply(patch)

    def deactivate(self, instance: Instance) -> None:
        hook = instance.type.spec.deactivate
        if hook is not None:
            try:
                run_hook(instance, hook, "on_deactivate")
            except Exception:
                _log.exception("%s: its on_deactivate hook failed", instance.address)

    def crashed(self, instance: Instance, reason: str, seq: int, now: int) -> list[Out]:
        hook = instance.type.crash
        turn = self._new_turn()
        turn.begin(instance, hook, seq, now, "", "")
        task_of(turn).refusal = f"{where(turn)} cannot wait: the actor's life has ended"
        current.turn, before = turn, current.turn
        try:
            hook.function(instance.object, reason)
            if wrong := [out for out in turn.outs if not _may_leave(out)]:
                what = OutKind(wrong[0].kind).name.lower()
                raise TypeError(f"it may tell and emit, and nothing else: {what} {wrong[0].handler}")
            return turn.outs
        except Exception:
            _log.exception("%s: its on_crash hook failed", instance.address)
            return []
        finally:
            current.turn = before
            instance.roll_back()

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
        fresh: bool | None = None,
        reply_to: str = "",
    ) -> Outcome:
        t: Type = instance.type
        bound = t.handlers.get(handler) or t.handlers.get("*")
        if bound is None:
            known = ", ".join(sorted(t.spec.handlers)) or "none"
            return failure("unknown_handler", f"{t.name} has no handler {handler!r}; it has {known}")
        read_only = bound.read_only
        if must_read and not read_only:
            return failure("not_read_only", f"{t.name}.{handler} may change state: use POST, not GET")
        try:
            arguments = bound.bind(payload)
        except WrongArguments as error:
            return failure("bad_arguments", f"{t.name}.{handler}: {error}", read_only=read_only)
        turn = self._turn
        turn.begin(instance, bound, seq, now, sender, chain)
        turn.firing = message_id if sender == instance.address else ""
        if reply_to:
            turn.caller = call_name(message_id, reply_to)
        turn.fresh = init = seq == 1 if fresh is None else fresh
        if bound.role == "run":
            kept = _kept(instance)
            if kept is not None:
                return kept
            turn.base = instance.fields()
        if bound.waits:
            return self._begin_task(turn, arguments)
        if instance.is_held:
            turn.instance = instance.double(self.twin)
        current.turn = turn
        coroutine = None
        try:
            if init:
                _init(turn)
            obj = turn.instance.object
            if bound.rest:
                value = bound.function(obj, *arguments[:-1], **arguments[-1])
            else:
                value = bound.function(obj, *arguments)
            if bound.is_async:
                coroutine, value = value, None
                try:
                    waiting = coroutine.send(None)
                except StopIteration as stop:
                    value = stop.value
                else:
                    if not (bound.beside and isinstance(waiting, Waitable)):
                        return self._suspend(turn, coroutine, waiting)
                    close(coroutine)
                    task_of(turn).needs_greenlet = True  # it runs again, and sees what is recorded
                    raise NeedsGreenlet
            result = finish(turn, value)
            if turn.instance is not instance and result.patch:
                instance.end_of_double(result.patch)
            return result
        except BaseException as error:
            return self._raised(turn, error, instance, arguments)
        finally:
            current.turn = None

    def _raised(
        self, turn: Turn, error: BaseException, instance: Instance, arguments: tuple[Any, ...]
    ) -> Outcome:
        """The handler has raised. It runs again, in a greenlet, if that is because it waits."""
        task, bound = waiting_of(turn), turn.bound
        if task is None or not task.needs_greenlet:
            return fail(turn, error)
        turn.instance.roll_back()
        bound.waits = bound.beside or not bound.is_async
        turn.begin_again(instance)
        return self._begin_task(turn, arguments)

    def _end(self, turn: Turn, value: Any, instance: Instance, arguments: tuple[Any, ...]) -> Outcome:
        """The handler has returned, where it ran compiled and what it did is not plain."""
        try:
            return finish(turn, value)
        except BaseException as error:
            return self._raised(turn, error, instance, arguments)

    # Handlers that wait

    def _begin_task(self, turn: Turn, arguments: tuple[Any, ...]) -> Outcome:
        bound = turn.bound
        if bound.beside and turn.beside is None:
            try:
                stand_beside(turn, Beside(turn.instance.reader), self.activate)
            except Exception as error:  # the user's hook
                return fail(turn, error)
        task, instance = task_of(turn), turn.instance
        rest = arguments[-1] if bound.rest else {}
        plain = arguments[:-1] if bound.rest else arguments

        def start() -> Any:
            if turn.fresh:
                _init(turn)
            return bound.function(instance.object, *plain, **rest)

        self._turn = self._new_turn()  # this one is the task's
        if not bound.is_async or (turn.fresh and instance.type.spec.init is not None):
            task.greenlet = greenlet((lambda: drive(task, start())) if bound.is_async else start)
            return go_on(task)
        current.turn = turn
        try:
            task.coroutine = start()
        except BaseException as error:
            return fail(turn, error)
        finally:
            current.turn = None
        return go_on(task)

    def _suspend(self, turn: Turn, coroutine: Any, waiting: Any) -> Outcome:
        """A coroutine has come to its first wait."""
        task = waiting_of(turn)
        if task is None or not isinstance(waiting, Waitable):
            close(coroutine)
            raise TypeError(foreign(turn))
        if self._turn is turn:
            self._turn = self._new_turn()
        task.coroutine = coroutine
        task.waiting = waiting
        return wait_or_go_on(task)

    def resume(self, task: Task, completion: Completion, now: int) -> Outcome:
        return resume(task, completion, now)

    def replay(
        self, instance: Instance, begin: Begin, seq: int, history: Sequence[Step], now: int = 0
    ) -> Outcome:
        t: Type = instance.type
        bound = t.handlers.get(begin.handler) or t.handlers.get("*")
        if bound is None:
            return failure("non_deterministic", f"{t.name} has no handler {begin.handler!r} any more")
        try:
            arguments = bound.bind(begin.payload)
        except WrongArguments as error:
            return failure("non_deterministic", f"{t.name}.{begin.handler}: {error}")
        if bound.role == "run" and begin.base is None:
            kept = _kept(instance)  # it waited in the journal for the run that has ended
            if kept is not None:
                return kept
        turn = self._new_turn()
        turn.begin(instance, bound, seq, begin.time, begin.sender, begin.chain)
        turn.fresh = init_ran(history, seq)
        if begin.kind == ASK:
            turn.caller = call_name(begin.id, begin.reply_to)
        bound.waits = True
        plan = plan_of(history, now)
        if bound.beside:
            try:
                stand_beside(turn, first_sight(instance.reader, history, plan), self.activate)
                turn.actor = None  # it has what the first stretch changed
            except Exception as error:  # the user's hook
                return failure("non_deterministic", f"{where(turn)}: {said(error)}")
        task = task_of(turn)
        task.expect(plan, now)
        # Others have seen its changes, in the form of then.
        seen = bound.beside or (t.info.visible and begin.base is not None and not instance.migrated)
        replay = Replay(task, history, plan, now, seen)
        return replay.run(lambda: self._begin_task(turn, arguments))

    def drop(self, task: Task) -> None:
        task.drop()


def _init(turn: Turn) -> None:
    """In an actor's first turn, and in one that begins anew: its init hook, before the handler."""
    instance, bound = turn.instance, turn.bound
    spec = instance.type.spec
    if spec.init is None or bound.read_only or bound.name == START:
        return
    turn.initialising = True
    if bound.beside:
        task_of(turn).refusal = (
            f"the init hook of {instance.type.name} cannot wait before {bound.name}, a shared handler: "
            "let a handler that is not shared be the first"
        )
    if (task := waiting_of(turn)) is not None:
        task.blocking = True
    try:
        spec.init(instance.object, *([{}] if instance.type.init_config else []))
    except BaseException:
        turn.init_failed = True
        raise
    finally:
        turn.initialising = False
        if (task := waiting_of(turn)) is not None:
            task.blocking = not bound.is_async
        if bound.beside:
            task_of(turn).refusal = ""
    if bound.beside:
        turn.opening = instance.changes()


def _may_leave(out: Out) -> bool:
    """Whether an out of a life that has ended can go with the record of its end."""
    ours = out.kind == _TELL and out.handler in (STOP, START) and not json.loads(out.payload).get("link")
    return (out.kind == _TELL and (ours or out.handler not in SIGNALS)) or out.kind == _EMIT


def _kept(instance: Instance) -> Result | None:
    """What a workflow's run has come to, if it has ended."""
    entry = instance.hidden(WORKFLOW).get(RESULT)
    instance.end_reading()
    if entry is None:
        return None
    if entry[0] == "e":
        return failure(entry[1]["code"], entry[1]["detail"], entry[1].get("data"))
    return Result("", encode_value(entry[1]), [], [])
