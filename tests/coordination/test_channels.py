"""Channels: every message to all subscribers, on the real processor and host."""

import pytest
from world import World

from plexstream import actor, handler, state_list
from plexstream.coordination.channels.said import MAX_VALUE, matches

C = "plex.channel/news"
WEEK = 7 * 86_400


@actor
class Reader:
    read: list = state_list()

    @handler("on_news")
    def on_news(self, message: dict):
        self.read.append(message)

    @handler("all", read_only=True)
    def all(self) -> list:
        return list(self.read)


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(Reader, crash_every=request.param, reply_ttl=10_000_000)


def publish(world, *messages, **more):
    return world.ask(C, "publish", messages=list(messages), **more)


def subscribe(world, name, **more):
    return world.ask(C, "subscribe", name=name, **more)


def told(world, id, what="value"):
    return [message[what] for message in world.ask(f"reader/{id}", "all")]


def fetch(world, name, **more):
    return world.ask(C, "fetch", subscriber=name, **more)


def values(answer):
    return [message["value"] for message in answer["messages"]]


def detail(world, handler, **arguments):
    id = world.start(C, handler, **arguments)
    assert world.replies[id] == "rejected"
    return world.errors[id]["detail"]


def test_subscribers_are_told_in_order_what_is_published_from_then_on(world):
    publish(world, "before")
    assert subscribe(world, "a", to="reader/a", handler="on_news") == 1
    assert publish(world, 1, {"x": None}, topic="t") == [2, 3]
    subscribe(world, "b", to="reader/b", handler="on_news")
    publish(world, 3)
    assert told(world, "a") == [1, {"x": None}, 3]
    assert told(world, "b") == [3]
    assert world.ask("reader/a", "all")[0] == {
        "channel": C, "position": 2, "topic": "t", "value": 1, "time": 1_000_000
    }  # fmt: skip


def test_who_begins_at_the_start_is_told_all_that_is_kept_once():
    world = World(Reader, crash_every=500)
    subscribe(world, "z", to="reader/z", handler="on_news")
    publish(world, *range(900))
    publish(world, *range(900, 1_700))
    assert subscribe(world, "a", to="reader/a", handler="on_news", start="start") == 0
    for number in range(1_700, 1_705):
        publish(world, number)
        world.run(1)
    world.run(1)
    assert told(world, "a") == list(range(1_705))
    assert told(world, "z") == list(range(1_705))


def test_a_subscriber_gets_the_topics_that_it_wants(world):
    subscribe(world, "a", to="reader/a", handler="on_news", topic="orders.*")
    subscribe(world, "b", topic="*.eu")
    for topic in ("orders.eu", "orders.us", "rates.eu", "", "orders"):
        publish(world, topic, topic=topic)
    assert told(world, "a") == ["orders.eu", "orders.us"]
    answer = fetch(world, "b")
    assert (values(answer), answer["position"]) == (["orders.eu", "rates.eu"], 5)


