"""Messages that wait for their busy actor: each comes to the door again, in its order."""

from __future__ import annotations

from plexstream.model.host import ActorHost
from plexstream.model.journal.life import SIGNALS
from plexstream.model.messages.address import type_of
from plexstream.model.messages.message import ASK, Envelope
from plexstream.processor.actors.actor import Actor, Waiting
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives.lives import OVERTAKES
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.sums.fold import MAILBOX, TIMER
from plexstream.processor.mailbox.care import Care
from plexstream.processor.mailbox.door import Door
from plexstream.processor.waiting.invocation.invocation import PARKED, Invocation
from plexstream.processor.waiting.invocations import Invocations


class Queues:
    """The queues of one partition's actors."""

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, care: Care, door: Door,
        invocations: Invocations,
    ) -> None:  # fmt: skip
        self._host = host
        self._ledger = ledger
        self._actors = actors
        self._care = care
        self._door = door
        self._invocations = invocations

    def enter(self, actor: Actor, inv: Invocation) -> None:
        """Let a message through the door that has waited in the journal for its turn, or for its next try."""
        self._door.invoke(actor, PARKED, -1, inv.envelope(), False, inv)

    def go_on(self, actor: Actor) -> None:
        """The handler that waited has ended: others get their turn."""
        if actor.queue is not None and not self._ledger.releasing:
            self.retry(actor)

    def retry_due(self) -> None:
        """Those whose time has come are tried again."""
        for actor in list(self._actors.busy.values()) if self._actors.busy else ():
            if actor.retry_at <= self._ledger.now:
                self.retry(actor)

    def retry(self, actor: Actor) -> None:
        """Try the head of a busy actor's queue again, and go on with what waits behind it."""
        queue = actor.queue
        assert queue is not None
        while queue:
            if not self._may_try(actor, queue[0]):
                return
            head = queue.popleft()
            e = head.envelope
            if head.topic == TIMER and not self._ledger.timers.live(e.sender, e.id, e.origin_seq):
                continue  # taken back while it waited
            if head.topic == PARKED:
                if self._invocations.unpark(actor, head.parked) and actor.holder is not None:
                    self._actors.busy.pop(actor.address, None)
                    self.let_pass(actor)
                    return  # it has the actor
                continue
            if not self._door.invoke(actor, head.topic, head.offset, head.envelope, False):
                return  # it put itself back at the head
            if actor.holder is not None:
                self._invocations.crowd(actor)
                self.let_pass(actor)
                return  # it waits
            self._ledger.inbox.finish(head.offset)
        actor.queue = None
        self._actors.busy.pop(actor.address, None)

    def let_pass(self, actor: Actor) -> None:
        """A handler has the actor: messages in its queue that run beside it need not wait for its end."""
        shared = actor.info.shared
        for waiting in [w for w in actor.queue or () if w.envelope.handler in shared]:
            if actor.holder is None or waiting not in (actor.queue or ()) or self._care.left:
                return  # the queue goes on by itself, or is tried one by one
            assert actor.queue is not None
            actor.queue.remove(waiting)
            e = waiting.envelope
            if waiting.topic == PARKED:
                self._invocations.unpark(actor, waiting.parked)
            elif waiting.topic != TIMER or self._ledger.timers.live(e.sender, e.id, e.origin_seq):
                self._door.invoke(actor, waiting.topic, waiting.offset, e, False)
                self._ledger.inbox.finish(waiting.offset)

    def _may_try(self, actor: Actor, head: Waiting) -> bool:
        """Whether the head of a queue is handled now: while care is taken it is announced first."""
        care = self._care
        if not care.left or head.topic != MAILBOX:
            return True
        if self._ledger.quiet and care.announced(head.offset):
            care.tried()
            return True
        if actor not in care.actors:
            care.actors.append(actor)
        return False

    def will_wait(self, e: Envelope) -> bool:
        """Whether a message would wait for its actor, in a queue or in the journal."""
        at_once = e.handler in OVERTAKES or (e.handler.startswith("$") and e.handler not in SIGNALS)
        if e.kind > ASK or at_once:
            return False
        if e.headers and e.headers.get("read_only") == "1":
            return False
        actor = self._actors.active.get(e.target)
        if actor is not None:
            return actor.queue is not None and not (actor.holder and e.handler in actor.info.shared)
        # It is not loaded for that: who has handlers that wait and are not shared is held by one of them.
        waiting = self._invocations.live.get(e.target)
        info = self._host.type_info(type_of(e.target)) if waiting else None
        if not waiting or info is None or e.handler in info.shared:
            return False
        return any(inv.begin.handler not in info.shared for inv in waiting.values())
