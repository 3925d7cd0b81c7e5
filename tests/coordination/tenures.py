"""What is held by one at a time, against a model: the same for locks and elections."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from waiters import Guest
from world import World

LEASES = st.sampled_from([0.5, 1, 2, 5])
WAITS = st.sampled_from([0, 0.5, 1, 3, None])


class Tenures(RuleBasedStateMachine):
    """Of those who wait the model knows [id of the reply, name, lease in ms, until when; None: for ever]."""

    def __init__(self):
        super().__init__()
        self.names = 0
        self.held = None  # name, number, due
        self.queue = []
        self.given = []  # all numbers, in order
        self.expected = {}  # id -> None, "left" or (name, due)

    @initialize(crash_every=st.sampled_from([0, 1, 2, 3]))
    def begin(self, crash_every):
        self.world = World(Guest, crash_every=crash_every)

    def name(self):
        self.names += 1
        return f"n{self.names}"

    @rule(lease=LEASES, wait=WAITS)
    def take(self, lease, wait):
        name = self.name()
        words = {self.words["by"]: name}
        id = self.world.start(self.address, self.words["take"], lease=lease, wait=wait, **words)
        self.taken(id, name, lease, wait)

    @rule(lease=LEASES)
    def take_by_a_guest(self, lease):
        name = f"g{self.name()}"
        arguments = {self.words["by"]: name, "lease": lease, "wait": None}
        id = self.world.start(
            f"guest/{name}", "want_or_leave", to=self.address, handler=self.words["take"], arguments=arguments
        )
        self.taken(id, name, lease, None)

    def taken(self, id, name, lease, wait):
        if self.held is None:
            assert not self.queue
            self.give(id, name, lease)
        elif wait == 0:
            self.expected[id] = None
        else:
            self.queue.append([id, name, lease, None if wait is None else self.world.now + wait * 1000])

    def give(self, id, name, lease):
        due = self.world.now + lease * 1000
        self.expected[id] = (name, due)
        number = self.world.replies[id][self.words["number"]]
        assert not self.given or number > self.given[-1]
        self.given.append(number)
        self.held = [name, number, due]

    def hand_on(self):
        self.held = None
        if self.queue:
            id, name, lease, _ = self.queue.pop(0)
            self.give(id, name, lease)

    @precondition(lambda self: self.guests())
    @rule(data=st.data())
    def leave(self, data):
        waiter = data.draw(st.sampled_from(self.guests()))
        self.world.tell(f"guest/{waiter[1]}", "leave")
        self.world.run()
        self.expected[waiter[0]] = "left"
        self.queue.remove(waiter)

    def guests(self):
        return [waiter for waiter in self.queue if waiter[1].startswith("g")]

    @precondition(lambda self: self.held)
    @rule()
    def end(self):
        self.call(self.words["end"])
        self.hand_on()

    @precondition(lambda self: self.held)
    @rule(lease=LEASES)
    def renew(self, lease):
        answer = self.call("renew", lease=lease)
        self.held[2] = self.world.now + lease * 1000
        assert answer["due"] == self.held[2]

    def call(self, handler, **arguments):
        return self.world.ask(self.address, handler, **{self.words["number"]: self.held[1]}, **arguments)

    @precondition(lambda self: self.given)
    @rule(data=st.data(), handler=st.sampled_from(["end", "renew"]))
    def late(self, data, handler):
        number = data.draw(st.sampled_from(self.given)) + data.draw(st.sampled_from([-1, 0, 1]))
        if self.held is None or number != self.held[1]:
            handler = self.words.get(handler, handler)
            assert self.world.ask(self.address, handler, **{self.words["number"]: number}) == "rejected"

    @rule(ms=st.sampled_from([0, 1, 499, 500, 1000, 2500]))
    def pass_time(self, ms):
        self.world.run(ms)
        now = self.world.now
        for waiter in [w for w in self.queue if w[3] is not None and w[3] <= now]:
            self.expected[waiter[0]] = None
            self.queue.remove(waiter)
        if self.held and self.held[2] <= now:
            self.hand_on()

    @rule()
    def lose_everything(self):
        self.world.restart()
        self.world.run()

    @invariant()
    def who_waits_has_no_answer_and_all_others_theirs(self):
        replies = self.world.replies if self.expected or self.queue else {}
        for id, *_ in self.queue:
            assert id not in replies
        for id, expected in self.expected.items():
            got = replies[id]
            if isinstance(expected, tuple):
                got = got[self.words["who"]], got["due"]
            assert got == expected

    @invariant()
    def the_status_is_the_models(self):
        if not self.names:
            return
        status = self.world.ask(self.address, "status")
        assert status["waits"] >= len(self.queue)  # who has gone is found out later
        shown = [status[self.words["who"]], status[self.words["number"]], status["due"]]
        assert shown == (self.held or [None, None, None])
        assert status["newest"] == (self.given[-1] if self.given else 0)
        waiting = [w[self.words["who"]] for w in status["waiting"]]
        assert [w for w in waiting if w in {q[1] for q in self.queue}] == [q[1] for q in self.queue]


def machine(address, words):
    """The tests of one kind of tenure, by its address and what it calls things."""
    kind = type("Kind", (Tenures,), {"address": address, "words": words})
    kind.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
    return kind.TestCase
