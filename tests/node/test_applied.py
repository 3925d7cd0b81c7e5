"""What tuple spaces emit goes to a topic of the system's, as Avro, once; nothing else gets there."""

import json

import pytest
from test_lanes import Log, emit, letters, run, turn, values

from plexstream.log.base import TopicSpec
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.errors import Refused
from plexstream.model.messages.address import partition_of
from plexstream.model.messages.message import Applied
from plexstream.model.topics.topics import KEEPING, Topics
from plexstream.node.lanes.lanes import Lane
from plexstream.node.setup import topology
from plexstream.schema.codec import decode_applied

T = Topics("t.")
SPACE = "default/default/plex.space/orders"
EVENT = {
    "number": 1, "op": "out", "entry": 5, "tuple": ["ä", 1, 1.0, None], "due": 9,
    "by": "default/default/a/x", "for": "",
}  # fmt: skip


@pytest.fixture
def log():
    log = Log()
    topology.apply(log, T, 2)
    return log


def applies(value, actor=SPACE):
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return turn(emit("tuplespace", data))._replace(actor=actor, time=1234)


def read(log, topic=T.tuplespace):
    reader = log.reader(committed=True)
    found = []
    for partition in range(log.topics().get(topic, 0)):
        first, end = log.range((topic, partition))
        reader.assign((topic, partition), first)
        while first < end and (records := reader.read(100, 0)):
            found += [(partition, r.key.decode(), decode_applied(r.value)) for r in records]
            first = records[-1].offset + 1
    reader.close()
    return found


def test_what_a_space_has_applied_is_a_record_under_its_address(log):
    home = partition_of(SPACE, 2)
    lane = Lane(home, log, T)
    lane.submit([(0, applies(EVENT)), (1, turn(emit("b"))), (2, applies({**EVENT, "number": 2, "op": "in"}))])
    assert run(lane) == []
    tuple_ = json.dumps(EVENT["tuple"])
    first = Applied(1, "out", 5, tuple_, 9, "default/default/a/x", "", 1234)
    assert read(log) == [(home, SPACE, first), (home, SPACE, first._replace(number=2, op="in"))]
    assert values(log, "t.out.b") == [b"1"]
    assert letters(log) == []
    assert "t.out.tuplespace" not in log.topics()


@pytest.mark.parametrize(
    "actor",
    [
        "default/default/a/x", "default/default/plex.kv/x", "default/plex.space/a/x",
        "plex.space/default/a/x", "default/default/a/plex.space", "default/default/plex.spaces/x",
        "default/default/xplex.space/x",
    ],
)  # fmt: skip
def test_of_all_other_actors_it_is_an_output_like_any(log, actor):
    lane = Lane(0, log, T)
    lane.submit([(0, applies(EVENT, actor))])
    assert run(lane) == []
    assert [json.loads(value) for value in values(log, "t.out.tuplespace")] == [EVENT]
    assert read(log) == letters(log) == []


def test_a_name_that_an_operator_gives_that_output_does_not_divert_what_spaces_apply(log):
    lane = Lane(0, log, Topics("t.", {"tuplespace": "elsewhere"}))
    lane.submit([(0, applies(EVENT)), (1, applies(EVENT, "default/default/a/x"))])
    assert run(lane) == []
    assert len(read(log)) == len(values(log, "elsewhere")) == 1


MALFORMED = [
    b"", b"1", b"[]", b"{}", b"{", b"\xff", json.dumps([EVENT]).encode(),
    *(
        {**EVENT, field: value}
        for field, value in [
            ("tuple", "text"), ("tuple", {"a": 1}), ("tuple", None), ("number", 0), ("number", "1"),
            ("number", 1.5), ("number", 2**63), ("entry", -1), ("due", -1), ("due", None), ("due", 2**64),
            ("op", "OUT"), ("op", ""), ("op", None), ("by", 1), ("for", None), ("more", 1),
        ]
    ),
    *({k: v for k, v in EVENT.items() if k != field} for field in ("number", "op", "entry", "tuple")),
]  # fmt: skip


