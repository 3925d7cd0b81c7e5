"""The protocol with one rule broken each time. What a rule is for shows in what goes wrong without it."""

from collections import deque

from plexstream.log.base import Ack
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.journal.journal import DONE, Claim, CommandKind, Inbox, Step, Turn
from plexstream.model.journal.snapshot import Piece
from plexstream.model.messages import idempotency
from plexstream.model.messages.message import ASK
from plexstream.node.ingest.feed import Feed
from plexstream.node.ingest.sources.source import Source
from plexstream.node.partition.outgoing.relay import Relay, _Way
from plexstream.node.partition.service.driver import Driver
from plexstream.node.partition.service.service import Service
from plexstream.node.partition.sums import lineage
from plexstream.node.partition.sums.lineage import Comparison
from plexstream.node.partition.takeover import takeover
from plexstream.node.partition.takeover.takeover import Takeover
from plexstream.node.partition.upkeep.upkeep import Upkeep
from plexstream.processor import Processor
from plexstream.processor.actors import actors, refusals
from plexstream.processor.actors.lives.lives import Lives
from plexstream.processor.actors.lives.signals import Ruling
from plexstream.processor.actors.refusals import Refusals
from plexstream.processor.journal import turns
from plexstream.processor.journal.ledger import Ledger
from plexstream.processor.journal.restore import Restore
from plexstream.processor.journal.sums.fold import Fold, InboxFold
from plexstream.processor.journal.sums.inbox import InboxState
from plexstream.processor.mailbox import door, failures
from plexstream.processor.mailbox.care import Care
from plexstream.processor.mailbox.door import Door
from plexstream.processor.state.histories.histories import Histories
from plexstream.processor.state.histories.history import NOTED
from plexstream.processor.state.pieces import Pieces
from plexstream.processor.state.timers import Timers
from plexstream.processor.waiting.course import endings, lifecycle
from plexstream.processor.waiting.course.effects import Effects
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.events.answers import Answers
from plexstream.processor.waiting.events.deadlock import Deadlocks
from plexstream.processor.waiting.events.revival import Revival
from plexstream.processor.waiting.invocation.invocation import no_cause
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.processor.waiting.invocation.machine import State
from plexstream.store.memory import MemoryStore
from plexstream.testing.simulation.network import log as simulated_log
from plexstream.testing.simulation.network import network
from plexstream.testing.simulation.network.log import SimLog, SimTransaction
from plexstream.testing.simulation.network.network import SimProducer


def reading_rule_ignored(patch):
    take = Fold.take

    def mutant(self, offset, record):
        if type(record) is Turn:
            record = record._replace(claim=self.claim)
        return take(self, offset, record)

    patch.setattr(Fold, "take", mutant)


def repetitions_count(patch):
    follows = Fold.follows

    def mutant(self, offset, ordinal):
        return follows(self, offset, ordinal) or 0 < ordinal <= self.ordinal

    patch.setattr(Fold, "follows", mutant)
    patch.setattr(Fold, "counted", _by_claim_alone)


def holes_count(patch):
    follows = Fold.follows

    def mutant(self, offset, ordinal):
        if ordinal > self.ordinal + 1:
            self.ordinal = ordinal - 1
        return follows(self, offset, ordinal)

    patch.setattr(Fold, "follows", mutant)


def _by_claim_alone(self, offset, record):
    latest = max((claim for claim in self.claims if claim < offset), default=-1)
    return type(record) is not Claim and record.claim == latest


def repetitions_not_noted(patch):
    patch.setattr(Fold, "counted", _by_claim_alone)


def gap_not_read(patch):
    def mutant(self, offset):
        group = self.in_flight.popleft()
        self._apply(group, range(offset - len(group.records) + 1, offset + 1))

    patch.setattr(Ledger, "acknowledged", mutant)


def claims_in_gaps_overlooked(patch):
    gap = Processor.gap

    def mutant(self, records):
        gap(self, [(offset, None if type(record) is Claim else record) for offset, record in records])

    patch.setattr(Processor, "gap", mutant)


