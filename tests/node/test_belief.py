"""Which records are believed to be of a topic's life, and what answers that come late are worth."""

import pytest

from plexstream.log.base import Record
from plexstream.model.errors import LogError
from plexstream.node.ingest.sources.belief import SILENCE_S, AnotherLife, Belief


class Room:
    """A belief with a clock and a log that answers when it is told to."""

    def __init__(self):
        self.now = 100.0
        self.asked = []
        self.belief = Belief("one", self.asked.append, lambda: self.now)

    def judge(self, *offsets, drained=None):
        records = [Record("a", 0, offset, b"k", b"v" * 10, 0) for offset in offsets]
        given = self.belief.judge(records, self.now if drained is None else drained)
        return [record.offset for record in given]

    def take(self):
        return [record.offset for record in self.belief.take()]

    def answer(self, said="one"):
        self.asked.pop(0)(said)


def test_the_first_records_wait_until_the_log_has_said_whose_they_are():
    room = Room()
    assert room.judge(1, 2) == [] == room.take()
    assert room.belief.bytes == 20
    room.answer()
    assert room.take() == [1, 2]
    assert room.take() == []
    assert room.belief.bytes == 0
    assert room.judge(3) == [3]
    assert not room.asked


def test_after_a_silence_the_log_is_asked_again():
    room = Room()
    room.judge(1)
    room.answer()
    room.take()
    room.now += SILENCE_S / 2
    assert room.judge(2) == [2]
    room.now += SILENCE_S * 0.9  # since the last ones: what was fetched soon after them is theirs
    assert room.judge(3) == [3]
    room.now += SILENCE_S * 1.1
    assert room.judge(4) == []
    assert len(room.asked) == 1


def test_what_was_sure_is_so_up_to_when_all_of_it_was_handed_over():
    room = Room()
    room.judge(1)
    room.answer()
    room.take()
    room.now += SILENCE_S / 2
    assert room.judge(2, drained=room.now - SILENCE_S) == [2]  # fetched who knows when
    room.now += SILENCE_S * 0.6
    assert room.judge(3) == []


def test_an_answer_is_about_what_was_there_when_it_was_asked_for():
    room = Room()
    room.judge(1)
    room.now += 1
    assert room.judge(2) == []  # behind one that waits
    assert len(room.asked) == 1
    room.answer()
    assert room.take() == [1]
    assert room.belief.bytes == 10
    assert room.take() == []
    room.answer()
    assert room.take() == [2]


def test_another_life_and_a_log_that_cannot_say_give_nothing():
    room = Room()
    room.judge(1)
    room.answer("two")
    with pytest.raises(AnotherLife, match=r"one, now two"):
        room.take()
    room.belief.forget()
    room.judge(1)
    room.answer(LogError("forbidden"))
    with pytest.raises(LogError, match="not known: forbidden"):
        room.take()


@pytest.mark.parametrize("late", ["one", "two", LogError("away")], ids=str)
@pytest.mark.parametrize("before", [True, False], ids=["before it is asked again", "after"])
def test_an_answer_about_what_was_given_up_says_nothing_of_what_is_read_again(late, before):
    room = Room()
    room.judge(1, 2)
    room.belief.forget()
    assert room.belief.bytes == 0
    if before:
        room.answer(late)
        assert room.take() == []
        assert room.judge(1) == []  # it was not asked for this one
        room.answer()
    else:
        assert room.judge(1) == []
        assert len(room.asked) == 2  # it does not wait for the answer to what was asked before
        room.answer(late)
        assert room.take() == []
        room.answer()
    assert room.take() == [1]


def test_an_answer_that_was_not_taken_yet_goes_with_what_it_was_about():
    room = Room()
    room.judge(1)
    room.answer("two")
    room.belief.forget()
    assert room.take() == []
    room.judge(1)
    room.answer()
    assert room.take() == [1]
