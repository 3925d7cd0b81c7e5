"""Where keys belong, and what is made of answers: pure functions, against what is known of them."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexstream import Reject
from plexstream.sdk.host.coordination.spread.shards.placement import PLACEMENTS, consistent_shard, place
from plexstream.sdk.host.coordination.spread.shards.reducers import MAX_DEPTH, reduced

KEYS = st.text(max_size=20)
MANY = [f"key {number}" for number in range(20_000)]


@given(key=KEYS, placement=st.sampled_from(PLACEMENTS[:2]), shards=st.integers(1, 1000))
def test_each_key_has_one_shard(key, placement, shards):
    shard = place(key, placement, shards)
    assert 0 <= shard < shards
    assert place(key, placement, shards) == shard


@given(key=KEYS, shards=st.integers(1, 1000))
def test_with_a_hash_it_is_that_of_the_crc(key, shards):
    assert place(key, "hash", shards) == zlib.crc32(key.encode()) % shards


@given(key=KEYS, bounds=st.lists(KEYS, unique=True, max_size=20).map(sorted))
def test_with_a_range_it_is_the_last_one_that_begins_before(key, bounds):
    shard = place(key, "range", len(bounds) + 1, bounds)
    assert all(bound <= key for bound in bounds[:shard])
    assert all(bound > key for bound in bounds[shard:])


@given(key=KEYS, shards=st.integers(1, 999))
def test_with_one_shard_more_a_key_stays_or_goes_to_the_new_one(key, shards):
    assert consistent_shard(key, shards + 1) in (consistent_shard(key, shards), shards)


@pytest.mark.parametrize("shards", [1, 2, 7, 16, 100])
def test_few_keys_have_another_shard_where_there_is_one_more(shards):
    moved = sum(consistent_shard(key, shards) != consistent_shard(key, shards + 1) for key in MANY)
    assert moved / len(MANY) == pytest.approx(1 / (shards + 1), rel=0.25)
    assert sum(place(key, "hash", 16) != place(key, "hash", 17) for key in MANY) > 0.9 * len(MANY)


@pytest.mark.parametrize("placement", PLACEMENTS[:2])
@pytest.mark.parametrize("shards", [2, 7, 16])
def test_keys_are_spread_evenly(placement, shards):
    counts = [0] * shards
    for key in MANY:
        counts[place(key, placement, shards)] += 1
    assert min(counts) > 0.8 * len(MANY) / shards
    assert max(counts) < 1.2 * len(MANY) / shards


def test_where_keys_belong_stands_for_good():
    # A group's data is where these say: other numbers would lose it.
    assert [consistent_shard(key, 100) for key in ("", "a", "b", "é", "key 17")] == [62, 11, 96, 2, 3]
    assert [place(key, "hash", 100) for key in ("", "a", "b", "é", "key 17")] == [0, 7, 81, 26, 84]


NUMBERS = st.integers(-(10**6), 10**6)


@given(answers=st.lists(NUMBERS, min_size=1))
def test_numbers(answers):
    assert reduced("sum", answers) == sum(answers)
    assert reduced("min", answers) == min(answers)
    assert reduced("max", answers) == max(answers)


@given(answers=st.lists(st.text(), min_size=1))
def test_texts(answers):
    assert reduced("min", answers) == min(answers)
    assert reduced("max", answers) == max(answers)


@given(answers=st.lists(st.lists(NUMBERS, min_size=3, max_size=3), min_size=1))
def test_lists_are_added_place_by_place(answers):
    before = [list(answer) for answer in answers]
    assert reduced("sum", answers) == [sum(column) for column in zip(*answers, strict=True)]
    assert answers == before


@given(answers=st.lists(st.dictionaries(st.sampled_from("abc"), NUMBERS), min_size=1))
def test_objects_are_added_key_by_key(answers):
    keys = {key for answer in answers for key in answer}
    assert reduced("sum", answers) == {k: sum(answer.get(k, 0) for answer in answers) for k in keys}


@given(answers=st.lists(st.lists(st.integers()), min_size=1))
def test_lists_are_put_together(answers):
    before = [list(answer) for answer in answers]
    assert reduced("concat", answers) == [item for answer in before for item in answer]
    assert answers == before


@given(answers=st.lists(st.dictionaries(st.sampled_from("abc"), st.integers()), min_size=1))
def test_objects_are_put_together_the_later_ones_over_the_earlier(answers):
    before = [dict(answer) for answer in answers]
    expected = {}
    for answer in before:
        expected |= answer
    assert reduced("merge", answers) == expected
    assert answers == before


def test_numbers_may_be_of_both_kinds():
    assert reduced("sum", [{"w": [1, [0.5]]}, {"w": [2, [1]], "b": 3}]) == {"w": [3, [1.5]], "b": 3}
    assert reduced("min", [1, 0.5]) == 0.5


def deep(levels):
    value = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("by", "answers", "said"),
    [
        ("sum", ["a"], "sum: shard 0 answered 'a': give numbers"),
        ("sum", [1, None], "sum: shard 1 answered None, and those before came to 1"),
        ("sum", [1, True], "shard 1 answered True"),
        ("sum", [True], "shard 0 answered True"),
        ("sum", [[1], 1], "shard 1 answered 1"),
        ("sum", [{"a": 1}, {"a": [1]}], r"shard 1 answered \[1\], and those before came to 1"),
        ("sum", [{"a": None}], "shard 0 answered None"),
        ("sum", [[1, 2], [1]], "shard 1 answered a list of 1, and those before 2"),
        ("sum", [1e308, 1e308], "with shard 1 it is greater"),
        ("sum", [10**400, 1.5], "with shard 0 it is greater"),
        ("sum", [deep(MAX_DEPTH + 1)], "more than 16 deep"),
        ("sum", [deep(100_000)], "more than 16 deep"),
        ("min", [1, "a"], "min: shard 1 answered 'a', and those before came to 1: give numbers, or texts"),
        ("max", [[1]], r"max: shard 0 answered \[1\]"),
        ("max", [False], "shard 0 answered False"),
        ("concat", [[], {}], "concat: shard 1 answered {}: give lists"),
        ("concat", ["ab"], "shard 0 answered 'ab'"),
        ("merge", [{}, {}, []], r"merge: shard 2 answered \[\]: give objects"),
    ],
)
def test_what_does_not_go_together_is_refused_in_words(by, answers, said):
    with pytest.raises(Reject, match=said):
        reduced(by, answers)


def test_a_reducer_that_is_none():
    with pytest.raises(ValueError, match="give one of concat, sum, min, max, merge"):
        reduced("mean", [1])
