"""What is stored for the keys of a map has their order, and gives them back."""

import enum
import json
import math
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexstream.sdk.running.collections.keys import MAX_KEY, Keys, behind, bound, parse, readable

texts = st.text(st.characters(codec="utf-8") | st.sampled_from("\0\1\2a"), max_size=6)
floats = st.floats(allow_nan=False)
ints = st.integers() | st.integers(-(10**30), 10**30) | st.sampled_from([s * 10**n + d for n in range(40) for d in (-1, 0, 1) for s in (-1, 1)])  # fmt: skip  # noqa: E501
OF = {str: texts, int: ints, float: floats}
OF_VALUE = type
TYPES = [
    str, int, float, tuple[int], tuple[str], tuple[str, int], tuple[str, str], tuple[float, str, int],
    tuple[int, int],
]  # fmt: skip


def some(type):
    args = getattr(type, "__args__", None)
    return st.tuples(*(OF[arg] for arg in args)) if args else OF[type]


pairs = st.sampled_from(TYPES).flatmap(lambda t: st.tuples(st.just(t), some(t), some(t)))


@given(pairs)
def test_they_have_the_order_of_the_keys_and_give_them_back(pair):
    type, one, other = pair
    keys = Keys("a.m", type)
    a, b = keys.store(one), keys.store(other)
    assert (a.encode() < b.encode()) == (one < other)
    assert (a == b) == (one == other)
    assert keys.read(a) == one
    assert repr(keys.read(a)).replace("-0.0", "0.0") == repr(one).replace("-0.0", "0.0")


def test_texts_end_before_all_that_goes_on():
    """Whatever is in them of the characters that say where one ends."""
    short = ["".join(chars) for size in range(4) for chars in product("\0\1\2a", repeat=size)]
    rows = [("\0", *row) for row in product(short[:21], short)]
    keys = Keys("a.m", tuple[str, str, str])
    stored = [keys.store(row) for row in rows]
    assert [keys.read(key) for key in stored] == rows
    assert [keys.read(key) for key in sorted(stored)] == sorted(rows)


@given(pairs.filter(lambda p: p[0] not in (str, int, float)), st.integers(0, 3))
def test_first_fields_are_a_prefix_of_the_tuples_that_begin_so(pair, count):
    type, one, other = pair
    keys = Keys("a.m", type)
    start = keys.store_start(one[:count])
    assert keys.store(other).startswith(start) == (other[:count] == one[:count])
    assert (start <= keys.store(other)) == (one[:count] <= other)


@given(texts, texts)
def test_behind_a_prefix_is_all_that_does_not_begin_so(start, key):
    end = behind(start)
    assert (start <= key and (end is None or key < end)) == key.startswith(start)
    (end or "").encode()


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("", None), ("a", "b"), ("\ud7ff", "\ue000"), ("a\U0010ffff", "b"), ("\U0010ffff", None),
        ("\x7f", "\x80"),
    ],
)  # fmt: skip
def test_behind_a_prefix_at_the_ends_of_the_alphabet(start, end):
    assert behind(start) == end


def test_zero_has_no_sign_and_the_infinite_are_at_the_ends():
    keys = Keys("a.m", float)
    assert keys.store(-0.0) == keys.store(0.0) == keys.store(0)
    assert math.copysign(1, keys.read(keys.store(-0.0))) == 1
    row = [-math.inf, -1e308, -1.5, -5e-324, 0.0, 5e-324, 1.5, 1e308, math.inf]
    assert sorted(map(keys.store, row)) == [keys.store(one) for one in row]
    assert [keys.read(keys.store(one)) for one in row] == row


def test_an_int_is_a_float_where_it_is_one():
    keys = Keys("a.m", float)
    assert keys.store(3) == keys.store(3.0)
    for wrong in (2**53 + 1, 10**400):
        with pytest.raises(ValueError, match=r"a\.m: the key .*no float is that int"):
            keys.store(wrong)


class Color(enum.IntEnum):
    RED = 3


class Word(enum.StrEnum):
    RED = "red"


def test_members_of_enumerations_are_what_they_are():
    assert Keys("a.m", int).store(Color.RED) == Keys("a.m", int).store(3)
    keys = Keys("a.m", tuple[str, int])
    assert keys.store((Word.RED, Color.RED)) == keys.store(("red", 3))


class Mixed(str, enum.Enum):  # noqa: UP042  # its text in an f-string is that of the class
    RED = "red"


def test_a_text_is_the_one_that_is_read_back():
    """Else a loop over the map tells of its entry otherwise once the actor was loaded anew."""
    for word in (Word.RED, Mixed.RED):
        assert type(Keys("a.m", str).store(word)) is str
        assert f"{Keys('a.m', str).store(word)}" == "red"


@pytest.mark.parametrize(("type", "key"), [(str, "a\ud800"), (tuple[int, str], (1, "\udfff"))])
def test_what_is_no_unicode_text_is_no_key(type, key):
    with pytest.raises(ValueError, match=r"a\.m: the key .*ud[8f].*half of a surrogate pair"):
        Keys("a.m", type).store(key)