@pytest.mark.parametrize(
    ("pattern", "yes", "no"),
    [
        ("*", ["", "a", "a.b"], []),
        ("", [""], ["a"]),
        ("a", ["a"], ["", "ab", "ba"]),
        ("a*", ["a", "ab"], ["ba"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("*ab*b", ["abb", "xabxb", "ababb"], ["ab", "abx"]),
        ("a*b*c", ["abc", "axbxc", "abbcc"], ["acb", "ac"]),
        ("**", ["", "a"], []),
        ("a?[b]", ["a?[b]"], ["axb"]),
    ],
)
def test_a_star_is_any_text(pattern, yes, no):
    assert [text for text in [*yes, *no] if matches(pattern, text)] == yes


def test_who_subscribes_again_changes_what_there_is_and_misses_nothing(world):
    subscribe(world, "a", to="reader/a", handler="on_news")
    publish(world, 1)
    subscribe(world, "a", to="reader/b", handler="on_news", topic="t*")
    publish(world, 2, topic="u")
    publish(world, 3, topic="t")
    assert (told(world, "a"), told(world, "b")) == ([1], [3])
    assert world.ask(C, "status")["told"] == 1


def test_who_unsubscribes_is_told_nothing_any_more(world):
    subscribe(world, "a", to="reader/a", handler="on_news")
    publish(world, 1)
    assert world.ask(C, "unsubscribe", name="a") is True
    assert world.ask(C, "unsubscribe", name="a") is False
    publish(world, 2)
    assert told(world, "a") == [1]


def test_a_cursor_stays_until_it_is_committed(world):
    publish(world, "before")
    assert subscribe(world, "p") == 1
    publish(world, *"abc")
    for _ in range(2):
        answer = fetch(world, "p", limit=2)
        assert (values(answer), answer["position"], answer["missed"]) == (["a", "b"], 3, 0)
    assert world.ask(C, "commit", subscriber="p", position=3) == 1
    assert values(fetch(world, "p")) == ["c"]
    world.ask(C, "commit", subscriber="p", position=4)
    assert fetch(world, "p") == {"messages": [], "position": 4, "missed": 0}
    assert "has committed 4, the newest message is 4" in detail(world, "commit", subscriber="p", position=3)
    assert "has committed 4" in detail(world, "commit", subscriber="p", position=5)


def test_one_may_begin_with_what_was_kept_and_goes_on_where_it_was(world):
    publish(world, 1, 2)
    assert subscribe(world, "p", start="start") == 0
    assert values(fetch(world, "p")) == [1, 2]
    world.ask(C, "commit", subscriber="p", position=1)
    assert subscribe(world, "p", start="now") == 1
    assert values(fetch(world, "p")) == [2]


def test_who_fetches_waits_for_what_is_published(world):
    subscribe(world, "p")
    subscribe(world, "q", topic="q")
    p = world.start(C, "fetch", subscriber="p", wait=None)
    q = world.start(C, "fetch", subscriber="q", wait=5)
    publish(world, 1)
    assert values(world.replies[p]) == [1]
    assert q not in world.replies
    publish(world, 2, topic="q")
    assert values(world.replies[q]) == [2]
    assert world.ask(C, "status")["waiting"] == 0


def test_who_fetches_waits_as_long_as_it_says(world):
    subscribe(world, "p", topic="p")
    waits = world.start(C, "fetch", subscriber="p", wait=2)
    publish(world, 1)
    world.run(1_999)
    assert waits not in world.replies
    world.run(1)
    assert world.replies[waits] == {"messages": [], "position": 1, "missed": 0}


def test_a_waiting_fetch_of_one_who_unsubscribes_is_refused(world):
    subscribe(world, "p")
    waits = world.start(C, "fetch", subscriber="p", wait=None)
    world.ask(C, "unsubscribe", name="p")
    assert "unsubscribed" in world.errors[waits]["detail"]


def test_what_is_not_for_a_cursor_is_passed_in_bounded_turns(world):
    subscribe(world, "p", topic="p")
    for _ in range(4):
        publish(world, *range(800), topic="other")
    publish(world, "found", topic="p")
    waits = world.start(C, "fetch", subscriber="p")
    for _ in range(5):
        world.run(1)
    assert values(world.replies[waits]) == ["found"]
    assert fetch(world, "p")["position"] == 3_201  # the others were passed for good
    world.ask(C, "commit", subscriber="p", position=3_201)
    publish(world, *range(1_000), topic="other")
    publish(world, *range(1_000), topic="other")
    waits = world.start(C, "fetch", subscriber="p")
    for _ in range(5):
        world.run(1)
    assert world.replies[waits]["messages"] == []


def test_messages_are_kept_by_count(world):
    world.ask(C, "configure", count=3)
    subscribe(world, "p", start="start")
    publish(world, *range(10))
    answer = fetch(world, "p")
    assert (values(answer), answer["missed"]) == ([7, 8, 9], 7)
    status = world.ask(C, "status")
    assert [status[name] for name in ("first", "last", "messages")] == [8, 10, 3]
    entries = world.pieces.collections.of_actor("default/default/plex.channel/news")
    assert sum(field == "log" for field, *_ in entries) == 3


def test_messages_are_kept_by_age(world):
    world.ask(C, "configure", age=10)
    subscribe(world, "p", start="start")
    publish(world, 1)
    world.run(5_000)
    publish(world, 2)
    world.run(5_000)
    assert values(fetch(world, "p")) == [2]
    world.run(5_000)
    answer = fetch(world, "p")
    assert (values(answer), answer["missed"]) == ([], 2)
    world.ask(C, "configure", age=1)
    publish(world, 3)
    world.run(1_000)
    assert world.ask(C, "status")["messages"] == 0


def test_many_messages_are_forgotten_in_bounded_turns(world):
    for _ in range(4):
        publish(world, *range(900))
    before = len(world.turns())
    world.ask(C, "configure", count=1)
    for _ in range(5):
        world.run(1)
    assert world.ask(C, "status")["messages"] == 1
    assert max(len(turn.patch) for turn in world.turns()[before:]) < 1_100


def test_nothing_is_forgotten_that_all_have_not_been_told():
    world = World(Reader)
    world.ask(C, "configure", count=1)
    for number in range(1_100):
        world.tell(C, "subscribe", name=f"s{number:04}", to=f"reader/{number % 2}", handler="on_news")
    publish(world, 1, 2, 3)
    publish(world, 4)
    for _ in range(10):
        world.run(1)
    for id in (0, 1):
        assert told(world, id) == [n for n in (1, 2, 3, 4) for _ in range(550)]
    assert max(len(turn.outs) for turn in world.turns()) <= 1_010
    status = world.ask(C, "status")
    assert (status["messages"], status["untold"]) == (1, 0)


def test_subscribers_come_and_go_while_others_are_told():
    world = World(Reader, crash_every=2_000)
    for number in range(1_100):
        world.tell(C, "subscribe", name=f"s{number:04}", to="reader/x", handler="on_news")
    world.tell(C, "publish", messages=[1, 2])
    world.tell(C, "subscribe", name="s0000-new", to="reader/new", handler="on_news")
    world.tell(C, "subscribe", name="zzz", to="reader/zzz", handler="on_news", start="start")
    world.tell(C, "unsubscribe", name="s1099")
    world.tell(C, "publish", messages=[3])
    for _ in range(10):
        world.run(1)
    assert told(world, "new") == [3]
    assert told(world, "zzz") == [1, 2, 3]
    x = told(world, "x")
    assert x == sorted(x)
    assert x.count(3) == 1_099


def test_subscriptions_are_listed_with_their_positions(world):
    subscribe(world, "b", to="reader/b", handler="on_news")
    publish(world, 1)
    subscribe(world, "a", topic="t")
    subscribe(world, "c", start="start")
    rows = world.ask(C, "subscribers")
    assert [(row["name"], row["to"], row["topic"], row["position"]) for row in rows] == [
        ("a", "", "t", 1), ("b", "reader/b", "*", 1), ("c", "", "*", 0)
    ]  # fmt: skip
    assert [row["name"] for row in world.ask(C, "subscribers", after="a", limit=1)] == ["b"]


def test_each_message_goes_to_an_output_topic_once(world):
    world.ask(C, "configure", out="news")
    publish(world, 1, "x")
    outs = [out.payload for turn in world.turns() for out in turn.outs if out.target == "news"]
    assert outs == [b"1", b'"x"']


def test_large_messages_go_in_several_turns():
    world = World(Reader)
    for name in "abc":
        subscribe(world, name, to=f"reader/{name}", handler="on_news")
    subscribe(world, "p")
    publish(world, "x" * (MAX_VALUE - 2))
    publish(world, "y" * 10_000)
    for _ in range(8):
        world.run(1)
    assert [len(told(world, name)) for name in "abc"] == [2, 2, 2]
    assert len(fetch(world, "p")["messages"]) == 1


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("publish", {"messages": []}),
        ("publish", {"messages": [1] * 1_001}),
        ("publish", {"messages": [1], "topic": "x" * 201}),
        ("publish", {"messages": ["x" * (MAX_VALUE + 1)]}),
        ("subscribe", {"name": ""}),
        ("subscribe", {"name": "x" * 201}),
        ("subscribe", {"name": "a", "to": "reader/a"}),
        ("subscribe", {"name": "a", "handler": "x"}),
        ("subscribe", {"name": "a", "to": "no address", "handler": "x"}),
        ("subscribe", {"name": "a", "to": "reader/a", "handler": "x" * 5_000}),
        ("subscribe", {"name": "a", "topic": "x" * 201}),
        ("fetch", {"subscriber": "nobody"}),
        ("fetch", {"subscriber": "told"}),
        ("fetch", {"subscriber": "p", "limit": 0}),
        ("fetch", {"subscriber": "p", "wait": -1}),
        ("commit", {"subscriber": "p", "position": -1}),
        ("configure", {"count": -1}),
        ("configure", {"age": -1}),
        ("configure", {"out": "a/b"}),
        ("subscribers", {"limit": 0}),
    ],
)
def test_what_cannot_be_is_rejected(world, handler, arguments):
    subscribe(world, "p")
    subscribe(world, "told", to="reader/a", handler="on_news")
    assert world.ask(C, handler, **arguments) == "rejected"
    assert world.ask(C, "status")["last"] == 0
    assert len(world.ask(C, "subscribers")) == 2


