"""When groups are handed over, in front of an appender that takes all and acknowledges on demand."""

from collections import deque
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from log_driving import items

from plexstream.log.base import Ack, Item, Place
from plexstream.log.kafka import pace as kafka_pace
from plexstream.log.kafka.pace import WINDOW, PacedAppender
from plexstream.log.limits import OVERHEAD_BYTES, RecordTooLarge
from plexstream.model.errors import LogError

A, B = ("a", 0), ("a", 1)
LIMIT = 1_000


class Inner:
    """An appender: `taken` until acknowledged, `acks` for the next poll."""

    def __init__(self) -> None:
        self.taken: dict[Place, deque[tuple[Sequence[Item], object]]] = {A: deque(), B: deque()}
        self.values: dict[Place, list[bytes | None]] = {A: [], B: []}
        self.acks: list[Ack] = []
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

    def acknowledge(self, place: Place, error: Exception | None = None) -> None:
        _, token = self.taken[place].popleft()
        self.acks.append(Ack(*place, token, -1 if error else 7, error))

    def poll(self, timeout: float) -> list[Ack]:
        self.waited.append(timeout)
        found, self.acks = self.acks, []
        return found

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def inner() -> Inner:
    return Inner()


@pytest.fixture
def paced(inner: Inner) -> PacedAppender:
    return PacedAppender(inner, lambda place: LIMIT)


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
    assert paced.poll(0) == [Ack(*A, 0, 7, None)]
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
    assert tokens(found) == [("handed over", A), ("handed over", B), ("kept", A), ("kept", B)]
    assert all(ack.error is error and ack.offset == -1 for ack in found)
    assert paced.poll(0) == []
    assert inner.flying(A) == 0
    assert not paced.holding


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
    paced = PacedAppender(inner, lambda place: LIMIT)
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
