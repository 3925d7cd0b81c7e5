"""What turns send, and what comes in, compiled and in Python: the same."""

import gc
import random
import sys
import threading

import pytest

from plexstream.log.base import Record
from plexstream.log.limits import limits
from plexstream.log.limits.limits import RecordTooLarge, check_group, check_records
from plexstream.model.journal.journal import Claim, Out, Step, Turn
from plexstream.model.messages.address import partition_of
from plexstream.model.messages.message import TELL, Envelope
from plexstream.model.process.compiled import WANTED
from plexstream.node.ingest import feeding
from plexstream.node.ingest.feed import Feed
from plexstream.node.ingest.feeding import Feeding
from plexstream.node.ingest.sources.source import Source, Stage
from plexstream.node.lanes.leaving import gathered
from plexstream.node.lanes.leaving.leaving import TurnQueue
from plexstream.node.lanes.records import encode
from plexstream.node.partition.incoming import numbers
from plexstream.node.partition.incoming.numbers import AHEAD, JUMP, Numbers, Verdict
from plexstream.schema import codec
from plexstream.schema.codec import decode_envelope, encode_envelope
from plexstream.sdk.spec import Subscription

pytestmark = pytest.mark.skipif(not WANTED, reason="nothing is compiled")


class Odd(Out):
    """Of a class that compiled code does not know."""


def turn(seed, odd=False):
    r = random.Random(seed)
    kinds = [
        Out(r.randrange(10), "id", r.choice("abc"), "h", r.randbytes(r.randrange(400)), r.choice(["", "é"]))
        for _ in range(r.choice([0, 1, 1, 1, 3]))
    ]
    if odd:
        kinds.append(Odd(4, "id", "a", "h", b"odd"))
    fields = (
        0,
        f"default/default/t/{seed}é",
        seed,
        "mailbox",
        seed,
        5,
        0,
        False,
        "",
        (),
        "h",
        "m",
        "",
        0,
        "",
        0,
        0,
    )
    outs = tuple(kinds) if r.random() < 0.5 else kinds
    if r.random() < 0.2:
        return Step(*fields, outs, 1, seed, 0, None, (), ())
    return Turn(*fields, outs, seed)


def turns(seed, odd=False):
    return [
        (offset, turn(seed + offset, odd and offset % 7 == 6))
        for offset in range(random.Random(seed).randrange(60))
    ]


def both(monkeypatch, module, work):
    """What comes of it with and without what is compiled."""
    found = []
    for compiled in (True, False):
        monkeypatch.setattr(module, "COMPILED", compiled)
        found.append(work())
    return found


@pytest.mark.parametrize("odd", [False, True])
def test_outputs_are_the_same(monkeypatch, odd):
    assert gathered.COMPILED
    for seed in range(0, 20_000, 100):
        some = turns(seed, odd)
        position = random.Random(seed).choice([0, 5, 100])

        def gather(some=some, position=position):
            names, asked = {"a": "topic-a"}, []

            def name(of):
                asked.append(of)
                return f"topic-{of}"

            return (
                gathered.outputs(some, position, names, name),
                names,
                sorted(set(asked)),
                gathered.payloads(some),
            )

        compiled, python = both(monkeypatch, gathered, gather)
        assert compiled == python
        assert [[type(value) for value in record] for record in compiled[0]] == [
            [type(value) for value in record] for record in python[0]
        ]


