"""Ranges of a StateMap against a sorted dict, before and after turns, and while the map is changed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexstream import StateMap
from plexstream.sdk.running.collections.keys import Keys


class Entries:
    """What a host keeps, read as it is taken."""

    def __init__(self, data=None):
        self.data = data if data is not None else {}
        self.taken = 0

    def get(self, key):
        return self.data.get(key)

    def range(self, start, stop, reverse, chunk):
        for key in sorted(self.data, reverse=reverse):
            if start <= key and (stop is None or key < stop):
                self.taken += 1
                yield key, self.data[key]

    def encode(self, value):
        return json.dumps(value).encode()

    def seal(self, value):
        return self.encode(value), value

    def decode(self, data):
        return json.loads(data)


def settle(real, data):
    for key, value in real._cells.drain():
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value


def in_range(model, start, stop, reverse):
    found = sorted(k for k in model if (start is None or start <= k) and (stop is None or k < stop))
    return [(k, model[k]) for k in (found[::-1] if reverse else found)]


numbers = st.integers(-3, 12)
steps = st.lists(
    st.tuples(st.sampled_from(["set", "set", "del", "turn", "fail", "inside", "save", "restore"]), numbers),
    max_size=30,
)
bounds = st.none() | numbers


@given(steps, bounds, bounds, st.booleans(), st.none() | st.integers(0, 4))
@settings(max_examples=400)
def test_a_range_is_that_of_a_sorted_dict(steps, start, stop, reverse, limit):
    data = {}
    real, model, sure = StateMap(Entries(data), Keys("a.m", int)), {}, {}
    saved = None
    for op, key in steps:
        if op == "set":
            real[key], model[key] = [key], [key]
        elif op == "del" and key in model:
            del real[key], model[key]
        elif op == "inside":
            both = zip(real.range(key, limit=2), in_range(model, key, None, False), strict=False)
            for (_, value), (_, mine) in both:
                value.append(9)
                mine.append(9)
        elif op == "turn":
            settle(real, data)
            sure, saved = json.loads(json.dumps(model)), None
            sure = {int(k): v for k, v in sure.items()}
        elif op == "fail":
            real._cells.roll_back()
            model, saved = {k: [*v] for k, v in sure.items()}, None
        elif op == "save":
            saved = real._cells.save(), {k: [*v] for k, v in model.items()}
        elif op == "restore" and saved is not None:
            real._cells.restore(saved[0])
            model, saved = saved[1], None
        expected = in_range(model, start, stop, reverse)[:limit]
        assert list(real.range(start, stop, reverse=reverse, limit=limit)) == expected
        assert real.first() == (min(model.items()) if model else None)
        assert real.last() == (max(model.items()) if model else None)
        assert real.count(start, stop) == len(in_range(model, start, stop, False))
        assert len(real) == len(model)
        assert bool(real) == bool(model)
        assert list(real) == sorted(model)
    settle(real, data)
    assert {int(k): v for k, v in model.items()} == dict(real)


@pytest.mark.parametrize("reverse", [False, True])
def test_a_turn_that_takes_many_reads_none_again(reverse):
    """Each look for the next one would pass all that were taken before: a thousand took a second."""
    entries = Entries({Keys("a.m", int).store(n): b"1" for n in range(100)})
    real = StateMap(entries, Keys("a.m", int))
    order = [*range(100)][::-1] if reverse else [*range(100)]
    for n in order[:50]:
        key, _ = real.last() if reverse else real.first()
        assert key == n
        del real[key]
    assert entries.taken <= 3 * 50
    real[order[0]] = 2
    assert (real.last() if reverse else real.first()) == (order[0], 2), "it is set again"
    real._cells.roll_back()
    assert (real.last() if reverse else real.first()) == (order[0], 1), "the turn came to nothing"


changes = st.lists(st.tuples(st.sampled_from(["set", "del", "turn", "others", "fail"]), numbers))


@given(st.sets(numbers), st.sets(numbers), changes, st.booleans())
@settings(max_examples=400)
def test_each_is_looked_for_when_it_is_taken(stored, own, changes, reverse):
    """The model of a loop that changes its map: the next key is the first one behind the last, as of now."""
    keys = Keys("a.m", int)
    data = {keys.store(n): b"0" for n in stored}
    real, model = StateMap(Entries(data), keys), dict.fromkeys(stored, 0)
    for n in own:
        real[n] = model[n] = 1
    sure = dict.fromkeys(stored, 0)
    found, expected, last = real.range(reverse=reverse), None, None
    for turn, (op, n) in enumerate([*changes, *[("", 0)] * 20]):
        rest = [k for k in model if last is None or (k < last if reverse else k > last)]
        expected = (max(rest) if reverse else min(rest)) if rest else None
        got = next(found, None)
        assert got == (None if expected is None else (expected, model[expected]))
        if got is None:
            return
        last = expected
        if op == "set":
            real[n] = model[n] = turn + 2
        elif op == "del" and n in model:
            del real[n], model[n]
        elif op == "turn":
            settle(real, data)
            sure = dict(model)
        elif op == "others":
            settle(real, data)
            others = StateMap(Entries(data), keys)
            others[n] = model[n] = turn + 2
            for key, value in others._cells.drain():
                data[key] = value
                real._cells.take_over(key, value)
            sure = dict(model)
        elif op == "fail":
            real._cells.roll_back()
            model = dict(sure)


def test_a_change_inside_what_a_range_gave_is_noticed():
    data = {"a": b"[1]", "b": b"[2]", "c": b"3"}
    real = StateMap(Entries(data))
    for key, value in real.range():
        if key == "b":
            value.append(5)
    assert dict(real.range()) == {"a": [1], "b": [2, 5], "c": 3}
    assert real._cells.drain() == [("b", b"[2, 5]")]


def test_what_is_taken_back_is_in_no_range():
    real = StateMap(Entries(), Keys("a.m", int))
    real[1] = 1
    saved = real._cells.save()
    real[2] = 2
    del real[1]
    assert list(real.range()) == [(2, 2)]
    real._cells.restore(saved)
    assert list(real.range()) == [(1, 1)]


def test_ten_of_many_are_ten():
    entries = Entries({f"{n:05}": b"1" for n in range(1000)})
    real = StateMap(entries)
    assert [k for k, _ in real.range("00500", limit=10)] == [f"{n:05}" for n in range(500, 510)]
    assert entries.taken == 10
    assert real.first() == ("00000", 1)
    assert entries.taken == 11


def test_counting_decodes_nothing():
    entries = Entries({f"{n}": b"no JSON" for n in range(9)})
    real = StateMap(entries)
    real["x"] = 1
    assert (len(real), real.count("3", "5"), bool(real)) == (10, 2, True)
    assert [*real] == [*map(str, range(9)), "x"]


def test_a_queue_is_taken_from_while_it_is_looped_over():
    real = StateMap(Entries(), Keys("a.m", int))
    real.update({n: n for n in range(9)})
    settle(real, real._cells.entries.data)
    for key, _ in real.range(limit=4):
        del real[key]
    assert [*real] == [4, 5, 6, 7, 8]
    assert real.popitem() == (4, 4)
    real.clear()
    with pytest.raises(KeyError, match=r"a\.m is empty"):
        real.popitem()


def test_prefixes():
    real = StateMap(Entries())
    for key in ("a", "a/1", "a/2", "a/\U0010ffff\U0010ffff", "a0", "b"):
        real[key] = 1
    assert [k for k, _ in real.prefix("a/")] == ["a/1", "a/2", "a/\U0010ffff\U0010ffff"]
    assert [k for k, _ in real.prefix("a/", reverse=True, limit=2)] == ["a/\U0010ffff\U0010ffff", "a/2"]
    assert len([*real.prefix("")]) == 6
    real = StateMap(Entries(), Keys("a.m", tuple[str, int]))
    rows = [("a", -5), ("a", 0), ("a", 12), ("a\0", 1), ("b", 1)]
    for key in reversed(rows):
        real[key] = 1
    assert [*real] == rows
    assert [k for k, _ in real.prefix(("a",))] == rows[:3]
    assert [k for k, _ in real.prefix(("a", 12))] == rows[2:3]
    assert [k for k, _ in real.prefix(())] == rows
    assert [k for k, _ in real.range(("a", 0), ("b",))] == rows[1:4]
    assert [k for k, _ in real.range(("a\0",))] == rows[3:]
    assert real.count(("a",), ("a", 12)) == 2


def test_what_is_no_range_is_told_at_once():
    real = StateMap(Entries(), Keys("a.m", int))
    for wrong in (lambda: real.range("a"), lambda: real.range(1, True), lambda: real.count(stop=1.5)):
        with pytest.raises(TypeError, match=r"a\.m has int keys, not"):
            wrong()
    with pytest.raises(TypeError, match=r"a\.m has int keys, which have no prefix: use range"):
        real.prefix(1)
    for limit in (-1, True, 1.0, "1"):
        with pytest.raises(ValueError, match=r"a\.m: limit=.*: give a whole number"):
            real.range(limit=limit)
    texts = StateMap(Entries())
    for wrong in (lambda: texts.range("\ud800"), lambda: texts.prefix("\ud800"), lambda: texts["\ud800"]):
        with pytest.raises(ValueError, match=r"a StateMap: the key .*ud800.*: it is no Unicode text"):
            wrong()
    assert "\ud800" not in texts
    with pytest.raises(ValueError, match="a key of 1029 bytes, at most 1024"):
        StateMap(Entries(), Keys("a.m", tuple[str, int]))["k" * 1023, 1] = 1
    assert 1.5 not in real
    assert "a" not in real
    assert [*real.range(5, 1)] == []


def test_the_type_of_one_argument_is_that_of_values():
    assert StateMap[int] == StateMap[str, int]


def test_what_is_discarded_is_not_looked_at():
    entries = Entries({"a": b"1", "b": b"2"})
    real = StateMap(entries)
    entries.get = None  # nobody asks
    real.discard("a")
    real.discard("c")
    assert [key for key, _ in real.range()] == ["b"]
    assert dict(real._cells.drain()) == {"a": None, "c": None}


def test_one_that_was_set_is_discarded():
    real = StateMap(Entries({}), Keys("a map", int))
    real[1] = "x"
    real.discard(1)
    assert list(real.range()) == []
    with pytest.raises(TypeError):
        real.discard("1")
