"""A channel does what a simple model of one does: all subscribers get all that they want, in order, once."""

from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from plexstream import actor, handler, state_list

C = "plex.channel/news"
NAMES = ("a", "b", "c")
TOPICS = ("", "x", "xy", "y")
PATTERNS = {"*": TOPICS, "x*": ("x", "xy"), "*y": ("xy", "y"), "": ("",)}

names = st.sampled_from(NAMES)
starts = st.sampled_from(["now", "start"])
operation = st.one_of(
    st.tuples(st.just("publish"), st.integers(1, 3), st.sampled_from(TOPICS)),
    st.tuples(st.just("subscribe"), names, st.booleans(), st.sampled_from(sorted(PATTERNS)), starts),
    st.tuples(st.just("unsubscribe"), names),
    st.tuples(st.just("fetch"), names, st.integers(1, 3)),
    st.tuples(st.just("wait"), names),
    st.tuples(st.just("commit"), names, st.integers(0, 3)),
    st.tuples(st.just("configure"), st.integers(0, 4)),
)


@actor(name="listener")
class Listener:
    heard: list = state_list()

    @handler("hear")
    def hear(self, message: dict):
        self.heard.append([message["position"], message["topic"]])

    @handler("all", read_only=True)
    def all(self) -> list:
        return list(self.heard)


class Run:
    """The same calls of the actor and of a model: a list of topics, and what each name is to have heard."""

    def __init__(self, crash_every):
        self.world = World(Listener, crash_every=crash_every, reply_ttl=10_000_000)
        self.log = []
        self.keep = 0
        self.first = 1  # position of the oldest that is kept
        self.told, self.cursors = {}, {}  # by name: pattern; pattern and position
        self.heard = {name: [] for name in NAMES}

    def ask(self, what, /, **arguments):
        return self.world.ask(C, what, **arguments)

    def trim(self):
        if self.keep:
            self.first = max(self.first, len(self.log) - self.keep + 1)

    def kept(self, pattern, since):
        first = max(self.first, since + 1)
        positions = range(first, len(self.log) + 1)
        return [[p, self.log[p - 1]] for p in positions if self.log[p - 1] in PATTERNS[pattern]]

    def publish(self, count, topic):
        before = len(self.log)
        positions = list(range(before + 1, before + count + 1))
        assert self.ask("publish", messages=[0] * count, topic=topic) == positions
        self.log += [topic] * count
        for name, pattern in self.told.items():
            self.heard[name] += [[p, topic] for p in positions if topic in PATTERNS[pattern]]
        self.trim()

    def seen(self, answer):
        return [[message["position"], message["topic"]] for message in answer["messages"]]

    def subscribe(self, name, told, pattern, start):
        given = {"to": f"listener/{name}", "handler": "hear"} if told else {}
        found = self.ask("subscribe", name=name, topic=pattern, start=start, **given)
        since = len(self.log) if start == "now" else self.first - 1
        if told:
            self.cursors.pop(name, None)
            if name not in self.told:
                assert found == since
                self.heard[name] += self.kept(pattern, since)
            self.told[name] = pattern
        else:
            self.told.pop(name, None)
            at = self.cursors[name][1] if name in self.cursors else since
            self.cursors[name] = (pattern, found)
            assert at <= found <= len(self.log)  # it may have passed what was not for it

    def unsubscribe(self, name):
        there = self.told.pop(name, None) is not None or self.cursors.pop(name, None) is not None
        assert self.ask("unsubscribe", name=name) is there

    def fetch(self, name, limit):
        found = self.ask("fetch", subscriber=name, limit=limit)
        if name not in self.cursors:
            assert found == "rejected"
        else:
            pattern, at = self.cursors[name]
            assert self.seen(found) == self.kept(pattern, at)[:limit]
            assert found["missed"] == max(0, self.first - 1 - at)

    def wait(self, name):
        if name in self.cursors and not self.kept(*self.cursors[name]):
            at = self.ask("fetch", subscriber=name)["position"]
            id = self.world.start(C, "fetch", subscriber=name, wait=3)
            assert id not in self.world.replies
            self.world.run(3_000)
            assert self.world.replies[id]["messages"] == []
            self.cursors[name] = (self.cursors[name][0], max(at, self.cursors[name][1]))

    def commit(self, name, by):
        if name in self.cursors:
            pattern, at = self.cursors[name]
            found = self.ask("commit", subscriber=name, position=at + by)
            assert found == (len(self.log) - at - by if at + by <= len(self.log) else "rejected")
            if found != "rejected":
                self.cursors[name] = (pattern, at + by)

    def configure(self, count):
        self.keep = count
        self.ask("configure", count=count)
        self.trim()


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 3), st.lists(operation, max_size=25))
def test_a_channel_does_what_its_model_does(crash_every, operations):
    run = Run(crash_every)
    for name, *arguments in operations:
        getattr(run, name)(*arguments)
        for who in NAMES:
            assert run.world.ask(f"listener/{who}", "all") == run.heard[who]
    status = run.ask("status")
    kept = [status[name] for name in ("first", "last", "told", "fetching", "untold")]
    assert kept == [run.first, len(run.log), len(run.told), len(run.cursors), 0]
