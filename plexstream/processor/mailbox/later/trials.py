"""After crashes in a row: messages, timers and handlers that wait are tried one by one, announced before."""

from __future__ import annotations

from itertools import islice

from plexstream.model.messages.message import Envelope
from plexstream.processor.actors.actor import Waiting
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.times.recurring import timer_message
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.sums.fold import MAILBOX, PASSED, TIMER
from plexstream.processor.mailbox.care import Care
from plexstream.processor.mailbox.door import Door
from plexstream.processor.mailbox.failures import Failures
from plexstream.processor.mailbox.later.firing import Firing
from plexstream.processor.mailbox.later.queues import Queues
from plexstream.processor.waiting.invocation.invocation import TRIAL

_LOOKED_AT = 1_000
"""Messages that wait for their trial among which one is looked for that is due."""


class Trials:
    """Tries with care, and puts aside what is found guilty."""

    def __init__(
        self, ledger: Ledger, actors: Actors, care: Care, door: Door, queues: Queues, failures: Failures,
        firing: Firing,
    ) -> None:  # fmt: skip
        self._ledger = ledger
        self._actors = actors
        self._care = care
        self._door = door
        self._queues = queues
        self._failures = failures
        self._firing = firing

    # Messages

    def receive(self, offset: int, e: Envelope) -> None:
        """A message has come: it is handled, put aside, or waits for its trial."""
        ledger, care = self._ledger, self._care
        if offset == care.poison:
            care.poison = -1
            self._failures.put_aside(MAILBOX, offset, e, ledger.fold.attempts)
        elif care.left or care.held:
            ledger.inbox.wait(offset, len(e.payload))
            care.held.append(Waiting(MAILBOX, offset, e))
        else:
            self._door.execute(MAILBOX, offset, e)

    def go_on(self) -> None:
        """One message at a time, each announced before it is tried."""
        ledger, care = self._ledger, self._care
        if ledger.releasing:
            return  # the next owner reads them again
        while care.left and care.timer is None and ledger.quiet:
            actor = care.actors[0] if care.actors else None
            if actor is not None and not actor.queue:
                care.actors.popleft()
                continue
            waiting = actor.queue[0] if actor is not None and actor.queue else self._next_held()
            if waiting is None:
                break
            if actor is None and self._queues.will_wait(waiting.envelope):
                care.held.remove(waiting)  # what waits has not been tried
                self._door.execute(waiting.topic, waiting.offset, waiting.envelope)
                continue
            if not care.announced(waiting.offset):
                care.announce(waiting.offset)
                ledger.mark(attempt=waiting.offset)
                return
            if actor is not None:
                care.actors.popleft()
                self._queues.retry(actor)
                continue
            care.tried()
            care.held.remove(waiting)
            self._door.execute(waiting.topic, waiting.offset, waiting.envelope)
        if not care.left and care.timer is None:
            self._is_over()

    def _next_held(self) -> Waiting | None:
        """The first message that may be tried now: none overtakes another one of its actor."""
        care, passed, later = self._care, set[str](), []
        for waiting in islice(care.held, _LOOKED_AT):
            target = waiting.envelope.target
            if target in passed:
                continue
            at = self._actors.not_before(waiting.envelope)
            if at <= self._ledger.now:
                return waiting
            later.append(at)
            passed.add(target)
        care.until = min(later, default=0)
        return None

    def _is_over(self) -> None:
        """What was held for its trial goes on, in its order and before anything that comes now."""
        care = self._care
        actors, held = list(care.actors), list(care.held)
        care.actors.clear()
        care.held.clear()
        for actor in actors:
            if actor.queue:
                self._queues.retry(actor)
        for one in held:
            self._door.execute(one.topic, one.offset, one.envelope)

    def look_back(self) -> None:
        """A message that was tried, left no turn and has killed nobody is done: the log is told."""
        ledger = self._ledger
        attempt = ledger.fold.attempt
        if attempt >= 0 and ledger.quiet and ledger.inbox.is_done(attempt):
            ledger.mark()

    # Timers

    @property
    def of_timers(self) -> bool:
        """Whether timers are tried one by one; the last one that was announced is, too."""
        return bool(self._care.left) or self._care.timer is not None

    def fire_one(self) -> None:
        """The same for timers, while no message is held."""
        ledger, care = self._ledger, self._care
        if not ledger.quiet:
            return
        if care.timer is None:
            if care.actors or self._next_held() is not None:
                return
            due = ledger.timers.pop_due(ledger.now, 1)
            if not due:
                return
            care.timer, care.told = due[0], False
        timer = care.timer
        live = self._firing.live(timer)
        if not care.told and live and not self._queues.will_wait(timer_message(timer)):
            care.until = self._actors.not_before(timer_message(timer))
            if care.until <= ledger.now:
                care.told = True
                ledger.mark(timer=f"{timer.address}#{timer.name}")
            return
        care.timer = None
        care.left = max(0, care.left - 1)
        if not live:
            pass  # taken back meanwhile
        elif ledger.fold.timer_attempts > ledger.settings.poison_claims:
            self._failures.put_aside(TIMER, -1, timer_message(timer), ledger.fold.timer_attempts - 1)
        else:
            self._firing.fire(timer)
        if care.told and ledger.quiet:
            ledger.mark(timer=PASSED)  # it waits, or is no more: it was not tried
        self.go_on()

    # Handlers that wait

    @property
    def careful(self) -> bool:
        """Whether what may kill the process is tried one by one."""
        return self._care.left > 0

    def suspects_a_timer(self) -> bool:
        """Whether a timer is tried next, or was when the process died: what is tried before would hide it."""
        ledger = self._ledger
        due = ledger.timers.next_due()
        suspect = bool(ledger.fold.timer) and TRIAL not in ledger.fold.timer
        return self._care.timer is not None or (suspect and due is not None and due <= ledger.now)

    def announce(self, trial: str) -> None:
        """Note in the log what is tried next."""
        self._ledger.mark(timer=trial)

    def suspects(self, trial: str) -> bool:
        """Whether this was tried when the process died."""
        return self._ledger.fold.timer == trial

    def deaths_of(self, trial: str) -> int:
        """How many processes it has killed in a row, before this reign."""
        fold = self._ledger.fold
        return fold.timer_attempts - 1 if fold.timer == trial else 0

    def was_tried(self) -> None:
        """One more has been tried."""
        self._care.left = max(0, self._care.left - 1)

    def passed(self, trial: str) -> None:
        """What was announced as `trial` waits again or has ended, and the process lives: no suspect."""
        if self.suspects(trial):
            self._ledger.mark(timer=PASSED)
