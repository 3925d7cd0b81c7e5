"""The records of handlers that wait."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from plexstream.model.host import Effect
from plexstream.model.journal import (
    MEANWHILE,
    WAITING,
    Begin,
    Change,
    CommandKind,
    Completion,
    Out,
    OutKind,
    Step,
    Turn,
)
from plexstream.processor.actors import Actor, Refusal
from plexstream.processor.invocation import WAKE, Cause, Invocation, no_cause

if TYPE_CHECKING:
    from plexstream.processor.processor import Processor

_SLEEP = CommandKind.SLEEP.value
_TIMER, _CANCEL_TIMER = OutKind.TIMER.value, OutKind.CANCEL.value


class EffectCall(NamedTuple):
    """An effect that may start now."""

    address: str
    invocation: int
    number: int
    effect: Effect


class Steps:
    """The handlers of one partition that wait, and the steps that are written of them.

    Attributes:
        live: by address and number.
        effects: to be started by the driver, which tells `effect_done`.
    """

    def __init__(self, processor: Processor) -> None:
        self.p = processor
        self.live: dict[str, dict[int, Invocation]] = {}
        self.effects: deque[EffectCall] = deque()
        self._gated: deque[tuple[int, Invocation, int, Effect]] = deque()
        self._to_revive: deque[Invocation] = deque()
        self._to_load: deque[str] = deque()
        self._on_trial: Invocation | None = None
        self._announce: dict[Invocation, int] = {}  # runs that have no record yet, since when
        self._retries: dict[Invocation, int] = {}
        self._kept: dict[Invocation, None] = {}  # those with a task, the longest first
        self._parked_at = self._probed_at = processor.now
        self.crowded: dict[str, Actor] = {}  # messages wait for their waiting handlers

    def _actor(self, inv: Invocation) -> Actor | None:
        """The actor of an invocation, loaded if it is not; None where it cannot be."""
        actor = self.p.actors.active.get(inv.address)
        if actor is None:
            loaded = self.p.actors.load(inv.address, self.p.now)
            if type(loaded) is Refusal:
                inv.stuck = loaded.detail
                return None
            assert type(loaded) is Actor
            actor = loaded
        return actor

    def _ready(self, inv: Invocation) -> bool:
        inv.actor = self._actor(inv)
        return inv.actor is not None

    def _record(
        self, inv: Invocation, status: int, cause: Cause, *, completions: list[Completion] | None = None,
        patch: list[Change] | None = None, outs: list[Out] | None = None, key: str = "", next: int = 0,
        begin: Begin | None = None,
    ) -> None:  # fmt: skip
        p, actor = self.p, inv.actor
        assert actor is not None
        if inv.cause is not None and cause.topic:
            # A record goes back to one message: that of the handler's beginning comes first.
            self._record(inv, WAITING, no_cause())
        first = inv.steps == 0
        if first and inv.cause is not None and not cause.topic:
            cause, inv.cause = inv.cause, None
        commands, inv.unrecorded = inv.unrecorded, []
        self._announce.pop(inv, None)
        sent = outs if outs is not None else []
        for c in commands:
            if c.kind == _SLEEP:
                sent.append(Out(_TIMER, inv.timer(c.number), inv.address, WAKE, b"", "", "", c.due))
        changes = patch or []
        fresh = inv.fresh is not None and first
        if fresh and inv.fresh is not None:
            changes = [*inv.fresh, *changes]
        step = Step(
            p.claim, inv.address, actor.seq, cause.topic, cause.offset, p.now, status, fresh, key, changes,
            inv.begin.handler, cause.id, cause.sender, cause.kind, cause.origin, cause.origin_seq,
            cause.origin_index, sent, inv.number, inv.steps, next,
            begin if begin is not None else inv.begin if first else None, commands, completions or [],
        )  # fmt: skip
        inv.steps += 1
        actor.time = p.now
        actor.last = p.now
        p.append_step(actor, step)
        inv.group = actor.group

    def _cancelled(self, inv: Invocation) -> list[Out]:
        """Its sleeps end with it."""
        return [
            Out(_CANCEL_TIMER, inv.timer(command.number), "", "", b"")
            for command in inv.outstanding.values()
            if command.kind == _SLEEP and command not in inv.unrecorded
        ]

    def _keep(self, inv: Invocation, task: Any) -> None:
        inv.task = task
        if task is None:
            self._kept.pop(inv, None)
        else:
            self._kept.setdefault(inv)

    def _forget(self, inv: Invocation) -> None:
        self._keep(inv, None)
        inv.ended = True
        self._announce.pop(inv, None)
        self._retries.pop(inv, None)
        found = self.live.get(inv.address, {})
        found.pop(inv.number, None)
        if not found:
            self.live.pop(inv.address, None)

    def _hold(self, actor: Actor, inv: Invocation) -> None:
        self.live.setdefault(actor.address, {})[inv.number] = inv
        if inv.begin.handler in actor.info.shared:
            actor.shared[inv.number] = inv
            return
        actor.holder = inv
        if actor.queue is None:
            actor.queue = deque()
        self.p.actors.busy.pop(actor.address, None)
        inv.instance = actor.instance
        if not actor.info.visible:
            actor.instance = None  # others read the state as it was

    def meanwhile(self, actor: Actor, turn: Turn) -> Turn | Step:
        """A turn of another handler; as a step of the one that waits, where it changes what that one sees."""
        inv = actor.holder
        if inv is None or not actor.info.visible or not turn.patch:
            return turn
        if inv.cause is not None:
            self._record(inv, WAITING, no_cause())
        step = Step(*turn, inv.number, inv.steps, 0, None, (), ())._replace(status=MEANWHILE)
        inv.steps += 1
        inv.group = self.p.group_number
        return step

    def release_effects(self) -> None:
        """Effects start once the record of what led to them is on the log."""
        done = self.p.actors.acknowledged_group
        while self._gated and self._gated[0][0] <= done:
            _, inv, number, effect = self._gated.popleft()
            if not inv.ended and number in inv.outstanding and number not in inv.running:
                inv.running.add(number)
                self.effects.append(EffectCall(inv.address, inv.number, number, effect))
