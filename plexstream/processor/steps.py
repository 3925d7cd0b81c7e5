"""The records of handlers that wait."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from plexstream.model.attempt import Attempt
from plexstream.model.host import Effect, EffectResult
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
from plexstream.processor.invocation import WAKE, Cause, Invocation, failed, no_cause
from plexstream.processor.records import error_of

if TYPE_CHECKING:
    from plexstream.processor.processor import Processor

_SLEEP = CommandKind.SLEEP.value
_TIMER, _CANCEL_TIMER = OutKind.TIMER.value, OutKind.CANCEL.value


class EffectCall(NamedTuple):
    """An effect that may start, as attempt number `attempt`; the first began at `began`, `spent` ms ago."""

    address: str
    invocation: int
    number: int
    effect: Effect
    attempt: int = 1
    began: int = 0
    spent: int = 0


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
        self._gated: deque[tuple[int, Invocation, EffectCall]] = deque()
        self._later: list[tuple[int, int, Invocation, EffectCall]] = []  # a heap, by the time of their retry
        self._order = itertools.count()
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

    # Effects

    def _gate(self, inv: Invocation, number: int, effect: Effect) -> None:
        """An effect starts when what led to it is on the log, and not before its next attempt is due."""
        tried = inv.tried.get(number)
        if tried is None:
            self._gated.append((inv.group, inv, EffectCall(inv.address, inv.number, number, effect)))
            return
        call = EffectCall(inv.address, inv.number, number, effect, tried.number + 1, tried.began)
        inv.running[number] = call
        heapq.heappush(self._later, (tried.next, next(self._order), inv, call))

    def release_effects(self) -> None:
        """Effects start once the record of what led to them is on the log."""
        done = self.p.actors.acknowledged_group
        while self._gated and self._gated[0][0] <= done:
            _, inv, call = self._gated.popleft()
            wanted = call.number in inv.outstanding and not inv.ended
            if wanted and inv.running.get(call.number, call) is call:
                began = call.began or self.p.now
                call = EffectCall(*call[:5], began, self.p.now - began)  # _replace takes three times as long
                inv.running[call.number] = call
                self.effects.append(call)

    def _release_retries(self) -> None:
        """Effects that have failed are due again."""
        while self._later and self._later[0][0] <= self.p.now:
            _, _, inv, call = heapq.heappop(self._later)
            if inv.running.get(call.number) is call:
                self._gated.append((inv.group, inv, call))
        self.release_effects()

    def _effect_failed(self, inv: Invocation, call: EffectCall, result: EffectResult) -> None:
        """It is tried again once that is on the log: so its attempts are counted through crashes."""
        code, detail = error_of(result.value)
        due = self.p.now + result.retry_after
        attempt = Attempt(call.attempt, result.attempts, call.began, due, code, detail, call.number)
        inv.tried[call.number] = attempt
        self._record(inv, WAITING, no_cause(), completions=[failed(attempt)])
        self._gate(inv, call.number, call.effect)
