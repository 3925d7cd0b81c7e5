"""Patterns of a tuple space against a plain reading of them, and what is no pattern."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spaces import TYPES, is_like

from plexstream import DeclarationError, Reject, predicate
from plexstream.coordination.space.patterns import Pattern, pattern_of
from plexstream.sdk.host.coordination.kept.tuples import predicates
from plexstream.sdk.host.coordination.kept.tuples.values import key

LONG = "x" * 195
ATOMS = st.one_of(
    st.integers(-2, 2), st.sampled_from([0.0, -0.0, 0.5, 1.0, 2**60, float(2**60), 2**60 + 1]),
    st.sampled_from([10**250, 10**250 + 1, -(10**900)]), st.sampled_from(["", "a", "ab", "b", "*", "a\0"]),
    st.sampled_from([LONG, LONG + "a", LONG + "b", LONG * 2, "\U0010ffff", "é"]),
    st.booleans(), st.none(),
)  # fmt: skip
VALUES = ATOMS | st.lists(ATOMS, max_size=2) | st.dictionaries(st.sampled_from("ab"), ATOMS, max_size=2)
NUMBERS = ATOMS.filter(lambda v: type(v) in (int, float))
TEXTS = ATOMS.filter(lambda v: type(v) is str)
FIELDS = st.one_of(
    VALUES.filter(lambda v: not isinstance(v, dict)),
    st.builds(lambda v: {"is": v}, VALUES),
    st.builds(lambda v: {"in": v}, st.lists(VALUES, min_size=1, max_size=30)),
    st.builds(lambda t: {"type": t}, st.sampled_from([*TYPES])),
    st.builds(lambda p: {"prefix": p}, TEXTS),
    st.builds(lambda *ends: {"range": [*ends]}, NUMBERS, st.none() | NUMBERS),
    st.builds(lambda *ends: {"range": [*ends]}, st.none() | TEXTS, TEXTS),
)


@given(FIELDS, VALUES)
def test_a_field_matches_what_it_says(field, value):
    assert pattern_of([field]).matches([value]) == is_like(field, value)


@given(FIELDS, VALUES)
def test_what_matches_is_where_the_index_looks_for_it(field, value):
    pattern = pattern_of([field])
    if pattern.exact and pattern.decided_by:
        assert (key(value) in pattern.exact[0]) == is_like(field, value)
    if not is_like(field, value):
        return
    for keys in pattern.exact.values():
        assert key(value) in keys
    for start, stop in pattern.spans.values():
        assert start <= key(value)
        assert stop is None or key(value) < stop


@pytest.mark.parametrize("length", [100, 179, 180, 195, 200, 400])
def test_the_ends_of_a_range_of_long_texts_are_kept(length):
    low, inside, high = ("x" * length + end for end in "abc")
    start, stop = pattern_of([{"range": [low, high]}]).spans[0]
    assert start <= key(low) < stop
    assert start <= key(inside) < stop


@pytest.mark.parametrize(
    ("field", "said"),
    [
        ({"foo": 1}, "there are type, range, prefix, in, where, is"),
        ({}, "no operator"),
        ({"type": "int", "range": [1, 2]}, "no operator"),
        ({"type": "integer"}, "give one of int, float, number"),
        ({"type": ["int"]}, "give one of int"),
        ({"range": [1]}, "two numbers or two texts"),
        ({"range": [None, None]}, "two numbers or two texts"),
        ({"range": [1, "a"]}, "two numbers or two texts"),
        ({"range": [True, 2]}, "two numbers or two texts"),
        ({"range": 5}, "two numbers or two texts"),
        ({"range": {"from": 1}}, "two numbers or two texts"),
        ({"prefix": 1}, "give a text"),
        ({"in": []}, "a list of 1 to 1000"),
        ({"in": "ab"}, "a list of 1 to 1000"),
        ({"in": [*range(1001)]}, "a list of 1 to 1000"),
        ({"where": "nobody.knows"}, "declare it with @predicate"),
        ({"where": [1]}, "declare it with @predicate"),
    ],
)
def test_what_is_no_field_is_rejected(field, said):
    with pytest.raises(Reject, match="field 1 of the pattern") as raised:
        pattern_of(["a", field])
    assert said in str(raised.value)


@pytest.mark.parametrize(
    ("wire", "said"),
    [
        ([], "0 fields"),
        ([1] * 65, "65 fields"),
        (["x" * 500_001], "at most 500000"),
        (["é" * 250_001], "at most 500000"),
        ([10**1005], "bits"),
        ([float("nan")], "NaN"),
    ],
)
def test_what_is_no_pattern_is_rejected(wire, said):
    with pytest.raises(Reject, match=said):
        pattern_of(wire)


@pytest.fixture
def known(monkeypatch):
    monkeypatch.setattr(predicates, "_known", {})


def test_a_predicate_has_a_name(known):
    @predicate
    def is_even(value):
        return type(value) is int and value % 2 == 0

    @predicate("app.short")
    def short(value):
        return isinstance(value, str) and len(value) < 3

    pattern = pattern_of([{"where": "is_even"}, {"where": "app.short"}])
    assert [pattern.matches(t) for t in ([2, "ab"], [3, "ab"], [2, "abc"])] == [True, False, False]
    with pytest.raises(Reject, match=r"there are app\.short, is_even"):
        pattern_of([{"where": "is_odd"}])


def test_a_predicate_that_fails_rejects(known):
    @predicate
    def fails(value):
        raise KeyError("x")

    with pytest.raises(Reject, match="'fails' failed with KeyError"):
        pattern_of([{"where": "fails"}]).matches([1])


def test_one_that_is_gone_rejects(known):
    @predicate("passing")
    def passing(value):
        return True

    pattern = Pattern([{"where": "passing"}], '[{"where":"passing"}]')
    predicates._known.clear()
    with pytest.raises(Reject, match="not declared any more"):
        pattern.matches([1])


def test_the_same_file_may_be_loaded_again(known):
    for _ in range(2):

        @predicate
        def again(value):
            return True

    with pytest.raises(DeclarationError, match="declared twice"):
        predicate("again")(lambda value: False)


@pytest.mark.parametrize("wrong", ["", "a b", "1", "x" * 101])
def test_what_is_no_name_is_refused(known, wrong):
    with pytest.raises(DeclarationError, match="is no name"):
        predicate(wrong)(lambda value: True) if wrong else predicate(lambda value: True)