@pytest.mark.parametrize("crash", [0, 1, 2])
def test_what_is_fetched_goes_into_an_answer_whatever_the_largest_message_is(crash):
    world = World(crash_every=crash, reply_ttl=10_000_000, max_message=20_000)
    subscribe(world, "f")
    world.ask(C, "publish", messages=["x"] * 700, topic="t" * 200)
    waits, seen = world.start(C, "fetch", subscriber="f", limit=1_000, wait=None), 0
    while found := world.replies[waits]["messages"]:
        seen += len(found)
        world.ask(C, "commit", subscriber="f", position=world.replies[waits]["position"])
        waits = world.start(C, "fetch", subscriber="f", limit=1_000)
    assert seen == 700


def test_who_looks_for_few_among_large_messages_reads_some_with_each_turn(world):
    subscribe(world, "few", topic="few")
    for number in range(12):
        world.ask(C, "publish", messages=["x" * 890_000], topic="few" if number == 11 else "many")
    waits = world.start(C, "fetch", subscriber="few", wait=0)
    assert waits not in world.replies  # 12 are too much for one turn
    world.run(1)
    assert [m["position"] for m in world.replies[waits]["messages"]] == [12]


def test_a_page_of_long_subscriptions_goes_into_an_answer():
    world = World(max_message=20_000)
    names = [f"{number:02}{'é' * 90}" for number in range(60)]
    for name in names:
        subscribe(world, name, to=f"reader/{'é' * 100}", handler="on_news", topic="é" * 100)
    found = []
    while page := world.ask(C, "subscribers", after=found[-1] if found else ""):
        found += [row["name"] for row in page]
    assert found == names
