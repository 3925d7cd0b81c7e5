"""Who waits at which actor: the handlers that wait, and the messages behind them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from plexstream.model.journal.journal import Command, CommandKind
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK, Envelope
from plexstream.processor.actors.actor import Actor, Refusal, Waiting
from plexstream.processor.actors.actors import Actors
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.sums.fold import MAILBOX
from plexstream.processor.state.histories.history import NOTED
from plexstream.processor.waiting import limits
from plexstream.processor.waiting.course.ports import Door
from plexstream.processor.waiting.invocation.invocation import (
    PARKED,
    PROMISES,
    Invocation,
    begin_of,
    cause_of,
    holder_of,
    no_cause,
)
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.processor.waiting.invocation.machine import Event, State, move

_PROMISE = CommandKind.PROMISE.value


class Roster:
    """The handlers of one partition that wait, by their actors.

    Attributes:
        live: by address and number.
        keyed: those with an idempotency key, by address and the name of their outcome, and by number.
        asked: those that somebody has asked for, by address and the id of the answer.
        promised: those that have asked for a promise, by address and its name, and by number; some do not
            wait for it any more.
        crowded: actors at which messages wait for their waiting handlers.
        door: lets pass what runs beside a handler that waits.
        on_crowd: is called with a crowded actor, again and again.
    """

    door: Door

    def __init__(self, ledger: Ledger, actors: Actors, journal: Journal) -> None:
        self._ledger = ledger
        self._actors = actors
        self._journal = journal
        self.on_crowd: Callable[[Actor], None] = lambda _: None
        self.live: dict[str, dict[int, Invocation]] = {}
        self.keyed: dict[tuple[str, str], dict[int, Invocation]] = {}
        self.asked: dict[tuple[str, str], Invocation] = {}
        self.promised: dict[tuple[str, str], dict[int, Invocation]] = {}
        self.crowded: dict[str, Actor] = {}
        self._parked_at = self._probed_at = ledger.now

    def add(self, inv: Invocation) -> None:
        self.live.setdefault(inv.address, {})[inv.number] = inv
        if inv.name:
            self.keyed.setdefault((inv.address, inv.name), {})[inv.number] = inv
        if inv.begin.kind == ASK:
            self.asked[inv.address, inv.begin.id] = inv

    def remove(self, inv: Invocation) -> None:
        _remove(self.live, inv.address, inv.number)
        if inv.name:
            _remove(self.keyed, (inv.address, inv.name), inv.number)
        if self.asked.get((inv.address, inv.begin.id)) is inv:
            del self.asked[inv.address, inv.begin.id]
        for name in inv.promised or ():
            _remove(self.promised, (inv.address, name), inv.number)

    def wait_for(self, inv: Invocation, command: Command) -> None:
        """A handler has asked for this, and it is not done."""
        inv.wait_for(command)
        if command.kind == _PROMISE:
            self._note_promise(inv, command)

    def _note_promise(self, inv: Invocation, command: Command) -> None:
        if command.kind == _PROMISE:
            inv.promised = inv.promised if inv.promised is not None else {}
            inv.promised[command.name] = None
            self.promised.setdefault((inv.address, command.name), {})[inv.number] = inv

    def fulfilled(self, address: str, name: str) -> list[Invocation]:
        """A promise has its value: those that may wait for it, the oldest first."""
        found = [inv for _, inv in sorted(self.promised.pop((address, name), {}).items())]
        for inv in found:
            if inv.promised is not None:
                del inv.promised[name]
        return found

    def of(self, address: str) -> list[Invocation]:
        """Those of an actor, the oldest first."""
        return [inv for _, inv in sorted(self.live.get(address, {}).items())]

    def keeps(self, address: str) -> bool:
        """Whether a handler works with the state of an actor: it does not expire then."""
        return any(inv.begun for inv in self.live.get(address, {}).values())

    def actor_of(self, inv: Invocation) -> Actor | None:
        """Its actor, loaded if it is not; None where it cannot be, with the reason in `inv.stuck`."""
        actor = self._actors.active.get(inv.address)
        if actor is None:
            loaded = self._actors.load(inv.address, self._ledger.now)
            if type(loaded) is Refusal:
                inv.stuck = loaded.detail
                return None
            assert type(loaded) is Actor
            actor = loaded
        inv.actor = actor
        return actor

    # Holding

    def attach(self, actor: Actor) -> None:
        """An actor is loaded: give it its handlers that wait: what has begun first, then what was tried."""
        found = self.of(actor.address)
        for inv in sorted(found, key=lambda i: (i.only_message(), -1 not in i.tried)):
            inv.actor = actor
            if self.shares(actor, inv.begin.handler):
                actor.share(inv)
            elif self._waits_for_same(inv):
                pass
            elif actor.holder is None:
                actor.holder = inv
                actor.queue = actor.queue or deque()
                if inv.state is State.PARKED:
                    move(inv, Event.FREE)
            else:
                assert actor.queue is not None
                actor.queue.append(Waiting(PARKED, -1, inv.envelope(), inv.number))
                self.crowded[actor.address] = actor

    @staticmethod
    def shares(actor: Actor, handler: str) -> bool:
        """Whether a handler keeps nobody from running while it waits."""
        return handler in actor.info.shared

    def hold(self, actor: Actor, inv: Invocation) -> None:
        """An invocation has the actor from now on, or runs beside others."""
        self.add(inv)
        inv.actor = actor
        if self.shares(actor, inv.begin.handler):
            actor.share(inv)
            return
        actor.holder = inv
        if actor.queue is None:
            actor.queue = deque()
        self._actors.busy.pop(actor.address, None)

    def take_instance(self, actor: Actor, inv: Invocation) -> None:
        """The handler that waits keeps the instance that it runs with; others get another.

        One that others run beside has one of its host's own.
        """
        if actor.holder is not inv and not actor.info.concurrent:
            return
        inv.instance = actor.instance
        if not actor.info.visible:
            actor.instance = None  # others read the state as it was

    def leave(self, actor: Actor, inv: Invocation) -> None:
        """The actor goes on with the instance of the handler that has ended, if that had it."""
        if actor.holder is inv:
            if inv.instance is not None:
                actor.instance = inv.instance
            actor.holder = None
        actor.unshare(inv.number)

    # The same call

    def under_way(self, e: Envelope, but: Invocation | None) -> Invocation | None:
        """Who handles the call of an idempotency key already."""
        name = idempotency.name(e.handler, e.idempotency_key)
        for inv in self.keyed.get((e.target, name), {}).values():
            if inv is not but and inv.state is not State.PARKED and inv.holds():
                return inv
        return None

    def _waits_for_same(self, inv: Invocation) -> bool:
        """After a crash: whether a message in the journal waits for the outcome of a call like it."""
        if not inv.name or inv.state is not State.PARKED:
            return False
        first = self.under_way(inv.envelope(), inv)
        if first is None or first.begin.idempotency_key != inv.begin.idempotency_key:
            return False
        first.behind.append(inv)
        return True

    # Parking

    def park(self, actor: Actor, topic: str, offset: int, e: Envelope) -> Invocation:
        """Copy a message into the journal, where it waits for its turn."""
        actor.seq += 1
        inv = Invocation(actor.address, actor.seq, begin_of(e, self._ledger.now, None), 0)
        inv.actor = actor
        inv.cause = cause_of(topic, offset, e)
        self.add(inv)
        tried = self._actors.tried(actor, e)
        if tried is not None:
            move(inv, Event.FAIL)
            inv.retry_at = tried.next
            self._journal.take_over(inv, actor, e, tried)
        else:
            move(inv, Event.PARK)
            self._journal.note(inv, no_cause(), [NOTED])
        return inv

    def park_queue(self, actor: Actor) -> None:
        """Copy what waits for a busy actor into the journal: the mailbox can be trimmed, and it be noted on.

        Without a handler that waits, the first is one that is tried again: its attempts go with it. Timers
        need no copy: they are pending until their turn, and may be taken back.
        """
        holder, queue = holder_of(actor), actor.queue
        if not queue:
            return
        if holder is not None:
            self._journal.before(holder)
        for i, waiting in enumerate(queue):
            if waiting.topic == MAILBOX:
                inv = self.park(actor, waiting.topic, waiting.offset, waiting.envelope)
                queue[i] = Waiting(PARKED, -1, waiting.envelope, inv.number)

    def unpark(self, actor: Actor, number: int) -> Invocation | None:
        """The actor is free for a message that waits in the journal; None where that has ended."""
        inv = self.live.get(actor.address, {}).get(number)
        if inv is None:
            return None
        inv.actor = actor
        if self.shares(actor, inv.begin.handler):
            actor.share(inv)
        else:
            actor.holder = inv
        if inv.state in (State.PARKED, State.PAUSED):
            move(inv, Event.FREE)
        if actor.queue and actor.holder is not None:
            self.crowded[actor.address] = actor
        return inv

    def put_back(self, actor: Actor, inv: Invocation) -> None:
        """A message that had its turn, and has not begun, waits for it again, before all others."""
        assert actor.queue is not None
        actor.holder = None
        actor.queue.appendleft(Waiting(PARKED, -1, inv.envelope(), inv.number))

    def take_from_queue(self, actor: Actor, wanted: Callable[[Envelope], bool]) -> Waiting | None:
        """Let a message wait no longer."""
        for waiting in actor.queue or ():
            if wanted(waiting.envelope):
                assert actor.queue is not None
                actor.queue.remove(waiting)
                return waiting
        return None

    def see_to_crowds(self) -> None:
        """Look for circles among those who wait, and park what waits for them."""
        # Then nothing is read, not even what they wait for.
        settings = self._ledger.settings
        full = self._ledger.inbox.full(settings.max_waiting, settings.max_waiting_bytes)
        probe = self._ledger.now - self._probed_at >= limits.PROBE_AFTER
        park = full or (probe and self._ledger.now - self._parked_at >= limits.PARK_AFTER)
        for address, actor in list(self.crowded.items()) if probe or park else ():
            if actor.holder is None:
                del self.crowded[address]
                continue
            if probe:
                self.door.let_pass(actor)
                self.on_crowd(actor)
            if park:
                self.park_queue(actor)
        if probe:
            self._probed_at = self._ledger.now
        if park:
            self._parked_at = self._ledger.now

    def next_look(self) -> int | None:
        """When `see_to_crowds` has something to do."""
        return self._probed_at + limits.PROBE_AFTER if self.crowded else None

    def restored(self) -> Iterator[Invocation]:
        """Bring back what the journal has."""
        histories = self._ledger.pieces.histories
        for address, pending in histories.pending.items():
            for number in sorted(pending):
                inv = Invocation(address, number, pending[number].begin, pending[number].steps)
                self.add(inv)
                inv.restore(histories.read(address, number), partial(self._settled, address))
                for command in inv.outstanding.values():
                    self._note_promise(inv, command)
                yield inv

    def _settled(self, address: str, name: str) -> bool:
        return self._ledger.pieces.promise(address, PROMISES, name) is not None


def _remove(index: dict[Any, dict[int, Invocation]], key: Any, number: int) -> None:
    found = index.get(key, {})
    found.pop(number, None)
    if not found:
        index.pop(key, None)
