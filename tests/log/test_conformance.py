"""What every log promises, see `plexstream.log.base`."""

import threading
import time

import pytest
from log_driving import acks, append, fill, items, read_all, take

from plexstream.log.base import TopicSpec
from plexstream.log.limits.limits import OVERHEAD_BYTES, RecordTooLarge
from plexstream.log.open import open_log
from plexstream.model.errors import LogError, Shortened, TopicMissing

ENDLESS_S = 3600.0
"""Whoever waits so long has not been woken: the test's own time limit ends it."""


def test_offsets_rise_by_one_and_a_group_is_acknowledged_by_its_last(log, topic):
    appender = log.appender()
    assert append(appender, (topic, 0), items(b"1")) == 0
    assert append(appender, (topic, 0), items(b"2", b"3", b"4")) == 3
    assert append(appender, (topic, 1), items(b"5")) == 0
    assert append(appender, (topic, 0), items(b"6")) == 4
    appender.close()
    found = read_all(log, (topic, 0), 5)
    assert [(r.offset, r.value) for r in found] == list(enumerate([b"1", b"2", b"3", b"4", b"6"]))
    assert {(r.topic, r.partition, r.key) for r in found} == {(topic, 0, b"k")}
    assert abs(found[0].time / 1000 - time.time()) < 60


def test_many_groups_in_flight_keep_their_order(log, topic):
    appender = log.appender()
    for number in range(300):
        appender.append((topic, number % 2), items(*[b"%d" % number] * 7), number)
    found = acks(appender, 300)
    appender.close()
    for partition in range(2):
        mine = [ack for ack in found if ack.partition == partition]
        assert [ack.token for ack in mine] == list(range(partition, 300, 2))
        assert [ack.offset for ack in mine] == [7 * count - 1 for count in range(1, 151)]
        values = [int(r.value) for r in read_all(log, (topic, partition), 1050)]
        assert values == [number for number in range(partition, 300, 2) for _ in range(7)]


def test_what_is_not_urgent_is_acknowledged_as_well_in_its_order(log, topic):
    appender = log.appender()
    for number in range(30):
        appender.append((topic, 0), items(b"%d" % number), number, urgent=number % 3 == 1)
    assert [(ack.token, ack.offset, ack.error) for ack in acks(appender, 30)] == [
        (number, number, None) for number in range(30)
    ]
    appender.append((topic, 0), items(b"alone"), "alone", urgent=False)
    assert [ack.offset for ack in acks(appender, 1)] == [30]
    appender.close()


def test_acknowledgements_are_announced_where_a_log_can(log, topic):
    came = threading.Event()
    appender = log.appender()
    if appender.announce(came.set):
        for _ in range(3):
            came.clear()
            appender.append((topic, 0), items(b"1"), 1)
            assert came.wait(ENDLESS_S)
            assert [ack.token for ack in appender.poll(0.0)] == [1]
    appender.close()


def test_a_gap_between_acknowledgements_shows_another_writer(log, topic):
    one, other = log.appender(), log.appender()
    assert append(one, (topic, 0), items(b"a", b"b")) == 1
    assert append(other, (topic, 0), items(b"x")) == 2
    # Two records after offset 1 would end at 3.
    assert append(one, (topic, 0), items(b"c", b"d")) == 4
    one.close()
    other.close()


