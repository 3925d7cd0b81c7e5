"""A queue does what a simple model of one does, with crashes, and with those who are gone."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, Envelope, with_deadline

Q = "plex.queue/jobs"
ATTEMPTS = 3

seconds = st.integers(1, 4)
waits = st.one_of(st.just(0), st.none(), seconds)
stays = st.sampled_from([True, True, True, False])
operation = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 3), st.integers(0, 3), waits, stays),
    st.tuples(st.just("receive"), st.integers(1, 3), waits, seconds, stays),
    st.tuples(st.just("ack"), st.lists(st.integers(0, 30), min_size=1, max_size=3)),
    st.tuples(st.just("nack"), st.lists(st.integers(0, 30), min_size=1, max_size=2), st.integers(0, 3)),
    st.tuples(st.just("extend"), st.integers(0, 30), seconds),
    st.tuples(st.just("pass"), st.integers(1, 3)),
    st.tuples(st.just("configure"), st.integers(0, 5)),
    st.tuples(st.just("redrive")),
    st.tuples(st.just("drop")),
    st.tuples(st.just("purge")),
)


class Model:
    """Times in seconds. `answers`: what each call has been answered so far, by its number."""

    def __init__(self):
        self.now = 0
        self.last = 0
        self.bound = 0
        self.messages = {}  # number: [value, tries, forgiven, where, until]
        self.receivers, self.senders = [], []  # call, until, there, what is wanted
        self.answers = {}
        self.receipts = []

    def live(self):
        return [n for n, m in self.messages.items() if m[3] != "dead"]

    def take_in(self, values, delay):
        for value in values:
            self.last += 1
            until = self.now + delay
            self.messages[self.last] = [value, 0, 0, "delayed" if delay else "ready", until]

    def room(self, values):
        return not self.bound or len(self.live()) + len(values) <= self.bound

    def send(self, call, values, delay, wait, there):
        if self.bound and len(values) > self.bound:
            self.answers[call] = "rejected"
        elif not self.senders and self.room(values):
            self.answers[call] = [self.last + 1 + i for i in range(len(values))]
            self.take_in(values, delay)
        elif wait == 0:
            self.answers[call] = "rejected"
        else:
            until = None if wait is None else self.now + wait
            self.senders.append((call, until, there, (values, delay)))
        self.settle()

    def receive(self, call, limit, wait, visibility, there):
        until = None if wait is None else self.now + wait
        if self.ready():
            self.answers[call] = self.lend(limit, visibility)
        elif wait == 0:
            self.answers[call] = []
        else:
            self.receivers.append((call, until, there, (limit, visibility)))

    def ready(self):
        return sorted(n for n, m in self.messages.items() if m[3] == "ready")

    def lend(self, limit, visibility):
        found = []
        for n in self.ready()[:limit]:
            m = self.messages[n]
            m[1:] = [m[1] + 1, m[2], "held", self.now + visibility]
            self.receipts.append((n, m[1]))
            found.append((n, m[0], m[1] - m[2]))
        return found

    def holds(self, receipts):
        numbers = [n for n, _ in receipts]
        return len(set(numbers)) == len(numbers) and all(
            n in self.messages and self.messages[n][3] == "held" and self.messages[n][1] == tries
            for n, tries in receipts
        )

    def place(self, n, delay=0):
        m = self.messages[n]
        if m[1] - m[2] >= ATTEMPTS:
            m[3] = "dead"
        else:
            m[3:] = ["delayed", self.now + delay] if delay else ["ready", 0]

    def later(self, by):
        self.now += by
        for n, m in self.messages.items():
            if m[3] == "delayed" and m[4] <= self.now:
                m[3] = "ready"
            elif m[3] == "held" and m[4] <= self.now:
                self.place(n)
        for line, answer in ((self.receivers, []), (self.senders, "rejected")):
            for waiter in [w for w in line if w[1] is not None and w[1] <= self.now]:
                line.remove(waiter)
                self.answers[waiter[0]] = answer
        self.settle()

    def settle(self):
        while self.senders:
            call, _, there, (values, delay) = self.senders[0]
            if self.bound and len(values) > self.bound:
                self.answers[call] = "rejected"
            elif not self.room(values):
                break
            elif there:
                self.answers[call] = [self.last + 1 + i for i in range(len(values))]
                self.take_in(values, delay)
            del self.senders[0]
        while self.receivers and self.ready():
            call, _, there, (limit, visibility) = self.receivers.pop(0)
            if there:
                self.answers[call] = self.lend(limit, visibility)


class Run:
    """The same calls of a model and of the actor."""

    def __init__(self, crash_every):
        self.world = World(crash_every=crash_every, reply_ttl=10_000_000)
        self.model = Model()
        self.sent = 0
        self.calls = {}
        self.world.ask(Q, "configure", attempts=ATTEMPTS)

    def call(self, handler, there, **arguments):
        world = self.world
        world._number += 1
        id = f"m{world._number}" if there else with_deadline(f"m{world._number}", world.now)
        data = json.dumps(arguments).encode()
        world.mailbox.append(Envelope(ASK, id, full(Q), handler, data, reply_to="edge"))
        world.run()
        self.calls[id] = handler if there else None
        return id

    def pick(self, numbers):
        known = self.model.receipts
        return [known[n % len(known)] for n in numbers] if known else []

    def send(self, count, delay, wait, there):
        if not there and wait == 0:
            wait = None
        values = list(range(self.sent, self.sent + count))
        self.sent += count
        id = self.call("send", there, messages=values, delay=delay, wait=wait)
        self.model.send(id, values, delay, wait, there)

    def receive(self, limit, wait, visibility, there):
        if self.model.ready():
            there = True  # nobody knows that who gets an answer at once is gone
        id = self.call("receive", there, limit=limit, wait=wait, visibility=visibility)
        self.model.receive(id, limit, wait, visibility, there)

    def ack(self, numbers):
        if receipts := self.pick(numbers):
            id = self.call("ack", True, receipts=[f"{n}-{t}" for n, t in receipts])
            held = self.model.holds(receipts)
            self.model.answers[id] = len(receipts) if held else "rejected"
            for n, _ in receipts if held else []:
                del self.model.messages[n]
            self.model.settle()

    def nack(self, numbers, delay):
        if receipts := self.pick(numbers):
            id = self.call("nack", True, receipts=[f"{n}-{t}" for n, t in receipts], delay=delay)
            held = self.model.holds(receipts)
            self.model.answers[id] = len(receipts) if held else "rejected"
            for n, _ in receipts if held else []:
                self.model.place(n, delay)
            self.model.settle()

    def extend(self, number, visibility):
        if receipts := self.pick([number]):
            ((n, tries),) = receipts
            id = self.call("extend", True, receipt=f"{n}-{tries}", visibility=visibility)
            held = self.model.holds(receipts)
            until = self.model.now + visibility
            self.model.answers[id] = 1_000_000 + until * 1000 if held else "rejected"
            if held:
                self.model.messages[n][4] = until

    def later(self, by):
        self.world.run(by * 1000)
        self.model.later(by)

    def configure(self, bound):
        self.world.ask(Q, "configure", bound=bound)
        self.model.bound = bound
        self.model.settle()

    def dead(self):
        return sorted(n for n, m in self.model.messages.items() if m[3] == "dead")

    def redrive(self):
        if dead := self.dead():
            id = self.call("redrive", True, ids=dead)
            fits = self.model.room(dead)
            self.model.answers[id] = len(dead) if fits else "rejected"
            for n in dead if fits else []:
                m = self.model.messages[n]
                m[1:] = [m[1], m[1], "ready", 0]
            self.model.settle()

    def drop(self):
        if dead := self.dead():
            self.model.answers[self.call("drop", True, ids=dead)] = len(dead)
            for n in dead:
                del self.model.messages[n]

    def purge(self):
        id = self.call("purge", True)
        live = self.model.live()
        self.model.answers[id] = len(live)
        for n in live:
            del self.model.messages[n]
        self.model.settle()

    def compare(self):
        expected = {id: a for id, a in self.model.answers.items() if self.calls[id]}
        seen = {id: self.seen(id) for id, handler in self.calls.items() if handler}
        assert {id: answer for id, answer in seen.items() if answer is not None} == expected
        where = [m[3] for m in self.model.messages.values()]
        found = self.world.ask(Q, "depth")
        names = ("ready", "delayed", "in_flight", "dead", "receivers", "senders")
        counts = [where.count(w) for w in ("ready", "delayed", "held", "dead")]
        model = [*counts, len(self.model.receivers), len(self.model.senders)]
        assert [found[name] for name in names] == model

    def seen(self, id):
        answer = self.world.replies.get(id)
        if self.calls[id] == "receive" and isinstance(answer, list):
            return [(m["id"], m["value"], m["attempt"]) for m in answer]
        return answer


METHODS = {"pass": "later"}


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 3), st.lists(operation, max_size=25))
def test_a_queue_does_what_its_model_does(crash_every, operations):
    run = Run(crash_every)
    for name, *arguments in operations:
        getattr(run, METHODS.get(name, name))(*arguments)
        run.compare()
    for _ in range(40):  # all that is left is received in the end: nothing is lost
        run.receive(3, 0, 4, True)
        if run.model.receipts:
            run.ack([len(run.model.receipts) - 1])
        run.later(1)
        run.compare()