def _predicted(processor, group_records):
    in_flight = list(processor.in_flight)
    first = processor.fold.next + sum(len(group.records) for group in in_flight[:-1])
    return enumerate(group_records, first)


def attempts_begin_anew_in_the_journal(patch):
    def mutant(self, inv, actor, e, tried, outs=None):
        ended = self._actors.end_trying(actor, e)
        self.note(inv, no_cause(), [NOTED], outs, ended)

    patch.setattr(Journal, "take_over", mutant)


def what_waits_in_the_journal_overtakes_a_retry(patch):
    of = Roster.of
    patch.setattr(Roster, "of", lambda self, address: of(self, address)[::-1])


def outputs_before_acknowledgement(patch):
    take = Processor.take

    def mutant(self):
        records = take(self)
        for offset, record in _predicted(self, records or []):
            if type(record) is Turn and record.outs:
                self.outbox.owe(offset, record)
        return records

    patch.setattr(Processor, "take", mutant)


def store_ahead_of_the_log(patch):
    take = Processor.take

    def mutant(self):
        records = take(self)
        for offset, record in _predicted(self, records or []):
            if type(record) is Turn:
                self.pieces.apply(offset, record)
        return records

    patch.setattr(Processor, "take", mutant)


def reads_without_proof(patch):
    take = Processor.take

    def mutant(self):
        self.answers.extend(self.ledger.pending_answers)
        self.ledger.pending_answers = []
        return take(self)

    patch.setattr(Processor, "take", mutant)


def origins_not_compared(patch):
    admit = InboxState.admit
    patch.setattr(InboxState, "admit", lambda self, offset, *_: admit(self, offset, "", 0, 0))


def watermark_beyond_the_mark(patch):
    def mutant(self, topic):
        self.next = max([self.next, *(span.end for span in plain(self, topic).spans[:1])])
        inbox = plain(self, topic)
        return inbox._replace(next=max(self.next, self.low))

    plain = InboxFold.plain
    patch.setattr(InboxFold, "plain", mutant)


def done_set_forgotten(patch):
    init = InboxState.__init__

    def mutant(self, topic, fold):
        init(self, topic, fold)
        self.done = deque()

    patch.setattr(InboxState, "__init__", mutant)


def waiting_counts_as_done(patch):
    plain = InboxState.plain

    def mutant(self):
        inbox = plain(self)
        return Inbox(inbox.topic, inbox.next, inbox.next, (), inbox.origins)

    patch.setattr(InboxState, "plain", mutant)


def relay_reordered(patch):
    take = Relay.take

    def mutant(self, p, now):
        queue = p.outbox.mails.queue
        turns = list(queue)
        queue.clear()
        queue.extend(reversed(turns))
        take(self, p, now)

    patch.setattr(Relay, "take", mutant)


def what_is_behind_not_read(patch):
    patch.setattr(Relay, "wants_journal", lambda self: False)


def behind_of_any_reign(patch):
    patch.setattr(Fold, "counted", lambda self, offset, record: True)


def failed_mails_forgotten(patch):
    def mutant(self, flight, error):
        way = self._ways.get(flight.place)
        if way is not None and flight in way.flying:
            way.flying.remove(flight)

    patch.setattr(Relay, "failed", mutant)


def behind_counts_as_arrived(patch):
    first = _Way.first
    patch.setattr(_Way, "first", lambda self: -1 if self.behind >= 0 else first(self))


def debts_forgotten(patch):
    patch.setattr(Restore, "still_owed", lambda self: [])


def lane_position_ignored(patch):
    patch.setattr(SimTransaction, "position", lambda self, place: None)


def transactions_without_fencing(patch):
    patch.setattr(MemoryLog, "_check_epoch", lambda self, id, epoch: None)


def trimmed_beyond_the_floor(patch):
    saved = Upkeep.saved

    def mutant(self, batch):
        if self._saving is not None:
            number, p = self._saving
            self._saving = number, p._replace(floor=p.start, unsaved=p.start)
        saved(self, batch)

    patch.setattr(Upkeep, "saved", mutant)


