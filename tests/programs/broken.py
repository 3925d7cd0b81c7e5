"""Handlers that wait, with one rule broken each time: what random programs must find."""

from mutations import revive_forgets_answers_with_timeouts

from plexstream.hosts.native.waiting.asked.promises import NO_ENTRY, Promises
from plexstream.hosts.system.steps import Steps
from plexstream.hosts.system.tree import Tree
from plexstream.model.host import Result
from plexstream.model.journal.life import EXIT, SIGNALS, START
from plexstream.processor.actors.actors import Actors
from plexstream.processor.actors.lives import calls
from plexstream.processor.actors.lives.lives import Lives
from plexstream.processor.actors.times.expiry import Expiry
from plexstream.processor.mailbox import failures
from plexstream.processor.mailbox.door import Door
from plexstream.processor.mailbox.failures import Failures
from plexstream.processor.mailbox.later.queues import Queues
from plexstream.processor.state.histories.histories import Histories
from plexstream.processor.waiting.course import endings, lifecycle
from plexstream.processor.waiting.course.endings import Endings
from plexstream.processor.waiting.course.roster import Roster
from plexstream.processor.waiting.events.answers import Answers
from plexstream.processor.waiting.events.controls import Controls
from plexstream.processor.waiting.invocation.invocation import Invocation
from plexstream.processor.waiting.invocation.journal import Journal
from plexstream.sdk.machines.clocks import MEMORY, Clocks
from plexstream.sdk.machines.machine import Machine
from plexstream.sdk.running.savepoint import Savepoint


def poison_counts_the_waiting(patch):
    patch.setattr(Queues, "will_wait", lambda self, e: False)


def silent_trials_stay_suspects(patch):
    patch.setattr("plexstream.processor.journal.sums.fold.InboxFold.has", lambda self, offset: False)


def runs_inherit_steps(patch):
    """The next run is given the answers of the one before."""
    read = Histories.read
    seen = {}

    def mutant(self, address, number):
        history = read(self, address, number)
        known = seen.setdefault((id(self), address), {})
        known[number] = history or known.get(number, [])
        if "/flow" not in address:
            return history
        before = [s for n in sorted(known) if n < number for s in known[n]]
        return [*before, *history]

    patch.setattr(Histories, "read", mutant)


def promises_outlive_their_run(patch):
    patch.setattr(lifecycle, "PROMISES", "@none")


def parked_messages_skip_the_door(patch):
    """What was parked is run as it is: its key is not looked up, and nobody asks whether its actor lives."""
    invoke = Door.invoke

    def mutant(self, actor, topic, offset, e, must_read, inv=None):
        if inv is not None:
            e = e._replace(idempotency_key="")
        return invoke(self, actor, topic, offset, e, must_read, inv)

    patch.setattr(Door, "invoke", mutant)


def late_answers_count(patch):
    def mutant(self, command):
        self.outstanding[command.number] = command

    patch.setattr(Invocation, "wait_for", mutant)


def promises_are_not_looked_for(patch):
    patch.setattr(Answers, "look_for_promises", lambda self, inv: None)


def settled_promises_are_settled_again(patch):
    patch.setattr(Journal, "_settled_once", lambda self, inv, patch, fresh: patch)
    patch.setattr(Promises, "_entry", lambda self, name: NO_ENTRY)


def cancel_does_not_reach_down(patch):
    patch.setattr("plexstream.processor.waiting.events.controls.reach_down", lambda inv, what: [])
    patch.setattr(endings, "reach_down", lambda inv, what: [])


def killed_workflows_run_again(patch):
    patch.setattr(Endings, "_result_of_run", lambda *_: [])


def retries_are_forgotten(patch):
    failed = Failures.failed

    def mutant(self, actor, topic, offset, e, result, inv=None, shown=None):
        if inv is None and e.kind == 0:
            result = result._replace(code="rejected") if type(result) is Result else result
        return failed(self, actor, topic, offset, e, result, inv, shown)

    patch.setattr(Failures, "failed", mutant)


