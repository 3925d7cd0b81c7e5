"""Topics that feed spaces: what becomes of each record, and what the configuration may say."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexstream.log.base import Record
from plexstream.model.errors import ConfigError
from plexstream.node.ingest.spaces import Fed, SpaceFeed
from plexstream.node.setup.config import load_config
from plexstream.sdk.host.coordination.kept.spaces import TupleSpace
from plexstream.sdk.host.coordination.operation import steps_of

MOST = 1000
ORIGIN = "orders/1@life"
TUPLES = [b'["a"]', b' [ 1 , 1.0, true, null, {"a": []} ] ', '["ä","\\ud83d\\ude00"]'.encode()]


def record(value, key=b"k"):
    return Record("orders", 1, 7, key, value, 1234)


def message(value, ttl=None, name="jobs"):
    return SpaceFeed(Fed(name, "orders", ttl), MOST).message(record(value), ORIGIN)


@pytest.mark.parametrize("value", TUPLES)
def test_a_list_is_written_as_it_is(value):
    e = message(value)
    assert (e.target, e.handler, e.headers) == ("default/default/plex.space/jobs", "write", {})
    assert (e.origin, e.origin_seq, e.origin_index, e.id) == (ORIGIN, 7, 0, f"{ORIGIN}/7")
    assert e.payload == b'{"tuple":' + value + b"}"


@pytest.mark.parametrize(("ttl", "seconds"), [(1, 0.001), (60_000, 60.0), (86_400_000 * 3650, 86_400 * 3650)])
def test_a_tuple_has_the_lease_of_its_feed(ttl, seconds):
    assert json.loads(message(b"[1]", ttl).payload) == {"tuple": [1], "ttl": seconds}


@pytest.mark.parametrize(
    ("name", "id"), [("a b", "a b"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("a~1", "a%7E1"), ("ä\n", "ä%0A")]
)
def test_a_space_may_have_any_name_as_everywhere(name, id):
    assert message(b"[1]", name=name).target == f"default/default/plex.space/{id}"


@pytest.mark.parametrize(
    "value", [b"[1]", b"[1.0]", b"[true]", b'["a",2]', b"[" + b"9" * 30 + b"]", b"[null]"]
)
def test_a_space_that_is_spread_has_each_tuple_where_it_is_looked_for(value):
    space = TupleSpace(lambda _: None, "jobs*8")
    call = next(steps_of(space.take)([{"is": json.loads(value)[0]}, *json.loads(value)[1:]]))
    assert message(value, name="jobs*8").target == f"default/default/plex.space/{call.id}"


REFUSED = [
    (b"[]", "a tuple is a list of 1 to 64 values, not []"),
    (None, "the record has no value"),
    (b"", "the value is no JSON: "),
    (b"[1", "the value is no JSON: "),
    (b"[1] 2", "the value is no JSON: "),
    (b"[1],\"ttl\":5", "the value is no JSON: "),
    (b"[\xff]", "the value is no JSON: "),
    (b"[1e999]", "the value is no JSON: "),
    (b"[NaN]", "the value is no JSON: "),
    (b"[" * 100_0, "the value is no JSON: "),
    (b"{}", "the value is no JSON list, as a tuple is: {}"),
    (b'"[]"', "the value is no JSON list, as a tuple is: '[]'"),
    (b"1", "the value is no JSON list, as a tuple is: 1"),
    (b"null", "the value is no JSON list, as a tuple is: None"),
    (b'["' + b"x" * MOST + b'"]', f"the record has {MOST + 4} bytes, at most {MOST} are allowed"),
]


@pytest.mark.parametrize(("value", "why"), REFUSED, ids=lambda given: repr(given)[:30])
def test_what_is_no_list_is_put_aside_with_the_reason(value, why):
    e = message(value)
    assert e.headers["malformed"].startswith(why)
    assert (e.target, e.handler, e.origin, e.origin_seq) == (ORIGIN, "write", ORIGIN, 7)
    assert e.payload == (value or b"" if len(value or b"") <= MOST else b"")


@pytest.mark.parametrize("value", [*TUPLES, b"{}", b" 1 ", b"null", b'"a"'])
def test_any_json_is_sent_to_a_queue_or_published(value):
    for kind, target, handler, more in (
        ("queues", "plex.queue/jobs", "send", {"wait": None}),
        ("channels", "plex.channel/jobs", "publish", {}),
    ):  # fmt: skip
        e = SpaceFeed(Fed("jobs", "orders", None, kind), MOST).message(record(value), ORIGIN)
        assert (e.target, e.handler, e.headers) == (f"default/default/{target}", handler, {})
        assert json.loads(e.payload) == {"messages": [json.loads(value)], **more}
        assert SpaceFeed(Fed("jobs", "orders", None, kind), MOST).message(record(b"[1"), ORIGIN).headers


def test_the_configuration_says_which_topics_feed_queues_and_channels(tmp_path):
    text = '[queues.jobs]\nfrom = "work"\n[channels."a/b"]\nfrom = "news"\n'
    fed = configured(tmp_path, text).fed()
    assert {table: {name: one.topic for name, one in named.items()} for table, named in fed.items()} == {
        "spaces": {}, "queues": {"jobs": "work"}, "channels": {"a/b": "news"}
    }  # fmt: skip
    for text, said in (
        ('[queues.jobs]\nfrom = "x"\nttl = 1', "queues.jobs.ttl: there is no such key"),
        ('[channels.""]\nfrom = "x"', "give a channel a name of 1 to 200 bytes"),
        ('[queues.jobs]\nfrom = "plex.mailbox"', "the system's, and holds no messages of yours"),
    ):
        with pytest.raises(ConfigError, match=re.escape(said)):
            configured(tmp_path, text)


@given(st.binary(max_size=40) | st.text(max_size=20).map(str.encode))
def test_whatever_comes_is_a_tuple_or_put_aside(value):
    e = message(value)
    if not e.headers:
        assert type(json.loads(e.payload)["tuple"]) is list
        assert list(json.loads(e.payload)) == ["tuple"]


def configured(tmp_path, text):
    file = tmp_path / "plexstream.toml"
    file.write_text(text)
    return load_config(file)


def test_the_configuration_says_which_topics_feed_which_spaces(tmp_path, monkeypatch):
    text = '[spaces.orders]\nfrom = "shop"\nttl = "1h"\n\n[spaces."a/b"]\nfrom = "shop"\n'
    spaces = configured(tmp_path, text).spaces
    assert [(name, s.topic, s.ttl) for name, s in spaces.items()] == [
        ("orders", "shop", 3_600_000), ("a/b", "shop", None)
    ]  # fmt: skip
    monkeypatch.setenv("PLEXSTREAM_SPACES", '{"jobs": {"from": "work", "ttl": 2}}')
    (jobs,) = load_config().spaces.values()
    assert (jobs.topic, jobs.ttl) == ("work", 2_000)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("spaces = 1", "spaces = 1: input should be a valid dictionary"),
        ("[spaces]\norders = 1", "spaces.orders = 1: "),
        ("[spaces.orders]", "spaces.orders.from: it is missing"),
        ('[spaces.orders]\nform = "x"', "spaces.orders.form: there is no such key: known are from, ttl"),
        ('[spaces.orders]\ntopic = "x"', "spaces.orders.topic: there is no such key: known are from, ttl"),
        ('[spaces.orders]\nfrom = "a b"', "spaces.orders.from = 'a b': "),
        ("[spaces.orders]\nfrom = 1", "spaces.orders.from = 1: "),
        ('[spaces.orders]\nfrom = "x"\nttl = 0', "spaces.orders.ttl = 0: "),
        ('[spaces.orders]\nfrom = "x"\nttl = -1', "spaces.orders.ttl = -1: "),
        ('[spaces.orders]\nfrom = "x"\nttl = inf', "spaces.orders.ttl = inf: give seconds"),
        ('[spaces.orders]\nfrom = "x"\nttl = nan', "spaces.orders.ttl = nan: give seconds"),
        ('[spaces.orders]\nfrom = "x"\nttl = "3651d"', "spaces.orders.ttl = '3651d': "),
        ('[spaces.orders]\nfrom = "x"\nttl = true', "spaces.orders.ttl = True: give seconds"),
        ('[spaces.""]\nfrom = "x"', "give a space a name of 1 to 200 bytes"),
        (f'[spaces."{"x" * 201}"]\nfrom = "x"', "give a space a name of 1 to 200 bytes"),
        ('[spaces."jobs*1"]\nfrom = "x"', "the number of shards is from 2 to 256"),
        *(
            (f'[spaces.orders]\nfrom = "plex.{kind}"', "that topic is the system's, and holds no tuples")
            for kind in ("mailbox", "journal", "deadletter", "tuplespace", "control")
        ),
        ('prefix = "p."\n[spaces.orders]\nfrom = "p.reply"', "is no key of plexstream"),
        ('[topics]\nprefix = "p."\n[spaces.orders]\nfrom = "p.reply"', "that topic is the system's"),
    ],
)
def test_what_it_may_not_say_is_refused_by_name(tmp_path, text, said):
    with pytest.raises(ConfigError) as refused:
        configured(tmp_path, text)
    assert said in str(refused.value)
