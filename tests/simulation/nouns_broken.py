"""System actors with one rule broken each time."""

from plexstream.coordination.channels.messages import Messages
from plexstream.coordination.common import line as lines_of_queues
from plexstream.coordination.held.line import Line
from plexstream.coordination.held.tenure import Tenure
from plexstream.coordination.kept.kv import KeyValue
from plexstream.coordination.space.content import Content
from plexstream.coordination.space.offers import Offers
from plexstream.coordination.space.waiting import Walk
from plexstream.sdk.host.host import host


def a_take_does_not_remove(patch):
    patch.setattr(Content, "take", lambda self, entry, by, whose: None)


def what_a_waiting_take_got_is_kept(patch):
    taken = Content.taken

    def mutant(self, entry, by, whose):
        taken(self, entry, by, whose)
        self.keep(entry)

    patch.setattr(Content, "taken", mutant)


def only_takes_that_wait_are_served(patch):
    patch.setattr(Offers, "_to_reads", lambda self, entry, after, last: None)


def the_last_who_waits_for_a_tuple_gets_it(patch):
    numbers = Walk._numbers
    patch.setattr(Walk, "_numbers", lambda self: reversed(list(numbers(self))))


def tuples_do_not_expire(patch):
    patch.setattr(Content, "expire", lambda self, size, id: 0)


def a_lock_is_given_twice(patch):
    take = Tenure.take

    def mutant(self, holder, lease, wait):
        self._owner.held = []
        return take(self, holder, lease, wait)

    patch.setattr(Tenure, "take", mutant)


def leases_last_a_little_longer(patch):
    grant = Tenure._grant
    patch.setattr(Tenure, "_grant", lambda self, holder, length: grant(self, holder, length + 1))


def leases_do_not_end(patch):
    patch.setattr(Tenure, "settle", lambda self: None)


def tokens_come_again(patch):
    grant = Tenure._grant
    patch.setattr(Tenure, "_grant", lambda self, *given: grant(self, *given)._replace(token=1))


def a_waiter_for_a_lock_is_served_out_of_turn(patch):
    def mutant(self, answer, last=None):
        rows = list(self._rows.range())
        for number, (token, _, until, *wish) in reversed(rows):
            self._leave(number, until)
            if host.reply(token, answer(wish)):
                return wish
        return None

    patch.setattr(Line, "serve", mutant)


def a_lock_goes_to_who_has_gone(patch):
    def mutant(self, answer, last=None):
        for number, (token, _, until, *wish) in self._rows.range():
            self._leave(number, until)
            host.reply(token, answer(wish))
            return wish
        return None

    patch.setattr(Line, "serve", mutant)


def a_queue_delivers_what_was_acknowledged(patch):
    patch.setattr(Messages, "finish", lambda self, number, row: self.give_back(number, row, 0))


def a_queue_delivers_to_two(patch):
    lend = Messages.lend

    def mutant(self, picked, visibility):
        lend(self, picked, visibility)
        for number, row in picked:
            self._of.ready[number] = row

    patch.setattr(Messages, "lend", mutant)


def a_queue_gives_the_last_first(patch):
    def mutant(self, limit):
        return list(self._of.ready.range(None, None, limit=limit, reverse=True))

    patch.setattr(Messages, "pick", mutant)


def a_waiter_at_a_queue_is_served_out_of_turn(patch):
    patch.setattr(lines_of_queues.Line, "first", lambda self: self._rows.last())


def versions_do_not_rise(patch):
    set_ = KeyValue._set

    def mutant(self, key, value, ends):
        version = set_(self, key, value, ends)
        self.version -= 1
        return version

    patch.setattr(KeyValue, "_set", mutant)


KINDS = {
    a_take_does_not_remove: "plex.space",
    what_a_waiting_take_got_is_kept: "plex.space",
    only_takes_that_wait_are_served: "plex.space",
    the_last_who_waits_for_a_tuple_gets_it: "plex.space",
    tuples_do_not_expire: "plex.space",
    a_lock_is_given_twice: "plex.lock",
    leases_last_a_little_longer: "plex.lock",
    leases_do_not_end: "plex.lock",
    tokens_come_again: "plex.lock",
    a_waiter_for_a_lock_is_served_out_of_turn: "plex.lock",
    a_lock_goes_to_who_has_gone: "plex.lock",
    a_queue_delivers_what_was_acknowledged: "plex.queue",
    a_queue_delivers_to_two: "plex.queue",
    a_queue_gives_the_last_first: "plex.queue",
    a_waiter_at_a_queue_is_served_out_of_turn: "plex.queue",
    versions_do_not_rise: "plex.kv",
}
"""The kind of actor that each breaks."""
