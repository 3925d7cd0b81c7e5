"""A handler that waits: its coroutine or greenlet, what it has asked for, and what came of it.

Determinism: completions are fed one by one in the order of the journal, and the handler goes on as soon as
what it waits for is there. So where it is depends on the completions so far, and on nothing else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from greenlet import getcurrent, greenlet

from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.data.values import encode_value
from plexstream.hosts.native.history.plan import Plan
from plexstream.hosts.native.history.retried import Failures
from plexstream.hosts.native.turn.failures import ASYNCIO
from plexstream.hosts.native.turn.turn import Turn
from plexstream.hosts.native.waiting.dropped import close, kill
from plexstream.hosts.native.waiting.effect import NativeEffect
from plexstream.hosts.native.waiting.ends import NeedsGreenlet, Unchanged, describe
from plexstream.model.errors import (
    AlreadyDone,
    CallError,
    Deadlock,
    HistoryTooLong,
    NonDeterministic,
    TimedOut,
    call_error,
)
from plexstream.model.journal import Command, CommandKind, Completion, Control, Out, OutKind, Step
from plexstream.model.life import START
from plexstream.model.text import check_text
from plexstream.model.workflow import PROMISES as PROMISES
from plexstream.sdk.current import current
from plexstream.sdk.spec import Retry, check_retry
from plexstream.sdk.waiting import Handle, Waitable

_log = logging.getLogger("plexstream.actor")
_ASK, _RUN, _SLEEP, _AWAKEABLE, _PROMISE, _VALUE = (k.value for k in CommandKind)
_CANCEL = Control.CANCEL.value
_OUT_ASK = OutKind.ASK.value
WARN_HISTORY = 10_000
MAX_HISTORY = 50_000
"""Commands of one invocation: as many are read again whenever it comes back into memory."""
MAX_DEPTH = 64
"""Actors that wait for one another in a row."""
_NO_ENTRY: Any = object()
_AGAIN = frozenset((_ASK, _RUN, _SLEEP))
"""What a retry asks for again; what others decide, as the value of a promise, stays."""
NO_PLAN = Plan()
NOW = 1 << 60
"""The place in the history behind all that is recorded."""
_decode = msgspec.json.Decoder().decode


class Task:
    """The steps of one handler's run.

    Attributes:
        waiting: what it waits for.
        commands, done, effects: since the last `take`.
        plan: what the journal has of it, where it runs again.
        reached: how much it had sent when it came to a command from which on it was restarted, by number.
        place: of the step of its history with which it goes on. A promise is looked at no earlier than that
            is recorded, or now: what a restarted handler does next is done on the state of then.
        at_restart: is called where the handler comes to what a restart has it do again.
    """

    def __init__(self, turn: Turn, instance: Instance, where: str, blocking: bool, max_result: int) -> None:
        self.turn = turn
        self.instance = instance
        self.where = where
        self.blocking = blocking
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.greenlet: greenlet | None = None
        self.waiting: Waitable[Any] | None = None
        self.error: CallError | None = None  # raised where it waits
        self.cancellation: CallError | None = None
        self.refusal = ""  # why it may not wait
        self.retry = Retry()
        self.bound: Any = None
        self.commands: list[Command] = []
        self.done: list[Completion] = []
        self.effects: dict[int, NativeEffect] = {}
        self.plan = NO_PLAN
        self.reached: dict[int, int] = {}
        self.place = NOW
        self.at_restart: Callable[[], None] = lambda: None
        self.failures = Failures()
        self._handles: dict[int, Handle[Any]] = {}  # not settled
        self._unused: dict[int, Command] = {}  # that nobody has waited for
        self._count = 0
        self._order = 0
        self._max_result = max_result
        self.ended: Unchanged | None = None
        self.needs_greenlet = False
        self._now = 0  # when it runs again

    # For the handler: TaskApi

    def wait(self, waitable: Waitable[Any]) -> None:
        if self.refusal:
            raise TypeError(self.refusal)
        if not self.blocking:
            raise TypeError(f"{self.where} is async: await what it waits for")
        if self.greenlet is None or getcurrent() is not self.greenlet:
            self.needs_greenlet = True
            raise NeedsGreenlet
        self.pause(waitable)

    def pause(self, waitable: Waitable[Any]) -> None:
        """Wait, in the task's greenlet."""
        assert self.greenlet is not None
        parent = self.greenlet.parent
        assert parent is not None
        while not waitable.done():
            parent.switch(waitable)
            if self.error is not None:
                error, self.error = self.error, None
                raise error

    def used(self, index: int) -> None:
        self._unused.pop(index, None)

    def seen(self, handle: Handle[Any]) -> None:
        handle.seen = self._count, self.turn.sent_in_all()

    def foreign(self) -> str:
        return ASYNCIO.format(self.where)

    def now(self) -> int:
        self._come_to(self._count)
        return self.turn.now()

    def timed_out(self, what: str, late: list[Handle[Any]]) -> Exception:
        error, spot = TimedOut(f"{self.where}: {what}"), (self._count, self.turn.sent_in_all())
        self.failures.late(error, spot, [h.index for h in late if h.kind in _AGAIN])
        return error

    def ask(self, to: str, handler: str, payload: Any, detach: bool = False) -> Handle[Any]:
        target, data = self.turn.message("ask", to, handler, payload)
        return self._ask(target, handler, data, detach)

    def spawn(self, to: str, args: dict[str, Any]) -> Handle[Any]:
        target, data = self.turn.start(to, args)
        return self._ask(target, START, data, False)

    def _ask(self, target: str, handler: str, data: bytes, detach: bool) -> Handle[Any]:
        handle = self._command(_ASK, f"{target} {handler}", int(detach))
        self.turn.outs.append(
            Out(_OUT_ASK, self._question(handle.index), target, handler, data, "", self._chain())
        )
        return handle

    def _question(self, index: int) -> str:
        """What an answer to its command `index` names: not one of that number that was undone."""
        plan = self.plan
        known = index in plan.recorded and index not in plan.again
        undone = plan.after.get(index, 0) if known else plan.undone
        reference = self.turn.reference(index)
        return f"{reference}.{undone}" if undone else reference

    def _chain(self) -> str:
        """Who waits for the answer: those who wait for this handler, and itself."""
        turn = self.turn
        if turn.chain.count("\n") >= MAX_DEPTH:
            raise Deadlock(f"{self.where}: actors ask each other {MAX_DEPTH} deep: {turn.chain[:400]}")
        itself = f"{turn.address}#{turn.seq}"
        return f"{turn.chain}\n{itself}" if turn.chain else itself

    def run(
        self, name: str, function: Callable[..., Any], arguments: tuple[Any, ...], retry: Retry | None
    ) -> Handle[Any]:
        given: object = name
        if not isinstance(given, str) or not 0 < len(name) <= 256:
            raise ValueError(f"host.run: {name!r} is no name of a step: give a text of 1 to 256 characters")
        if not callable(function):
            raise TypeError(
                f"host.run({name!r}, …): {type(function).__name__} cannot be called: give the function and "
                "its arguments, not what it returns: host.run(name, function, …)"
            )
        if retry is not None:
            check_retry(f"host.run({name!r}, …)", retry)
        handle = self._command(_RUN, name)
        if handle.order < 0:
            where = f"{self.where}, step {name!r}"
            effect = NativeEffect(function, arguments, retry or self.retry, where, self._max_result)
            self.effects[handle.index] = effect
        return handle

    def sleep(self, until: int) -> Handle[None]:
        if self._count in self.plan.again:  # for as long as it was meant to take
            until = self._now + max(0, until - self.turn.now())
        return self._command(_SLEEP, "", until)

    def awakeable(self) -> Handle[Any]:
        handle = self._command(_AWAKEABLE, f"{self.turn.secret():016x}")
        handle.name = self.turn.awakeable(handle.index, handle.name)
        return handle

    def promise(self, name: str) -> Handle[Any]:
        handle = self._command(_PROMISE, _promise_name(name))
        if self.place == NOW:
            self._look_at(handle)
        return handle

    def _look_at(self, handle: Handle[Any]) -> bool:
        """Settle a promise that is not recorded, and has its value."""
        if handle.order >= 0 or handle.index in self.plan.recorded:
            return False
        entry = self._promise(handle.name)
        if entry is not _NO_ENTRY:
            self._known(handle, entry)
        return entry is not _NO_ENTRY

    def catch_up(self, now: int) -> bool:
        """Look at promises that it came to while it was behind; returns whether it can go on with one."""
        self.turn.at(now)
        waits = [h for _, h in sorted(self._handles.items()) if h.kind == _PROMISE]
        return any(self._look_at(h) and self.waiting is not None and self.waiting.done() for h in waits)

    def is_behind(self, number: int) -> bool:
        """Whether it has come to a command before the step that says what was known of that."""
        return number in self.plan.early and number in self._handles

    def _promise(self, name: str) -> Any:
        """What a promise has come to: by this handler itself, or by others meanwhile."""
        cells = self.instance.hidden(PROMISES)._cells
        if name in cells.changed:
            return cells.values[name]
        data = self.instance.reader.get(PROMISES, name)
        return _NO_ENTRY if data is None else _decode(data)

    def settle_promise(self, name: str, value: Any, error: str | None) -> None:
        handle = self._command(_VALUE, f"settle {_promise_name(name)}")
        promises = self.instance.hidden(PROMISES)
        if handle.order < 0:
            self._known(handle, ["v", self._promise(name) is _NO_ENTRY])
        if not handle.result():
            raise AlreadyDone(f"{self.where}: the promise {name!r} has its value already, and keeps it")
        promises[name] = ["v", value] if error is None else ["e", {"code": "rejected", "detail": error}]

    def peek_promise(self, name: str) -> tuple[bool, Any]:
        handle = self._command(_VALUE, f"peek {_promise_name(name)}")
        if handle.order < 0:
            entry = self._promise(name)
            self._known(handle, ["v", None if entry is _NO_ENTRY else entry])
        entry = handle.result()
        if entry is None:
            return False, None
        if entry[0] == "e":
            raise call_error(entry[1]["code"], entry[1]["detail"], entry[1].get("data"))
        return True, entry[1]

    def version(self, change: str, latest: int) -> int:
        name = f"version {change}"
        recorded = self.plan.recorded.get(self._count)
        if recorded is not None and (recorded.kind, recorded.name) != (_VALUE, name):
            return 0  # it passed here with code that did not ask
        handle = self._command(_VALUE, name)
        if handle.order < 0:
            self._known(handle, ["v", latest])
        found: int = handle.result()
        return found

    def look(self, name: str, find: Callable[[], Any]) -> Any:
        """What the handler sees of what may be another later; handlers of before may not have noted it."""
        recorded = self.plan.recorded.get(self._count)
        if recorded is not None and (recorded.kind, recorded.name) != (_VALUE, name):
            return find()
        handle = self._command(_VALUE, name)
        if handle.order < 0:
            self._known(handle, ["v", find()])
        return handle.result()

    def again(self, payload: Any) -> Unchanged:
        """What ends this run and begins the next."""
        if self.refusal or self.bound is None or self.bound.role != "run":
            raise TypeError(f"{self.where}: only a workflow's run handler can continue as new")
        _, data = self.turn.message("continue_as_new", self.turn.address, "run", payload)
        self.ended = Unchanged(None, data)
        return self.ended

    def _command(self, kind: int, name: str, due: int = 0) -> Handle[Any]:
        if self.refusal and kind != _VALUE:
            raise TypeError(self.refusal)
        check_text(name)
        index = self._count
        self._come_to(index)
        self._count = index + 1
        recorded = self.plan.recorded.get(index)
        if recorded is not None:
            same = recorded.kind == kind and (recorded.name == name or kind == _AWAKEABLE)
            if not same:
                asked = describe(Command(index, kind, name))
                self._end(
                    f"step {index} is recorded as {describe(recorded)}, but the handler asked for {asked}"
                )
            name = recorded.name
            if index in self.plan.again:
                self.commands.append(Command(index, kind, name, due))
        else:
            if index == WARN_HISTORY:
                _log.warning("%s: %d steps; it ends at %d: use host.continue_as_new",
                             self.where, index, MAX_HISTORY)  # fmt: skip
            elif index >= MAX_HISTORY:
                raise HistoryTooLong(
                    f"{self.where}: {index} steps, and at most {MAX_HISTORY} are kept: use "
                    "host.continue_as_new, or split the work"
                )
            self.commands.append(Command(index, kind, name, due))
        handle: Handle[Any] = Handle(self, index, name, kind)
        self._handles[index] = handle
        if kind in (_ASK, _RUN, _SLEEP) and not (kind == _ASK and due):  # one that is detached may be left
            self._unused[index] = Command(index, kind, name, due)
        early = self.plan.early.get(index)
        if early is not None and (kind != _PROMISE or self.plan.early_at[index] <= self.place):
            self._settle(early)
        return handle

    def _come_to(self, index: int) -> None:
        """From where a restart has it run again, its time is that of the restart."""
        moment = self.plan.moments.get(index)
        if moment is not None and index not in self.reached:
            self.reached[index] = self.turn.sent_in_all()
            self.turn.at(moment[0])
            self.turn.restarts = moment[1]
            self.at_restart()

    def _known(self, handle: Handle[Any], entry: Any) -> None:
        """The command is completed as it is asked for."""
        state, value = entry
        completion = Completion(handle.index, state == "e", encode_value(value))
        self.done.append(completion)
        self._settle(completion)

    def stray(self, what: str) -> None:
        """The handler does something that is not recorded. Ends its run."""
        self._end(what)

    def _end(self, what: str) -> None:
        error = NonDeterministic(
            f"{self.where}: {what}. Undo the change of the code, or allow it with host.version"
        )
        self.ended = Unchanged(error)
        raise self.ended

    # For the host

    def take(self) -> tuple[list[Command], list[Completion], dict[int, NativeEffect], list[Out]]:
        """What came about since the last time."""
        taken = self.commands, self.done, self.effects, self.turn.take_outs()
        self.commands, self.done, self.effects = [], [], {}
        return taken

    def _settle(self, completion: Completion) -> None:
        handle = self._handles.pop(completion.number, None)
        if handle is None:
            return
        value, error = None, None
        try:
            value = _decode(completion.value)
        except msgspec.DecodeError as problem:
            error = call_error("step_failed", f"{handle.name}: its result is no JSON: {problem}")
        if completion.failed and error is None:
            body = value if isinstance(value, dict) else {}
            error = call_error(str(body.get("code", "error")), str(body.get("detail", "")), body.get("data"))
            value = None
        self.effects.pop(completion.number, None)
        if error is not None and handle.kind in _AGAIN:
            self.failures.failed(handle)
        handle.settle(self._order, value, error)
        self._order += 1

    def feed(self, completion: Completion, now: int) -> bool:
        """Take note of a completion; returns whether the handler can go on."""
        self.turn.at(now)
        if completion.number == _CANCEL:
            body = msgspec.json.decode(completion.value)
            self.error = self.cancellation = call_error(body["code"], body["detail"])
        elif completion.number >= 0:
            self._settle(completion)
        return self.error is not None or (self.waiting is not None and self.waiting.done())

    def expect(self, plan: Plan, now: int) -> None:
        """The handler is about to run again: this is recorded."""
        self.plan = plan
        self._now = now

    def missed(self, step: Step) -> str:
        """What the step has and the handler has not asked for; "" where there is no such thing."""
        for command in step.commands:
            if command.number >= self._count:
                return f"step {command.number} is recorded as {describe(command)}, but the handler "
        return ""

    def check(self) -> None:
        """Raise again what ended the run, or kept it from waiting, in case the handler has swallowed it."""
        if self.ended is not None:
            raise self.ended
        if self.needs_greenlet:
            raise NeedsGreenlet
        if self._unused:
            left = ", ".join(describe(c) for c in list(self._unused.values())[:5])
            raise TypeError(
                f"{self.where} ends, and nobody has waited for {left}: await each step, or its handle; "
                "what nobody waits for is a host.tell"
            )

    def drop(self) -> None:
        """Let the handler go; what it does on its way out counts for nothing, be it that it waits again."""
        before, current.turn = current.turn, self.turn
        try:
            if self.coroutine is not None:
                close(self.coroutine)
            elif self.greenlet is not None:
                kill(self.greenlet)
        finally:
            current.turn = before
            self.take()
            self.instance.is_held = False
            self.instance.roll_back()


def _promise_name(name: object) -> str:
    if not isinstance(name, str) or not name or len(name) > 256:
        raise ValueError(f"host.promise: {name!r} is no name: give a text of 1 to 256 characters")
    return name


def task_of(turn: Turn) -> Task:
    """The steps of a turn's handler, of which it may have none yet."""
    task = turn.task()
    assert type(task) is Task
    return task


def waiting_of(turn: Turn) -> Task | None:
    """The steps of a turn's handler, if it has any."""
    task = turn.waits()
    assert task is None or type(task) is Task
    return task
