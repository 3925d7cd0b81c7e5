"""One handler that waits, as a processor keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from plexstream.model.attempt import Attempt, decode_attempt, encode_attempt
from plexstream.model.journal import Begin, Change, Command, CommandKind, Completion, Control, Step
from plexstream.model.message import TELL, Envelope

if TYPE_CHECKING:
    from plexstream.processor.actors import Actor
    from plexstream.processor.steps import EffectCall

_RUN, _PROMISE = CommandKind.RUN.value, CommandKind.PROMISE.value
WAKE = "$wake"
"""Handler of the timers that sleeps wait for."""
TRIAL = "#~"
PARKED = "parked"
"""Where a message comes from that waits in the journal for its actor."""


PROMISES = "@promise"
"""Collection in which an actor keeps its promises."""
NOTED = Completion(Control.NOTED, False, b"null")


def failed(attempt: Attempt) -> Completion:
    """Takes note of an attempt that has failed."""
    return Completion(Control.NOTED, True, encode_attempt(attempt))


STUCK_RETRY = 10_000
"""Milliseconds after which a handler whose code does not fit its history is tried again."""


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
    return Cause(topic, offset, e.sender, e.id, e.kind, e.origin, e.origin_seq, e.origin_index)


def begin_of(e: Envelope, now: int, base: list[Change] | None) -> Begin:
    """What of a message is needed until it is handled."""
    chain = e.headers.get("chain", "")
    return Begin(
        e.kind, e.id, e.handler, e.payload, e.sender, e.reply_to, e.idempotency_key, now, chain, base
    )


def effective(history: list[Step]) -> list[Step]:
    """A history without what a restart has made undone."""
    found: list[Step] = []
    for step in history:
        for completion in step.completions:
            if completion.number == Control.RESTART:
                found = [_before(s, int(completion.value)) for s in found]
        found.append(step)
    return found


def _before(step: Step, at: int) -> Step:
    return step._replace(
        commands=[c for c in step.commands if c.number < at],
        completions=[c for c in step.completions if c.number < at],
    )


class Invocation:
    """One handler that waits.

    Attributes:
        steps: how many records it has, acknowledged or not.
        task: the host's own; None where it is not in memory.
        instance: the actor's, as the handler sees it.
        outstanding: commands that are not done, by number.
        unrecorded: commands that no record has yet.
        cause: the message that began it, until a record has it.
        fresh: expired state that its first record drops.
        group: number of the append that carries its latest record.
        running: the effects that run, or wait to be tried again, by number.
        restarts: how often it was restarted from a step.
        asked: after how many of them a command was asked for, by number, if there were any.
        tried: the latest attempts that have failed, by number; that of the handler itself: -1.
        retry_at: when the handler is tried again after a failure; 0: it has not failed, or runs again.
        stuck: why its code cannot go on with its history.
    """

    __slots__ = (
        "actor", "address", "asked", "begin", "cause", "ended", "fresh", "group", "instance", "number",
        "outstanding", "paused", "restarted", "restarts", "retry_at", "running", "since", "steps", "stuck",
        "task", "tried", "unrecorded",
    )  # fmt: skip

    def __init__(self, address: str, number: int, begin: Begin, steps: int) -> None:
        self.address = address
        self.number = number
        self.begin = begin
        self.steps = steps
        self.actor: Actor | None = None
        self.task: Any = None
        self.instance: Any = None
        self.outstanding: dict[int, Command] = {}
        self.unrecorded: list[Command] = []
        self.cause: Cause | None = None
        self.fresh: list[Change] | None = None
        self.group = 0
        self.running: dict[int, EffectCall] = {}
        self.tried: dict[int, Attempt] = {}
        self.retry_at = 0
        self.since = begin.time
        self.stuck = ""
        self.paused = False
        self.restarted = False
        self.restarts = 0
        self.asked: dict[int, int] = {}
        self.ended = False

    def note(self, step: Step) -> None:
        """Take over what a recorded step tells."""
        self.since = step.time
        self.retry_at = self.retry_at if any(c.number == Control.NOTED for c in step.completions) else 0
        for command in step.commands:
            self.wait_for(command)
        for completion in step.completions:
            self.outstanding.pop(completion.number, None)
            if completion.number >= 0:
                self.tried.pop(completion.number, None)
            elif completion.number == Control.NOTED:
                attempt = decode_attempt(completion.value)
                if attempt is not None:
                    self.tried[attempt.step] = attempt
                    self.retry_at = attempt.next if attempt.step < 0 else self.retry_at
            elif completion.number == Control.PAUSE:
                self.paused = True
            elif completion.number == Control.RESUME:
                self.paused, self.retry_at = False, 0
            elif completion.number == Control.RESTART:
                self.forget(int(completion.value))

    def wait_for(self, command: Command) -> None:
        """The handler has asked for this."""
        self.outstanding[command.number] = command
        if self.restarts:
            self.asked[command.number] = self.restarts

    def forget(self, at: int) -> None:
        """A restart: all from command `at` on has not been asked for."""
        self.restarts += 1
        self.asked = {n: after for n, after in self.asked.items() if n < at}
        self.outstanding = {n: c for n, c in self.outstanding.items() if n < at}
        self.unrecorded = [c for c in self.unrecorded if c.number < at]
        self.running = {n: call for n, call in self.running.items() if n < at}
        self.tried = {n: attempt for n, attempt in self.tried.items() if n < at}

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
