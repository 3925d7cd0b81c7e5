"""When groups are handed over, in front of an appender that takes all and acknowledges on demand."""

from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_driving import items

from plexstream.log.base import Ack, Item, Place, failed
from plexstream.log.kafka.appending import pace as kafka_pace
from plexstream.log.kafka.appending.pace import WINDOW, PacedAppender
from plexstream.log.limits.limits import OVERHEAD_BYTES, RecordTooLarge
from plexstream.model.errors import LogError, LogUnavailable

A, B = ("a", 0), ("a", 1)
LIMIT = 1_000
FORGETS = 100.0


class Inner:
    """An appender: `taken` until acknowledged, `acks` for the next poll."""

    def __init__(self) -> None:
        self.taken: dict[Place, deque[tuple[Sequence[Item], object]]] = {A: deque(), B: deque()}
        self.values: dict[Place, list[bytes | None]] = {A: [], B: []}
        self.acks: list[Ack] = []
        self.ends = {A: -1, B: -1}
        self.holding = self.broken = False
        self.refuses = False
        self.waited: list[float] = []
        self.closed = False

    def append(self, place: Place, group: Sequence[Item], token: object) -> None:
        if self.refuses:
            raise LogError("refused")
        self.taken[place].append((group, token))
        self.values[place] += [value for _, value in group]

    def flying(self, place: Place) -> int:
        return sum(len(group) for group, _ in self.taken[place])

    def acknowledge(self, place: Place, error: Exception | None = None, *, offset: int | None = None) -> None:
        group, token = self.taken[place].popleft()
        self.ends[place] += len(group)
        at = self.ends[place] if offset is None else offset
        self.acks.append(failed(place, token, error) if error else Ack(*place, token, at, None))

    def poll(self, timeout: float) -> list[Ack]:
        self.waited.append(timeout)
        found, self.acks = self.acks, []
        return found

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def inner() -> Inner:
    return Inner()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def new(inner: Inner, clock: Clock) -> PacedAppender:
    """One that nothing was appended with."""
    return PacedAppender(inner, lambda place: LIMIT, clock, FORGETS)


@pytest.fixture
def paced(new: PacedAppender, inner: Inner) -> PacedAppender:
    """One whose producer is known in both places."""
    for place in (A, B):
        new.append(place, items(b"first"), "first")
        inner.acknowledge(place)
    new.poll(0)
    inner.values = {A: [], B: []}
    inner.waited = []
    return new


def tokens(acks: Sequence[Ack]) -> list[object]:
    return [ack.token for ack in acks]


def test_what_can_be_sent_at_once_is_handed_over(paced, inner):
    for number in range(WINDOW + 1):
        paced.append(A, items(b"%d" % number), number)
    assert inner.flying(A) == WINDOW
    paced.append(B, items(*[b"v"] * 20), "other place")
    assert inner.flying(B) == 20


def test_what_would_wait_is_kept_until_there_is_room(paced, inner):
    paced.append(A, items(*[b"v"] * 20), 0)
    for number in (1, 2, 3):
        paced.append(A, items(b"%d" % number), number)
    assert paced.poll(0) == []
    assert inner.flying(A) == 20
    assert paced.holding
    inner.acknowledge(A)
    assert paced.poll(0) == [Ack(*A, 0, 20, None)]
    assert not paced.holding
    assert inner.flying(A) == 3
    assert inner.values[A][20:] == [b"1", b"2", b"3"]


def test_a_record_that_is_too_large_is_refused_while_others_are_kept(paced, inner):
    paced.append(A, items(*[b"v"] * WINDOW), 0)
    paced.append(A, items(b"kept"), 1)
    with pytest.raises(RecordTooLarge):
        paced.append(A, items(b"x" * (LIMIT - OVERHEAD_BYTES)), 2)
    with pytest.raises(LogError, match="empty group"):
        paced.append(A, [], 3)
    inner.acknowledge(A)
    assert tokens(paced.poll(0)) == [0]
    assert inner.values[A][WINDOW:] == [b"kept"]


def test_an_error_fails_what_is_kept_after_what_was_handed_over(paced, inner):
    for place in (A, B):
        paced.append(place, items(*[b"v"] * WINDOW), ("handed over", place))
        paced.append(place, items(b"v"), ("kept", place))
    error = LogError("gone")
    inner.acknowledge(A, error)
    inner.acknowledge(B, error)
    found = paced.poll(0)
    assert tokens(found) == [("handed over", A), ("kept", A), ("handed over", B), ("kept", B)]
    assert all(ack.error is error and ack.offset == -1 for ack in found)
    assert paced.poll(0) == []
    assert inner.flying(A) == 0
    assert not paced.holding


