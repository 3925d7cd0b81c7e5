"""Keys of maps that are made compiled are those that Python makes."""

from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plexstream.hosts.native.data.keys import COMPILED, _Compiled, keys_of
from plexstream.sdk.running.collections.keys import Keys

TYPES = (int, tuple[int], tuple[int, int], tuple[int, str], tuple[str, int, str], tuple[int, str, int])
TEXTS = (
    st.text(st.sampled_from("ab\0\x01\x02é\ud800\U0001f600")) | st.text(max_size=600) | st.just("a" * 1_030)
)
INTS = st.sampled_from([0, 9, 10, 10**17, 10**18 - 1, 10**18, 2**63, -1, 10**30, 1 << 4000]) | st.integers()


class Number(IntEnum):
    SEVEN = 7


class Text(str):
    """Of a subclass."""


class Pair(tuple):
    """Of a subclass."""


ANY = INTS | TEXTS | st.sampled_from([None, True, 1.0, b"a", Number.SEVEN, Text("a"), [1]])
KEYS = ANY | st.lists(ANY, max_size=4).map(tuple) | st.lists(ANY, max_size=3).map(Pair)


def found(call, *args):
    try:
        value = call(*args)
        return type(value), value
    except Exception as error:
        return type(error), str(error)


def both(type):
    return keys_of("a.map", type), Keys("a.map", type)


@given(st.sampled_from(TYPES), KEYS)
def test_a_key_is_stored_as_python_does(type, key):
    mine, right = both(type)
    for name in ("store", "store_start"):
        assert found(getattr(mine, name), key) == found(getattr(right, name), key)


@given(st.sampled_from(TYPES), st.data())
def test_a_usual_key_is_read_as_python_does(type, data):
    mine, right = both(type)
    field = {int: INTS, str: TEXTS}
    key = data.draw(st.tuples(*(field[one] for one in right.fields)))
    try:
        stored = right.store(key if right.of_tuples else key[0])
    except ValueError:
        return
    assert found(mine.read, stored) == found(right.read, stored)
    end = data.draw(st.sampled_from(["", "0", "\0", "ia1"]))
    cut = stored[: data.draw(st.integers(0, len(stored)))] + end
    assert found(mine.read, cut) == found(right.read, cut)


@given(st.sampled_from(TYPES), st.text(st.sampled_from("\x01iabcdefqrst019\0-zAé"), max_size=30))
def test_what_is_no_key_is_read_as_python_does(type, stored):
    mine, right = both(type)
    assert found(mine.read, stored) == found(right.read, stored)
    assert found(mine.read, f"\x01{stored}") == found(right.read, f"\x01{stored}")


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
def test_usual_keys_are_made_compiled():
    assert type(keys_of("m", tuple[int, str])) is _Compiled
    assert type(keys_of("m", int)) is _Compiled
    assert {type(keys_of("m", t)) for t in (str, float, tuple[int, float], tuple[(int,) * 9])} == {Keys}
    made = keys_of("m", tuple[int, str, int])
    right, made.fields, made._usual = made.store((5, "s1", 10**17)), None, None  # what Python needs
    assert made.store((5, "s1", 10**17)) == right
    assert made.read(right) == (5, "s1", 10**17)


@pytest.mark.skipif(not COMPILED, reason="nothing is compiled")
@pytest.mark.parametrize("args", [(), ("i",), (1, (1,)), ("é", (1,)), ("i" * 9, (1,)), ("i", (1,), 2)])
def test_what_is_called_wrongly_is_an_error_and_no_end_of_the_process(args):
    from plexstream.hosts.native.data import _keys

    for call in (_keys.store, _keys.read):
        with pytest.raises(TypeError):
            call(*args)
