"""Strategies for every record, one codec each."""

from typing import NamedTuple

from hypothesis import strategies as st

from plexstream.model.journal.journal import (
    Begin,
    Change,
    Claim,
    Command,
    Completion,
    Inbox,
    Mark,
    Origin,
    Out,
    Partition,
    Span,
    Step,
    Turn,
)
from plexstream.model.journal.snapshot import Snapshot
from plexstream.model.messages.message import Applied, DeadLetter, Envelope
from plexstream.schema import codec
from plexstream.schema.records import envelope, journal, snapshot

text = st.text(max_size=20) | st.sampled_from(["", "x" * 63, "x" * 64, "é" * 4100, "mailbox"])
blob = st.binary(max_size=20) | st.sampled_from(
    [b"", b"x" * 63, b"x" * 64, b"x" * 8191, b"x" * 8192, b"x" * 20_000]
)
long = (
    st.integers(-(2**63), 2**63 - 1) | st.integers(-1, 300) | st.sampled_from([1732291486123, 2**28, 2**27])
)
int32 = st.integers(-(2**31), 2**31 - 1) | st.integers(0, 10)
longs = st.lists(long, max_size=4)
texts = st.lists(text, max_size=3).map(tuple)


def tuples(of, strategy):
    return st.lists(strategy, max_size=4).map(of)


origin = st.builds(Origin, text, long, int32)
spans = tuples(tuple, st.builds(Span, long, long))
inbox = st.builds(Inbox, text, long, long, longs.map(tuple), tuples(tuple, origin), spans)
inboxes = tuples(tuple, inbox)
change = st.builds(Change, text, st.none() | text, st.none() | blob)
out = st.builds(Out, int32, text, text, text, blob, text, text, long)
STRATEGIES = {
    "Envelope": st.builds(
        Envelope, st.integers(0, 3), text, text, text, blob, text, text, text, long,
        st.dictionaries(text, text, max_size=3), st.just(""), long, int32,
    ) | st.builds(
        Envelope, st.integers(0, 3), text, text, text, blob, text, text, text, long,
        st.dictionaries(text, text, max_size=3), text.filter(bool), long, int32,
    ),
    "Turn": st.builds(
        Turn, long, text, long, text, long, long, int32, st.booleans(), text, st.lists(change, max_size=4),
        text, text, text, int32, text, long, int32, st.lists(out, max_size=4), long,
    ),
    "Step": st.builds(
        Step, long, text, long, text, long, long, int32, st.booleans(), text, st.lists(change, max_size=4),
        text, text, text, int32, text, long, int32, st.lists(out, max_size=2), long, long, long,
        st.none() | st.builds(
            Begin, int32, text, text, blob, text, text, text, long, text,
            st.none() | st.lists(change, max_size=2),
        ),
        st.lists(st.builds(Command, int32, int32, text, long), max_size=3),
        st.lists(st.builds(Completion, int32, st.booleans(), blob), max_size=3), long,
    ),
    "Claim": st.builds(Claim, text, text, long, st.dictionaries(text, text, max_size=3), text),
    "Mark": st.builds(Mark, long, long, inboxes, long, long, long, text, st.booleans(), text, long),
    "Partition": st.builds(
        Partition, long, long, long, longs.map(tuple), inboxes, long, long, int32, int32, st.booleans(),
        long, int32, text, int32, texts, texts, texts, text, long, int32, spans,
    ),
    "Snapshot": st.builds(
        Snapshot, st.integers(0, 4), text, text, st.none() | text, long, long, long, blob
    ),
    "TupleSpace": st.builds(Applied, long, text, long, text, long, text, text, long),
    "DeadLetter": st.builds(
        DeadLetter, text, text, text, text, blob, text, text, int32, text, long, long, text, long, int32
    ),
}  # fmt: skip


class Codec(NamedTuple):
    encode: object
    decode: object


CODECS = {
    "Envelope": Codec(codec.encode_envelope, codec.decode_envelope),
    "Turn": Codec(codec.encode_journal, codec.decode_journal),
    "Step": Codec(codec.encode_journal, codec.decode_journal),
    "Claim": Codec(codec.encode_journal, codec.decode_journal),
    "Mark": Codec(codec.encode_journal, codec.decode_journal),
    "Partition": Codec(codec.encode_partition, codec.decode_partition),
    "Snapshot": Codec(codec.encode_snapshot, codec.decode_snapshot),
    "DeadLetter": Codec(codec.encode_dead_letter, codec.decode_dead_letter),
    "TupleSpace": Codec(codec.encode_applied, codec.decode_applied),
}
TWINS = {
    "Envelope": Codec(envelope.encode_envelope, envelope.decode_envelope),
    "Turn": Codec(journal.encode_journal, journal.decode_journal),
    "Step": Codec(journal.encode_journal, journal.decode_journal),
    "Snapshot": Codec(snapshot.encode_snapshot, snapshot.decode_snapshot),
}
"""Of what is compiled, in Python."""
WAYS = [(name, CODECS[name]) for name in sorted(CODECS)]
if codec.COMPILED:
    WAYS += [(name, TWINS[name]) for name in sorted(TWINS)]


def plain(value):
    """A record as fastavro has it."""
    if hasattr(value, "_asdict"):
        return {k: plain(v) for k, v in value._asdict().items()}
    if isinstance(value, tuple | list):
        return [plain(v) for v in value]
    return value
