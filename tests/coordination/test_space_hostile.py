"""What comes to a tuple space that should not: each is refused, in words, and nothing is done."""

import pytest
from spaces import Space
from world import World

from plexstream.model.messages.address import full
from plexstream.model.messages.message import ASK, Envelope


@pytest.fixture
def space():
    space = Space(World())
    yield space
    assert space.status()["tuples"] == 0
    assert space.events() == []
    space.write(["it goes on"])
    assert space.take([None])


def raw(space, handler, payload):
    """A call whose arguments are these bytes: the code of its error."""
    world = space.world
    world._number += 1
    id = f"m{world._number}"
    world.mailbox.append(Envelope(ASK, id, full(space.address), handler, payload, reply_to="edge"))
    world.run()
    return world.replies[id]


def nested(depth):
    return b"[" * depth + b"1" + b"]" * depth


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b'{"tuple": %s}' % nested(102), "rejected"),
        (b'{"tuple": %s}' % nested(300), "rejected"),
        (b'{"tuple": %s}' % nested(100_000), "bad_arguments"),
        (b'{"tuple": [' + b'{"a":' * 150 + b"1" + b"}" * 150 + b"]}", "rejected"),
        (b'{"tuple": [%s]}' % (b"9" * 1_005), "rejected"),
        (b'{"tuple": [[%s]]}' % (b"9" * 4_000), "rejected"),
        (b'{"tuple": [%s]}' % (b"9" * 5_000), "bad_arguments"),
        (b'{"tuple": ["\\ud800"]}', "bad_arguments"),
        (b'{"tuple": ["\xff"]}', "bad_arguments"),
        (b'{"tuple": [NaN]}', "bad_arguments"),
        (b'{"tuple": [1e999]}', "bad_arguments"),
        (b'{"tuple": []}', "rejected"),
        (b'{"tuple": [%s]}' % b",".join([b"1"] * 65), "rejected"),
        (b'{"tuple": ["%s"]}' % (b"x" * 500_000), "rejected"),
        (b'{"tuple": {"a": 1}}', "bad_arguments"),
        (b'{"tuple": "ab"}', "bad_arguments"),
        (b'{"tuple": null}', "bad_arguments"),
        (b"{}", "bad_arguments"),
        (b'{"tuple": ["a"], "ttl": 0}', "rejected"),
        (b'{"tuple": ["a"], "ttl": -1}', "rejected"),
        (b'{"tuple": ["a"], "ttl": 1e300}', "rejected"),
        (b'{"tuple": ["a"], "ttl": "1"}', "bad_arguments"),
        (b'{"tuple": ["a"], "ttl": true}', "bad_arguments"),
        (b'{"tuple": ["a"], "other": 1}', "bad_arguments"),
    ],
)
def test_what_is_no_tuple_is_refused(space, payload, code):
    assert raw(space, "write", payload) == code


@pytest.mark.parametrize("handler", ["read", "take", "peek", "read_all", "take_all", "count"])
@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        (b"[]", "rejected"),
        (b"[%s]" % b",".join([b"null"] * 65), "rejected"),
        (b'[{"near": 1}]', "rejected"),
        (b'[{"range": [1, "a"]}]', "rejected"),
        (b'[{"in": %s}]' % nested(200), "rejected"),
        (b'[{"is": %s}]' % nested(110), "rejected"),
        (b'[{"is": %s}]' % (b"9" * 4_000), "rejected"),
        (b'[{"where": "os.system"}]', "rejected"),
        (b'"*"', "bad_arguments"),
    ],
)
def test_what_is_no_pattern_is_refused(space, handler, pattern, code):
    assert raw(space, handler, b'{"pattern": %s}' % pattern) == code


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("write_many", {"tuples": []}),
        ("write_many", {"tuples": [["a"]] * 1_001}),
        ("write_many", {"tuples": [["a"], ["b", float(0)], []]}),
        ("read_all", {"pattern": ["a"], "limit": 0}),
        ("take_all", {"pattern": ["a"], "limit": 1_001}),
        ("swap", {"pattern": ["a"], "tuple": ["b"], "ttl": 0}),
        ("swap", {"pattern": ["a"], "tuple": []}),
        ("notify", {"pattern": ["a"], "to": "x/y", "handler": "on", "ttl": 0}),
        ("renew", {"id": 1, "ttl": 0}),
        ("configure", {"index": [1, 1]}),
        ("search_on", {"number": 1}),
        ("offer_on", {"entry": [1, ["forged"], 0, 9], "kind": 0, "after": 0, "last": 9}),
    ],
)
def test_what_cannot_be_done_is_rejected(space, handler, arguments):
    assert space.ask(handler, **arguments) == "rejected"


def test_texts_with_what_keys_are_made_of_are_found_again():
    space = Space(World(crash_every=1))
    odd = ["a\0b", "\x01", "\0" * 199, "\U0010ffff" * 199, "\U0010ffff" * 300, "é" * 200, "", "s", "*"]
    for text in odd:
        space.write([text])
    for text in odd:
        assert space.all([{"is": text}]) == [[text]]
    assert space.ask("count", [{"prefix": "\U0010ffff"}])["count"] == 2
    assert space.ask("take_all", [{"in": odd}])["after"] is None
    assert space.ask("count")["count"] == 0


def test_a_tuple_as_large_as_can_be_is_kept_given_and_told():
    space = Space(World(crash_every=1))
    large = ["x" * 499_990]
    taker, reader = space.start("take", [{"type": "str"}]), space.start("read", [None])
    space.write(large)
    assert space.of(taker) == space.of(reader) == large
    space.write(large)
    assert space.ask("swap", [None], tuple=large)["tuple"] == large
    assert space.take(large)["tuple"] == large
    assert len(space.events()) == 6
