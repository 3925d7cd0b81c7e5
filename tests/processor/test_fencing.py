"""Acknowledgements tell whether somebody else has written in between."""

import pytest
from scripted import (
    Bench,
    ask,
)  # fmt: skip

from plexstream.model.errors import Fenced
from plexstream.model.journal.journal import Claim, Partition
from plexstream.processor import Fold


def test_a_claim_in_the_gap_fences():
    b = Bench()
    b.give(ask(0), ask(1, "read"))
    turns = b.p.take()
    assert b.p.acknowledged(2) == (1, 2)
    with pytest.raises(Fenced, match="claimed by other"):
        b.p.gap([(1, Claim("x", "other", 0, {})), (2, turns[0])])
    assert not b.answers()
    assert not b.p.outbox.mails.queue


def test_records_of_a_zombie_in_the_gap_do_not_count():
    b = Bench()
    b.restart()
    b.give(ask(0))
    turns = b.p.take()
    zombie = turns[0]._replace(claim=0, seq=99)
    assert b.p.acknowledged(4) == (2, 4)
    b.p.gap([(2, zombie), (3, None), (4, turns[0])])
    assert [(o, t.seq) for o, t in b.p.outbox.mails.queue] == [(4, 1)]
    assert b.p.fold.next == 5


@pytest.mark.parametrize(
    ("first", "seen", "why"),
    [
        (1, [0, 0, 0], "0 of 1 records"),
        (2, [1, 0], "trimmed"),
        (1, [], "trimmed"),
    ],
)
def test_a_gap_without_just_our_records_fences(first, seen, why):
    b = Bench()
    b.give(ask(0))
    (turn,) = b.p.take()
    b.p.acknowledged(3)
    with pytest.raises(Fenced, match=why):
        b.p.gap([(first + i, turn if ours else None) for i, ours in enumerate(seen)])


def test_an_impossible_acknowledgement_fences():
    b = Bench()
    b.give(ask(0))
    b.p.take()
    with pytest.raises(Fenced):
        b.p.acknowledged(0)


def two_groups(b):
    """Of two turns and of one."""
    b.give(ask(0), ask(1))
    first = b.p.take()
    b.give(ask(2))
    return [*first, *b.p.take()]


def again(b, journal, *acks):
    """What the owner makes of a journal and of the acknowledgements of its groups: the offsets that count."""
    for offset in acks:
        gap = b.p.acknowledged(offset)
        if gap is not None:
            b.p.gap(list(enumerate(journal))[gap[0] : gap[1] + 1])
    return [offset for offset, _ in b.p.outbox.mails.queue]


@pytest.mark.parametrize(
    ("order", "acks", "counts"),
    [
        ([1, 2, 1, 2, 3], (4, 5), [1, 2, 5]),  # the answer to the first was lost, and it was sent again
        ([1, 2, 1, 3], (2, 4), [1, 2, 4]),  # a part of it, once it was acknowledged
        ([1, 2, 3, 1, 2, 3], (5, 6), [1, 2, 3]),  # both
        ([1, 1, 2, 3], (3, 4), [1, 3, 4]),
        ([1, 2, 3, 2, 3], (2, 5), [1, 2, 3]),
    ],
)
def test_what_was_appended_again_counts_once(order, acks, counts):
    """For the owner, who goes on, and for whoever folds its journal, be it from the owner's sum on."""
    b = Bench()
    turns = two_groups(b)
    journal = [b.journal[0], *(turns[number - 1] for number in order)]
    assert again(b, journal, *acks) == counts
    fold = Fold()
    assert [offset for offset, record in enumerate(journal) if fold.take(offset, record)] == [0, *counts]
    sum = b.p.fold.partition(0)
    for seen in (fold, b.p.fold, Fold(sum)):
        assert [offset for offset, r in enumerate(journal[: sum.start]) if seen.counted(offset, r)] == counts
    later = Fold(sum)
    assert not [offset for offset in range(sum.start, len(journal)) if later.take(offset, journal[offset])]
    assert (later.turns, later.ordinal) == (fold.turns, fold.ordinal) == (3, 3)


def test_a_mark_that_stands_between_copies_is_folded_in_its_place():
    b = Bench()
    b.p.trials.announce("t")
    b.give(ask(0))
    mark, turn = b.p.take()
    journal = [b.journal[0], mark, mark, turn]
    assert again(b, journal, 3) == [3]
    assert b.p.fold.timer == "t"
    assert (b.p.fold.next, b.p.fold.ordinal) == (4, 2)


@pytest.mark.parametrize(
    ("order", "why"), [([1, 3, 2], "another record"), ([2, 1, 2], "another record"), ([1, 1, 1], "1 of 2")]
)
def test_a_group_that_is_not_there_in_order_fences(order, why):
    b = Bench()
    turns = two_groups(b)
    with pytest.raises(Fenced, match=why):
        again(b, [b.journal[0], *(turns[number - 1] for number in order)], 3)
    assert not b.p.outbox.mails.queue


def test_nothing_counts_behind_what_is_missing():
    b = Bench()
    turns = two_groups(b)
    fold, missing = Fold(), []
    fold.on_missing = lambda *what: missing.append(what)
    journal = [b.journal[0], turns[0], turns[2], turns[1], turns[2], Claim("u", "m", 0, {})]
    counted = [fold.take(offset, record) for offset, record in enumerate(journal[:4])]
    assert counted == [True, True, False, False]
    assert missing == [(2, 3, 2)]
    later = Fold(fold.partition(0))
    assert not later.take(4, journal[4])
    assert later.take(5, journal[5])
    assert [offset for offset, record in enumerate(journal) if later.counted(offset, record)] == [1]
    assert later.take(6, turns[0]._replace(claim=5))


def test_what_cannot_be_read_may_be_what_is_missing():
    b = Bench()
    turns = two_groups(b)
    fold = Fold()
    assert [fold.take(0, b.journal[0]), fold.take(1, turns[0])] == [True, True]
    fold.skip(2)
    later = Fold(fold.partition(None))
    for either in (fold, later):
        assert not either.take(3, turns[0])
        assert either.take(4, turns[2])
        assert either.unread == 0


def test_records_of_before_have_no_numbers_and_count():
    b = Bench()
    old = [turn._replace(ordinal=0) for turn in two_groups(b)]
    fold = Fold()
    assert [fold.take(offset, record) for offset, record in enumerate([b.journal[0], *old])] == [True] * 4
    sum = fold.partition(None)
    assert Fold(sum._replace(ordinal=-1)).take(4, old[0])
    assert Fold(sum).take(4, old[0])


@pytest.mark.parametrize("known", [0, 2, -1, -2])
def test_a_number_below_zero_is_nobodys_and_leads_nowhere(known):
    b = Bench()
    turns = two_groups(b)
    fold = Fold(Partition(start=8, claims=(0,), ordinal=known))
    assert [fold.take(8 - n, turns[0]._replace(ordinal=n)) for n in (-1, -2, -3)] == [False] * 3
    assert fold.ordinal == known


def test_where_it_is_not_known_the_first_number_is_taken():
    b = Bench()
    turns = two_groups(b)
    fold = Fold(Partition(start=8, claims=(0,)))
    assert [fold.take(8, turns[1]), fold.take(9, turns[0]), fold.take(10, turns[1])] == [True, False, False]
    assert fold.take(11, turns[2])
