"""Handlers that are not in memory run again from their start, when something has come for them."""

from __future__ import annotations

from plexstream.model.host import ActorHost, Result, Suspended
from plexstream.model.journal.journal import WAITING, Change
from plexstream.processor.actors.actor import Actor
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.readers import PastReader
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.state.histories.history import effective, start_of
from plexstream.processor.waiting import limits
from plexstream.processor.waiting.course.agenda import Agenda
from plexstream.processor.waiting.course.effects import Effects
from plexstream.processor.waiting.course.endings import Endings
from plexstream.processor.waiting.course.lifecycle import Lifecycle
from plexstream.processor.waiting.course.ports import Caring, Door
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.events.answers import Answers
from plexstream.processor.waiting.invocation.invocation import Invocation, no_cause
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.processor.waiting.invocation.machine import Event, State, move


class Revival:
    """Lets the handlers of one partition go on that are ready, some at a time.

    Attributes:
        door: lets in messages that have waited in the journal.
        care: how things are tried after crashes in a row.
    """

    door: Door
    care: Caring

    def __init__(
        self, host: ActorHost, ledger: Ledger, actors: Actors, journal: Journal, roster: Roster,
        agenda: Agenda, effects: Effects, endings: Endings, lifecycle: Lifecycle, answers: Answers,
    ) -> None:  # fmt: skip
        self._host = host
        self._ledger = ledger
        self._actors = actors
        self._journal = journal
        self._roster = roster
        self._agenda = agenda
        self._effects = effects
        self._endings = endings
        self._lifecycle = lifecycle
        self._answers = answers

    def restore(self) -> None:
        """As the journal has them."""
        agenda = self._agenda
        several: dict[str, int] = {}
        for inv in self._roster.restored():
            several[inv.address] = several.get(inv.address, 0) + 1
            if inv.state is State.READY:
                agenda.ready.append(inv)
            elif inv.state is State.PARKED or inv.state is State.STUCK:
                if inv.state is State.STUCK:
                    agenda.stuck.add(inv)
                agenda.later(inv, self._ledger.now)  # its turn may have come, its code may be another
            elif inv.state is State.RETRYING:
                agenda.later(inv, inv.retry_at)
            elif inv.state is State.ASLEEP and (due := inv.effects_due()):
                agenda.later(inv, due)
        agenda.load.extend(address for address, count in several.items() if count > 1)

    def tick(self) -> None:
        """Let handlers go on whose time has come."""
        agenda = self._agenda
        self._make_room()
        if self._roster.crowded:
            self._roster.see_to_crowds()
        for _ in range(min(len(agenda.load), limits.REVIVED_AT_ONCE)):
            address = agenda.load.popleft()
            if address not in self._actors.active:
                self._actors.load(address, self._ledger.now)  # some wait for others: perhaps in a circle
        for inv in agenda.due():
            if inv.state in (State.PARKED, State.READY):
                self._turn_of(inv)
            elif inv.state in (State.RETRYING, State.STUCK, State.ASLEEP):
                inv.retry_at = 0
                move(inv, Event.TIME)
                agenda.soon(inv)
        if self.care.careful or agenda.on_trial is not None:
            self._run_with_care()
        else:
            for _ in range(min(len(agenda.ready), limits.REVIVED_AT_ONCE)):
                self._run(agenda.ready.popleft())
        self._effects.let_go()
        while agenda.announce:
            inv, since = next(iter(agenda.announce.items()))
            if self._ledger.now - since < limits.RUN_ANNOUNCED:
                break
            self._journal.record(inv, WAITING, no_cause())  # which takes it out

    def next_due(self) -> int | None:
        """When `tick` has something to do, in ms since the epoch."""
        dues = (self._agenda.next_due(), self._effects.next_due(), self._roster.next_look())
        return min((due for due in dues if due is not None), default=None)

    def _turn_of(self, inv: Invocation) -> None:
        """A message that waits in the journal, after a crash: perhaps nobody is before it."""
        actor = self._roster.actor_of(inv)
        if actor is None:
            self._agenda.later(inv, self._ledger.now + limits.STUCK_RETRY)
        elif inv.state is State.READY:
            self._agenda.soon(inv)  # loading its actor gave it its turn
        elif inv.number in actor.shared:
            move(inv, Event.FREE)
            self._agenda.soon(inv)

    def _run_with_care(self) -> None:
        """After crashes in a row: one at a time, announced before. What killed its process is ended."""
        care, agenda = self.care, self._agenda
        if not self._ledger.quiet or (agenda.on_trial is None and care.suspects_a_timer()):
            return
        inv, agenda.on_trial = agenda.on_trial, None
        if inv is None:
            inv = self._next_suspect()
            if inv is not None:
                agenda.on_trial = inv
                care.announce(inv.trial())
            return
        care.was_tried()
        deaths = care.deaths_of(inv.trial())
        if deaths < self._ledger.settings.poison_claims or self._is_known(inv):
            self._run(inv)
            care.passed(inv.trial())
        elif not inv.ended and self._roster.actor_of(inv) is not None:
            detail = f"{inv.reference()} killed its process {deaths} times in a row"
            self._endings.kill(inv, no_cause(), [], "poisoned", detail, attempts=deaths)

    def _next_suspect(self) -> Invocation | None:
        """Who was announced last comes first: only so can it be found guilty in reign after reign."""
        ready = self._agenda.ready
        for inv in [i for i in ready if i.state is not State.READY or not self._has_its_turn(i)]:
            ready.remove(inv)  # it would not run: it is not tried
        suspects = (i for i in ready if self.care.suspects(i.trial()))
        found = next(suspects, ready[0] if ready else None)
        if found is not None:
            ready.remove(found)
        return found

    def _is_known(self, inv: Invocation) -> bool:
        """Whether what its message comes to is kept, so that nothing runs for it."""
        kept = self._ledger.pieces.outcome
        known = inv.name and kept(inv.address, inv.name, self._ledger.now) is not None
        return bool(known) and not inv.begun

    def _has_its_turn(self, inv: Invocation) -> bool:
        actor = self._actors.active.get(inv.address)
        return actor is None or actor.holder is inv or inv.number in actor.shared

    def _run(self, inv: Invocation) -> None:
        """Run a handler again from its start up to where it was, and on."""
        if inv.state is not State.READY:
            return
        if self._agenda.is_behind(inv):  # what has come since would be missed, and never fed
            self._agenda.soon(inv)
            return
        actor = self._roster.actor_of(inv)
        if actor is None:
            move(inv, Event.ABSENT)
            self._agenda.later(inv, self._ledger.now + limits.STUCK_RETRY)
            return
        if not inv.holds():
            return  # its turn comes
        if inv.cancelled and not inv.begun:
            self._endings.cancelled(inv, no_cause(), [])
        elif inv.begun:
            self._run_again(actor, inv)
        else:
            self.door.enter(actor, inv)
        self._answers.look_for_promises(inv)

    def _run_again(self, actor: Actor, inv: Invocation) -> None:
        """From what is recorded of it."""
        history = effective(self._ledger.pieces.histories.read(inv.address, inv.number))
        begin = start_of(history, inv.begin)
        before = actor.instance
        past: PastReader | None = None
        try:
            if begin.base is not None:
                past = self._actors.past(actor, begin.base)
            elif inv.number in actor.shared and not actor.info.concurrent:
                self._actors.twin(actor)
            elif inv.number in actor.shared or (before is None and inv.instance is not None):
                actor.instance = inv.instance
                self._actors.twin(actor)
            else:
                self._actors.twin(actor)
        except Exception as error:  # the user's hook
            actor.instance = before
            inv.stuck = str(error)
            move(inv, Event.ABSENT)
            self._agenda.later(inv, self._ledger.now + limits.STUCK_RETRY)
            return
        beside = inv.number in actor.shared and not actor.info.concurrent
        instance = actor.instance
        inv.instance = None if beside else instance
        fields = [] if past is not None or beside else self._host.fields(instance)
        outcome = self._host.replay(instance, begin, inv.number, history, self._ledger.now)
        good = type(outcome) is not Result or not outcome.code
        if past is not None:
            past.now = actor.reader
            if not good:
                inv.instance = actor.instance = before  # what others see is as it was
        elif beside:
            pass  # its host has given it another
        elif inv.number in actor.shared:
            actor.instance = before
        elif good:
            actor.instance = None
        else:
            inv.instance = None
            actor.instance = self._actors.make(actor, fields)
        if good and past is not None and inv.restarted:
            # What others see is the state of the step that it goes on from.
            outcome = outcome._replace(patch=self._undone(inv, outcome.patch))
            if type(outcome) is Suspended:
                outcome = outcome._replace(ran=True)
        if type(outcome) is Suspended:
            move(inv, Event.RUN)
            inv.restarted = False
        self._lifecycle.outcome(inv, outcome, [], no_cause())

    def _undone(self, inv: Invocation, patch: list[Change]) -> list[Change]:
        """What makes the state that others see that of a handler's own instance, with its own changes."""
        own = {c.field: c.value for c in self._host.fields(inv.instance)}
        seen = {f: v for f, v in self._ledger.pieces.core(inv.address).fields.items() if f[:1] != "$"}
        gone = [Change(field, None, None) for field in seen if field not in own]
        plain = gone + [Change(f, None, value) for f, value in own.items() if seen.get(f) != value]
        return plain + [c for c in patch if c.key is not None]

    def _make_room(self) -> None:
        """Take handlers out of memory that have waited longest, if nothing of theirs runs."""
        agenda = self._agenda
        if len(agenda.kept) <= limits.KEPT_TASKS:
            return
        for inv in list(agenda.kept)[: max(1, limits.KEPT_TASKS // 5)]:
            acknowledged = inv.group <= self._ledger.acknowledged_number
            if acknowledged and not (inv.running or inv.unrecorded):
                self._host.drop(inv.task)
                agenda.keep(inv, None)
                inv.instance = None
                move(inv, Event.DROP)
