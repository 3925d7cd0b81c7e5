"""A consumer that gives nothing of a partition, though there is something, is noticed and made anew."""

import logging
import time

import pytest
from confluent_kafka import TopicPartition
from log_driving import fill, take

from plexstream.log.base import TopicSpec
from plexstream.log.kafka.log import KafkaLog
from plexstream.log.kafka.reading import silence
from plexstream.log.kafka.reading.silence import EVERY_S, Silence, Stuck

A, B = ("t", 0), ("t", 1)


class Watch:
    """Looks every `EVERY_S` at positions and ends that the test sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.silence = Silence(lambda: self.now)
        self.positions = {A: 5, B: 5}
        self.ends = {A: 5, B: 5}

    def look(self) -> list[Stuck]:
        self.now += EVERY_S
        asked = self.silence.due(self.positions)
        return self.silence.found(asked, self.ends, self.positions) if asked else []


def test_one_that_stays_where_it_is_before_the_end_is_found_and_no_other():
    watch = Watch()
    assert not any(watch.look() for _ in range(5))
    watch.ends = {A: 9, B: 5}
    assert watch.look() == []  # it may have been appended just now
    assert watch.look() == [Stuck(A, 5, 9)]


def test_one_that_moves_is_not_silent_however_far_the_end_is():
    watch = Watch()
    watch.ends = {A: 1000, B: 5}
    for _ in range(20):
        watch.positions = {**watch.positions, A: watch.positions[A] + 1}
        assert watch.look() == []


def test_what_comes_while_the_end_is_asked_for_counts():
    watch = Watch()
    watch.ends = {A: 6, B: 5}
    assert [watch.look() for _ in range(2)] == [[], []]
    watch.now += EVERY_S
    asked = watch.silence.due(watch.positions)
    assert asked == {A: 5, B: 5}
    watch.positions = {A: 6, B: 5}
    assert watch.silence.found(asked, {A: 7, B: 5}, watch.positions) == []


def test_an_end_that_nobody_knows_accuses_nobody():
    watch = Watch()
    watch.ends = {}
    assert not any(watch.look() for _ in range(5))


def test_what_another_consumer_does_not_get_either_is_told_once():
    """The mark of a transaction has an offset, and is no record."""
    watch = Watch()
    watch.ends = {A: 6, B: 5}
    assert [watch.look() for _ in range(6)] == [[], [], [Stuck(A, 5, 6)], [], [], []]
    watch.ends = {A: 8, B: 5}
    assert [watch.look() for _ in range(2)] == [[Stuck(A, 5, 8)], []]


def test_nothing_is_asked_while_an_answer_is_due_or_more_often_than_it_should():
    watch = Watch()
    watch.look()
    watch.now += EVERY_S
    asked = watch.silence.due(watch.positions)
    assert asked == watch.positions
    watch.now += 10 * EVERY_S
    assert watch.silence.due(watch.positions) == {}
    watch.silence.found(asked, watch.ends, watch.positions)
    assert watch.silence.due(watch.positions) == watch.positions
    assert watch.silence.due(watch.positions) == {}


@pytest.mark.kafka
def test_a_consumer_that_falls_silent_is_made_anew(kafka, topic_prefix, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(silence, "EVERY_S", 0.3)
    log = KafkaLog(kafka)
    topic = f"{topic_prefix}t"
    log.create([TopicSpec(topic, 2)])
    reader = log.reader()
    for partition in (0, 1):
        fill(log, (topic, partition), b"first")
        reader.assign((topic, partition), 0)
    assert len(take(reader, 2)) == 2
    silent = reader._consumer
    silent.incremental_unassign([TopicPartition(topic, 0)])  # as if librdkafka had forgotten it
    fill(log, (topic, 0), b"second")
    fill(log, (topic, 1), b"second")
    found = take(reader, 2)
    assert sorted((r.partition, r.value) for r in found) == [(0, b"second"), (1, b"second")]
    assert reader._consumer is not silent
    assert f"{topic}[0] is read up to 1, ends at 2, and nothing of it comes" in caplog.text
    anew = reader._consumer
    end = time.monotonic() + 2.0
    while time.monotonic() < end:  # it is at the end of everything: that is no silence
        assert reader.read(10, 0.1) == []
    assert reader._consumer is anew
    reader.close()
    log.close()