def steps_that_fail_are_final(patch):
    for where in (failures, lifecycle):
        patch.setattr(where, "FAILURES", frozenset(("failed", "error")))


def signals_that_fail_are_lost(patch):
    patch.setattr(failures, "FAILURES", frozenset())


def state_never_expires(patch):
    patch.setattr(Expiry, "expired", lambda self, actor: False)


def collections_do_not_expire(patch):
    def mutant(self, actor):
        self._actors.renew(actor)
        return []

    patch.setattr(Expiry, "renew", mutant)


def starts_forget_that_they_waited(patch):
    patch.setattr(Actors, "start_failed", lambda self, actor, code, detail: ([], []))


def init_hooks_are_left_out_of_replays(patch):
    patch.setattr("plexstream.hosts.native.host.init_ran", lambda history, seq: not history)


def ends_behind_a_wait_are_not_told(patch):
    sent = Lives.sent

    def mutant(self, address, ruling, life, outs, calls=()):
        if ruling is None:
            outs = [out for out in outs if out.handler != EXIT]
        return sent(self, address, ruling, life, outs, calls)

    patch.setattr(Lives, "sent", mutant)


def who_has_ended_goes_on(patch):
    rule = Lives.rule

    def mutant(self, address, life, had_turns, info, e):
        if life is not None and e.handler not in SIGNALS:
            life = life._replace(stopped=False)
        return rule(self, address, life, had_turns, info, e)

    patch.setattr(Lives, "rule", mutant)


def kept_events_stay_kept(patch):
    patch.setattr(Machine, "_next_kept", lambda self, running: "")


def kept_events_that_fail_leave_their_changes(patch):
    patch.setattr(Savepoint, "restore", lambda self: None)


def states_that_were_left_time_out(patch):
    def mutant(self, actor, entry, state):
        return self.states[state][0] if state == actor.fsm_state else None

    def forgetful(self, actor, state):
        memory = actor.__dict__[MEMORY]
        if memory.get("armed") != memory.get("entry"):
            memory.pop("timer", None)
        arm(self, actor, state)

    arm = Clocks.arm
    patch.setattr(Clocks, "is_up", mutant)
    patch.setattr(Clocks, "arm", forgetful)


def supervisors_never_give_up(patch):
    patch.setattr(Tree, "_may_restart", lambda self, child, reason: True)


def restarts_concern_the_child_alone(patch):
    restart = Tree._restart

    def mutant(self, child):
        before, self.head.strategy = self.head.strategy, "one_for_one"
        restart(self, child)
        self.head.strategy = before

    patch.setattr(Tree, "_restart", mutant)


def temporary_children_start_again_with_the_others(patch):
    stop = Steps._stop

    def mutant(self, child):
        bulk = bool(self.todo) and self.todo[0].what == "stop all" and self.head.phase != "stopping"
        child.again = child.again or (bulk and child.status == "running")
        return stop(self, child)

    patch.setattr(Steps, "_stop", mutant)


def stops_that_are_cut_short_end_nobody(patch):
    patch.setattr(endings, "ON_STOP", "none")


def starts_that_are_killed_are_not_told(patch):
    failed = Endings.life_failed

    def mutant(self, inv, code, detail):
        if code == "killed" and inv.begin.handler == START:
            return [], []
        return failed(self, inv, code, detail)

    patch.setattr(Endings, "life_failed", mutant)


def withdrawals_are_lost(patch):
    patch.setattr(Controls, "withdrawn", lambda self, _, cause: self._ledger.inbox.finish(cause.offset))


def withdrawals_behind_what_is_tried_again_are_lost(patch):
    park = Roster.park_queue
    patch.setattr(Roster, "park_queue", lambda self, a: park(self, a) if a.holder is not None else None)


def answered_calls_are_kept(patch):
    patch.setattr(calls, "_answer", lambda *_: ("", None, {}))


ALL = [
    revive_forgets_answers_with_timeouts,  # the simulation's
] + [
    value
    for name, value in list(globals().items())
    if getattr(value, "__module__", "") == __name__ and not name.startswith("_")
]
