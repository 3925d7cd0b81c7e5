"""Acknowledgements tell whether somebody else has written in between."""

import pytest
from scripted import (
    Bench,
    ask,
)  # fmt: skip

from plexstream.model.journal import Claim
from plexstream.processor import Fenced


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
        (1, [1, 1, 0], "2 of 1 records"),
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
