"""Process groups: who is in one, and messages to all of them, with real actors as members."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from plexstream import Retry, actor, handler, host, state
from plexstream.coordination.common import spread
from plexstream.model.messages.address import full

GROUP = "plex.group/choir"


@actor(name="singer", retry=Retry(attempts=1))
class Singer:
    heard: list = state(default_factory=list)

    @handler("*")
    def any(self, **line):
        self.heard.append(line)
        if "log" in line:
            host.tell("log/1", "line", who=host.self_id(), n=line["log"])

    @handler("sing")
    def sing(self, line, topic=""):
        host.tell(GROUP, "publish", payload={"line": line}, topic=topic)

    @handler("fail")
    def fail(self):
        raise ValueError("a sore throat")

    @handler("go")
    def go(self, reason="normal"):
        host.exit(reason)

    @handler("begin")
    def begin(self, id: str):
        host.spawn("singer", id)

    @handler("heard", read_only=True)
    def tell(self):
        return self.heard


@actor(name="caller")
class Caller:
    """Has handlers of names of its own, and none for the rest."""

    heard: list = state(default_factory=list)

    @handler("message")
    def message(self, line: str):
        self.heard.append(line)

    @handler("shout")
    def shout(self, line: str):
        self.heard.append(line.upper())

    @handler("heard", read_only=True)
    def tell(self):
        return self.heard


@actor(name="log")
class Log:
    lines: list = state(default_factory=list)

    @handler("line")
    def line(self, who: str, n: int):
        self.lines.append([who, n])

    @handler("get", read_only=True)
    def get(self):
        return self.lines


def new_world(crash_every=0):
    return World(Singer, Caller, Log, crash_every=crash_every)


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return new_world(request.param)


def join(world, *members, topics=()):
    return [world.ask(GROUP, "join", member=member, topics=list(topics)) for member in members]


def heard(world, *members):
    return [[line["line"] for line in world.ask(member, "heard")] for member in members]


def watched(world):
    return [key for field, key in world.links(GROUP) if field == "$watching"]


def test_who_publishes_does_not_hear_it(world):
    join(world, "singer/a", "singer/b", "singer/c")
    world.tell("singer/a", "sing", line="la")
    world.run()
    assert heard(world, "singer/a", "singer/b", "singer/c") == [[], ["la"], ["la"]]


def test_from_outside_a_sender_is_named_in_either_form(world):
    join(world, "singer/a", "singer/b")
    for sender in ("singer/a", "default/default/singer/a"):
        assert world.ask(GROUP, "publish", payload={"line": "la"}, sender=sender) == 1
    assert world.ask(GROUP, "publish", payload={"line": "so"}) == 2
    assert heard(world, "singer/a", "singer/b") == [["so"], ["la", "la", "so"]]


def test_a_message_has_the_name_of_its_handler(world):
    join(world, "caller/a")
    world.ask(GROUP, "publish", payload={"line": "la"})
    world.ask(GROUP, "publish", payload={"line": "la"}, handler="shout")
    assert world.ask("caller/a", "heard") == ["la", "LA"]


def test_a_member_may_join_twice_and_its_topics_are_united(world):
    assert join(world, "singer/a", "default/default/singer/a", topics=["bass"]) == [True, False]
    assert join(world, "singer/a", topics=["alto", "alto"]) == [False]
    assert world.ask(GROUP, "topics") == {"alto": 1, "bass": 1}
    assert world.ask(GROUP, "status")["members"] == world.ask(GROUP, "count") == 1
    assert len(watched(world)) == 1


def test_a_topic_is_heard_by_those_who_are_in_it(world):
    join(world, "singer/a", topics=["bass"])
    join(world, "singer/b", topics=["bass", "alto"])
    join(world, "singer/c")
    assert world.ask(GROUP, "publish", payload={"line": "do"}, topic="bass", sender="singer/a") == 1
    assert world.ask(GROUP, "publish", payload={"line": "re"}, topic="alto", sender="singer/a") == 1
    assert world.ask(GROUP, "publish", payload={"line": "mi"}, topic="none") == 0
    assert heard(world, "singer/a", "singer/b", "singer/c") == [[], ["do", "re"], []]
    assert world.ask(GROUP, "members", topic="bass") == ["singer/a", "singer/b"]
    assert world.ask(GROUP, "count", topic="bass") == 2
    assert world.ask(GROUP, "first", topic="alto") == "singer/b"


def test_a_topic_that_begins_like_another_is_another(world):
    join(world, "singer/a", topics=["a"])
    join(world, "singer/b", topics=["ab"])
    assert world.ask(GROUP, "members", topic="a") == ["singer/a"]


def test_members_come_in_pages(world):
    join(world, *(f"singer/{n}" for n in "cabed"))
    assert world.ask(GROUP, "members", limit=2) == ["singer/a", "singer/b"]
    assert world.ask(GROUP, "members", after="singer/b", limit=2) == ["singer/c", "singer/d"]
    assert world.ask(GROUP, "members", after="singer/d") == ["singer/e"]
    assert world.ask(GROUP, "first") == "singer/a"


def test_who_has_left_hears_nothing_and_is_not_watched(world):
    join(world, "singer/a", "singer/b", topics=["bass"])
    assert world.ask(GROUP, "leave", member="singer/a") is True
    assert world.ask(GROUP, "leave", member="singer/a") is False
    world.ask(GROUP, "publish", payload={"line": "la"})
    world.ask(GROUP, "publish", payload={"line": "la"}, topic="bass")
    assert heard(world, "singer/a", "singer/b") == [[], ["la", "la"]]
    assert not world.ask(GROUP, "is_member", member="singer/a")
    assert world.ask(GROUP, "count", topic="bass") == len(watched(world)) == 1


def test_a_topic_can_be_left_alone(world):
    join(world, "singer/a", topics=["alto", "bass"])
    assert world.ask(GROUP, "leave", member="singer/a", topics=["bass", "x"]) is True
    assert world.ask(GROUP, "leave", member="singer/a", topics=["bass"]) is False
    assert world.ask(GROUP, "topics") == {"alto": 1}
    assert world.ask(GROUP, "is_member", member="singer/a", topic="bass") is False
    assert world.ask(GROUP, "is_member", member="singer/a") is True


def test_nothing_is_left_of_an_empty_group(world, monkeypatch):
    monkeypatch.setattr(spread, "AT_ONCE", 1)
    join(world, "singer/a", "singer/b", topics=["bass"])
    world.ask(GROUP, "publish", payload={"line": "la"})
    world.ask(GROUP, "leave", member="singer/a")
    world.ask(GROUP, "leave", member="singer/b")
    assert world.pieces.collections.of_actor(full(GROUP)) == []
    assert world.ask(GROUP, "first") is None


@pytest.mark.parametrize("reason", ["normal", "shutdown", "shutdown: late", "moved away"])
def test_a_member_that_stops_has_left(world, reason):
    join(world, "singer/a", "singer/b", topics=["bass"])
    world.tell("singer/a", "go", reason=reason)
    world.run()
    assert world.ask(GROUP, "members") == world.ask(GROUP, "members", topic="bass") == ["singer/b"]


def test_a_member_that_fails_and_goes_on_stays(world):
    join(world, "singer/a")
    for _ in range(2):
        world.tell("singer/a", "fail")
        world.run()
    world.ask(GROUP, "publish", payload={"line": "la"})
    assert heard(world, "singer/a") == [["la"]]
    world.tell("singer/a", "go")
    world.run()
    assert world.ask(GROUP, "members") == []


def test_a_member_whose_failure_ends_it_has_left(world):
    world.tell("singer/boss", "begin", id="a")
    world.run()
    join(world, "singer/a")
    world.tell("singer/a", "fail")
    world.run()
    assert world.ask(GROUP, "members") == []


def test_a_child_that_is_restarted_stays(world):
    child = {"id": "a", "type": "singer"}
    world.ask("supervisor/app", "configure", spec={"children": [child]})
    join(world, "singer/a")
    world.tell("singer/a", "fail")
    world.run()
    assert world.life("singer/a").starts == 2
    world.ask(GROUP, "publish", payload={"line": "la"})
    assert heard(world, "singer/a") == [["la"]]


def test_nobody_stays_who_is_not_there(world):
    world.tell("singer/a", "go")
    world.run()
    join(world, "singer/a", "nosuch/a")
    world.run()
    assert world.ask(GROUP, "members") == []


def test_the_end_of_an_earlier_membership_does_not_end_this_one(world):
    join(world, "singer/a")
    (ref,) = watched(world)
    world.ask(GROUP, "leave", member="singer/a")
    join(world, "singer/a")
    world.tell(GROUP, "__down__", address="singer/a", ref=f"singer/a#{ref}", reason="normal")
    world.run()
    assert world.ask(GROUP, "members") == ["singer/a"]


def test_news_reach_everybody_over_turns(world, monkeypatch):
    monkeypatch.setattr(spread, "AT_ONCE", 2)
    members = [f"singer/{n}" for n in range(5)]
    join(world, *members)
    for line in ("do", "re", "mi"):
        world.tell("singer/3", "sing", line=line)
    world.run()
    assert heard(world, *members) == [["do", "re", "mi"]] * 3 + [[]] + [["do", "re", "mi"]]
    assert world.ask(GROUP, "status") == {"members": 5, "published": 3, "under_way": 0}


def test_who_joins_or_leaves_while_news_are_under_way(world, monkeypatch):
    monkeypatch.setattr(spread, "AT_ONCE", 2)
    join(world, "singer/a", "singer/b", "singer/d", "singer/f")
    world.tell(GROUP, "publish", payload={"line": "do"})  # reaches a and b
    world.tell(GROUP, "join", member="singer/e")
    world.tell(GROUP, "leave", member="singer/f")
    world.tell(GROUP, "publish", payload={"line": "re"})
    world.run()
    assert heard(world, *(f"singer/{n}" for n in "abdef")) == [["do", "re"]] * 3 + [["re"], []]


def test_who_comes_to_a_topic_late_does_not_hear_what_was_before(world, monkeypatch):
    monkeypatch.setattr(spread, "AT_ONCE", 1)
    join(world, "singer/a", "singer/b", topics=["bass"])
    join(world, "singer/c")
    world.tell(GROUP, "publish", payload={"line": "do"}, topic="bass")
    world.tell(GROUP, "join", member="singer/c", topics=["bass"])
    world.run()
    assert heard(world, "singer/a", "singer/b", "singer/c") == [["do"], ["do"], []]


def test_what_is_under_way_is_not_stuck_where_a_message_to_go_on_is_lost(monkeypatch):
    monkeypatch.setattr(spread, "AT_ONCE", 1)
    monkeypatch.setattr(spread, "MAX_UNDER_WAY", 2)
    world = new_world()
    join(world, "singer/a", "singer/b")
    world.tell(GROUP, "publish", payload={"line": "do"})
    while world.mailbox[-1].handler != spread.GO_ON:
        world._step()
    world.mailbox[-1] = world.mailbox[-1]._replace(handler="nosuch")  # a dead letter
    world.ask(GROUP, "publish", payload={"line": "re"})
    assert heard(world, "singer/a", "singer/b") == [["do"], []]
    world.run(60_001)
    world.ask(GROUP, "publish", payload={"line": "mi"})
    assert heard(world, "singer/a", "singer/b") == [["do", "re", "mi"]] * 2


def test_no_turn_tells_more_than_a_thousand():
    world = new_world()
    for n in range(2_500):
        world.tell(GROUP, "join", member=f"caller/{n:04}")
    world.run()
    assert world.ask(GROUP, "publish", payload={"line": "la"}) == 2_500
    told = [sum(out.handler == "message" for out in turn.outs) for turn in world.turns()]
    assert [n for n in told if n] == [1000, 1000, 500]
    assert world.ask("caller/2499", "heard") == ["la"]


def test_large_messages_are_told_to_fewer_at_once():
    world = new_world()
    join(world, *(f"caller/{n}" for n in range(8)))
    assert world.ask(GROUP, "publish", payload={"line": "x" * 400_000}) == 8
    told = [sum(out.handler == "message" for out in turn.outs) for turn in world.turns()]
    assert [n for n in told if n] == [3, 3, 2]


def test_a_group_that_is_far_behind_refuses(world, monkeypatch):
    monkeypatch.setattr(spread, "AT_ONCE", 1)
    monkeypatch.setattr(spread, "MAX_UNDER_WAY", 2)
    join(world, "singer/a", "singer/b", "singer/c")
    for line in ("do", "re"):
        world.tell(GROUP, "publish", payload={"line": line})
    refused = world.tell(GROUP, "publish", _kind=1, payload={"line": "mi"})
    world.run()
    assert world.errors[refused]["code"] == "rejected"
    assert heard(world, "singer/a", "singer/c") == [["do", "re"]] * 2


@pytest.mark.parametrize(
    ("handler", "arguments", "code"),
    [
        ("join", {"member": "singer"}, "rejected"),
        ("join", {"member": ""}, "rejected"),
        ("join", {"member": "a/b/c"}, "rejected"),
        ("join", {"member": "a/" + "b" * 600}, "rejected"),
        ("join", {"member": "a/\n"}, "rejected"),
        ("join", {"member": 7}, "bad_arguments"),
        ("join", {"member": "singer/a", "topics": "bass"}, "bad_arguments"),
        ("join", {"member": "singer/a", "topics": [""]}, "rejected"),
        ("join", {"member": "singer/a", "topics": ["\0"]}, "rejected"),
        ("join", {"member": "singer/a", "topics": ["x" * 201]}, "rejected"),
        ("join", {"member": "singer/a", "topics": [str(n) for n in range(101)]}, "rejected"),
        ("leave", {"member": "//"}, "rejected"),
        ("is_member", {"member": "//"}, "rejected"),
        ("members", {"limit": 0}, "rejected"),
        ("members", {"limit": 1001}, "rejected"),
        ("topics", {"limit": True}, "bad_arguments"),
        ("publish", {"payload": ["la"]}, "bad_arguments"),
        ("publish", {"payload": {}, "handler": "$exit"}, "rejected"),
        ("publish", {"payload": {}, "handler": "x" * 300}, "rejected"),
        ("publish", {"payload": {}, "sender": "x"}, "rejected"),
        ("_spread", {}, "rejected"),
    ],
)
def test_what_cannot_be_is_refused(world, handler, arguments, code):
    assert world.ask(GROUP, handler, **arguments) == code
    assert world.ask(GROUP, "status") == {"members": 0, "published": 0, "under_way": 0}


NAMES, TOPICS = st.sampled_from("abcd"), st.sampled_from(["", "x", "y"])
OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("join"), NAMES, TOPICS),
        st.tuples(st.just("leave"), NAMES, TOPICS),
        st.tuples(st.just("publish"), st.sampled_from("abcd-"), TOPICS),
        st.tuples(st.just("fail"), NAMES, TOPICS),
        st.tuples(st.just("stop"), NAMES, TOPICS),
        st.tuples(st.just("rest"), NAMES, TOPICS),
    ),
    max_size=30,
)


class Model:
    """Who must have heard what, and who may have: what is under way reaches those who leave, or not."""

    def __init__(self):
        self.topics = {}  # of each member
        self.stopped = set()
        self.must = {name: [] for name in "abcd"}
        self.may = {name: set() for name in "abcd"}
        self.heard = {name: set() for name in "abcd"}
        self.number = 0

    def join(self, name, topic):
        self.topics.setdefault(name, {""}).add(topic)

    def leave(self, name, topic):
        if name not in self.topics:
            return
        gone = {topic} & self.topics[name] if topic else self.topics.pop(name)
        if topic:
            self.topics[name] -= gone
        unsure = {n for n, of in self.must[name] if of in gone}
        self.may[name] |= unsure
        self.must[name] = [(n, of) for n, of in self.must[name] if n not in unsure]

    def publish(self, sender, topic):
        self.number += 1
        for name, topics in self.topics.items():
            if name != sender and topic in topics:
                if name in self.stopped:
                    self.may[name].add(self.number)
                else:
                    self.must[name].append((self.number, topic))

    def stop(self, name):
        self.stopped.add(name)
        self.may[name] |= {n for n, _ in self.must[name]}
        self.must[name] = []

    def rest(self):
        """Everything has arrived: what had to be heard was."""
        for name in self.stopped:
            self.topics.pop(name, None)
        for name, must in self.must.items():
            self.heard[name] |= {n for n, _ in must}
            self.must[name] = []


@settings(max_examples=60, deadline=None)
@given(OPERATIONS, st.sampled_from([0, 0, 1, 3]), st.integers(1, 3))
def test_every_member_hears_what_is_published_while_it_is_one(operations, crash_every, at_once):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spread, "AT_ONCE", at_once)
        world, model = new_world(crash_every), Model()
        for what, name, topic in [*operations, ("rest", "a", "")]:
            member, topics = f"singer/{name}", [topic] if topic else []
            if what == "join":
                model.join(name, topic)
                world.tell(GROUP, "join", member=member, topics=topics)
            elif what == "leave":
                model.leave(name, topic)
                world.tell(GROUP, "leave", member=member, topics=topics or None)
            elif what == "publish":
                model.publish(name, topic)
                sender = "" if name == "-" else member
                world.tell(GROUP, "publish", payload={"log": model.number}, topic=topic, sender=sender)
            elif what == "fail":
                world.tell(member, "fail")
            elif what == "stop":
                model.stop(name)
                world.tell(member, "go")
            else:
                world.run()
                model.rest()
        lines = world.ask("log/1", "get")
        for name in "abcd":
            numbers = [n for who, n in lines if who == f"singer/{name}"]
            assert numbers == sorted(set(numbers))
            assert model.heard[name] <= set(numbers) <= model.heard[name] | model.may[name]
        assert world.ask(GROUP, "members") == sorted(f"singer/{name}" for name in model.topics)
        for topic in ("x", "y"):
            expected = sorted(f"singer/{name}" for name, of in model.topics.items() if topic in of)
            assert world.ask(GROUP, "members", topic=topic) == expected
            assert world.ask(GROUP, "count", topic=topic) == len(expected)
        assert world.ask(GROUP, "status")["under_way"] == 0
        assert len(watched(world)) == len(model.topics)