def test_the_parts_answer_for_what_they_know_alone():
    part = gathered._outputs
    known = [(0, turn(1)), (1, turn(2))]
    for odd in [(2, Odd(4, "", "a", "", b""))], [(2, None)], [[2, turn(3)]], [("2", turn(3))], [(2,)], [None]:
        assert part.payloads(known + odd) is None
        assert part.records(known + odd, 0, {}, str) is None
    assert part.payloads(tuple(known)) is None
    assert part.records(known, 0, None, str) is None
    assert part.records(known, 1 << 80, {}, str) is None
    broken = turn(4)._replace(outs=(Out(4, "", "x", "", b"", "k"),))
    with pytest.raises(ZeroDivisionError):
        part.records([(0, broken)], 0, {}, lambda name: 1 // 0)
    with pytest.raises(UnicodeEncodeError):
        part.records([(0, broken._replace(outs=(Out(4, "", "x", "", b"", "\ud800"),)))], 0, {}, str)


def test_nothing_leaks():
    some = [(offset, turn(offset)) for offset in range(300)]
    some = [pair for pair in some if pair[1].outs]
    topic, payload = "".join(["a", " topic"]), b"".join([b"a", b" payload"])
    mail = Envelope(TELL, "i", "a/b/c/d", "h", payload, "", "", "", 5, {}, "log/1", 7, 0)
    some.append((300, turn(1)._replace(outs=(Out(4, "", "a", "", payload, ""),))))

    def work():
        gathered.outputs(some, 0, dict.fromkeys("abc", topic), str)
        gathered.payloads(some)
        encode.journal_items([pair[1] for pair in some])
        limits._sizes.largest([(topic, None, b"k", payload)] * 5)
        limits._sizes.size([(b"k", payload)] * 5)
        feeding._feeding.sort(
            [Record(topic, 0, n, b"k", payload, n) for n in range(300)],
            0, {}, topic, topic, topic, 1_000, topic, topic, 4, Envelope, feeding.compiled_encode,
        )  # fmt: skip
        value = encode_envelope(mail)
        numbers._arrived.known(
            [Record(topic, 0, n, b"", value, 0) for n in range(300)], codec.compiled_envelope,
            {"log/1": 7}, {"log/1": 0}, 1_000, 10_000, 1 << 20,
        )  # fmt: skip

    def counts():
        gc.collect()
        return [sys.getrefcount(each) for each in (topic, payload, None, Envelope, Turn, some[0][1], mail)]

    work()
    before = counts()
    for _ in range(50):
        work()
    assert all(abs(b - a) < 10 for a, b in zip(before, counts(), strict=True))


def test_a_queue_gives_what_fits_and_weighs_what_is_in_it():
    queue, some = TurnQueue(), [(offset, turn(offset)) for offset in range(40)]
    queue.add(some[:10])
    queue.add(some[10:])
    weights = [500 + sum(len(out.payload) for out in each.outs) for _, each in some]
    assert (queue.count, queue.bytes) == (40, sum(weights))
    assert queue.first(7, 1 << 30) == some[:7]
    assert queue.first(100, 1 << 30) == some
    for size in (1, 499, weights[0], weights[0] + 1, sum(weights[:9]), sum(weights[:9]) + 1, sum(weights)):
        wanted = next(n for n in range(1, 41) if sum(weights[:n]) >= size)
        assert queue.first(40, size) == some[:wanted], size
    queue.drop(13)
    assert (queue.count, queue.bytes) == (27, sum(weights[13:]))
    assert queue.first(1, 1) == some[13:14]


def test_one_thread_adds_while_another_takes():
    queue, some, ended = TurnQueue(), [(offset, turn(offset)) for offset in range(50)], threading.Event()

    def add():
        while not ended.is_set():
            if queue.count < 20_000:
                queue.add(list(some))

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    adding = threading.Thread(target=add)
    adding.start()
    try:
        taken = []
        while len(taken) < 20_000:
            found = queue.first(500, 8_000_000)
            taken += found
            queue.drop(len(found))
        assert taken == some * (len(taken) // 50) + some[: len(taken) % 50]
    finally:
        ended.set()
        adding.join()
        sys.setswitchinterval(interval)


def test_journal_items_are_the_same(monkeypatch):
    for seed in range(0, 3_000, 100):
        some = [each for _, each in turns(seed)]
        plain = [each for each in some if type(each) is Turn]
        for records in (some, plain, [Claim("t", "n", 1, {})]):
            found = encode.journal_items(records)
            assert [encode.journal_items([record])[0] for record in records] == found
            monkeypatch.setattr(encode, "keyed_turns", lambda _: None)
            assert encode.journal_items(records) == found
            monkeypatch.undo()


@pytest.mark.parametrize("size", [0, 1, 859, 860, 861, 872, 873, 5_000])
def test_sizes_are_looked_at_the_same_way(monkeypatch, size):
    value = b"v" * size
    groups = [
        [(b"k", value)],
        [(b"k", b""), (b"k" * 12, value), (b"", None)],
        ((b"k", value), (b"x" * 900, b"")),
    ]
    for items in groups:

        def look(items=items):
            try:
                return check_group("t", items, 1_000)
            except RecordTooLarge as error:
                return str(error), error.records

        assert len({*map(str, both(monkeypatch, limits, look))}) == 1
    for records in [
        [("t", None, key, value), ("u", 0, b"k", b""), ("t", 1, b"", value + b"v")] for key in (b"", b"kk")
    ]:

        def look(records=records):
            try:
                return check_records(records, {"t": 1_000, "u": 129}.__getitem__)
            except RecordTooLarge as error:
                return str(error), error.records

        compiled, python = both(monkeypatch, limits, look)
        assert compiled == python
        assert (compiled is None) == (len(records[0][2]) + size <= 872 and size + 1 <= 872)


def test_sizes_of_what_is_no_record_are_errors():
    for wrong in ([b"k"], [(b"k",)], [None], [(b"k", 3)], 3):
        with pytest.raises(TypeError):
            limits._sizes.size(wrong)
    for wrong in ([b"k"], [("t", None, b"k")], [("t", None, b"k", 3)], ()):
        with pytest.raises(TypeError):
            limits._sizes.largest(wrong)


class Inbox:
    def __init__(self):
        self.origins = {"log/1": (100, 0)}


class Part:
    def __init__(self):
        self.inbox = Inbox()


def messages(seed):
    r, seqs = random.Random(seed), {"log/1": 100, "log/2": 0, "": 0}
    for offset in range(r.randrange(80)):
        origin = r.choice(["", "log/1", "log/1", "log/1", "log/2"])
        seqs[origin] += r.choice([0, 1, 1, 1, 2, JUMP - 1, JUMP] if r.random() < 0.1 else [0, 1])
        seq = seqs[origin] if r.random() < 0.95 else r.choice([0, 50, AHEAD + 100, 1 << 40])
        e = Envelope(
            TELL, "id", "a/b/c/d", "h", r.randbytes(20), "", "", "", 5, {}, origin, seq if origin else 0, 0
        )
        value = encode_envelope(e) if r.random() < 0.97 else r.choice([b"", None, b"no envelope at all"])
        yield Record("mailbox", 0, offset, b"", value, 0)


class Unasked:
    """Whose log is not asked in this test."""

    def ask(self, *question):
        pass

    control = None


def test_messages_that_are_known_are_those_that_check_finds_good(monkeypatch):
    assert numbers.COMPILED
    seen = 0
    for seed in range(400):
        records, most = list(messages(seed)), random.Random(seed).choice([0, 300, 1 << 20])
        compiled, python, part = Numbers(Unasked(), 0, None), Numbers(Unasked(), 0, None), Part()
        for each in (compiled, python):
            for origin in ("log/1", "log/2") if seed % 3 else ():
                each._newest[origin] = each._ends[origin] = part.inbox.origins.get(origin, (0, 0))[0]
                if seed % 2:  # what is believed ends soon
                    each._ends[origin] += 5 - AHEAD
        found, size = compiled.known(records, most)
        seen += len(found)
        wanted, total = [], 0
        for record in records:
            try:
                e = decode_envelope(record.value or b"")
            except Exception:
                break
            strange = e.origin and e.origin not in python._newest
            if total > most or strange or (e.origin and not is_good(python, part, record, e)):
                break
            total += len(record.value)
            wanted.append((record.offset, e))
        assert (found, size) == (wanted, total)
        assert compiled._newest == python._newest
    assert seen > 1_000


def is_good(python, part, record, e):
    """Whether `check` finds it good as any message is that comes behind the one before."""
    newest, ends = python._newest[e.origin], python._ends[e.origin]
    if newest <= e.origin_seq < newest + JUMP and e.origin_seq < ends + AHEAD:
        return python.check(part, record.offset, e, 0) is Verdict.GOOD
    return False


KEYS = [b"k1", b"k2", b"\xc3\xa9", b"", b"a/b", b"a\nb", b"\xff", b" ", b"~", b"\x7f"]
VALUES = [b'{"n": 1}', b"", None, b"x" * 101]


class Taker:
    """An appender that takes all, or says that a group is too large once."""

    def __init__(self, limit):
        self.groups = []
        self._limit = limit

    def append(self, place, items, token):
        check_group(place[0], items, self._limit)
        self.groups.append((place, list(items)))


@pytest.mark.parametrize(
    ("key", "into", "feeds"), [(None, None, 1), (None, None, 2), ("n", None, 1), (None, "x", 1)]
)
@pytest.mark.parametrize("limit", [1_000_000, 300])
def test_records_of_sources_become_the_same_messages(monkeypatch, key, into, feeds, limit):
    assert feeding.COMPILED
    for seed in range(30):
        r = random.Random(seed)
        records = [
            Record("src", r.randrange(2), offset, r.choice(KEYS), r.choice(VALUES), r.randrange(1 << 41))
            for offset in range(r.randrange(60))
        ]

        def feed(records=records):
            made = [Feed(f"t{n}", Subscription("src", key, "add", into), 100) for n in range(feeds)]
            sources = {("src", n): Source(("src", n), "life", None, 0.0) for n in range(2)}
            for source in sources.values():
                source.stage, source.origin = Stage.READING, f"{source.place[0]}/{source.place[1]}@life"
            taker = Taker(limit)
            assert list(Feeding("mailbox", 3, {"src": made}).feed(taker, sources, records)) == []
            return taker.groups, [[*source.outstanding] for source in sources.values()]

        compiled, python = both(monkeypatch, feeding, feed)
        assert compiled == python


def test_what_is_no_record_of_a_source_is_left_where_it_is():
    plain = Record("src", 0, 1, b"k", b"v", 5)
    odd = [(1, 2), plain._replace(offset=1 << 70), plain._replace(offset="1"), plain._replace(key="k"), None]
    for one in odd:
        into = {}
        rest = [plain, plain, one, plain]
        args = into, "feed", "d/d/t/", "h", 10, "src/0@life", "mailbox", 4, Envelope, feeding.compiled_encode
        assert feeding._feeding.sort(rest, 0, *args) == 2
        assert feeding._feeding.sort(rest, 3, *args) == 4
        assert sum(len(group) for group in into.values()) == 3
    for partitions in (0, -1, 1 << 40):
        with pytest.raises(ValueError, match="partitions"):
            feeding._feeding.sort([plain], 0, {}, "f", "p", "h", 9, "o", "m", partitions, Envelope, str)
    with pytest.raises(ZeroDivisionError):
        feeding._feeding.sort([plain], 0, {}, "f", "p", "h", 9, "o", "m", 4, Envelope, lambda _: 1 // 0)


def test_partitions_are_those_that_java_clients_choose():
    for size in range(0, 40):
        record = Record("src", 0, 1, b"k" * max(1, size), b"v", 5)
        into = {}
        feeding._feeding.sort(
            [record], 0, into, "feed", "p/", "h", 10, "o", "m", 10_007, Envelope, feeding.compiled_encode
        )
        assert [*into] == [("m", partition_of("p/" + "k" * max(1, size), 10_007))]
