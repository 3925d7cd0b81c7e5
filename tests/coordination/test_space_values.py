"""Values of tuples: which are the same, and texts in their order."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import is_same

from plexstream.sdk.host.coordination.kept.tuples import values

NUMBERS = st.one_of(
    st.integers(-3, 3),
    st.integers(),
    st.integers(-(2**70), 2**70),
    st.integers(-(10**400), 10**400),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([2**53, 2**53 + 1, float(2**53), -(2**53) - 1, 1e300, int(1e300), int(1e300) + 1, -0.0]),
    st.sampled_from([5e-324, 2**1024, -(2**1024), 2**1024 - 1, 1.7976931348623157e308]),
)
TEXTS = st.text(max_size=4) | st.text(min_size=150, max_size=260)
LEAVES = st.one_of(NUMBERS, st.booleans(), st.none(), TEXTS)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
)


@given(JSON, JSON)
def test_two_have_one_key_if_they_are_the_same(one, other):
    assert (values.key(one) == values.key(other)) == is_same(one, other)
    assert values.same(one, other) == is_same(one, other)


@given(JSON)
def test_every_value_is_the_same_as_itself_read_again(value):
    import json

    again = json.loads(values.json_of(value))
    assert values.same(value, again)
    assert values.key(value) == values.key(again)


@pytest.mark.parametrize("others", [[1, 1.0, True, "1", [1], None, {"1": 1}, [1.0], [True], 0, False, ""]])
def test_types_tell_values_apart(others):
    assert len({values.key(value) for value in others}) == len(others)
    for value in others:
        assert [other for other in others if values.same(value, other)] == [value]


def test_minus_zero_is_zero():
    for one, other in ((0.0, -0.0), ([0.0], [-0.0]), ({"a": [0.0]}, {"a": [-0.0]})):
        assert values.same(one, other)
        assert values.key(one) == values.key(other)
    assert not values.same("-0.0", "0.0")
    assert not values.same(["-0.0"], ["0.0"])


def test_the_order_of_names_does_not_count():
    assert values.same({"a": 1, "b": [{"d": 1, "c": 2}]}, {"b": [{"c": 2, "d": 1}], "a": 1})


@given(NUMBERS, NUMBERS)
def test_numbers_are_in_their_order(one, other):
    if one < other:
        assert values.number(one) < values.number(other)
        assert values.order(one) < values.order(other)
    elif one == other:
        assert values.number(one) == values.number(other)


@given(st.text(max_size=300), st.text(max_size=300))
def test_texts_are_in_their_order(one, other):
    assert (one.encode() < other.encode()) == (values.order(one) < values.order(other))


@given(st.text(min_size=190, max_size=400))
def test_a_long_text_has_a_short_key(text):
    key = values.key(text)
    assert len(key) <= 220
    assert values.is_whole(key) == (len(text) < 200)
    assert key.startswith(values.bound(f"s{text}"))


def test_a_digest_is_no_text_of_somebody_else():
    long = "x" * 300
    forged = values.key(long)[1:]
    assert values.key(forged) != values.key(long)


@pytest.mark.parametrize("wrong", [math.nan, [math.inf], {"a": -math.inf}])
def test_what_json_has_not_is_refused(wrong):
    with pytest.raises(ValueError, match="NaN or Infinity"):
        values.json_of([wrong])


@pytest.mark.parametrize("brackets", [101, 5_000])
def test_what_is_nested_too_deeply_is_refused(brackets):
    value = 1
    for _ in range(brackets):
        value = [value]
    with pytest.raises(ValueError, match="more than 100 deep"):
        values.json_of(value)


def test_what_is_wide_is_not_deep():
    assert values.json_of([[[]] * 500])
    value = 1
    for _ in range(100):
        value = [value]
    assert values.json_of(value)


def test_a_long_number_is_refused():
    values.check_numbers([10**999])
    with pytest.raises(ValueError, match="bits"):
        values.check_numbers([{"a": 10**1001}])
