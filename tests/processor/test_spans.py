"""What is done above the low watermark, as ranges: marks do not grow with what was handled."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from scripted import A, B, Bench, Host, fails, tell

from plexstream.model.journal.journal import Inbox, Mark, Partition, Span
from plexstream.processor.journal.sums.fold import Fold, InboxFold
from plexstream.processor.journal.sums.inbox import InboxState
from plexstream.processor.journal.sums.spans import done_of, holds, joined, single, without
from plexstream.schema import codec

offsets = st.sets(st.integers(0, 40))


def flat(spans):
    return [offset for first, end in spans for offset in range(first, end)]


@given(offsets, offsets, st.integers(0, 40), st.integers(0, 40))
def test_ranges_are_sets(one, other, first, end):
    spans = joined([*single(one), *joined(single(other))])
    assert flat(spans) == sorted(one | other)
    assert all(a.end < b.first for a, b in pairwise(spans))
    assert [o for o in range(-1, 42) if holds(spans, o)] == sorted(one | other)
    assert flat(without(first, end, one)) == [o for o in range(first, end) if o not in one]


def test_a_mark_does_not_grow_with_what_was_handled_since():
    b = Bench(Host({"bad": fails(10**9)}))
    b.give(tell(0, "bad"))
    sizes = []
    at = 1
    for _ in range(4):
        b.give(*[tell(at + n, target=B) for n in range(3000)])
        at += 3000
        b.append()
        b.p.ledger._since_mark = 10**9
        b.tick()
        (mark,) = [r for r in b.append() if type(r) is Mark]
        sizes.append(len(codec.encode_journal(mark)))
        (inbox,) = mark.inboxes
        assert (inbox.low, inbox.done, inbox.spans) == (0, (), (Span(1, at),))
    assert max(sizes) < 200
    assert A


def test_a_list_of_an_older_version_is_read_and_written_as_ranges():
    old = Inbox("mailbox", 3, 9, (4, 5, 7), ())
    assert done_of(old) == [Span(4, 6), Span(7, 8)]
    fold = Fold(Partition(inboxes=(old,)))
    assert fold.partition(None).inboxes == (Inbox("mailbox", 3, 9, (), (), (Span(4, 6), Span(7, 8))),)
    inbox = InboxState("mailbox", InboxFold(old))
    assert [inbox.admit(offset, "", 0, 0) for offset in range(3, 10)] == [
        True, False, False, True, False, True, True,
    ]  # fmt: skip
