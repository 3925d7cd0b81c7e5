"""What one run of a handler asks for, by number, against what is recorded of the runs before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import msgspec

from plexstream.hosts.native.data.values import encode_value
from plexstream.hosts.native.turn.history.plan import Plan
from plexstream.hosts.native.turn.history.retried import Failures
from plexstream.hosts.native.turn.turn import Turn
from plexstream.hosts.native.waiting.asked.effect import NativeEffect
from plexstream.hosts.native.waiting.asked.ends import Unchanged, describe
from plexstream.model.errors import HistoryTooLong, NonDeterministic, call_error
from plexstream.model.journal.journal import Command, CommandKind, Completion, Step
from plexstream.model.messages.text import check_text, taken_apart
from plexstream.sdk.host.waiting import Handle, Waiter

_log = logging.getLogger("plexstream.actor")
ASK, RUN, SLEEP, AWAKEABLE, PROMISE, VALUE = (k.value for k in CommandKind)
WARN_HISTORY = 10_000
MAX_HISTORY = 50_000
"""Commands of one invocation: as many are read again whenever it comes back into memory."""
AGAIN = frozenset((ASK, RUN, SLEEP))
"""What a retry asks for again; what others decide, as the value of a promise, stays."""
NO_PLAN = Plan()
_new = tuple.__new__  # a named tuple's own costs several times as much
NOW = 1 << 60
"""The place in the history behind all that is recorded."""
decode = msgspec.json.Decoder().decode
"""Makes the value of a result."""


def _nothing() -> None: ...


def _as_before(recorded: Command, name: str) -> bool:
    """Whether an ask was recorded by code that did not tell a target's spaces from the one behind it."""
    return recorded.kind == ASK and recorded.name == " ".join(taken_apart(name))


