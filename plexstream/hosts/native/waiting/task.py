"""A handler that waits: its coroutine or greenlet, what it has asked for, and what came of it.

Determinism: completions are fed one by one in the order of the journal, and the handler goes on as soon as
what it waits for is there. So where it is depends on the completions so far, and on nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from greenlet import getcurrent, greenlet

from plexstream.hosts.native.actor.instance import Instance
from plexstream.hosts.native.plain.compiled import waits
from plexstream.hosts.native.turn.failures import ASYNCIO
from plexstream.hosts.native.turn.history.plan import Plan
from plexstream.hosts.native.turn.history.retried import Failures
from plexstream.hosts.native.turn.turn import Turn
from plexstream.hosts.native.waiting.asked.commands import (
    AGAIN,
    ASK,
    AWAKEABLE,
    NO_PLAN,
    RUN,
    SLEEP,
    WARN_HISTORY,
    Commands,
    decode,
)
from plexstream.hosts.native.waiting.asked.effect import NativeEffect
from plexstream.hosts.native.waiting.asked.ends import NeedsGreenlet, Unchanged
from plexstream.hosts.native.waiting.asked.promises import Promises, checked
from plexstream.hosts.native.waiting.dropped import close, kill
from plexstream.model.errors import CallError, Deadlock, TimedOut, call_error
from plexstream.model.journal.deferred import WITHDRAW
from plexstream.model.journal.journal import Command, Completion, Control, Out, OutKind
from plexstream.model.journal.life import START
from plexstream.model.messages.text import joined, taken_apart
from plexstream.sdk.host.waiting import Handle, Waitable
from plexstream.sdk.running.current import current
from plexstream.sdk.spec import Retry, check_retry

_CANCEL = Control.CANCEL.value
_OUT_ASK = OutKind.ASK.value
_RETRY = Retry()
MAX_DEPTH = 64
"""Actors that wait for one another in a row."""


class Task:
    """The steps of one handler's run.

    Attributes:
        waiting: what it waits for.
        commands: what it has asked for.
        failures: what of that has failed, and what it has seen of it.
    """

    __slots__ = (
        "_max_result", "_now", "_promises", "blocking", "bound", "cancellation", "commands", "coroutine",
        "error", "failures", "greenlet", "instance", "is_seen", "needs_greenlet", "refusal", "retry", "turn",
        "waiting", "where",
    )  # fmt: skip

    def __init__(self, turn: Turn, instance: Instance, where: str, blocking: bool, max_result: int) -> None:
        self.turn = turn
        self.instance = instance
        self.is_seen = instance.type.info.visible  # what it changes, by others, while it waits
        self.where = where
        self.blocking = blocking
        self.coroutine: Coroutine[Any, Any, Any] | None = None
        self.greenlet: greenlet | None = None
        self.waiting: Waitable[Any] | None = None
        self.error: CallError | None = None  # raised where it waits
        self.cancellation: CallError | None = None
        self.refusal = ""  # why it may not wait
        self.retry = _RETRY
        self.bound: Any = None
        self.failures = Failures()
        self.commands = Commands(turn, where, self, self.failures)
        self._promises = Promises(instance, self.commands, where)
        self._max_result = max_result
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
        self.commands.unused.pop(index, None)

    def seen(self, handle: Handle[Any]) -> None:
        handle.seen = self.commands.spot()

    def foreign(self) -> str:
        return ASYNCIO.format(self.where)

    def now(self) -> int:
        return self.commands.now()

    def timed_out(self, what: str, late: list[Handle[Any]]) -> Exception:
        error = TimedOut(f"{self.where}: {what}")
        self.failures.late(error, self.commands.spot(), [h.index for h in late if h.kind in AGAIN])
        return error

    def withdraw(self, ask: Handle[Any]) -> None:
        question = self.commands.withdraw(ask)
        if question:
            body = json.dumps({"ask": question}).encode()
            target = taken_apart(ask.name)[0]
            self.turn.outs.append(Out(OutKind.TELL.value, "", target, WITHDRAW, body))

    def leave(self) -> None:
        """It ends: its latest asks without an answer are withdrawn. Of those before the processor knows."""
        for command in self.commands.asked:
            handle = self.commands.open.get(command.number)
            if handle is not None and handle.kind == ASK:
                self.withdraw(handle)

    def ask(self, to: str, handler: str, payload: Any, detach: bool = False) -> Handle[Any]:
        target, data = self.turn.message("ask", to, handler, payload)
        return self._ask(target, handler, data, detach)

    def spawn(self, to: str, args: dict[str, Any]) -> Handle[Any]:
        target, data = self.turn.start(to, args)
        return self._ask(target, START, data, False)

    def _ask(self, target: str, handler: str, data: bytes, detach: bool) -> Handle[Any]:
        handle = self._command(ASK, joined(target, handler), int(detach))
        self.turn.outs.append(
            Out(_OUT_ASK, self.commands.question(handle.index), target, handler, data, "", self._chain())
        )
        return handle

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
        if WAITS is not None:
            plain: Handle[Any] | None = WAITS.run(self, name, function, arguments, retry)
            if plain is not None:
                return plain
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
        if self.refusal:
            raise TypeError(self.refusal)
        handle = self.commands.ask(RUN, name)
        if handle.order < 0:
            where = f"{self.where}, step {name!r}"
            effect = NativeEffect(function, arguments, retry or self.retry, where, self._max_result)
            self.commands.effects[handle.index] = effect
        return handle

    def sleep(self, until: int) -> Handle[None]:
        if self.commands.is_done_again:  # for as long as it was meant to take
            until = self._now + max(0, until - self.turn.now())
        return self._command(SLEEP, "", until)

    def awakeable(self) -> Handle[Any]:
        handle = self._command(AWAKEABLE, f"{self.turn.secret(self.commands.plan.undone):016x}")
        handle.name = self.turn.awakeable(handle.index, handle.name)
        return handle

    def promise(self, name: str) -> Handle[Any]:
        checked(name)
        self._check_refusal()
        return self._promises.handle(name)

    def settle_promise(self, name: str, value: Any, error: str | None) -> None:
        self._promises.settle(name, value, error)

    def peek_promise(self, name: str) -> tuple[bool, Any]:
        return self._promises.peek(name)

    def version(self, change: str, latest: int) -> int:
        found: int = self.commands.value(f"version {change}", lambda: latest, lambda: 0)
        return found

    def look(self, name: str, find: Callable[[], Any]) -> Any:
        """What the handler sees of what may be another later; handlers of before may not have noted it."""
        return self.commands.value(name, find, find)

    def again(self, payload: Any) -> Unchanged:
        """What ends this run and begins the next."""
        if self.refusal or self.bound is None or self.bound.role != "run":
            raise TypeError(f"{self.where}: only a workflow's run handler can continue as new")
        _, data = self.turn.message("continue_as_new", self.turn.address, "run", payload)
        self.commands.ended = Unchanged(None, data)
        return self.commands.ended

    def _command(self, kind: int, name: str, due: int = 0) -> Handle[Any]:
        self._check_refusal()
        return self.commands.ask(kind, name, due)

    def _check_refusal(self) -> None:
        if self.refusal:
            raise TypeError(self.refusal)

    # For the host

    @property
    def ended(self) -> Unchanged | None:
        """What has ended the run without the handler's own doing."""
        return self.commands.ended

    def take(self) -> tuple[list[Command], list[Completion], dict[int, NativeEffect], list[Out]]:
        """What came about since the last time."""
        return (*self.commands.take(), self.turn.take_outs())

    def catch_up(self, now: int) -> bool:
        """Look at promises that it came to while it was behind; returns whether it can go on with one."""
        self.turn.at(now)
        return self._promises.catch_up(self.waiting)

    def feed(self, completion: Completion, now: int) -> bool:
        """Take note of a completion; returns whether the handler can go on."""
        self.turn.at(now)
        if completion.number == _CANCEL:
            body = msgspec.json.decode(completion.value)
            self.error = self.cancellation = call_error(body["code"], body["detail"])
        elif completion.number >= 0:
            self.commands.settle(completion)
        return self.error is not None or (self.waiting is not None and self.waiting.done())

    def expect(self, plan: Plan, now: int) -> None:
        """The handler is about to run again: this is recorded."""
        self.commands.plan = plan
        self._now = now

    def check(self) -> None:
        """Raise again what ended the run, or kept it from waiting, in case the handler has swallowed it."""
        if self.ended is not None:
            raise self.ended
        if self.needs_greenlet:
            raise NeedsGreenlet
        if left := self.commands.left():
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


WAITS = waits(Task, Commands, NativeEffect, decode, NO_PLAN, WARN_HISTORY)
"""Does the plain case, compiled; None: Python does all."""


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