def acknowledged_without_an_offset(patch):
    def mutant(place, token, offset):
        return Ack(*place, token, -1 if offset is None else offset, None)

    patch.setattr(network, "appended", mutant)
    patch.setattr(SimProducer, "paced", lambda self: self)


def first_batches_not_alone(patch):
    patch.setattr(SimProducer, "paced", lambda self: self)


def negative_offsets_are_numbers(patch):
    patch.setattr(simulated_log, "known_offset", lambda offset, doing: offset)


def leaders_of_before_believed(patch):
    patch.setattr(simulated_log, "believed", lambda place, found, contradicted: found)


def positions_without_a_proof(patch):
    transaction = SimLog.transaction
    patch.setattr(SimLog, "transaction", lambda self, id, life="", witness=None: transaction(self, id, life))


def trimmed_before_the_commit(patch):
    snapshot = Upkeep.snapshot

    def mutant(self, now):
        snapshot(self, now)
        if self._saving is not None and not self._more:
            self.saved(self._saving[0])

    patch.setattr(Upkeep, "snapshot", mutant)


def timers_fire_while_it_lets_go(patch):
    patch.setattr(Service, "_pass_time", lambda self, now: self.processor.tick(now))
    patch.setattr(Processor, "let_go", lambda self: None)


def questions_asked_once_only(patch):
    patch.setattr(Takeover, "go_on", lambda self: None)


def answers_heeded_too_late(patch):
    patch.setattr(Driver, "answered", lambda self, then, result: then(result))


def replies_not_kept(patch):
    patch.setattr(Pieces, "outcome", lambda self, address, name, now: None)


def timers_fire_again(patch):
    drop = Pieces._drop

    def mutant(self, offset, key):
        if key[0] != Piece.TIMER:
            drop(self, offset, key)

    patch.setattr(Pieces, "_drop", mutant)


def timers_fire_after_their_end(patch):
    patch.setattr(Timers, "live", lambda self, actor, id, offset: True)
    patch.setattr(Pieces, "touched", lambda self, actor, id: False)


def timers_lost_in_takeovers(patch):
    patch.setattr(MemoryStore, "due", lambda self, after, limit: [])


def series_not_set_anew(patch):
    for where in (door, failures, refusals):
        patch.setattr(where, "again", lambda e, now, outs=(): [])


def series_end_with_a_failure(patch):
    def mutant(self, turn, seen=True):
        rest = [out for out in turn.outs if not (turn.cause_topic == "timer" and out.id == turn.message_id)]
        append(self, turn._replace(outs=rest) if turn.status else turn, seen)

    append = Ledger.append
    patch.setattr(Ledger, "append", mutant)


def a_series_ends_where_its_message_is_parked(patch):
    take_over = Journal.take_over
    patch.setattr(Journal, "take_over", lambda self, inv, actor, e, tried, outs=None: take_over(self, inv, actor, e, tried))  # noqa: E501


def positions_before_what_they_stand_for(patch):
    batch = Source.batch

    def mutant(self, behind, size):
        self.done = behind
        return batch(self, behind, size)

    patch.setattr(Source, "batch", mutant)


def sources_without_numbers(patch):
    message = Feed.message

    def mutant(self, record, origin):
        return message(self, record, origin)._replace(origin="")

    patch.setattr(Feed, "message", mutant)


def busy_actors_evicted(patch):
    patch.setattr(actors, "_free", lambda actor, acknowledged: actor.queue is None)


def queue_overtaken(patch):
    execute = Door.execute

    def mutant(self, topic, offset, e):
        actor = self._actors.active.get(e.target)
        if actor is not None and actor.queue is not None and actor.tried:
            queue, actor.queue = actor.queue, None
            execute(self, topic, offset, e)
            actor.queue = queue if actor.queue is None else deque([*actor.queue, *queue])
        else:
            execute(self, topic, offset, e)

    patch.setattr(Door, "execute", mutant)