def test_until_the_first_offset_one_record_of_a_place_is_on_its_way(new, inner):
    new.append(A, items(b"1", b"2", b"3"), 0)
    new.append(A, items(b"4"), 1)
    new.append(B, items(b"other"), 2)
    assert (inner.values[A], inner.values[B]) == ([b"1"], [b"other"])
    assert new.holding
    assert new.poll(0) == []
    inner.acknowledge(A)
    assert new.poll(0) == [], "a part of a group is not the group"
    assert inner.values[A] == [b"1", b"2", b"3", b"4"]
    assert not new.holding
    inner.acknowledge(A)
    inner.acknowledge(A)
    assert new.poll(0) == [Ack(*A, 0, 2, None), Ack(*A, 1, 3, None)]


def test_a_group_of_which_one_record_is_too_large_sends_none_ahead(new, inner):
    with pytest.raises(RecordTooLarge):
        new.append(A, items(b"small", b"x" * LIMIT), 0)
    assert inner.values[A] == []
    assert not new.holding


@pytest.mark.parametrize("offset", [-1, -1001])
def test_an_acknowledgement_without_an_offset_proves_nothing(new, inner, offset):
    new.append(A, items(b"1", b"2"), 0)
    new.append(A, items(b"3"), 1)
    inner.acknowledge(A, offset=offset)
    found = new.poll(0)
    assert tokens(found) == [0, 1]
    assert all(isinstance(ack.error, LogUnavailable) and ack.offset == -1 for ack in found)
    # What its sender sends again begins with one record again, and the other place has not noticed.
    new.append(A, items(b"4", b"5"), 2)
    assert inner.values[A] == [b"1", b"4"]


def test_an_offset_that_goes_back_proves_nothing(paced, inner):
    paced.append(A, items(b"1", b"2"), 0)
    inner.acknowledge(A, offset=1)  # 2 is the least that can be after 0
    (ack,) = paced.poll(0)
    assert isinstance(ack.error, LogUnavailable)
    assert "after one at 0" in str(ack.error)
    paced.append(A, items(b"1", b"2"), 1)
    inner.acknowledge(A, offset=0)
    assert paced.poll(0) == []
    inner.acknowledge(A, offset=1)
    assert paced.poll(0) == [Ack(*A, 1, 1, None)], "it is another log now"


def test_a_failure_is_one_of_its_place_and_of_all_that_followed_there(paced, inner):
    for number in range(3):
        paced.append(A, items(b"%d" % number), number)
        paced.append(B, items(b"%d" % number), number)
    error = LogError("gone")
    inner.acknowledge(A, error)
    inner.acknowledge(B)
    found = paced.poll(0)
    assert [(a.partition, a.token, a.error) for a in found] == [
        (0, 0, error), (0, 1, error), (0, 2, error), (1, 0, None),
    ]  # fmt: skip
    # What is sent again waits until what was given up has ended, whatever came of that.
    paced.append(A, items(b"again", b"and more"), 3)
    assert inner.values[A] == [b"0", b"1", b"2"]
    inner.acknowledge(A)
    assert paced.poll(0) == []
    assert inner.values[A] == [b"0", b"1", b"2"]
    inner.acknowledge(A, LogError("and this"))
    assert paced.poll(0) == []
    assert inner.values[A] == [b"0", b"1", b"2", b"again"]
    inner.acknowledge(A)
    paced.poll(0)
    inner.acknowledge(A)
    assert tokens(paced.poll(0)) == [3]
    inner.acknowledge(B)
    inner.acknowledge(B)
    assert [ack.error for ack in paced.poll(0)] == [None, None]


def test_an_acknowledgement_before_that_of_its_predecessor_proves_nothing(paced, inner):
    paced.append(A, items(b"1"), 0)
    paced.append(A, items(b"2"), 1)
    inner.taken[A].rotate(1)
    inner.acknowledge(A, offset=2)
    found = paced.poll(0)
    assert tokens(found) == [0, 1]
    assert all(isinstance(ack.error, LogUnavailable) for ack in found)
    inner.acknowledge(A)
    assert paced.poll(0) == []


def test_a_broken_appender_fails_what_is_kept_in_places_that_it_does_not_know_of(paced, inner):
    paced.append(A, items(b"v"), "flying")
    paced.append(B, items(*[b"v"] * WINDOW), "flying")
    paced.append(B, items(b"v"), "kept")
    inner.broken = True
    inner.acknowledge(A, LogError("gone"))
    assert tokens(paced.poll(0)) == ["flying", "flying", "kept"]
    assert paced.broken
    assert not paced.holding


def test_a_broken_appender_fails_what_is_kept_though_nothing_was_on_its_way(new, inner):
    new.append(A, items(b"ahead", b"kept"), "two")
    inner.acknowledge(A)
    inner.broken = True
    assert tokens(new.poll(0)) == ["two"]
    assert not new.holding


