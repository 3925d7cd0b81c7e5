"""Keys that are stored as no text of people are shown as JSON, without the code that declares them."""

from plexstream.cli.views.journal_text import text_of
from plexstream.inspection.views.state_view import ActorState, differences, fields_of
from plexstream.model.journal.journal import Change, Turn
from plexstream.model.journal.snapshot import Piece, Snapshot
from plexstream.sdk.running.collections.keys import Keys
from plexstream.store.memory import MemoryStore

A = "t/n/a/1"
KEYS = [
    (int, -42, "-42"), (float, 0.5, "0.5"), (tuple[str, int], ("é\0", 3), '["é\\u0000", 3]'),
    (str, "42", "42"), (str, "\x01 no key", "\x01 no key"),
]  # fmt: skip


def state(value):
    store = MemoryStore()
    for number, (type, key, _) in enumerate(KEYS):
        stored = Keys("a.m", type).store(key)
        piece = Snapshot(Piece.ENTRY, A, f"m{number}", stored, 1, 2, 3, value)
        store.write({(piece.kind, piece.address, piece.name, piece.key): piece})
    return fields_of(store, A, None)


def test_in_states_and_what_differs_between_two():
    assert state(b"1") == {f"m{number}": {shown: 1} for number, (_, _, shown) in enumerate(KEYS)}
    one, other = (ActorState(A, 0, 0, 1, 0, 0, state(value), []) for value in (b"1", b"2"))
    paths = [d.path for d in differences(one, other)]
    assert paths == [f"m{number}.{shown}" for number, (_, _, shown) in enumerate(KEYS)]


def test_none_hides_another():
    """A text may be what people read of another key."""
    store, keys = MemoryStore(), Keys("a.m", int)
    for number, key in enumerate([keys.store(5), keys.store(7), "5", "6"]):
        store.write({(1, A, "m", key): Snapshot(Piece.ENTRY, A, "m", key, 1, 2, 3, b"%d" % number)})
    assert fields_of(store, A, None) == {"m": {keys.store(5): 0, "7": 1, "5": 2, "6": 3}}


def test_a_map_is_no_list_for_what_one_entry_is():
    store = MemoryStore()
    for key, value in (("#", b"[0,1000000000000]"), ("0", b"1")):
        store.write({(1, A, "m", key): Snapshot(Piece.ENTRY, A, "m", key, 1, 2, 3, value)})
    assert fields_of(store, A, None) == {"m": {"#": [0, 10**12], "0": 1}}


def test_in_the_journal():
    patch = [Change("m", Keys("a.m", type).store(key), b"1") for type, key, _ in KEYS]
    told = text_of(Turn(0, A, 1, "mailbox", -1, 5, 0, False, "", patch, "h", "i", "", 0, "", 0, 0, []))
    for _, _, shown in KEYS:
        assert f"m[{shown}]" in told
