"""Dicts with keys in common are dicts, and smaller."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from plexstream.model.process.alike import alike, filled, of_kind

NAMES = ["count", "amount", "text"]


def test_they_are_smaller_than_others():
    for make in (alike(NAMES), of_kind("a")):
        for _ in range(100):  # each may take a little less than the one before
            one = filled(make(), dict.fromkeys(NAMES, b""))
        assert sys.getsizeof(one) < 0.6 * sys.getsizeof(dict.fromkeys(NAMES, b""))


steps = st.lists(
    st.tuples(
        st.sampled_from(["set", "set", "set", "pop", "clear", "copy"]),
        st.integers(0, 2),
        st.sampled_from([*NAMES, *(f"name{n}" for n in range(40))]),
    ),
    max_size=80,
)


@given(steps)
def test_each_has_its_own(steps):
    make = alike(NAMES)
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