def test_a_producer_that_was_idle_is_taken_for_unknown(paced, inner, clock):
    clock.now = FORGETS - 1
    paced.append(A, items(b"1", b"2"), 0)
    assert inner.flying(A) == 2
    clock.now += FORGETS  # that it was known then counts from when it was sent
    inner.acknowledge(A)
    assert tokens(paced.poll(0)) == [0]
    paced.append(A, items(b"3", b"4"), 1)
    assert inner.flying(A) == 1
    inner.acknowledge(A)
    paced.poll(0)
    assert inner.flying(A) == 1
    inner.acknowledge(A)
    assert tokens(paced.poll(0)) == [1]


def test_what_waits_for_a_first_offset_has_a_limit(new, inner, monkeypatch):
    monkeypatch.setattr(kafka_pace, "MAX_HELD_BYTES", 1_000)
    new.append(A, items(b"v"), 0)
    new.append(A, items(b"v" * 500), 1)
    with pytest.raises(LogUnavailable, match="has not taken 501 bytes"):
        new.append(A, items(b"v" * 500), 2)
    inner.acknowledge(A)
    new.poll(0)
    inner.acknowledge(A)
    assert tokens(new.poll(0)) == [1]


def test_a_first_record_that_is_not_taken_is_no_part_of_anything(new, inner):
    inner.refuses = True
    with pytest.raises(LogError, match="refused"):
        new.append(A, items(b"1", b"2"), 0)
    assert not new.holding
    inner.refuses = False
    new.append(A, items(b"1", b"2"), 1)
    assert inner.values[A] == [b"1"]


def test_what_is_refused_when_its_time_has_come_has_failed(paced, inner):
    paced.append(A, items(*[b"v"] * WINDOW), 0)
    paced.append(A, items(b"v"), 1)
    paced.append(A, items(b"v"), 2)
    inner.refuses = True
    inner.acknowledge(A)
    acks = paced.poll(0)
    assert tokens(acks) == [0, 1, 2]
    assert [ack.error is None for ack in acks] == [True, False, False]
    with pytest.raises(LogError, match="refused"):
        paced.append(A, items(b"v"), 3)


def test_large_amounts_are_left_to_the_appenders_own_limit(paced, inner, monkeypatch):
    monkeypatch.setattr(kafka_pace, "HELD_BYTES", 1_000)
    paced.append(A, items(*[b"v"] * WINDOW), 0)
    paced.append(A, items(b"1" * 600), 1)
    assert inner.flying(A) == WINDOW
    paced.append(A, items(b"2" * 600), 2)
    assert [value[:1] for value in inner.values[A][WINDOW:]] == [b"1", b"2"]
    paced.append(A, items(b"3" * 600), 3)
    assert inner.flying(A) == WINDOW + 2


def test_waits_are_of_whole_milliseconds_and_a_little(paced, inner):
    for seconds in (0.0, 0.000_25, 0.001, 0.001_5, 0.2):
        paced.poll(seconds)
    assert [int(seconds * 1000) for seconds in inner.waited] == [0, 1, 1, 2, 200]
    assert inner.waited[0] == 0.0
    assert all(int(seconds * 1000) < seconds * 1000 - 0.05 for seconds in inner.waited[1:])


def test_closing_drops_what_is_kept(paced, inner):
    paced.append(A, items(*[b"v"] * WINDOW), 0)
    paced.append(A, items(b"v"), 1)
    paced.close()
    assert not paced.holding
    assert inner.closed
    assert inner.flying(A) == WINDOW


@given(st.lists(st.tuples(st.sampled_from((A, B)), st.integers(0, 8))))
def test_every_group_is_appended_and_acknowledged_once_in_order(script):
    inner = Inner()
    paced = PacedAppender(inner, lambda place: LIMIT, lambda: 0.0)
    sent: dict[Place, list[int]] = {A: [], B: []}
    found: dict[Place, list[object]] = {A: [], B: []}

    def poll() -> None:
        for ack in paced.poll(0):
            found[ack.topic, ack.partition].append(ack.token)

    for number, (place, size) in enumerate(script):  # a size of 0: acknowledge one group
        if size:
            paced.append(place, items(*[b"%d" % number] * size), number)
            sent[place].append(number)
        elif inner.taken[place]:
            inner.acknowledge(place)
            poll()
    for place in (A, B):
        while inner.taken[place]:
            inner.acknowledge(place)
            poll()
    assert found == sent
    assert not paced.holding
    for place, numbers in sent.items():
        assert list(dict.fromkeys(inner.values[place])) == [b"%d" % number for number in numbers]
