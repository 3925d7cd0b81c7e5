"""StateMap and StateList are a dict and a list, before and after a turn, a rollback and a reload."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexstream import StateList, StateMap


class Entries:
    def __init__(self, data):
        self.data = data

    def get(self, key):
        return self.data.get(key)

    def range(self, start, stop, reverse, chunk):
        inside = [k for k in self.data if start <= k and (stop is None or k < stop)]
        return ((k, self.data[k]) for k in sorted(inside, reverse=reverse) if k in self.data)

    def encode(self, value):
        return json.dumps(value, separators=(",", ":")).encode()

    def seal(self, value):
        return self.encode(value), json.loads(self.encode(value))

    def decode(self, data):
        value = json.loads(data)
        assert not isinstance(value, list) or len(value) != 2, "the ends of a list are no item"
        return value


def settle(collection, data):
    changes = collection._cells.drain()
    for key, value in changes:
        if value is None:
            data.pop(key, None)
        else:
            data[key] = value
    return changes


def take_over(collection, changes):
    for key, value in changes:
        collection._cells.take_over(key, value)


values = st.integers(0, 9) | st.lists(st.integers(0, 9), min_size=3, max_size=4)
OPS = [
    "set", "set", "set", "del", "grow", "pop", "insert", "clear", "turn", "fail", "load", "reverse", "others",
    "others",
]  # fmt: skip
ops = st.lists(st.tuples(st.sampled_from(OPS), st.integers(-4, 4), values), max_size=40)


def copy(value):
    return json.loads(json.dumps(value))


@given(ops)
@settings(max_examples=400)
def test_a_map_is_a_dict(ops):
    data = {}
    real, model, sure = StateMap(Entries(data)), {}, {}
    for op, n, value in ops:
        key = str(n) if n else "#"  # that under which a list has its ends
        if op == "set":
            real[key], model[key] = copy(value), copy(value)
        elif op == "del":
            assert (real.pop(key, None) is None) == (model.pop(key, None) is None)
        elif op == "grow" and isinstance(model.get(key), list):
            real[key].append(7)
            model[key].append(7)
        elif op == "clear":
            real.clear()
            model.clear()
        elif op == "turn":
            settle(real, data)
            sure = copy(model)
        elif op == "fail":
            real._cells.roll_back()
            model = copy(sure)
        elif op == "load":
            settle(real, data)
            sure = copy(model)
            real = StateMap(Entries(data))
        elif op == "others":
            settle(real, data)
            others = StateMap(Entries(data))
            for by in (others, model):
                by["new"] = copy(value)
                if key in by:
                    del by[key]
                else:
                    by[key] = copy(value)
            take_over(real, settle(others, data))
            sure = copy(model)
        assert dict(real) == model
        assert len(real) == len(model)
        assert (key in real) == (key in model)
        assert real.get(key) == model.get(key)
    assert sorted(real) == sorted(model)


@given(ops)
@settings(max_examples=400)
def test_a_list_is_a_list(ops):
    data = {}
    real, model, sure = StateList(Entries(data)), [], []
    for op, n, value in ops:
        inside = -len(model) <= n < len(model)
        if op == "set" and inside:
            real[n], model[n] = copy(value), copy(value)
        elif op in ("set", "insert"):
            real.insert(n, copy(value))
            model.insert(n, copy(value))
        elif op == "del" and inside:
            del real[n], model[n]
        elif op == "pop" and model:
            assert real.pop(0 if n < 0 else -1) == model.pop(0 if n < 0 else -1)
        elif op == "grow" and inside and isinstance(model[n], list):
            real[n].append(7)
            model[n].append(7)
        elif op == "clear":
            real.clear()
            model.clear()
        elif op == "reverse":
            real.reverse()
            model.reverse()
        elif op == "turn":
            settle(real, data)
            sure = copy(model)
        elif op == "fail":
            real._cells.roll_back()
            model = copy(sure)
        elif op == "load":
            settle(real, data)
            sure = copy(model)
            real = StateList(Entries(data))
        elif op == "others":
            settle(real, data)
            others = StateList(Entries(data))
            for by in (others, model):
                by.insert(n, copy(value))
                if n > 0:
                    by.pop(0)
            take_over(real, settle(others, data))
            sure = copy(model)
        assert list(real) == model
        assert len(real) == len(model)
        assert real[1:3] == model[1:3]
        if not -len(model) <= n < len(model):
            with pytest.raises(IndexError):
                real[n]
    settle(real, data)
    assert len(data) <= len(model) + 1  # nothing is left behind


def test_a_turn_costs_what_it_touches():
    data = {str(i): b"1" for i in range(1000)}
    real = StateMap(Entries(data))
    real["5"], real["new"] = 2, 3
    del real["7"]
    assert real["8"] == 1
    assert real._cells.drain() == [("5", b"2"), ("new", b"3"), ("7", None)]
    data = {str(i): b"1" for i in range(1000)} | {"#": b"[0,1000]"}
    queue = StateList(Entries(data))
    queue.append(2)
    queue.pop(0)
    assert queue._cells.drain() == [("1000", b"2"), ("0", None), ("#", b"[1,1001]")]


@pytest.mark.parametrize("key", [1, None, b"k", ("a",)])
def test_keys_are_text(key):
    real = StateMap(Entries({}))
    for use in (lambda: real[key], lambda: real.__setitem__(key, 1), lambda: real.__delitem__(key)):
        with pytest.raises(TypeError, match="text keys"):
            use()
    assert key not in real


def test_slices_of_a_list_are_read_only():
    real = StateList(Entries({}))
    with pytest.raises(TypeError, match="one by one"):
        real[0:1] = [1]
    with pytest.raises(TypeError, match="one by one"):
        del real[0:1]
