"""The records of handlers that wait: nothing else writes a step."""

from __future__ import annotations

from collections.abc import Callable

from plexstream.model.host import Suspended
from plexstream.model.journal.attempt import Attempt
from plexstream.model.journal.journal import (
    MEANWHILE,
    WAITING,
    Begin,
    Change,
    Command,
    CommandKind,
    Completion,
    Control,
    Out,
    OutKind,
    Step,
    Turn,
)
from plexstream.model.messages.message import Envelope
from plexstream.processor import plain
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.lives import WAKE
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.sums.fold import MAILBOX
from plexstream.processor.state.histories.history import NOTED, failed
from plexstream.processor.waiting.invocation.invocation import (
    PROMISES,
    Cause,
    Invocation,
    Opening,
    holder_of,
    no_cause,
)

_SLEEP, _NOTED = CommandKind.SLEEP.value, Control.NOTED.value
_TIMER = OutKind.TIMER.value
_STRETCH = plain.stretch(Opening, Invocation, Actor, MAILBOX, no_cause())
_new = tuple.__new__  # a named tuple's own costs several times as much


class Journal:
    """Writes the steps of one partition.

    Attributes:
        on_record: is called with an invocation before its record is made.
        on_settled: is called with an address and the promises that a step has settled, by name.
    """

    def __init__(self, ledger: Ledger, actors: Actors) -> None:
        self._ledger = ledger
        self._actors = actors
        self.on_record: Callable[[Invocation], None] = lambda _: None
        self.on_settled: Callable[[str, list[Change]], None] = lambda _, __: None

    def note(
        self, inv: Invocation, cause: Cause, completions: list[Completion], outs: list[Out] | None = None,
        patch: list[Change] | None = None,
    ) -> None:  # fmt: skip
        """Take note of what has come: the handler is fed with it when it runs again."""
        if inv.task is not None and (inv.unrecorded or not inv.begun):
            self.record(inv, WAITING, no_cause())  # what ran comes first
        noted = completions if any(c.number == Control.NOTED for c in completions) else [*completions, NOTED]
        inv.news = inv.news or any(c.number >= 0 or c.number == Control.CANCEL for c in noted)
        self._write(inv, WAITING, cause, noted, patch or [], outs or [], note=True)

    def take_over(
        self, inv: Invocation, actor: Actor, e: Envelope, tried: Attempt, outs: list[Out] | None = None
    ) -> None:
        """The attempts at a message go on being counted where it becomes an invocation.

        `outs`: what goes with the end of its cause, such as the next of a series of timers.
        """
        inv.tried[-1] = tried._replace(cause="", handler="")
        ended = self._actors.end_trying(actor, e)
        self.note(inv, no_cause(), [failed(inv.tried[-1])], outs, ended)

    def stretch(self, inv: Invocation, s: Suspended, completions: list[Completion]) -> bool:
        """Record a stretch that the host has just told, compiled; False: it is no plain one, nothing is done.

        It is plain where the handler has gone on with results, and has asked for side effects alone.
        """
        if _STRETCH is None:
            return False
        ledger, actors = self._ledger, self._actors
        step = _STRETCH.write(
            inv, s, completions, ledger.claim, ledger.now, ledger.number, actors.active
        )  # fmt: skip
        if step is None:
            return False
        self.on_record(inv)
        actors.append(inv.actor, step)
        return True

    def record(
        self, inv: Invocation, status: int, cause: Cause, *, completions: list[Completion] | None = None,
        patch: list[Change] | None = None, outs: list[Out] | None = None, key: str = "", next: int = 0,
        begin: Begin | None = None,
    ) -> None:  # fmt: skip
        """A stretch of the handler: what let it go on, what it asked for, changed and sent."""
        self._write(inv, status, cause, completions or [], patch or [], outs or [], key, next, begin)

    def _write(
        self, inv: Invocation, status: int, cause: Cause, completions: list[Completion], patch: list[Change],
        outs: list[Out], key: str = "", next: int = 0, begin: Begin | None = None, note: bool = False,
    ) -> None:  # fmt: skip
        if inv.cause is not None and cause.topic:
            # A record goes back to one message: that of the handler's beginning comes first.
            if inv.task is not None or status != WAITING:
                self.record(inv, WAITING, no_cause())
            else:
                self.note(inv, no_cause(), [NOTED])
        self.on_record(inv)
        if inv.cause is not None and not cause.topic:
            cause, inv.cause = inv.cause, None
        commands = [] if note else inv.unrecorded
        fresh = False
        if begin is None and (inv.steps == 0 or not (note or inv.begun)):
            begin = inv.begin._replace(base=None) if note else inv.begin
        if not note:
            inv.unrecorded = []
            inv.news = inv.cancelled = inv.told_stuck = False
            inv.stuck = ""
            if not inv.begun:
                inv.begun = True
                completions, patch, outs, fresh = self._open(inv, completions, patch, outs)
        for c in commands:
            if c.kind == _SLEEP:
                outs = [*outs, Out(_TIMER, inv.timer(c.number), inv.address, WAKE, b"", "", "", c.due)]
        if patch:
            patch = self._settled_once(inv, patch, fresh)
        self._append(inv, status, cause, completions, patch, outs, key, next, begin, commands, fresh)

    def _open(
        self, inv: Invocation, completions: list[Completion], patch: list[Change], outs: list[Out]
    ) -> tuple[list[Completion], list[Change], list[Out], bool]:
        """What the first stretch does besides what the handler does."""
        o, inv.opening = inv.opening, None
        if o is None:
            return completions, patch, outs, False
        inv.init = bool(o.init)
        if o.fresh is not None and inv.actor is not None:
            inv.actor.reader.hidden = False  # what has expired goes with this record, and with no other
        if o.init is not None and o.init != (inv.number == 1 or o.fresh is not None):
            completions = [*completions, Completion(Control.INIT, False, b"true" if o.init else b"false")]
        if o.outs:
            completions = [*completions, Completion(Control.LED, False, b"%d" % len(o.outs))]
        patch = [*(o.fresh or ()), *o.changes, *patch]
        return completions, patch, [*o.outs, *outs], o.fresh is not None

    def _settled_once(self, inv: Invocation, patch: list[Change], fresh: bool) -> list[Change]:
        """A promise that has got its value meanwhile keeps it."""
        if fresh or not any(c.field == PROMISES for c in patch):
            return patch
        promise = self._ledger.pieces.promise
        return [
            c for c in patch
            if c.field != PROMISES or c.value is None or promise(inv.address, PROMISES, c.key or "") is None
        ]  # fmt: skip

    def _append(
        self, inv: Invocation, status: int, cause: Cause, completions: list[Completion], patch: list[Change],
        outs: list[Out], key: str, next: int, begin: Begin | None, commands: list[Command], fresh: bool,
    ) -> None:  # fmt: skip
        actor = self._actors.active.get(inv.address)
        seq = actor.seq if actor is not None else self._ledger.pieces.core(inv.address).seq
        holder = holder_of(actor) if actor is not None else None
        number, count = inv.number, inv.steps
        seen = actor is not None and actor.info.visible and holder is not None and holder is not inv
        if seen and status != WAITING and patch and holder is not None:
            # A signal that was tried again ends: the run sees what it changed, as that of others.
            status, number, count, next = MEANWHILE, holder.number, holder.steps, inv.number
            begin, commands = None, []
            completions = [Completion(Control.NOTED, False, b"%d" % inv.steps)]
            self.before(holder)
            count = holder.steps
            holder.steps += 1
            holder.group = self._ledger.number
        if actor is not None and actor.raw and not actor.reader.hidden:  # else the journal has what expired
            beside = inv.number in actor.shared and not actor.info.concurrent
            seen_at_once = actor.info.visible or beside
            begun = inv.init and seen_at_once and inv.begun
            patch = [*patch, *(self._actors.initialised(actor) if begun else self._actors.mark_raw(actor))]
        ledger = self._ledger
        topic, offset, sender, id, kind, origin, origin_seq, origin_index = cause
        step: Step = _new(Step, (
            ledger.claim, inv.address, seq, topic, offset, ledger.now, status, fresh, key, patch,
            inv.begin.handler, id, sender, kind, origin, origin_seq, origin_index, outs, number, count, next,
            begin, commands, completions, 0,
        ))  # fmt: skip
        inv.steps += 1
        inv.since = ledger.now
        if actor is not None:
            for c in completions:
                if c.number == _NOTED:
                    break
            else:
                actor.time = ledger.now
            actor.last = ledger.now
        self._actors.append(actor, step)
        inv.group = ledger.number
        if patch and (settled := [c for c in patch if c.field == PROMISES and c.value is not None]):
            self.on_settled(inv.address, settled)

    def before(self, holder: Invocation) -> None:
        """What a handler has done comes before what others do meanwhile."""
        if holder.cause is not None or (holder.task is not None and not holder.begun):
            self.record(holder, WAITING, no_cause())

    def meanwhile(self, actor: Actor, turn: Turn) -> Turn | Step:
        """A turn of another handler; as a step of the one that waits, where it changes what that one sees."""
        inv = holder_of(actor)
        if inv is None or not actor.info.visible or not turn.patch:
            return turn
        self.before(inv)
        step = Step(*turn[:-1], inv.number, inv.steps, 0, None, (), ())._replace(status=MEANWHILE)
        inv.steps += 1
        inv.group = self._ledger.number
        return step
