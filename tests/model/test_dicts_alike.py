"""Dicts with keys in common are dicts, and smaller."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from plexstream.model.process.alike import Alike, filled

NAMES = ["count", "amount", "text"]
MANY = [f"name{n}" for n in range(40)]


def test_they_are_smaller_than_others():
    make = Alike()
    for _ in range(100):  # each may take a little less than the one before
        one = filled(make(), dict.fromkeys(NAMES, b""))
    assert sys.getsizeof(one) < 0.6 * sys.getsizeof(dict.fromkeys(NAMES, b""))


def test_of_many_names_each_has_its_own():
    make = Alike()
    first = filled(make(), dict.fromkeys(MANY[:25]))
    some = [filled(make(), {MANY[number % 25]: b""}) for number in range(200)]
    assert len(first) == 25
    assert max(map(sys.getsizeof, some[-40:])) <= sys.getsizeof({"name": b""})


steps = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "pop", "clear", "copy"]),
        st.integers(0, 2),
        st.sampled_from([*NAMES, *MANY]),
    ),
    max_size=80,
)


@given(steps)
def test_they_do_what_others_do(steps):
    make = Alike()
    ours, theirs = [make() for _ in range(3)], [{} for _ in range(3)]
    for number, (what, which, name) in enumerate(steps):
        for some in (ours, theirs):
            if what == "set":
                some[which][name] = number
            elif what == "pop":
                some[which].pop(name, None)
            elif what == "clear":
                some[which].clear()
            else:
                some[which] = dict(some[which])
        assert ours == theirs
        assert [list(one) for one in ours] == [list(one) for one in theirs]
