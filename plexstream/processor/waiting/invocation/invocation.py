"""One handler that waits: what the processor knows of it, all of which its records tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from plexstream.model.journal.attempt import Attempt, Undone, decode_attempt
from plexstream.model.journal.journal import (
    MEANWHILE,
    Begin,
    Change,
    Command,
    CommandKind,
    Completion,
    Control,
    Out,
    Step,
)
from plexstream.model.journal.life import Life
from plexstream.model.journal.workflow import PROMISES as PROMISES
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import TELL, Envelope
from plexstream.processor.actors.actor import Actor
from plexstream.processor.journal.records import EffectCall
from plexstream.processor.state.histories.history import CONTINUED, began_with_init, is_note
from plexstream.processor.waiting.invocation.machine import State

_RUN, _PROMISE = CommandKind.RUN.value, CommandKind.PROMISE.value
TRIAL = "#~"
_new = tuple.__new__  # a named tuple's own costs several times as much
PARKED = "parked"
"""Where a message comes from that waits in the journal for its actor."""

class Cause(NamedTuple):
    """The message or timer that a record goes back to; without a topic: none."""

    topic: str
    offset: int = -1
    sender: str = ""
    id: str = ""
    kind: int = TELL
    origin: str = ""
    origin_seq: int = 0
    origin_index: int = 0


_NONE = Cause("", -1)


def no_cause() -> Cause:
    """What comes about by itself."""
    return _NONE


def cause_of(topic: str, offset: int, e: Envelope) -> Cause:
    """The message itself."""
    return _new(Cause, (topic, offset, e.sender, e.id, e.kind, e.origin, e.origin_seq, e.origin_index))


def begin_of(e: Envelope, now: int, base: list[Change] | None) -> Begin:
    """What of a message is needed until it is handled."""
    chain = e.headers.get("chain", "") if e.headers else ""
    return _new(Begin, (
        e.kind, e.id, e.handler, e.payload, e.sender, e.reply_to, e.idempotency_key, now, chain, base,
    ))  # fmt: skip


class Opening(NamedTuple):
    """What the first stretch of a handler does besides what the handler does: it takes effect with it.

    Attributes:
        changes, outs: of links and monitors, by a signal.
        life: the actor's, from now on; None: as it was.
        fresh: expired state that goes first; None: there is none.
        init: whether the actor's init hook ran before the handler; None: its type has none.
    """

    changes: list[Change]
    outs: list[Out]
    life: Life | None
    fresh: list[Change] | None
    init: bool | None


class Invocation:
    """One handler that waits.

    Attributes:
        state: moved by `machine.move` alone.
        begun: whether a record has it that its handler began.
        news: whether something is noted that it has not been fed.
        steps: how many records it has, acknowledged or not.
        commands: how many its handler has ever asked for: users count them as its steps.
        actor: if it is in memory.
        task: the host's own; None where it is not in memory.
        instance: the actor's, as the handler sees it.
        outstanding: commands that are not done, by number.
        unrecorded: commands that no record has yet.
        cause: the message that began it, until a record has it.
        opening: what goes with its first stretch, until a record has it.
        group: number of the append that carries its latest record.
        running: the effects that run, or wait to be tried again, by number.
        restarts: how often something was undone: by a restart from a step, or a retry of what failed.
        asked: after how many of them a command was asked for, by number, if there were any.
        tried: the latest attempts that have failed, by number; that of the handler itself: -1.
        retry_at: when the handler is tried again after a failure; 0: it has not failed, or runs again.
        stuck: why its code cannot go on with its history.
        name: under which its outcome is kept; empty: it is not.
        promised: the names of promises that it has asked for; None: of none yet.
        behind: the same calls (by idempotency key), which wait for its outcome.
        withdrawn: who has asked for it waits for its answer no more.
    """

    __slots__ = (
        "actor", "address", "asked", "begin", "begun", "behind", "cancelled", "cause", "commands",
        "continued", "group", "init", "instance", "name", "news", "number", "opening", "outstanding",
        "promised", "restarted", "restarts", "retry_at", "running", "since", "state", "steps", "stuck",
        "task", "told_stuck", "tried", "unrecorded", "withdrawn",
    )  # fmt: skip

    def __init__(self, address: str, number: int, begin: Begin, steps: int) -> None:
        self.address = address
        self.number = number
        self.begin = begin
        key = begin.idempotency_key
        self.name = idempotency.name(begin.handler, key) if key else ""
        self.steps = steps
        self.state = State.NEW
        self.begun = False
        self.init = False  # whether the actor's init hook ran before its handler
        self.news = False
        self.cancelled = False  # before it began
        self.continued = False
        self.actor: Actor | None = None
        self.task: Any = None
        self.instance: Any = None
        self.outstanding: dict[int, Command] = {}
        self.unrecorded: list[Command] = []
        self.commands = 0
        self.cause: Cause | None = None
        self.opening: Opening | None = None
        self.group = 0
        self.running: dict[int, EffectCall] = {}
        self.tried: dict[int, Attempt] = {}
        self.retry_at = 0
        self.since = begin.time
        self.stuck = ""
        self.told_stuck = False  # the journal has it
        self.restarted = False
        self.restarts = 0
        self.asked: dict[int, int] = {}
        self.promised: dict[str, None] | None = None
        self.behind: list[Invocation] = []
        self.withdrawn = False

    @property
    def ended(self) -> bool:
        return self.state is State.ENDED

    @property
    def paused(self) -> bool:
        return self.state is State.PAUSED

    # From its records

    def restore(self, history: list[Step], settled: Callable[[str], bool] = lambda _: False) -> None:
        """Become what the records tell: where a process ends, this is what is left.

        `settled`: whether a promise of its actor has its value.
        """
        for step in history:
            self.note(step)
        if self.paused:
            return
        if self.told_stuck:
            self.state = State.STUCK
        elif self.retry_at:
            self.state = State.RETRYING
        elif not (self.begun or self.continued or -1 in self.tried):
            self.state = State.PARKED
        else:
            # An effect may be half done, a promise have its value already; others are woken.
            looks = not self.outstanding or any(
                c.kind == _RUN or (c.kind == _PROMISE and settled(c.name)) for c in self.outstanding.values()
            )
            self.state = State.READY if self.news or (looks and not self.effects_due()) else State.ASLEEP

    def note(self, step: Step) -> None:
        """Take over what a recorded step tells."""
        if step.status == MEANWHILE:
            return
        self.since = step.time
        if step.begin is not None:
            self.begin = step.begin
        if not is_note(step):
            if not self.begun:
                self.init = began_with_init(step, self.number)
            self.begun = True
            self.news = self.cancelled = self.told_stuck = False
            self.retry_at, self.stuck = 0, ""
        self.has_asked(step.commands)
        for command in step.commands:
            self.wait_for(command)
        for completion in step.completions:
            self._note(completion)
        if not is_note(step):
            self.news = False

    def _note(self, completion: Completion) -> None:
        number = completion.number
        if number >= 0:
            self.settle(number)
            self.news = True
        elif number == Control.CANCEL:
            self.news = self.cancelled = True
            self.retry_at = 0
        elif number == Control.NOTED:
            if completion.value == CONTINUED.value:
                self.continued = True
            attempt = decode_attempt(completion.value)
            if attempt is not None:
                if attempt.undone is not None:
                    self.forget(attempt.undone)
                self.tried[attempt.step] = attempt
                self.retry_at = attempt.next if attempt.step < 0 else self.retry_at
                self.told_stuck = False
        elif number == Control.PAUSE:
            self.state = State.PAUSED
        elif number == Control.RESUME:
            self.state = State.NEW
            self.retry_at, self.told_stuck, self.news = 0, False, True
        elif number == Control.STUCK:
            self.told_stuck, self.stuck = completion.failed, completion.value.decode()
        elif number == Control.RESTART:
            self.restart(int(completion.value))
        elif number == Control.WITHDRAWN:
            self.withdrawn = True

    def settle(self, number: int) -> None:
        """A command is done."""
        self.outstanding.pop(number, None)
        self.tried.pop(number, None)

    def has_asked(self, commands: Sequence[Command]) -> None:
        """The handler has asked for these, be they done or not."""
        for command in commands:
            if command.number >= self.commands:
                self.commands = command.number + 1

    def wait_for(self, command: Command) -> None:
        """The handler has asked for this."""
        self.outstanding[command.number] = command
        if self.restarts:
            self.asked[command.number] = self.restarts

    def restart(self, at: int) -> None:
        """All from command `at` on has not been asked for, and the handler runs again."""
        self.forget(Undone(at))
        self.news = True
        self.cancelled = self.told_stuck = False
        self.retry_at, self.stuck = 0, ""

    def forget(self, undone: Undone) -> None:
        """What is undone has not been asked for."""
        if self.begun:  # else nothing has been, and no answer can be to what was asked before
            self.restarts += 1
        self.restarted = True
        self.asked = {n: after for n, after in self.asked.items() if not undone.has(n)}
        self.outstanding = {n: c for n, c in self.outstanding.items() if not undone.has(n)}
        self.unrecorded = [c for c in self.unrecorded if not undone.has(c.number)]
        self.running = {n: call for n, call in self.running.items() if not undone.has(n)}
        self.tried = {n: attempt for n, attempt in self.tried.items() if not undone.has(n)}

    # Looking

    @property
    def behind_bytes(self) -> int:
        """Of the messages of those who wait for its outcome."""
        return sum(len(same.begin.payload) for same in self.behind)

    def number_in_flight(self, number: int) -> bool:
        """Whether a command is to be carried out."""
        return number in self.outstanding and number not in self.running

    def attempts(self) -> int:
        """How often the handler has failed."""
        return self.tried[-1].number if -1 in self.tried else 0

    def effects_due(self) -> int:
        """When the first of its effects is tried again; 0: it has others to look after before."""
        waits = [c for c in self.outstanding.values() if c.kind in (_RUN, _PROMISE)]
        if not all(c.number in self.tried for c in waits):
            return 0
        return min((self.tried[c.number].next for c in waits), default=0)

    def only_message(self) -> bool:
        """Whether nothing of its handler has taken effect: when its turn comes it is judged as any."""
        return not (self.begun or self.continued) and self.task is None

    def holds(self) -> bool:
        """Whether its turn has come: it has its actor, or needs none for itself."""
        actor = self.actor
        return actor is not None and (actor.holder is self or self.number in actor.shared)

    def timer(self, number: int) -> str:
        """The id of the timer that a sleep waits for."""
        return f"{self.number}~{number}"

    def reference(self) -> str:
        """Its name outside: ``address#number``."""
        return f"{self.address}#{self.number}"

    def trial(self) -> str:
        """Its name among the timers that are tried with care: one that no timer has."""
        return f"{self.address}{TRIAL}{self.number}"

    def envelope(self) -> Envelope:
        """Its message."""
        b = self.begin
        headers = {"chain": b.chain} if b.chain else {}
        return Envelope(
            b.kind, b.id, self.address, b.handler, b.payload, b.sender, b.reply_to, b.idempotency_key, b.time,
            headers,
        )  # fmt: skip


def holder_of(actor: Actor) -> Invocation | None:
    """The handler that waits and has the actor."""
    holder = actor.holder
    assert holder is None or type(holder) is Invocation
    return holder