def poison_never_put_aside(patch):
    init = Care.__init__

    def mutant(self, fold, settings):
        init(self, fold, settings)
        self.poison = -1

    patch.setattr(Care, "__init__", mutant)


def lives_forgotten(patch):
    patch.setattr(Lives, "of", lambda self, address: None)


def failures_not_told(patch):
    patch.setattr(Lives, "failed", lambda self, *_: Ruling(None, [], []))


def effects_before_acknowledgement(patch):
    def mutant(self):
        while self._gated:
            _, inv, call = self._gated.popleft()
            inv.running[call.number] = call
            self.ready.append(call)

    patch.setattr(Effects, "acknowledged", mutant)


def beginnings_not_recorded_first(patch):
    write = Journal._write

    def mutant(self, inv, status, cause, *more, **named):
        if cause.topic:
            inv.cause = None
        write(self, inv, status, cause, *more, **named)

    patch.setattr(Journal, "_write", mutant)


def nobody_waits_for_a_waiting_handler(patch):
    patch.setattr(Door, "_wait", lambda self, *_: False)


def sleeps_outlive_their_handlers(patch):
    for where in (lifecycle, endings):
        patch.setattr(where, "sleeps_back", lambda *_: [])


def answers_come_to_others(patch):
    def mutant(self, reference):
        address, _, rest = reference.rpartition("#")
        number = int(rest.partition(".")[2])
        live = self._roster.live
        latest = max(live.get(address, {0: None}))
        return live.get(address, {}).get(latest), number, 0

    patch.setattr(Answers, "_find", mutant)


def numbers_given_to_two_invocations(patch):
    apply = Pieces.apply

    def mutant(self, offset, turn):
        before = self.core(turn.actor).seq
        apply(self, offset, turn)
        if type(turn) is Step and turn.status != DONE and turn.actor in self.cores:
            self.cores[turn.actor].seq = before

    patch.setattr(Pieces, "apply", mutant)


def parked_messages_forgotten(patch):
    patch.setattr(Roster, "attach", lambda self, actor: None)


def steps_forgotten_in_takeovers(patch):
    patch.setattr(Histories, "load", lambda self: None)


def revive_forgets_answers_with_timeouts(patch):
    restore = Revival.restore

    def mutant(self):
        restore(self)
        timed = (inv for inv in self._agenda.ready if inv.outstanding)
        for inv in [i for i in timed if {c.kind for c in i.outstanding.values()} == {CommandKind.SLEEP}]:
            self._agenda.ready.remove(inv)
            inv.state = State.ASLEEP

    patch.setattr(Revival, "restore", mutant)


def circles_not_looked_for(patch):
    patch.setattr(Deadlocks, "look", lambda self, actor: None)


def other_histories_taken(patch):
    patch.setattr(takeover, "unfit", lambda *_: None)
    patch.setattr(Comparison, "differs", lambda *_: "")


def other_lives_taken(patch):
    patch.setattr(lineage, "other_life", lambda *_: False)
    patch.setattr(Comparison, "differs", lambda *_: "")


def keys_used_with_other_arguments(patch):
    patch.setattr(idempotency, "differs", lambda *_: False)


def results_of_tells_forgotten(patch):
    patch.setattr(door, "result_out", lambda *_: [])


def failures_of_tells_forgotten(patch):
    patch.setattr(turns, "is_kept", lambda kind, code: kind == ASK and code in ("", "rejected"))


def repetitions_overwrite_what_is_kept(patch):
    refuse = Refusals.refuse

    def mutant(self, topic, offset, e, *more, **named):
        kept = self.kept
        self.kept = lambda _: None
        refuse(self, topic, offset, e, *more, **named)
        self.kept = kept

    patch.setattr(Refusals, "refuse", mutant)


def same_calls_forgotten_in_takeovers(patch):
    def mutant(self, inv):
        return bool(inv.name) and self.under_way(inv.envelope(), inv) is not None

    patch.setattr(Roster, "_waits_for_same", mutant)


ALL = [
    value
    for name, value in list(globals().items())
    if getattr(value, "__module__", "") == __name__ and not name.startswith("_")
]
