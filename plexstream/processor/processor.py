"""The processor of one partition: messages in, turns out, and nothing leaves before the log has its turn.

It owns the partition from its claim on (DESIGN 4). It runs ahead of the log: turns are executed on
state that is not acknowledged yet, and all of it is forgotten when the claim is lost.

Inputs: `receive`, `acknowledged`, `gap`, `tick`, `relayed`, `emitted`, `saved`, `release`.
Outputs, taken by the driver: `take` (records to append), `outbox`, `answers`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from plexstream.model.address import type_of
from plexstream.model.host import ActorHost, EffectResult, Result
from plexstream.model.journal import (
    DONE,
    FAILED,
    Begin,
    Change,
    Claim,
    JournalRecord,
    Mark,
    Out,
    OutKind,
    Step,
    Turn,
)
from plexstream.model.life import SIGNALS, START
from plexstream.model.message import ASK, ERROR, REPLY, TELL, Envelope
from plexstream.model.snapshot import Snapshot
from plexstream.processor.actors import Actor, Actors, Refusal, Waiting
from plexstream.processor.careful import Care
from plexstream.processor.fold import MAILBOX, TIMER
from plexstream.processor.inbox import InboxState
from plexstream.processor.invocation import PARKED, WAKE, cause_of
from plexstream.processor.invocations import EffectCall, Invocations
from plexstream.processor.lives import OVERTAKES, Ruling, life_change
from plexstream.processor.outbox import Outbox
from plexstream.processor.ports import Settings
from plexstream.processor.records import Answer, BadRecord, Fenced, Group, error_body, reply_of
from plexstream.processor.recurring import again, arm, left_out, timer_message
from plexstream.processor.refusals import bad_record, forward, plain_turn, refusal
from plexstream.processor.restore import Restore
from plexstream.processor.system import system
from plexstream.processor.ticks import TICK, Ticks
from plexstream.processor.timers import Timers

_OUT_REPLY, _OUT_ERROR = OutKind.REPLY.value, OutKind.ERROR.value
_OUT_TIMER, _OUT_CANCEL = OutKind.TIMER.value, OutKind.CANCEL.value
_RETRIED = frozenset(("failed", "error"))
_ENDS = frozenset(("poisoned", "stopped"))  # also a series of timers
_DUE_AT_ONCE = 1000


class Processor:
    """Handles the messages of one partition under one claim.

    Parameters:
        partition: its number; `partitions`: how many there are.
        host: runs the handlers.
        restore: the journal folded up to and with this processor's own claim.
        settings: limits and intervals.
        now: milliseconds since the epoch.
    """

    def __init__(
        self, partition: int, partitions: int, host: ActorHost, restore: Restore, settings: Settings, now: int
    ) -> None:
        self.partition = partition
        self.settings = settings
        self.fold = restore.fold
        self.pieces = restore.pieces
        self.claim = self.fold.claim
        self.now = now
        self.host = host
        self.actors = Actors(host, self.pieces, partition, partitions)
        self.inbox = InboxState(MAILBOX, self.fold.inboxes.get(MAILBOX))
        self.timers = Timers(self.pieces)
        self.ticks = Ticks()
        self.outbox = Outbox(self.fold.relayed, self.fold.emitted)
        self.answers: deque[Answer] = deque()
        for offset, turn in restore.still_owed():
            self._owe(offset, turn)
        self._number = 1
        self._pending: list[Turn | Step | Mark] = []
        self._pending_answers: list[Answer] = []
        self.in_flight: deque[Group] = deque()
        self.running_ahead = 0  # turns executed and not acknowledged
        self._since_mark = 0
        self._marked_at = now
        self._moved = False  # whether a lane got on since the last mark
        self._releasing = False
        self._care = Care(self.fold, settings)
        self.pieces.histories.new_from = self.fold.next
        self.invocations = Invocations(self)

    # Messages

    @property
    def position(self) -> int:
        """The mailbox offset to read from."""
        return self.inbox.position

    def receive(self, messages: Sequence[tuple[int, Envelope | BadRecord]], now: int) -> None:
        """Handle mailbox records by their offsets: each is executed, queued, or dropped as a repetition."""
        self._clock(now)
        inbox, care = self.inbox, self._care
        for offset, message in messages:
            if type(message) is BadRecord:
                if inbox.admit(offset, "", 0, 0):
                    self._append_turn(bad_record(self.claim, offset, message, self.now))
                continue
            assert type(message) is Envelope
            if inbox.admit(offset, message.origin, message.origin_seq, message.origin_index):
                if offset == care.poison:
                    care.poison = -1
                    detail = f"it killed its process {self.fold.attempts} times in a row"
                    self._refuse(MAILBOX, offset, message, "poisoned", detail, None, self.fold.attempts)
                elif care.left:
                    inbox.waiting.add(offset)
                    care.held.append(Waiting(MAILBOX, offset, message))
                else:
                    self._execute(MAILBOX, offset, message)
        if care.left:
            self._with_care()

    def _execute(self, topic: str, offset: int, e: Envelope) -> None:
        actor = self.actors.active.get(e.target)
        if actor is None:
            loaded = self.actors.load(e.target, self.now)
            if type(loaded) is Refusal:
                code, detail = loaded
                if "malformed" in e.headers:  # a record of a source that names no actor
                    code, detail = "malformed", e.headers["malformed"]
                self._refuse(topic, offset, e, code, detail, None, 1)
                return
            assert type(loaded) is Actor
            actor = loaded
        if e.kind > ASK:
            self.invocations.reply(offset, e)
            return
        if e.handler.startswith("$") and system(self, actor, topic, offset, e):
            return
        must_read = bool(e.headers) and e.headers.get("read_only") == "1"
        if actor.queue is not None and not must_read and self._wait(actor, topic, offset, e):
            return
        self._invoke(actor, topic, offset, e, must_read)

    def _wait(self, actor: Actor, topic: str, offset: int, e: Envelope) -> bool:
        """Let a message wait for its busy actor; False where it need not."""
        holder, queue = actor.holder, actor.queue
        assert queue is not None
        if holder is None and e.handler in OVERTAKES:
            return False
        if holder is not None:
            if e.handler in actor.info.shared or e.handler in OVERTAKES:
                return False
            if e.headers and holder.reference() in e.headers.get("chain", "").split("\n"):
                detail = f"{actor.address} is asked by what it waits for: {e.headers['chain']}"
                self._refuse(topic, offset, e, "deadlock", detail.replace("\n", " -> "), None, 1)
                return True
            self.invocations.crowded[actor.address] = actor
        queue.append(Waiting(topic, offset, e))
        if offset >= 0:
            self.inbox.waiting.add(offset)
        return True

    def _invoke(self, actor: Actor, topic: str, offset: int, e: Envelope, must_read: bool) -> bool:
        """Run a handler and note what it did; False where it will be tried again."""
        if e.idempotency_key and self._answer_again(actor, offset, e):
            return True
        now = self.now
        handler, payload = e.handler, e.payload
        ruling: Ruling | None = None
        if actor.life is not None or handler in SIGNALS:
            ruling = self.actors.lives.rule(actor.address, actor.life, actor.seq > 0, actor.info, e)
            handler, payload = ruling.handler, ruling.payload
        ttl = actor.info.state_ttl
        fresh = ruling.fresh if ruling is not None else False
        dropped: list[Change] = []
        expired = ttl and actor.seq and now - actor.time > ttl and actor.address not in self.invocations.live
        ends = ruling is not None and (fresh or (ruling.life is not None and ruling.life.stopped))
        if ends and actor.address in self.invocations.live:
            self.invocations.end_all(
                actor, "killed", f"{actor.address} was started anew or killed by {e.handler}"
            )
        if fresh or expired:
            fresh = True
            try:
                dropped = self._expire(actor)
            except Exception as error:  # the user's hook
                what = f"{actor.address} cannot be renewed: {type(error).__name__}: {error}"
                return self._failed(actor, topic, offset, e, Result("failed", b"", [], [], False, what))
        seq = actor.seq + 1
        if actor.instance is None:
            self.actors.twin(actor)
        if handler:
            result = self.host.invoke(
                actor.instance, handler, payload, seq, now, e.sender, e.id, must_read,
                e.headers.get("chain", "") if e.headers else "", fresh,
            )  # fmt: skip
        else:  # no code runs: the actor's first turn may be still to come
            assert ruling is not None
            seq = actor.seq
            result = Result(ruling.code, b"null", [], [], False, ruling.detail)
        actor.last = now
        if type(result) is not Result:
            cause = cause_of(topic, offset, e)
            self.invocations.begin(actor, cause, e, seq, result, dropped if fresh else None)  # type: ignore[arg-type]
            return True
        code, value, patch, outs, read_only, _, _ = result
        if code:
            return self._failed(actor, topic, offset, e, result)
        if outs and not read_only:
            outs = self.ticks.take(actor, outs, now)
        for out in outs:
            if out.handler in SIGNALS:
                ruling = self.actors.lives.sent(actor.address, ruling, actor.life, outs)
                outs = []
                break
        kind = e.kind
        if read_only and not (kind == ASK and "/" in e.reply_to):
            if kind == ASK:
                self._pending_answers.append(Answer(e.reply_to, e.id, REPLY, value))
            if offset >= 0:
                self.inbox.finish(offset)
                return True
            patch, outs = [], []  # a timer is finished by its turn
        else:
            ended = ruling is not None and ruling.life is not None and ruling.life.stopped
            if ruling is not None and ruling.fresh:
                actor.armed = not actor.info.crons
            if not actor.armed and handler and not ended:
                actor.armed = True
                outs.extend(arm(actor.info, actor.address, self.pieces, now))
            if kind == ASK:
                outs.append(Out(_OUT_REPLY, e.id, e.reply_to, "", value))
        if ruling is not None:
            outs = [*ruling.outs, *outs]
            patch = [*patch, *ruling.changes, *self.actors.live_on(actor, ruling.life)]
        if topic == TIMER and not (actor.life is not None and actor.life.stopped):
            outs.extend(again(e, now, outs))
        if fresh:
            if actor.life is not None and (ruling is None or not ruling.fresh):
                patch.append(life_change(actor.life))  # the state expires, the life goes on
            actor.reader.hidden = False
        actor.seq = seq
        actor.time = now
        actor.group = self._number
        turn: Turn | Step = Turn(
            self.claim, actor.address, seq, topic, offset, now, 0, fresh, e.idempotency_key,
            [*dropped, *patch] if fresh else patch, e.handler, e.id, e.sender, kind,
            e.origin, e.origin_seq, e.origin_index, outs,
        )  # fmt: skip
        if actor.holder is not None:
            turn = self.invocations.meanwhile(actor, turn)  # type: ignore[arg-type]
        if patch or outs or e.idempotency_key or fresh or offset < 0:
            self.pieces.run_ahead(turn)
        self._pending.append(turn)
        self.running_ahead += 1
        if self.inbox.waiting:
            self.inbox.finish(offset)
        if patch and actor.address in self.invocations.live:
            self.invocations.settled(actor, patch)
        return True

    def _expire(self, actor: Actor) -> list[Change]:
        """Begin anew: the state is past its time to live."""
        self.actors.renew(actor)
        entries = self.pieces.entries(actor.address)
        return [Change(field, key, None) for field, key, _ in entries if field[:1] != "$"]

    def _answer_again(self, actor: Actor, offset: int, e: Envelope) -> bool:
        """Answer from the kept reply, if there is one for the idempotency key."""
        kept, found = self.pieces.reply(actor.address, e.idempotency_key, self.now)
        if not found:
            return False
        assert kept is not None
        kind, payload = (kept.seq, kept.data) if type(kept) is Snapshot else reply_of(kept)  # type: ignore[arg-type]
        if e.kind == ASK and "/" in e.reply_to:
            out = Out(_OUT_REPLY if kind == REPLY else _OUT_ERROR, e.id, e.reply_to, "", payload)
            actor.seq += 1
            self._append_turn(
                plain_turn(self.claim, MAILBOX, offset, e, self.now, actor.seq, DONE, [out], [])
            )
            return True
        if e.kind == ASK:
            self._pending_answers.append(Answer(e.reply_to, e.id, kind, payload))
        self.inbox.finish(offset)
        return True

    # Failures

    def _failed(self, actor: Actor, topic: str, offset: int, e: Envelope, result: Result) -> bool:
        info = actor.info
        waits = e.kind == ASK and e.handler in info.retried
        retry = info.retried.get(e.handler, info.retry)
        retried = result.code in _RETRIED and e.handler != START and actor.attempts + 1 < retry.attempts
        if result.patch:  # a workflow's run: what became of it is kept
            self.invocations.begin_failed(actor, cause_of(topic, offset, e), e, result)
            return True
        if retried and (waits or (e.kind == TELL and info.concurrent)):
            self.invocations.begin_failed(actor, cause_of(topic, offset, e), e, result)
            return True
        if retried and e.kind == TELL:
            actor.attempts += 1
            actor.retry_at = self.now + retry.delay(actor.attempts, e.id)
            if actor.queue is None:
                actor.queue = deque()
            if actor.holder is None:
                self.actors.busy[actor.address] = actor
            actor.queue.appendleft(Waiting(topic, offset, e))
            if offset >= 0:
                self.inbox.waiting.add(offset)
            return False
        if result.read_only and e.kind == ASK and "/" not in e.reply_to:
            body = error_body(result.code, result.detail, result.data)
            self._pending_answers.append(Answer(e.reply_to, e.id, ERROR, body))
            self.inbox.finish(offset)
            return True
        actor.group = self._number
        code, detail, data, attempts = result.code, result.detail, result.data, actor.attempts + 1
        self._refuse(topic, offset, e, code, detail, data, attempts, actor.seq + 1)
        return True

    def refuse(self, topic: str, offset: int, e: Envelope, code: str, detail: str, data: Any) -> None:
        """Answer a message of the system with an error."""
        self._refuse(topic, offset, e, code, detail, data, 1)

    def append(self, actor: Actor, turn: Turn | Step) -> None:
        """A turn of the system is on its way to the log."""
        actor.group = self._number
        self._append_turn(turn)

    def _refuse(
        self, topic: str, offset: int, e: Envelope, code: str, detail: str, data: Any, attempts: int,
        seq: int = 0,
    ) -> None:  # fmt: skip
        changes, notices = self.actors.failed(e, code, detail)
        turn = refusal(
            self.claim, topic, offset, e, self.now, seq, code, detail, data, attempts, changes, notices
        )
        # Where the failure ends the actor's life, it has taken the timer back.
        ended = code == "stopped" or any(o.kind == _OUT_CANCEL and o.id == e.id for o in notices)
        if topic == TIMER and code not in _ENDS and not ended:
            turn = turn._replace(outs=[*turn.outs, *again(e, self.now)])
        self._append_turn(turn)

    def _append_turn(self, turn: Turn | Step) -> None:
        """A turn without a handler."""
        self.pieces.run_ahead(turn)
        self._pending.append(turn)
        self.running_ahead += 1
        self.inbox.finish(turn.cause_offset)

    def _retry(self, actor: Actor) -> None:
        """Try the head of a busy actor's queue again, and go on with what waits behind it."""
        queue = actor.queue
        assert queue is not None
        while queue:
            head = queue.popleft()
            e = head.envelope
            if head.topic == TIMER and not self.timers.live(e.sender, e.id, e.origin_seq):
                continue  # taken back while it waited
            if head.topic == PARKED:
                if self.invocations.unpark(actor, head.parked):
                    return
                continue
            if not self._invoke(actor, head.topic, head.offset, head.envelope, False):
                return  # it put itself back at the head
            if actor.holder is not None:
                self.invocations.crowded[actor.address] = actor
                return  # it waits
            actor.attempts = 0
            self.inbox.finish(head.offset)
        actor.queue = None
        self.actors.busy.pop(actor.address, None)

    # For handlers that wait

    @property
    def group_number(self) -> int:
        """The number of the append that comes next."""
        return self._number

    @property
    def careful(self) -> bool:
        """Whether what may kill the process is tried one by one."""
        return self._care.left > 0

    def announce(self, trial: str) -> None:
        """Note in the log what is tried next."""
        self._pending.append(self._mark(timer=trial))

    def was_tried(self) -> None:
        """One more has been tried."""
        self._care.left = max(0, self._care.left - 1)

    def go_on(self, actor: Actor) -> None:
        """The handler that waited has ended: others get their turn."""
        if actor.queue is not None and not self._releasing:
            self._retry(actor)

    def base_of(self, actor: Actor, fields: list[Change], patch: Sequence[Change] = ()) -> list[Change]:
        """The whole state of an actor from its plain fields and its entries, with `patch` on top of these."""
        entries = {(f, k): value for f, k, value in self.pieces.entries(actor.address)}
        for field, key, value in patch:
            if key is not None and value is None:
                entries.pop((field, key), None)
            elif key is not None and value is not None:
                entries[field, key] = value
        return [*fields, *(Change(f, k, value) for (f, k), value in entries.items())]

    def sent(self, actor: Actor | None, outs: list[Out]) -> tuple[list[Out], list[Change]]:
        """What a waiting handler has sent, as it leaves with its step; changes of the actor's life."""
        assert actor is not None
        changes: list[Change] = []
        if outs:
            outs = self.ticks.take(actor, outs, self.now)
        if any(out.handler in SIGNALS for out in outs):
            ruling = self.actors.lives.sent(actor.address, None, actor.life, outs)
            outs, changes = ruling.outs, [*ruling.changes, *self.actors.live_on(actor, ruling.life)]
        if not actor.armed:
            actor.armed = True
            outs = [*outs, *arm(actor.info, actor.address, self.pieces, self.now)]
        return outs, changes

    def append_step(self, actor: Actor, step: Step) -> None:
        """A step is on its way to the log."""
        actor.group = self._number
        self.pieces.run_ahead(step)
        self._pending.append(step)
        self.running_ahead += 1
        if step.cause_topic == MAILBOX:
            self.inbox.finish(step.cause_offset)

    def kept_reply(self, kept: Turn | Step | Snapshot | None, begin: Begin) -> list[Out]:
        """What a kept reply says to another call with its idempotency key."""
        if kept is None or begin.kind != ASK:
            return []
        kind, payload = (kept.seq, kept.data) if type(kept) is Snapshot else reply_of(kept)  # type: ignore[arg-type]
        return [Out(_OUT_REPLY if kind == REPLY else _OUT_ERROR, begin.id, begin.reply_to, "", payload)]

    def effect_done(self, call: EffectCall, result: EffectResult, now: int) -> None:
        """A side effect has come to its end."""
        self._clock(now)
        if not self._releasing:
            self.invocations.effect_done(call, result)

    def _with_care(self) -> None:
        """After crashes in a row: one message at a time, each announced before it is tried."""
        care = self._care
        # What was announced is done with first, retries and all: it must not be blamed for the next one.
        while care.held and care.timer is None and self.quiet and not self.actors.busy:
            offset = care.announce()
            if offset >= 0:
                self._pending.append(self._mark(attempt=offset))
                return
            for waiting in care.take():
                self._execute(waiting.topic, waiting.offset, waiting.envelope)

    def _timers_with_care(self) -> None:
        """The same for timers, while no message is held."""
        care = self._care
        if not self.quiet or self.actors.busy:
            return
        if care.timer is None:
            if care.held:
                return
            due = self.timers.pop_due(self.now, 1)
            if not due:
                return
            care.timer = due[0]
            if self._live(care.timer):
                self._pending.append(self._mark(timer=f"{care.timer.address}#{care.timer.name}"))
                return
        timer, care.timer = care.timer, None
        care.left = max(0, care.left - 1)
        if not self._live(timer):
            pass  # taken back meanwhile
        elif self.fold.timer_attempts > self.settings.poison_claims:
            deaths = self.fold.timer_attempts - 1
            detail = f"it killed its process {deaths} times in a row"
            self._refuse(TIMER, -1, timer_message(timer), "poisoned", detail, None, deaths)
        else:
            self._fire(timer)
        self._with_care()

    # Time

    def _clock(self, now: int) -> None:
        self.now = max(self.now, now)  # a clock that is set back must not order turns anew

    def tick(self, now: int) -> None:
        """Let time pass: timers, retries, marks."""
        self._clock(now)
        if self._releasing:
            return
        self.invocations.tick()
        if self._care.left or self._care.timer is not None:  # the last one that was announced is tried, too
            self._timers_with_care()
        else:
            for timer in self.timers.pop_due(self.now, _DUE_AT_ONCE):
                if self._live(timer):  # the one before may have taken it back
                    self._fire(timer)
            for actor, e in self.ticks.pop_due(self.now):
                if actor.queue is None and not actor.evicted:  # the one before may have changed that
                    last = actor.last
                    self._invoke(actor, TICK, -1, e, False)
                    actor.last = last  # it does not keep an idle actor in memory
        if self.actors.busy:
            for actor in list(self.actors.busy.values()):
                if actor.retry_at <= self.now:
                    self._retry(actor)
            self._with_care()
        quiet = not self._moved and not self._since_mark
        if self._since_mark >= self.settings.mark_turns or (
            not quiet and self.now - self._marked_at >= self.settings.mark_interval
        ):
            self._pending.append(self._mark())

    @property
    def quiet(self) -> bool:
        """Whether nothing is on its way to the log."""
        return not (self.in_flight or self._pending)

    def next_wake(self) -> int | None:
        """When `tick` has something to do next, in ms since the epoch."""
        dues = (
            self.timers.next_due(), self.ticks.next_due(), self.actors.next_retry(),
            self.invocations.next_due(),
        )  # fmt: skip
        times = [t for t in dues if t is not None]
        if self._since_mark or self._moved:
            times.append(self._marked_at + self.settings.mark_interval)
        return min(times, default=None)

    def _live(self, timer: Snapshot) -> bool:
        return self.timers.live(timer.address, timer.name, timer.offset)

    def _fire(self, timer: Snapshot) -> None:
        e = timer_message(timer)
        if e.handler == WAKE:
            if not self.invocations.wake(timer):
                # Whoever slept has ended: the timer only has to go.
                self._append_turn(
                    forward(self.claim, timer.address, 0, self.now, e)._replace(outs=[], status=FAILED)
                )
            return
        if e.target == timer.address:
            turn = left_out(self.claim, e, self.now, self.host.type_info(type_of(e.target)))
            if turn is None:
                self._execute(TIMER, -1, e)
            else:
                self._append_turn(turn)
            return
        # Another actor's: a turn of the one that set it sends the message on.
        actor = self.actors.active.get(timer.address) or self.actors.load(timer.address, self.now)
        if type(actor) is Refusal:
            self._refuse(TIMER, -1, e, actor.code, actor.detail, None, 1)
            return
        assert type(actor) is Actor
        turn = forward(self.claim, actor.address, actor.seq + 1, self.now, e)
        ttl = actor.info.state_ttl
        if ttl and actor.seq and self.now - actor.time > ttl:
            # The first turn after its time: it is the one that begins anew.
            try:
                turn = turn._replace(fresh=True, patch=self._expire(actor))
            except Exception as error:  # the user's hook
                self._refuse(TIMER, -1, e, "failed", f"{actor.address} cannot be renewed: {error}", None, 1)
                return
            if actor.life is not None:
                turn.patch.append(life_change(actor.life))  # type: ignore[union-attr]
            actor.reader.hidden = False
        actor.seq += 1
        actor.time = self.now
        actor.group = self._number
        self._append_turn(turn)

    def _mark(self, attempt: int = -1, timer: str = "", release: bool = False) -> Mark:
        self._since_mark = 0
        self._marked_at = self.now
        self._moved = False
        self.settle()
        # With an attempt, too: what was done before it without a turn must not be done again before it is.
        inboxes = (self.inbox.plain(),)
        fold = self.fold
        return Mark(self.claim, self.now, inboxes, fold.relayed, fold.emitted, attempt, timer, release)

    def release(self, now: int) -> None:
        """Let go in good order: the last record says so. What is in flight is still acknowledged."""
        self._clock(now)
        self._releasing = True
        self._pending.append(self._mark(release=True))

    # The log

    def take(self) -> list[Turn | Step | Mark] | None:
        """Records to append as one group, or None. A group proves the ownership that waiting answers need."""
        if not self._pending:
            if not self._pending_answers:
                return None
            self._pending.append(self._mark())
        group = Group(self._number, self._pending, self._pending_answers)
        self.in_flight.append(group)
        self._pending = []
        self._pending_answers = []
        self._number += 1
        return group.records

    def acknowledged(self, offset: int) -> tuple[int, int] | None:
        """The oldest group is on the log, its last record at `offset`.

        Returns None where nobody wrote in between; else the offsets (first, last) of the journal that
        the driver must read and give to `gap` before any further acknowledgement.

        Raises:
            Fenced: the offset is unknown or impossible.
        """
        group = self.in_flight[0]
        first = self.fold.next
        last = first + len(group.records) - 1
        if offset == last:
            self.in_flight.popleft()
            self._apply(group, range(first, last + 1))
            return None
        if offset < last:
            raise Fenced(f"partition {self.partition}: append acknowledged at {offset}, expected {last}")
        return first, offset

    def gap(self, records: Sequence[tuple[int, JournalRecord | None]]) -> None:
        """What stands in the journal around the oldest group; None for what cannot be read.

        Raises:
            Fenced: another has claimed the partition.
        """
        mine: list[int] = []
        if not records or len(records) != records[-1][0] - self.fold.next + 1:
            # Only a newer owner trims what this one has not read, its claim perhaps.
            raise Fenced(f"partition {self.partition}: the journal is trimmed beyond {self.fold.next}")
        for offset, record in records:
            if type(record) is Claim:
                raise Fenced(f"partition {self.partition}: claimed by {record.node} at offset {offset}")
            if isinstance(record, Turn | Step | Mark) and record.claim == self.claim:
                mine.append(offset)
        group = self.in_flight.popleft()
        if len(mine) != len(group.records):
            found = f"{len(mine)} of {len(group.records)} records are in the journal"
            raise Fenced(f"partition {self.partition}: {found}")
        self._apply(group, mine)

    def _apply(self, group: Group, offsets: Sequence[int]) -> None:
        fold, pieces = self.fold, self.pieces
        for offset, record in zip(offsets, group.records, strict=True):
            if type(record) is Turn or type(record) is Step:
                fold.next = offset + 1
                fold.turn(record)
                pieces.apply(offset, record)
                self.running_ahead -= 1
                self._since_mark += 1
                if record.cause_topic == TIMER:
                    self.timers.remove(record.sender, record.message_id)
                if record.outs:
                    self._owe(offset, record)
                actor = self.actors.active.get(record.actor)
                if actor is not None:
                    every = actor.info.snapshot_turns
                    if every and record.seq % every == 0:
                        self.actors.to_save.append(record.actor)
            else:
                fold.take(offset, record)
        self.actors.acknowledged_group = group.number
        self.invocations.release_effects()
        self.answers.extend(group.answers)
        if self._care.held:
            self._with_care()

    def _owe(self, offset: int, turn: Turn | Step) -> None:
        """An acknowledged turn's outgoing items may leave, its timers may fire."""
        self.outbox.owe(offset, turn)
        for out in turn.outs:
            if out.kind == _OUT_TIMER:
                self.timers.add(out.due, turn.actor, out.id)
            elif out.kind == _OUT_CANCEL:
                self.timers.remove(turn.actor, out.id)

    # What left

    def relayed(self, offset: int) -> None:
        """All mails and replies of turns up to `offset` have arrived."""
        self.outbox.mails.arrived(offset)
        self._moved = True

    def emitted(self, offset: int) -> None:
        """All output records of turns up to `offset` are committed."""
        self.outbox.emits.arrived(offset)
        self._moved = True

    def settle(self) -> None:
        """Bring the fold up to what has left."""
        self.fold.relayed = self.outbox.mails.done(self.fold.next)
        self.fold.emitted = self.outbox.emits.done(self.fold.next)
