"""Our codecs and Avro's reference implementation read each other; hostile bytes are Malformed."""

import io
import shutil
import sysconfig
import time
import tracemalloc

import fastavro
import pytest
from golden import FILLED, GOLDEN, OLDER
from hypothesis import given, settings
from hypothesis import strategies as st
from records import CODECS, STRATEGIES, TWINS, WAYS, plain

from plexstream.model.errors import Malformed
from plexstream.model.journal.journal import Out, Turn
from plexstream.model.messages.message import Envelope
from plexstream.model.process.compiled import WANTED
from plexstream.schema import avro
from plexstream.schema.codec import COMPILED, decode_journal, encode_envelope, encode_journal, is_claim
from plexstream.schema.records.varint import long, read

IDS = [name if codec is CODECS[name] else f"{name}, Python" for name, codec in WAYS]
each_way = pytest.mark.parametrize(("name", "codec"), WAYS, ids=IDS)
records = st.sampled_from(WAYS).flatmap(lambda way: st.tuples(st.just(way), STRATEGIES[way[0]]))


def by_fastavro(name, record):
    body = io.BytesIO()
    fastavro.schemaless_writer(body, avro.schema(name), plain(record))
    return avro.prefix(name) + body.getvalue()


@given(records)
@settings(max_examples=400)
def test_round_trip_and_fastavro_agree(drawn):
    (name, (encode, decode)), record = drawn
    data = encode(record)
    assert decode(data) == record
    assert avro.decode(name, data) == plain(record)
    assert decode(by_fastavro(name, record)) == record


@given(STRATEGIES["Turn"] | STRATEGIES["Step"], st.sampled_from(WAYS))
def test_a_turn_without_its_outs(turn, way):
    decode = way[1].decode if way[0] == "Turn" else decode_journal
    assert decode(encode_journal(turn), outs=False) == turn._replace(outs=[])


def decodes_or_malformed(codec, data):
    try:
        return codec.decode(data)
    except Malformed:
        return None


def same_by_both(name, data):
    """What is compiled takes nothing that its twin refuses, nor reads it otherwise."""
    found = decodes_or_malformed(CODECS[name], data)
    if name in TWINS:
        assert found == decodes_or_malformed(TWINS[name], data)
    return found


@given(records, st.data())
@settings(max_examples=400)
def test_truncated_and_extended_bytes_are_malformed(drawn, data):
    (_, (encode, decode)), record = drawn
    whole = encode(record)
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(Malformed):
        decode(whole[:cut])
    with pytest.raises(Malformed):
        decode(whole + data.draw(st.binary(min_size=1, max_size=12)))


@given(records, st.data())
@settings(max_examples=1000)
def test_mutated_bytes_are_a_record_or_malformed(drawn, data):
    (name, codec), record = drawn
    broken = bytearray(codec.encode(record))
    for _ in range(data.draw(st.integers(1, 4))):
        broken[data.draw(st.integers(10, len(broken) - 1))] = data.draw(st.integers(0, 255))
    same_by_both(name, bytes(broken))


@given(records, st.integers(0, 8))
@settings(max_examples=200)
def test_numbers_that_are_longer_than_they_must_be_are_read_alike(drawn, more):
    """Lengths, branches of a union, ends of arrays: what one of the two takes for more bytes than it has."""
    (name, (encode, _)), record = drawn
    data = encode(record)
    for at in range(10, len(data)):
        if data[at] < 128 and data[at - 1 : at + 2] != b"xxx":  # in full, long texts take minutes
            longer = bytes((data[at] | 128,)) + b"\x80" * more + b"\0"
            same_by_both(name, data[:at] + longer + data[at + 1 :])


@given(st.sampled_from(sorted(CODECS)), st.binary(max_size=60))
@settings(max_examples=600)
def test_random_bytes_are_a_record_or_malformed(name, data):
    same_by_both(name, data)
    same_by_both(name, avro.prefix(name) + data)


@given(st.sampled_from(sorted(TWINS)).flatmap(lambda n: st.tuples(st.just(n), STRATEGIES[n])))
@settings(max_examples=400)
def test_compiled_and_python_write_the_same_bytes(drawn):
    name, record = drawn
    assert CODECS[name].encode(record) == TWINS[name].encode(record)


WRONG = [None, 1.5, "\ud800", 2**63, -(2**63) - 1, b"\xff", "x", (1,), {"a": 1}, [("a",)]]


@pytest.mark.parametrize("name", sorted(TWINS))
def test_a_field_of_a_wrong_type_is_for_the_twin(name):
    # The same outcome, an error or bytes: what is compiled decides nothing by itself.
    record = CODECS[name].decode(avro.encode(name, FILLED[name]))
    for at in range(len(record)):
        for wrong in WRONG:
            changed = type(record)(*record[:at], wrong, *record[at + 1 :])
            outcomes = []
            for codec in (CODECS[name], TWINS[name]):
                try:
                    outcomes.append(codec.encode(changed))
                except Exception as error:
                    outcomes.append(type(error))
            assert outcomes[0] == outcomes[1], (record._fields[at], wrong)