WRONG: list[tuple[Any, Any, str]] = [
    (str, 1, r"a\.m has text keys, not 1 \(int\): write str\(key\)"),
    (int, "1", r"a\.m has int keys, not '1' \(str\)"),
    (int, True, r"a\.m has int keys, not True \(bool\)"),
    (int, 1.0, r"a\.m has int keys, not 1\.0 \(float\)"),
    (float, True, r"a\.m has float keys, not True \(bool\)"),
    (float, "1", r"a\.m has float keys, not '1' \(str\)"),
    (tuple[int, str], (1,), r"a\.m has tuple\[int, str\] keys, not \(1,\) \(tuple\)"),
    (tuple[int, str], (1, "a", 2), r"a\.m has tuple\[int, str\] keys, not \(1, 'a', 2\) \(tuple\)"),
    (tuple[int, str], ("a", 1), r"a\.m has tuple\[int, str\] keys, not \('a', 1\)"),
    (tuple[int, str], (True, "a"), r"a\.m has tuple\[int, str\] keys, not \(True, 'a'\)"),
    (tuple[int, str], [1, "a"], r"a\.m has tuple\[int, str\] keys, not \[1, 'a'\] \(list\)"),
    (tuple[int, str], None, r"a\.m has tuple\[int, str\] keys, not None"),
]


@pytest.mark.parametrize(("type", "key", "told"), WRONG)
def test_a_wrong_type_is_told_with_the_map_and_what_it_has(type, key, told):
    with pytest.raises(TypeError, match=told):
        Keys("a.m", type).store(key)


def test_nan_has_no_place():
    for type, key in ((float, math.nan), (tuple[str, float], ("a", math.nan))):
        with pytest.raises(ValueError, match=r"a\.m: the key .*nan.*: NaN has no place in an order"):
            Keys("a.m", type).store(key)


@pytest.mark.parametrize("sign", [1, -1])
def test_ints_have_as_many_digits_as_a_key_has_bytes(sign):
    keys = Keys("a.m", int)
    row = [sign * 10**n for n in (1, 24, 25, 26, 99, 999, 1_015)]
    stored = [keys.store(one) for one in row]
    assert sorted(stored, reverse=sign < 0) == stored
    assert [keys.read(one) for one in stored] == row
    assert len(stored[-1]) <= MAX_KEY
    with pytest.raises(ValueError, match=r"a\.m: the key .*1024 bytes as text"):
        keys.store(sign * 10**5_000)


def test_what_was_stored_as_another_type_is_told():
    for type, other, key in ((int, str, "7"), (str, int, 7), (tuple[int, int], tuple[int, str], (1, "a"))):
        stored = Keys("a.m", other).store(key)
        if type is str:
            assert Keys("a.m", type).read(stored) == stored
            continue
        with pytest.raises(ValueError, match=r"a\.m has a key that is no .*other code has stored"):
            Keys("a.m", type).read(stored)


ALIKE = [
    "ia\u0661", "ib01", "i-y9", "iz00015", "i-A99985", "iz 0015", "f8000_00000000000", "f7fffffffffffffff",
    "fffffffffffffffff", "fFF00000000000000", "sa\x01\0", "s\x01\x03\0", f"iz{1100:04}{'1' * 1100}",
    f"iz{5000:04}{'1' * 5000}",
]  # fmt: skip


@pytest.mark.parametrize("text", ALIKE)
def test_a_text_that_looks_like_a_key_of_another_type_is_none(text):
    """What is read of it would be stored as another: the map would have a key that it does not find."""
    stored = Keys("a.m", str).store("\x01" + text)
    assert parse(stored) is None
    assert readable(stored) == stored
    with pytest.raises(ValueError, match=r"a\.m has a key that is no"):
        Keys("a.m", {"i": int, "f": float, "s": tuple[str]}[text[0]]).read(stored)


@given(st.sampled_from([tuple[int], tuple[str, int], tuple[int, int], tuple[int, str]]), st.data())
def test_a_text_that_looks_alike_is_told_whatever_the_type(type, data):
    """A key as usual is read at once: that takes nothing which reading it field by field does not take."""
    keys, marks = Keys("a.m", type), st.sampled_from("\1\0\2iabcys0123456789-zA٣é")
    stored = keys.store(data.draw(some(type)))
    at = data.draw(st.integers(0, len(stored)))
    text = stored[:at] + data.draw(st.text(marks, max_size=3)) + stored[at + data.draw(st.integers(0, 2)) :]
    found = parse(text)
    if found is not None and tuple(map(OF_VALUE, found)) == type.__args__:
        assert keys.read(text) == found
        assert keys.store(found) == text
    else:
        with pytest.raises(ValueError, match="has a key that is no"):
            keys.read(text)


@given(pairs)
def test_people_read_them_as_json(pair):
    type, one, _ = pair
    stored = Keys("a.m", type).store(one)
    if type is str and parse(stored) is None:
        assert readable(stored) == one
    elif type is not str:
        found = json.loads(readable(stored))
        expected = one[0] if isinstance(one, tuple) and len(one) == 1 else one
        assert found == (list(expected) if isinstance(expected, tuple) else expected)


def test_ends_of_ranges_are_readable():
    for type, key in ((str, "a"), (int, 2), (tuple[str, str], ("a", "b"))):
        stored = Keys("a.m", type).store(key)
        assert bound(stored) == readable(stored)
        assert bound(stored + "\0") == f"behind {readable(stored)}"
    assert bound(Keys("a.m", tuple[str, str]).store_start(("a",))) == '"a"'


@given(st.text(st.sampled_from("\x01\0\2isf-abzyA09"), max_size=12))
def test_any_text_is_readable(text):
    readable("\x01" + text)
    assert readable("k" + text) == "k" + text
