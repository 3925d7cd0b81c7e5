"""The record keys of the snapshot topic."""

from hypothesis import given
from hypothesis import strategies as st

from plexstream.model.journal.snapshot import Piece
from plexstream.node.partition.sums.snapshots import piece_key, snapshot_key

address = st.from_regex(r"[a-zé]{1,5}/[a-z]{1,5}/[a-z]{1,5}/[a-z0-9 ]{1,5}", fullmatch=True)
field = st.from_regex(r"[a-z_]{1,8}", fullmatch=True)
keys = st.one_of(
    st.tuples(st.just(Piece.ACTOR.value), address, st.just(""), st.none()),
    st.tuples(st.just(Piece.ENTRY.value), address, field, st.text(max_size=5)),
    st.tuples(st.just(Piece.REPLY.value), address, st.text(min_size=1, max_size=5), st.none()),
    st.tuples(st.just(Piece.TIMER.value), address, st.just("1.0"), st.none()),
)


@given(keys)
def test_a_record_key_names_its_piece(key):
    assert piece_key(snapshot_key(key)) == key
