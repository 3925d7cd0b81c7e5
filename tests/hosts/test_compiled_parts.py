"""What is compiled of a turn, where code of users runs at a moment that is out of the ordinary."""

import json
from dataclasses import dataclass

import pytest

from plexstream import actor, handler, host, state
from plexstream.hosts.native import NativeHost
from plexstream.hosts.native.plain.compiled import INVOKER
from plexstream.model.journal.journal import Change
from plexstream.model.journal.snapshot import Snapshot
from plexstream.processor.plain import COMPILED
from plexstream.schema.codec import decode_snapshot, encode_snapshot

pytestmark = pytest.mark.skipif(INVOKER is None or not COMPILED, reason="nothing is compiled")


@dataclass
class Noted:
    """Keeps something whenever it is read, and tells of it."""

    n: int = 0

    def __post_init__(self):
        host.set("last", self.n)
        host.emit("read", self.n)


@actor(name="keeps")
class Keeps:
    noted: Noted | None = state(default=None)

    @handler
    def go(self, n: int):
        self.noted = Noted.__new__(Noted)  # not read yet
        self.noted.n = n


@actor(name="counts")
class Counts:
    n: int = state(default=0)

    @handler
    def go(self, n: int):
        self.n += n


class Nothing:
    """A new actor's entries."""

    def get(self, field, key):
        return None

    def entries(self, field, *_):
        return iter(())


def result_of(compiled, cls=Keeps):
    native = NativeHost({"any": cls.__plexstream__})
    instance = native.activate("any", "default/default/any/1", {}, Nothing())
    call = instance, "go", json.dumps({"n": 5}).encode(), 2, 1_000, "", "m"
    result = native.plain(*call, "") if compiled else None  # nobody waits for an answer
    return result or native.invoke(*call, must_read=False, fresh=False)


def test_what_is_kept_while_fields_are_stored_is_of_that_turn():
    """An actor that is evicted before its next turn would have lost it."""
    expected = result_of(compiled=False)
    assert {(c.field, c.key) for c in expected.patch} >= {("noted", None), ("@keys", "last")}
    assert len(expected.outs) > 1
    assert result_of(compiled=True) == expected


def test_what_is_made_has_the_hash_of_what_it_equals():
    """From CPython 3.14 on, tuples remember it."""
    made = result_of(True, Counts).patch[0]
    assert hash(made) == hash(Change(*made))
    decoded = decode_snapshot(encode_snapshot(Snapshot(1, "a", "f", None, 1, 2, 3, b"x")))
    assert hash(decoded) == hash(Snapshot(*decoded))


def test_what_was_never_made_is_an_error_and_no_end_of_the_process():
    from plexstream.hosts.native.plain._turn import Invoker
    from plexstream.processor.plain._mailbox import Mailbox

    with pytest.raises(TypeError, match="not made"):
        Mailbox.__new__(Mailbox).receive([], 0)
    with pytest.raises(TypeError, match="not made"):
        Invoker.__new__(Invoker).emit(None, "topic", 1, None)