@pytest.mark.parametrize("event", MALFORMED, ids=str)
def test_what_is_malformed_is_put_aside_and_holds_up_nothing(log, event):
    lane = Lane(0, log, T)
    whole = turn(*applies(EVENT).outs, *applies(event).outs, emit("b"))._replace(actor=SPACE)
    lane.submit([(0, whole), (1, applies({**EVENT, "number": 2}))])
    assert run(lane) == []
    assert [record.number for _, _, record in read(log)] == [1, 2]
    assert values(log, "t.out.b") == [b"1"]
    (letter,) = letters(log)
    assert (letter.target, letter.reason, letter.origin_seq, letter.origin_index) == (
        SPACE, "output_refused", 0, 1,
    )  # fmt: skip
    assert "'t.tuplespace' was refused: it is nothing that a tuple space applies" in letter.detail
    assert lane.backlog == 0


def test_a_list_as_deep_as_can_be_is_told_as_it_is_or_put_aside(log):
    lane = Lane(0, log, T)
    deep = b'{"number":1,"op":"out","entry":1,"tuple":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    lane.submit([(0, applies(deep)), (1, applies({**EVENT, "number": 2}))])
    assert run(lane) == []
    assert len(read(log)) + len(letters(log)) == 2
    assert read(log)[-1][2].number == 2


def test_one_that_is_too_large_for_the_topic_is_put_aside(log):
    log.delete_now(T.tuplespace)
    log.create([TopicSpec(T.tuplespace, 2, {"max.message.bytes": "1000"})])
    lane = Lane(0, log, T)
    lane.submit([(0, applies({**EVENT, "tuple": ["x" * 2000]})), (1, applies({**EVENT, "number": 2}))])
    assert run(lane) == []
    assert [record.number for _, _, record in read(log)] == [2]
    assert [letter.reason for letter in letters(log)] == ["output_refused"]


def test_a_topic_that_is_not_there_is_made_as_the_others_are(log):
    """An installation of an older version, whose nodes were not started anew; and somebody's mistake."""
    log.delete_now(T.tuplespace)
    log.delete_now(T.mailbox)
    log.create([TopicSpec(T.mailbox, 5)])  # somebody has added partitions
    made = []
    create = log.create
    log.create = lambda specs: made.extend(specs := list(specs)) or create(specs)
    lane = Lane(1, log, T)
    lane.submit([(0, applies(EVENT))])
    assert run(lane) == []
    assert [(spec.name, spec.partitions, spec.config) for spec in made] == [
        (T.tuplespace, 2, KEEPING["tuplespace"])
    ]
    assert [partition for partition, _, _ in read(log)] == [1]


def test_an_installation_of_before_is_given_the_topic():
    log = MemoryLog()
    log.create([spec for spec in topology.specs(T, 3) if spec.name != T.tuplespace])
    log.append_now((T.journal, 0), [(b"", b"a record")])
    assert topology.apply(log, T, 8) == 3
    assert log.topics()[T.tuplespace] == 3


def test_an_installation_of_before_starts_where_none_may_be_made(caplog):
    class Denied(MemoryLog):
        def create(self, topics):
            specs = list(topics)
            if any(spec.name == T.tuplespace for spec in specs) and self.topics():
                raise Refused("no right", topics={T.tuplespace: "no right"})
            return super().create(specs)

    log = Denied()
    log.create([spec for spec in topology.specs(T, 3) if spec.name != T.tuplespace])
    assert topology.apply(log, T, 8) == 3
    assert "t.tuplespace, which says what tuple spaces apply, cannot be made: no right" in caplog.text
    lane = Lane(0, log, T)
    lane.submit([(0, applies(EVENT)), (1, turn(emit("b")))])
    assert run(lane) == []
    (letter,) = letters(log)
    assert letter.detail == "its output to topic 't.tuplespace' was refused: no right"
    assert values(log, "t.out.b") == [b"1"]


def test_nothing_leaves_twice_after_a_crash(log):
    done = [(0, applies(EVENT)), (1, applies({**EVENT, "number": 2}))]
    first = Lane(0, log, T)
    first.submit(list(done))
    run(first)
    second = Lane(0, log, T)  # it has not heard that anything has left
    second.submit([*done, (2, applies({**EVENT, "number": 3}))])
    run(second)
    assert [record.number for _, _, record in read(log)] == [1, 2, 3]