class Commands:
    """Numbers commands, and settles them as their completions come.

    Parameters:
        turn: the handler's; its time and what it has sent are those of the handler.
        where: the handler, for people.
        waiter: what lets the handler wait for a command.
        failures: is told of what has failed.

    Attributes:
        plan: what the journal has of it, where it runs again.
        place: of the step of its history with which it goes on. A promise is looked at no earlier than that
            is recorded, or now: what a restarted handler does next is done on the state of then.
        reached: how much it had sent when it came to a command from which on it was restarted, by number.
        at_restart: is called where the handler comes to what a restart has it do again.
        asked, done, effects: since the last `take`.
        withdrawn: asks whose answers nobody waits for any more, by number.
        unused: those that nobody has waited for, nor looked at what came of them.
        ended: what has ended the run, in case the handler swallows it.
    """

    __slots__ = (
        "_count", "_failures", "_order", "_turn", "_waiter", "_where", "asked", "at_restart", "done",
        "effects", "ended", "open", "place", "plan", "reached", "unused",
        "withdrawn",
    )  # fmt: skip

    def __init__(self, turn: Turn, where: str, waiter: Waiter, failures: Failures) -> None:
        self._turn = turn
        self._where = where
        self._waiter = waiter
        self._failures = failures
        self.plan = NO_PLAN
        self.place = NOW
        self.reached: dict[int, int] = {}
        self.at_restart: Callable[[], None] = _nothing
        self.asked: list[Command] = []
        self.done: list[Completion] = []
        self.effects: dict[int, NativeEffect] = {}
        self.ended: Unchanged | None = None
        self.open: dict[int, Handle[Any]] = {}  # not settled
        self.unused: dict[int, Command] = {}
        self.withdrawn: set[int] = set()
        self._count = 0
        self._order = 0

    @property
    def is_done_again(self) -> bool:
        """Whether what comes next was undone, and is asked for again."""
        return self._count in self.plan.again

    def spot(self) -> tuple[int, int]:
        """Where the handler is."""
        return self._count, self._turn.sent_in_all()

    def now(self) -> int:
        """Its time."""
        self._come_to(self._count)
        return self._turn.now()

    def ask(self, kind: int, name: str, due: int = 0) -> Handle[Any]:
        """The next one. Ends the run where another one is recorded. Raises HistoryTooLong."""
        check_text(name)
        index = self._count
        plan = self.plan
        recorded = None
        if plan is not NO_PLAN:
            self._come_to(index)
            recorded = plan.recorded.get(index)
        self._count = index + 1
        if recorded is None:
            if index >= WARN_HISTORY:
                self._check_length(index)
            command = _new(Command, (index, kind, name, due))
            self.asked.append(command)
        else:
            alike = recorded.name == name or kind == AWAKEABLE or _as_before(recorded, name)
            if recorded.kind != kind or not alike:
                asked = describe(Command(index, kind, name))
                self.stray(
                    f"step {index} is recorded as {describe(recorded)}, but the handler asked for {asked}"
                )
            name = recorded.name
            command = Command(index, kind, name, due)
            if index in plan.again:
                self.asked.append(command)
        handle: Handle[Any] = Handle(self._waiter, index, name, kind)
        self.open[index] = handle
        if kind in AGAIN and not (kind == ASK and due):  # one that is detached may be left
            self.unused[index] = command
        if plan is not NO_PLAN:
            early = plan.early.get(index)
            if early is not None and (kind != PROMISE or plan.early_at[index] <= self.place):
                self.settle(early)
        return handle

    def _check_length(self, index: int) -> None:
        if index == WARN_HISTORY:
            _log.warning(
                "%s: %d steps; it ends at %d: use host.continue_as_new", self._where, index, MAX_HISTORY
            )
        elif index >= MAX_HISTORY:
            raise HistoryTooLong(
                f"{self._where}: {index} steps, and at most {MAX_HISTORY} are kept: use "
                "host.continue_as_new, or split the work"
            )

    def _come_to(self, index: int) -> None:
        """From where a restart has it run again, its time is that of the restart."""
        moment = self.plan.moments.get(index)
        if moment is not None and index not in self.reached:
            self.reached[index] = self._turn.sent_in_all()
            self._turn.at(moment[0])
            self._turn.restarts = moment[1]
            self.at_restart()

    def value(self, name: str, find: Callable[[], Any], other: Callable[[], Any] | None = None) -> Any:
        """What `find` gave when the handler first came here.

        Parameters:
            other: what it is where code that did not ask has passed here; without it, that ends the run.
        """
        if other is not None:
            recorded = self.plan.recorded.get(self._count)
            if recorded is not None and (recorded.kind, recorded.name) != (VALUE, name):
                return other()
        handle = self.ask(VALUE, name)
        if handle.order < 0:
            self.know(handle, ["v", find()])
        return handle.result()

    def know(self, handle: Handle[Any], entry: Any) -> None:
        """The command is completed as it is asked for."""
        state, value = entry
        completion = Completion(handle.index, state == "e", encode_value(value))
        self.done.append(completion)
        self.settle(completion)

    def settle(self, completion: Completion) -> None:
        """A command has come to this, if it is open."""
        handle = self.open.pop(completion.number, None)
        if handle is None:
            return
        value, error = None, None
        try:
            value = decode(completion.value)
        except msgspec.DecodeError as problem:
            error = call_error("step_failed", f"{handle.name}: its result is no JSON: {problem}")
        if completion.failed and error is None:
            body = value if isinstance(value, dict) else {}
            error = call_error(str(body.get("code", "error")), str(body.get("detail", "")), body.get("data"))
            value = None
        self.effects.pop(completion.number, None)
        if error is not None and handle.kind in AGAIN:
            self._failures.failed(handle)
        handle.settle(self._order, value, error)
        self._order += 1

    def question(self, index: int) -> str:
        """What an answer to the command `index` names: not one of that number that was undone."""
        plan = self.plan
        known = index in plan.recorded and index not in plan.again
        undone = plan.after.get(index, 0) if known else plan.undone
        reference = self._turn.reference(index)
        return f"{reference}.{undone}" if undone else reference

    def withdraw(self, ask: Handle[Any]) -> str:
        """What an ask's answer would name, which nobody waits for any more; "": it is withdrawn already."""
        if ask.index in self.withdrawn:
            return ""
        self.withdrawn.add(ask.index)
        return self.question(ask.index)

    def stray(self, what: str) -> None:
        """The handler does something that is not recorded. Ends its run."""
        error = NonDeterministic(
            f"{self._where}: {what}. Undo the change of the code, or allow it with host.version"
        )
        self.ended = Unchanged(error)
        raise self.ended

    def missed(self, step: Step) -> str:
        """What the step has and the handler has not asked for; "" where there is no such thing."""
        for command in step.commands:
            if command.number >= self._count:
                return f"step {command.number} is recorded as {describe(command)}, but the handler "
        return ""

    def is_behind(self, number: int) -> bool:
        """Whether it has come to a command before the step that says what was known of that."""
        return number in self.plan.early and number in self.open

    def left(self) -> str:
        """What nobody has waited for, for people; empty: nothing."""
        return ", ".join(describe(c) for c in list(self.unused.values())[:5])

    def take(self) -> tuple[list[Command], list[Completion], dict[int, NativeEffect]]:
        """What came about since the last time."""
        taken = self.asked, self.done, self.effects
        self.asked, self.done, self.effects = [], [], {}
        return taken
