"""One partition in memory: the real processor and host, stepped by a seed, on a log that loses what it may.

What is not acknowledged is lost with its process, or is not. Messages arrive again after crashes, as relays
send them. The store is written now and then, and wiped.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

from plexstream.hosts.native import NativeHost
from plexstream.hosts.system import SYSTEM_TYPES
from plexstream.model.journal.journal import Claim, JournalRecord, Out, OutKind, Partition, Step, Turn
from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, ERROR, TELL, Envelope
from plexstream.node.partition.sums.snapshots import PARTITION_KEY, partition_piece, split_fields
from plexstream.processor import EffectCall, Processor, Restore, Settings
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.waiting import limits
from plexstream.processor.waiting.invocation.invocation import Invocation
from plexstream.schema import codec
from plexstream.schema.codec import decode_partition
from plexstream.store.memory import MemoryStore
from plexstream.testing.programs.actors.actors import CLASSES
from plexstream.testing.programs.program import Plan
from plexstream.testing.programs.stage.relayed import relay
from plexstream.testing.simulation.errors import Violation

START = 1_700_000_000_000
_DAY = 86_400_000
_SPINS = 100
_CRASHES = 40


def _host() -> NativeHost:
    """A host of its own for each program: it learns which handlers wait."""
    return NativeHost({**{c.__plexstream__.name: c.__plexstream__ for c in CLASSES}, **SYSTEM_TYPES})


class OnePartition:
    """A stage: where a program is played.

    Parameters:
        plan: how it behaves.
        random: decides what comes next.

    Attributes:
        now: its time, in ms since the epoch.
        replies: what each ask was answered, each answer that differs once.
        answered_at: when it was first, in ms since the epoch.
        crashes: how often it crashed.
    """

    def __init__(self, plan: Plan, random: Random) -> None:
        self.plan = plan
        self.random = random
        self.now = START
        self.replies: dict[str, list[Any]] = {}
        self.answered_at: dict[str, int] = {}
        self.crashes = 0
        self.crash_rate = plan.crash
        self._mailbox: list[Envelope] = []
        self._journal: list[JournalRecord] = []
        self._acknowledged = 0
        self._groups: deque[int] = deque()
        self._effects: list[EffectCall] = []
        self._store = MemoryStore()
        self._number = 0
        self._lives = 0
        self._host = _host()
        self._spins = 0
        self.p: Processor
        self.restart()

    # What a program does

    def send(
        self, to: str, handler: str, ask: bool, key: str = "", read: bool = False, **arguments: Any
    ) -> str:
        """Send a message from outside; returns the id of its reply."""
        self._number += 1
        id = f"m{self._number}"
        payload = json.dumps(arguments).encode()
        self._mailbox.append(Envelope(
            ASK if ask else TELL, id, full(to), handler, payload, reply_to="edge" if ask else "",
            idempotency_key=key, headers={"read_only": "1"} if read else {},
        ))  # fmt: skip
        return id

    def pass_time(self, ms: int) -> None:
        """So much time passes, and all is done that can be."""
        self.now += ms
        for _ in range(50_000):
            # What waits to be appended shows only when it is taken.
            if not self._step() and not self._step(hurry=True):
                return
        raise Violation("it never comes to rest")

    def crash(self) -> None:
        """The process dies, and another one begins."""
        self.crashes += 1
        self.restart()

    def stop(self) -> None:
        """The process ends in good order."""
        while self._step_log(True):
            pass
        self.p.release(self.now)
        while self._step_log(True):
            pass
        self.restart()

    def look(self, address: str) -> Any:
        """What an actor has."""
        id = self.send(address, "look", True, read=True)
        self.pass_time(0)
        found = self.replies.get(id)
        if not found:
            raise Violation(f"{address} cannot be looked at")
        return found[0]

    def waits(self) -> list[Invocation]:
        """The handlers that have not ended."""
        live = self.p.invocations.live
        return [live[address][number] for address in sorted(live) for number in sorted(live[address])]

    def busy(self) -> bool:
        """Whether anything is still to come, if time passes."""
        p = self.p
        return bool(self.waits() or self._effects or p.actors.busy or len(p.timers) or p.inbox.waiting)

    def left(self) -> Iterator[tuple[int, Any, str]]:
        """What has left for good, outputs and dead letters: kind, payload, and code of a dead letter."""
        for record in self._journal:
            if type(record) is Turn or type(record) is Step:
                for out in record.outs:
                    if out.kind in (OutKind.EMIT, OutKind.DEADLETTER):
                        yield out.kind, json.loads(out.payload), out.key

    @property
    def records(self) -> list[JournalRecord]:
        """The journal."""
        return self._journal

    # The process

    def restart(self, keep: bool | None = None) -> None:
        """Another process. What was not acknowledged may be lost, and the store, unless `keep` says which."""
        if self._lives:
            del self._journal[self.random.randint(self._acknowledged, len(self._journal)) :]
            self.p.invocations.abandon()
            self.p.actors.abandon()
        self._lives += 1
        self._effects, self._groups = [], deque()
        self._journal.append(Claim(f"t{self._lives}", "n", self.now, {}, f"n.{self._lives}"))
        self._acknowledged = len(self._journal)
        if not (self.random.random() < self.plan.keep if keep is None else keep):
            self._store.wipe()
        piece = self._store.get(PARTITION_KEY)
        partition = decode_partition(piece.data) if piece is not None else Partition()
        pieces = Pieces(self._store, split_fields, _DAY, codec)
        pieces.histories.load()
        restore = Restore(pieces, partition, True)
        for offset in range(restore.begin, len(self._journal)):
            restore.take(offset, codec.encode_journal(self._journal[offset]))
        settings = Settings(poison_claims=self.plan.poison, careful_turns=12, mark_interval=100)
        self.p = Processor(0, 1, self._host, restore, settings, self.now)

    def _step(self, hurry: bool = False) -> bool:
        """One round of a worker's loop. Returns whether anything went on. `hurry`: nothing is put off."""
        p, plan, random = self.p, self.plan, self.random
        p.tick(self.now)
        at = p.position
        moved = at < len(self._mailbox)
        if moved:
            end = at + (random.randint(1, 3) if plan.batch else 1)
            p.receive(list(enumerate(self._mailbox[at:end], at)), self.now)
        moved = self._step_log(hurry) or moved
        moved = self._waits_for_care(moved) or moved
        if moved and self.crash_rate and random.random() < self.crash_rate and self.crashes < _CRASHES:
            self.crash()
            return True
        moved = self._step_answers() or moved
        moved = self._step_effects() or moved
        while p.outbox.mails.queue:
            offset, turn = p.outbox.mails.queue.popleft()
            relay(offset, turn, self._mailbox.append, self._answer)
            moved = True
            if random.random() < 0.5:
                p.relayed(offset)
        for lane, done in ((p.outbox.emits, p.emitted), (p.outbox.letters, p.put_away)):
            while lane.queue:
                done(lane.queue.popleft()[0])
        if plan.flush and random.random() < plan.flush:
            p.settle()
            p.pieces.flush(partition_piece(p.fold.partition(p.pieces.unsaved.oldest())))
        if plan.evict and random.random() < plan.evict:
            p.actors.evict_idle(self.now + 1_000_000_000)
        return moved

    def _waits_for_care(self, moved: bool) -> bool:
        """Whether something is due that may yet go on: while care is taken, all may wait for one retry."""
        due = self.p.invocations.next_due()
        if due is None or due > self.now:
            return False
        self._spins = 0 if moved else self._spins + 1
        return self._spins < _SPINS

    def _step_log(self, hurry: bool) -> bool:
        """Append, and acknowledge."""
        p, late = self.p, self.plan.late and not hurry
        moved = False
        if not late or (len(self._groups) < 4 and self.random.random() < 0.5):
            while (records := p.take()) is not None:
                self._journal += records
                self._groups.append(len(self._journal) - 1)
                moved = True
                if late:
                    break
        count = self.random.randint(0, 2) if late else len(self._groups)
        moved = moved or bool(self._groups)
        for _ in range(min(count, len(self._groups))):
            last = self._groups.popleft()
            p.acknowledged(last)
            self._acknowledged = last + 1
        return moved

    def _step_answers(self) -> bool:
        moved = bool(self.p.answers)
        while self.p.answers:
            to, id, kind, payload, handler, sender = self.p.answers.popleft()
            if handler:
                self._mailbox.append(Envelope(kind, id, to, handler, payload, sender))
            else:
                self._answered(id, kind, payload)
        return moved

    def _step_effects(self) -> bool:
        ready = self.p.invocations.effects
        while ready:
            self._effects.append(ready.popleft())
        if not self._effects:
            return False
        if not self.plan.slow or self.random.random() < 0.6:
            at = self.random.randrange(len(self._effects)) if self.plan.slow else 0
            call = self._effects.pop(at)
            self.p.effect_done(call, call.effect.run(call.attempt, call.spent), self.now)
        return True

    def _answer(self, out: Out) -> None:
        self._answered(out.id, out.kind, out.payload)

    def _answered(self, id: str, kind: int, payload: bytes) -> None:
        body = json.loads(payload)
        answer = {"error": body["code"], "detail": body["detail"]} if kind == ERROR else body
        known = self.replies.setdefault(id, [])
        self.answered_at.setdefault(id, self.now)
        if answer not in known:
            known.append(answer)


_LIMITS = {
    "KEPT_TASKS": "kept_tasks", "PARK_AFTER": "park_after", "PROBE_AFTER": "probe_after",
    "RUN_ANNOUNCED": "announced_after",
}  # fmt: skip


@contextmanager
def limited(plan: Plan) -> Iterator[None]:
    """Limits that are no settings are as small as the plan wants, and the logs are silent."""
    before = {name: getattr(limits, name) for name in _LIMITS}
    manager = logging.getLogger("plexstream").manager
    disabled = manager.disable
    for name, field in _LIMITS.items():
        setattr(limits, name, getattr(plan, field))
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(disabled)
        for name, value in before.items():
            setattr(limits, name, value)