def test_groups_of_two_writers_may_mix_but_each_keeps_its_order(log, topic):
    def write(name: bytes) -> None:
        appender = log.appender()
        for number in range(100):
            appender.append(
                (topic, 0), items(b"%s %d 0" % (name, number), b"%s %d 1" % (name, number)), number
            )
        assert [ack.error for ack in acks(appender, 100)] == [None] * 100
        appender.close()

    threads = [threading.Thread(target=write, args=(name,)) for name in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    values = [record.value for record in read_all(log, (topic, 0), 400)]
    for name in (b"a", b"b"):
        mine = [value for value in values if value.startswith(name)]
        assert mine == [b"%s %d %d" % (name, number, i) for number in range(100) for i in range(2)]


def test_a_large_group(log, topic):
    group = [(b"key %d" % i, b"x" * 100) for i in range(20_000)]
    appender = log.appender()
    assert append(appender, (topic, 0), group) == 19_999
    appender.close()
    found = read_all(log, (topic, 0), 20_000)
    assert [record.key for record in found] == [key for key, _ in group]


def test_a_group_larger_than_a_batch(log, topic):
    appender = log.appender()
    assert append(appender, (topic, 0), items(*[b"x" * 90_000] * 40)) == 39
    appender.close()
    assert len(read_all(log, (topic, 0), 40)) == 40


def test_an_empty_group_is_refused(log, topic):
    appender = log.appender()
    with pytest.raises(LogError, match="empty group"):
        appender.append((topic, 0), [], None)
    appender.close()


def test_a_record_up_to_the_limit_is_taken_and_one_over_it_refuses_its_whole_group(log, make_topic):
    topic = make_topic(1, max_message_bytes="600000")
    fits = 600_000 - OVERHEAD_BYTES - len(b"k")
    appender = log.appender()
    assert append(appender, (topic, 0), items(b"first", b"x" * fits, b"last")) == 2
    with pytest.raises(RecordTooLarge, match=f"{topic}.*raise the topic's max.message.bytes"):
        appender.append((topic, 0), items(b"before", b"x" * (fits + 1), b"after"), None)
    # Nothing of it was taken, and the appender goes on.
    assert append(appender, (topic, 0), items(b"next")) == 3
    appender.close()


@pytest.mark.parametrize("value", [b"", None, b"\x00\xff", "ä".encode()])
def test_values_and_tombstones_come_back_as_they_were(log, topic, value):
    fill(log, (topic, 0), value)
    assert read_all(log, (topic, 0), 1)[0].value == value


def test_an_empty_key_and_a_long_one(log, topic):
    appender = log.appender()
    append(appender, (topic, 0), [(b"", b"1"), (b"x" * 10_000, b"2")])
    appender.close()
    assert [record.key for record in read_all(log, (topic, 0), 2)] == [b"", b"x" * 10_000]


def test_append_to_a_missing_topic_or_partition(log, topic):
    appender = log.appender()
    with pytest.raises(TopicMissing, match="absent"):
        appender.append(("absent", 0), items(b"1"), None)
    with pytest.raises(TopicMissing, match="no partition 2"):
        appender.append((topic, 2), items(b"1"), None)
    assert append(appender, (topic, 1), items(b"1")) == 0
    appender.close()


def test_a_closed_appender_acknowledges_nothing_more(log, topic):
    appender = log.appender()
    appender.append((topic, 0), items(b"1"), None)
    appender.close()
    appender.close()
    assert log.partitions(topic) == 2


def test_reading_from_any_offset(log, topic):
    fill(log, (topic, 0), *[b"%d" % i for i in range(10)])
    reader = log.reader()
    for offset in (7, 0, 9, 3):
        reader.assign((topic, 0), offset)
        assert [r.offset for r in take(reader, 10 - offset)] == list(range(offset, 10))
    reader.assign((topic, 0), 10)
    assert reader.read(5, 0.2) == []
    fill(log, (topic, 0), b"new")
    assert [record.value for record in take(reader, 1)] == [b"new"]
    reader.close()


def test_an_offset_beyond_the_end_is_an_error(log, topic):
    fill(log, (topic, 0), b"1")
    reader = log.reader()
    fill(log, (topic, 1), b"2")
    reader.assign((topic, 0), 5)
    reader.assign((topic, 1), 0)
    found = []
    error = None
    while error is None:
        try:
            found += reader.read(1, 10)
        except Shortened as raised:
            error = raised
    assert str(error).startswith(f"offset 5 of {topic}[0] is beyond its end 1")
    assert (error.topic, error.partition, error.position, error.end) == (topic, 0, 5, 1)
    # It costs that partition alone.
    found += take(reader, 1 - len(found)) if not found else []
    assert [record.value for record in found] == [b"2"]
    fill(log, (topic, 0), *[b"x"] * 9)
    assert reader.read(1, 0.3) == []
    reader.close()


def test_reading_a_missing_topic(log):
    reader = log.reader()
    with pytest.raises(TopicMissing, match="absent"):
        reader.assign(("absent", 0), 0)
    reader.close()


def test_read_returns_no_more_than_the_limit_and_goes_on_where_it_was(log, topic):
    fill(log, (topic, 0), *[b"%d" % i for i in range(10)])
    reader = log.reader()
    reader.assign((topic, 0), 0)
    found = []
    while len(found) < 10:
        some = reader.read(3, 5)
        assert 1 <= len(some) <= 3
        found += some
    assert [record.offset for record in found] == list(range(10))
    reader.close()


def test_read_waits_for_the_first_record_only(log, topic):
    reader = log.reader()
    reader.assign((topic, 0), 0)
    began = time.monotonic()
    assert reader.read(10, 0.3) == []
    assert time.monotonic() - began > 0.25
    timer = threading.Timer(0.3, fill, (log, (topic, 0), b"1"))
    timer.start()
    assert [record.value for record in reader.read(10, ENDLESS_S)] == [b"1"]
    timer.join()
    reader.close()


def test_wake_ends_a_waiting_read(log, topic):
    reader = log.reader()
    reader.assign((topic, 0), 0)
    timer = threading.Timer(0.3, reader.wake)
    timer.start()
    assert reader.read(10, ENDLESS_S) == []
    timer.join()
    # And once only.
    began = time.monotonic()
    assert reader.read(10, 0.3) == []
    assert time.monotonic() - began > 0.25
    reader.close()


def test_a_reader_with_nothing_to_read_waits_as_well(log):
    reader = log.reader()
    began = time.monotonic()
    assert reader.read(10, 0.2) == []
    assert time.monotonic() - began > 0.15
    reader.close()


def test_several_readers_and_partitions(log, topic):
    fill(log, (topic, 0), b"a0", b"a1")
    fill(log, (topic, 1), b"b0", b"b1", b"b2")
    both, one = log.reader(), log.reader()
    both.assign((topic, 0), 0)
    both.assign((topic, 1), 1)
    one.assign((topic, 1), 0)
    found = take(both, 4)
    assert [r.value for r in found if r.partition == 0] == [b"a0", b"a1"]
    assert [r.value for r in found if r.partition == 1] == [b"b1", b"b2"]
    assert [record.value for record in take(one, 3)] == [b"b0", b"b1", b"b2"]
    both.close()
    one.close()


def test_a_busy_partition_does_not_starve_another(log, topic):
    fill(log, (topic, 0), *[b"busy"] * 5000)
    fill(log, (topic, 1), b"quiet")
    reader = log.reader()
    reader.assign((topic, 0), 0)
    reader.assign((topic, 1), 0)
    seen = 0
    while not any(record.partition == 1 for record in reader.read(100, 5)):
        seen += 1
        # Kafka hands over what it fetched first, which may be all of the busy one.
        assert seen <= 51
    reader.close()


def test_release_stops_and_assign_starts_anew(log, topic):
    fill(log, (topic, 0), *[b"%d" % i for i in range(2000)])
    fill(log, (topic, 1), b"other")
    reader = log.reader()
    reader.assign((topic, 0), 0)
    take(reader, 5)
    reader.release((topic, 0))
    reader.assign((topic, 1), 0)
    assert [record.value for record in take(reader, 1)] == [b"other"]
    assert reader.read(10, 0.3) == []
    reader.release((topic, 0))
    reader.assign((topic, 0), 1000)
    assert [record.offset for record in take(reader, 1000)] == list(range(1000, 2000))
    reader.close()


def test_moving_back_returns_everything_again_and_nothing_twice(log, topic):
    fill(log, (topic, 0), *[b"%d" % i for i in range(3000)])
    reader = log.reader()
    for back in (0, 2500, 10, 11, 0, 2999):
        reader.assign((topic, 0), back)
        count = min(40, 3000 - back)
        assert [record.offset for record in take(reader, count)] == list(range(back, back + count))
    reader.close()


def test_pause_keeps_the_position(log, topic):
    fill(log, (topic, 0), *[b"%d" % i for i in range(3000)])
    fill(log, (topic, 1), *[b"%d" % i for i in range(100)])
    reader = log.reader()
    reader.assign((topic, 0), 0)
    assert len(take(reader, 10)) == 10
    reader.pause((topic, 0))
    reader.pause((topic, 0))
    reader.assign((topic, 1), 0)
    assert {record.partition for record in take(reader, 100)} == {1}
    assert reader.read(10, 0.2) == []
    reader.resume((topic, 0))
    reader.resume((topic, 0))
    assert [record.offset for record in take(reader, 2990)] == list(range(10, 3000))
    reader.close()


def test_a_partition_that_is_moved_while_paused_stays_paused(log, topic):
    fill(log, (topic, 0), b"0", b"1", b"2")
    reader = log.reader()
    reader.assign((topic, 0), 0)
    reader.pause((topic, 0))
    reader.assign((topic, 0), 2)
    assert reader.read(10, 0.3) == []
    reader.resume((topic, 0))
    assert [record.offset for record in take(reader, 1)] == [2]
    reader.close()


def test_create_is_idempotent_and_refuses_another_number_of_partitions(log, make_topic):
    topic = make_topic(3)
    new = f"{topic}-new"
    assert log.create([TopicSpec(topic, 3), TopicSpec(new, 1)]) == [new]
    with pytest.raises(TopicMissing, match="has 3 partitions, 4 are wanted"):
        log.create([TopicSpec(topic, 4)])
    assert (log.partitions(topic), log.partitions(new), log.partitions("absent")) == (3, 1, None)
    assert log.topics().items() >= {topic: 3, new: 1}.items()
    with pytest.raises(LogError, match="0 partitions"):
        log.create([TopicSpec(f"{topic}-none", 0)])


def test_range_and_trim(log, topic):
    assert log.range((topic, 0)) == (0, 0)
    fill(log, (topic, 0), *[b"%d" % i for i in range(10)])
    assert log.range((topic, 0)) == (0, 10)
    log.trim((topic, 0), 4, 10)
    assert log.range((topic, 0)) == (4, 10)
    # Below the start: nothing to do.
    log.trim((topic, 0), 2, 10)
    assert log.range((topic, 0)) == (4, 10)
    assert [record.offset for record in read_all(log, (topic, 0), 6)] == list(range(4, 10))
    log.trim((topic, 0), 10, 10)
    assert log.range((topic, 0)) == (10, 10)
    assert fill(log, (topic, 0), b"next") == 10
    with pytest.raises(TopicMissing):
        log.range((topic, 2))
    with pytest.raises(TopicMissing):
        log.trim(("absent", 0), 1, 1)


@pytest.mark.parametrize(("before", "end"), [(5, 4), (-1, 4), (-1, -1), (11, 10), (1, -1001)])
def test_no_trim_goes_beyond_the_end_that_its_caller_has_proven(log, topic, before, end):
    fill(log, (topic, 0), *[b"%d" % i for i in range(10)])
    with pytest.raises(ValueError, match=f"{topic}.0. cannot be trimmed to offset {before}"):
        log.trim((topic, 0), before, end)
    assert log.range((topic, 0)) == (0, 10)


def test_a_trim_beyond_the_end_of_the_log_deletes_nothing(log, topic):
    fill(log, (topic, 0), *[b"%d" % i for i in range(10)])
    # The caller proved it of another life of the topic.
    with pytest.raises(LogError, match=topic):
        log.trim((topic, 0), 11, 20)
    assert log.range((topic, 0)) == (0, 10)


def test_a_reader_whose_position_is_trimmed_goes_on_at_the_start(log, topic):
    fill(log, (topic, 0), *[b"%d" % i for i in range(10)])
    reader = log.reader()
    reader.assign((topic, 0), 2)
    reader.pause((topic, 0))
    log.trim((topic, 0), 6, 10)
    reader.resume((topic, 0))
    assert [record.offset for record in take(reader, 4)] == [6, 7, 8, 9]
    reader.close()


def test_a_closed_log_says_so(log, topic):
    appender = log.appender()
    log.close()
    log.close()
    with pytest.raises(LogError, match="closed"):
        appender.append((topic, 0), items(b"1"), None)
    appender.close()


def test_a_topic_has_an_id_that_stays(log, make_topic, url, backend):
    one, other = make_topic(2), make_topic(1)
    ids = log.topic_id(one), log.topic_id(other)
    assert all(ids)
    assert ids[0] != ids[1]
    fill(log, (one, 0), b"1")
    log.create([TopicSpec(one, 2)])
    assert (log.topic_id(one), log.topic_id(other)) == ids
    with pytest.raises(TopicMissing, match="absent"):
        log.topic_id("absent")
    log.close()
    with pytest.raises(LogError, match="closed"):
        log.topic_id(one)
    if backend != "memory":
        log = open_log(url)
        assert (log.topic_id(one), log.topic_id(other)) == ids
        log.close()