def test_it_is_compiled_wherever_there_is_a_compiler():
    compiler = (sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        pytest.skip(f"no C compiler {compiler!r}")
    assert COMPILED == WANTED


HUGE = [long(n) for n in (2**31, 2**40, 2**62, 2**63 - 1, -1, -(2**62), -(2**63))]


@each_way
def test_huge_lengths_and_counts_cost_neither_time_nor_memory(name, codec):
    record = avro.encode(name, FILLED[name])
    started = time.thread_time()
    tracemalloc.start()
    for at in range(10, len(record)):
        for huge in HUGE:
            decodes_or_malformed(codec, record[:at] + huge + record[at + 1 :])
            decodes_or_malformed(codec, record[:at] + huge)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10_000_000
    assert time.thread_time() - started < 20


@each_way
@pytest.mark.parametrize("data", [b"", b"\xc3", b"\xc3\x01", b"\xc3\x01" + bytes(8), b"{}", b"\0" * 100])
def test_what_begins_otherwise_is_malformed(name, codec, data):
    with pytest.raises(Malformed):
        codec.decode(data)


def test_an_unknown_kind_of_message_is_malformed():
    data = bytearray(encode_envelope(Envelope(0, "i", "t", "h", b"")))
    for kind in (1, 8, 255):
        data[10] = kind
        for codecs in (CODECS, TWINS):
            with pytest.raises(Malformed):
                codecs["Envelope"].decode(bytes(data))


def test_numbers():
    for n in (0, -1, 1, 63, 64, -64, -65, 8191, 8192, 2**27, 2**28, 2**35, -(2**35), 2**63 - 1, -(2**63)):
        assert read(long(n), 0) == (n, len(long(n)))
    with pytest.raises(Malformed):
        read(b"\xff" * 9 + b"\x02", 0)  # 65 bits
    with pytest.raises(Malformed):
        read(b"\x80" * 11, 0)


# Whoever changes a schema breaks every record on every log, and every program that reads them with
# the schema of before. Add a field with a default under a new namespace version, keep reading the old
# one, and pin the new bytes beside the old.
HOW = "a schema has changed: see the comment above this text in the test for how to do that"


@each_way
def test_bytes_are_those_of_this_version(name, codec):
    data = avro.encode(name, FILLED[name])
    assert data.hex() == GOLDEN[name], HOW
    decoded = codec.decode(data)
    assert plain(decoded) == FILLED[name]
    assert plain(codec.decode(codec.encode(decoded))) == FILLED[name]


NUMBER = {"ordinal": 0}
NUMBERS = {"ordinal": -1, "unread": 0, "uncounted": []}
ADDED = {
    ("Claim", 1): {"process": ""},
    ("Mark", 1): {"alive": "", **NUMBER},
    ("Mark", 2): NUMBER,
    ("Partition", 1): {"deaths": [], "attempt_by": [], "timer_by": [], "process": "", **NUMBERS},
    ("Partition", 2): NUMBERS,
    ("Step", 1): NUMBER,
    ("Turn", 1): NUMBER,
}


@pytest.mark.parametrize(("name", "version"), sorted(OLDER))
def test_what_older_versions_wrote_is_read_with_defaults(name, version):
    expected = {**FILLED[name], **ADDED[name, version]}
    if "inboxes" in expected and version == 1:
        expected["inboxes"] = [{**inbox, "spans": []} for inbox in expected["inboxes"]]
    data = bytes.fromhex(OLDER[name, version])
    assert plain(CODECS[name].decode(data)) == expected
    assert avro.decode(name, data) == expected
    assert is_claim(data) == (name == "Claim")
    for end in range(len(data)):
        with pytest.raises(Malformed):
            CODECS[name].decode(data[:end])


def test_every_schema_is_pinned():
    from importlib import resources

    files = {f.name for f in (resources.files("plexstream.schema") / "avsc").iterdir()}
    older = {f"{name.lower()}.{version}.avsc" for name, version in OLDER}
    assert files == {f"{name.lower()}.avsc" for name in GOLDEN} | older


def test_a_block_of_many_items_and_of_several_blocks():
    # Other writers split arrays into blocks, with or without their size.
    one = Turn(1, "a", 1, "mailbox", 1, 1, 0, False, "", [], "h", "i", "", 1, "", 0, 0, [])
    out = Out(2, "i", "e", "", b"{}")
    data = encode_journal(one)
    item = encode_journal(one._replace(outs=[out]))[len(data) - 2 + 2 : -2]
    end = b"\0" + long(one.ordinal)
    two_blocks = data[:-2] + long(1) + item + long(-2) + long(2 * len(item)) + item * 2 + end
    assert decode_journal(two_blocks).outs == [out] * 3
    with_size = data[:-2] + (long(-2) + long(2 * len(item)) + item * 2) * 2 + end
    assert decode_journal(with_size, outs=False).outs == []


@pytest.mark.parametrize("kind", [-(2**31), -64, -4, -1, 0, 1, 2, 3, 4, 63, 64, 2**31 - 1])
@pytest.mark.parametrize("origin", ["", "journal/1"])
def test_any_kind_of_cause_is_read_as_it_was_written(kind, origin):
    # Those that there are have a shortcut where there is neither sender nor origin.
    turn = Turn(1, "a", 1, "mailbox", 1, 1, 0, False, "", [], "h", "i", "", kind, origin, 0, 0, [])
    assert encode_journal(turn) == by_fastavro("Turn", turn)
    assert decode_journal(encode_journal(turn)) == turn
