"""The linearizability checker: what it refuses, when it gives up, and a brute force beside it."""

import itertools
import json
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plexstream.testing.linearizability.models.lock import Lock
from plexstream.testing.linearizability.models.queue import Queue
from plexstream.testing.linearizability.models.register import Register
from plexstream.testing.linearizability.models.space import Space
from plexstream.testing.linearizability.operation import NEVER, UNKNOWN, Operation, Recorder, text
from plexstream.testing.linearizability.search import MOST, check, check_all


def history(*calls):
    """Calls as (name, arguments, answer, called, returned)."""
    return [Operation(f"c{i}", *call) for i, call in enumerate(calls)]


A, B = text(["a", 1]), text(["b", 2])
HOLDS = {
    "a read that runs beside a write sees either value": (
        Register(),
        [
            ("write", "1", 1, 0, 1),
            ("write", "2", 2, 2, 9),
            ("read", None, ("2", 2), 3, 4),
            ("read", None, ("2", 2), 5, 6),
        ],
    ),
    "a write that never returned takes effect late": (
        Register(),
        [("write", "1", UNKNOWN, 0, NEVER), ("read", None, None, 1, 2), ("read", None, ("1", 7), 3, 4)],
    ),
    "a write that never returned takes no effect": (
        Register(),
        [("write", "1", UNKNOWN, 0, NEVER), ("read", None, None, 1, 2)],
    ),
    "versions of other keys lie between": (
        Register(),
        [("write", "1", 4, 0, 1), ("cas", ("2", 4), (True, 9), 2, 3)],
    ),
    "a swap that failed has seen another version": (
        Register(),
        [("write", "1", 4, 0, 1), ("cas", ("2", 0), (False, 4), 2, 3)],
    ),
    "a swap without an answer has swapped": (
        Register(),
        [("write", "1", 4, 0, 1), ("cas", ("2", 4), UNKNOWN, 2, NEVER), ("read", None, ("2", 5), 3, 4)],
    ),
    "who got no answer may hold the lock": (
        Lock(),
        [("acquire", None, UNKNOWN, 0, NEVER), ("acquire", None, None, 1, 2)],
    ),
    "one of two takes gets it": (
        Space(),
        [("write", ["a", 1], None, 0, 1), ("take", ["a", None], A, 2, 5), ("take", ["a", None], None, 2, 5)],
    ),
    "a take without an answer has taken it": (
        Space(),
        [
            ("write", ["a", 1], None, 0, 1),
            ("take", ["a", None], UNKNOWN, 2, NEVER),
            ("count", [None, None], 0, 3, 4),
        ],
    ),
    "two of the same are two": (
        Space(),
        [
            ("write", ["a", 1], None, 0, 1),
            ("write", ["a", 1], None, 0, 1),
            ("take_all", ["a", 1], [A, A], 2, 5),
        ],
    ),
    "sends that run beside each other come in any order": (
        Queue(),
        [("send", "1", None, 0, 3), ("send", "2", None, 1, 2), ("receive", None, "2", 4, 5)],
    ),
}
BROKEN = {
    "a read sees what was overwritten": (
        Register(),
        [("write", "1", 1, 0, 1), ("write", "2", 2, 2, 3), ("read", None, ("1", 1), 4, 5)],
    ),
    "two swaps of one version": (
        Register(),
        [("write", "1", 4, 0, 1), ("cas", ("2", 4), (True, 5), 2, 9), ("cas", ("3", 4), (True, 6), 2, 9)],
    ),
    "a version falls": (Register(), [("write", "1", 4, 0, 1), ("write", "2", 3, 2, 3)]),
    "a value comes back": (
        Register(),
        [
            ("write", "1", UNKNOWN, 0, NEVER),
            ("read", None, ("1", 7), 1, 2),
            ("delete", None, True, 3, 4),
            ("read", None, ("1", 7), 5, 6),
        ],
    ),
    "an increment is lost": (Register(), [("increment", 1, 1, 0, 3), ("increment", 1, 1, 0, 3)]),
    "two hold a lock": (Lock(), [("acquire", None, 1, 0, 5), ("acquire", None, 2, 0, 5)]),
    "a number falls": (
        Lock(),
        [("acquire", None, 2, 0, 1), ("release", 2, True, 2, 3), ("acquire", None, 1, 4, 5)],
    ),
    "one who holds it is told that he does not": (
        Lock(),
        [("acquire", None, 2, 0, 1), ("renew", 2, False, 2, 3)],
    ),
    "a take twice": (
        Space(),
        [("write", ["a", 1], None, 0, 1), ("take", ["a", None], A, 2, 5), ("take", ["a", None], A, 2, 5)],
    ),
    "a take of nothing where something is": (
        Space(),
        [("write", ["a", 1], None, 0, 1), ("take", ["a", None], None, 2, 3), ("take", ["a", 1], A, 4, 5)],
    ),
    "a take of what does not fit": (
        Space(),
        [("write", ["b", 2], None, 0, 1), ("take", ["a", None], B, 2, 3)],
    ),
    "later is received first": (
        Queue(),
        [
            ("send", "1", None, 0, 1),
            ("send", "2", None, 2, 3),
            ("receive", None, "2", 4, 5),
            ("receive", None, "1", 6, 7),
        ],
    ),
}


@pytest.mark.parametrize("name", HOLDS)
def test_what_can_be_explained_holds(name):
    model, calls = HOLDS[name]
    assert check(history(*calls), model).holds is True


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_explained_is_refused(name):
    model, calls = BROKEN[name]
    verdict = check(history(*calls), model)
    assert verdict.holds is False
    assert "no order explains it" in verdict.why


def test_a_history_that_takes_too_long_counts_as_neither():
    # Each of these may have been taken or not, and nothing tells which: all of them have to be tried.
    calls = [("write", [i], None, 0, 1) for i in range(20)]
    calls += [("take", [None], UNKNOWN, 2, NEVER) for _ in range(20)]
    calls += [("take", [99], text([99]), 3, 4)]
    report = check_all({"long": history(*calls), "short": []}, Space(), steps=5_000)
    assert (report.held, report.broken, list(report.gave_up)) == (1, {}, ["long"])


def test_more_operations_than_can_be_searched_are_given_up_at_once():
    verdict = check(history(*[("read", None, None, i, i) for i in range(MOST + 1)]), Register())
    assert (verdict.holds, verdict.steps) == (None, 0)


def test_what_returned_in_one_moment_with_a_call_may_come_after_it():
    calls = [("write", "1", 1, 0, 5), ("read", None, None, 5, 6)]
    assert check(history(*calls), Register()).holds is True


class Store:
    """One key of a store, for one caller at a time."""

    def __init__(self):
        self.value, self.version, self.count = None, 0, 0

    def read(self, _):
        return None if self.value is None else (self.value, self.version)

    def write(self, value):
        self.count += 2  # another key was written, too
        self.value, self.version = value, self.count
        return self.version

    def cas(self, value_version):
        value, version = value_version
        return (False, self.version) if version != self.version else (True, self.write(value))

    def delete(self, _):
        there = self.value is not None
        self.value, self.version = None, 0
        return there

    def increment(self, by):
        self.write(str(int(self.value or 0) + by))
        return int(self.value)


class Mutex:
    """One lock, for one caller at a time."""

    def __init__(self):
        self.holder, self.count = 0, 0

    def acquire(self, _):
        if self.holder:
            return None
        self.count += 1
        self.holder = self.count
        return self.holder

    def renew(self, number):
        return self.holder == number

    def release(self, number):
        there = self.holder == number
        self.holder = 0 if there else self.holder
        return there


class Heap:
    """A bag of tuples, for one caller at a time. The latest that fits is taken."""

    def __init__(self):
        self.tuples = []

    def fitting(self, pattern):
        return [t for t in self.tuples if all(w in (None, h) for w, h in zip(pattern, t, strict=True))]

    def write(self, t):
        self.tuples.append(t)

    def take(self, pattern):
        found = self.read(pattern)
        if found is not None:
            self.tuples.remove(json.loads(found))
        return found

    def read(self, pattern):
        found = self.fitting(pattern)
        return text(found[-1]) if found else None

    def read_all(self, pattern):
        return [text(t) for t in self.fitting(pattern)]

    def take_all(self, pattern):
        found = self.fitting(pattern)
        self.tuples = [t for t in self.tuples if t not in found]
        return [text(t) for t in found]

    def count(self, pattern):
        return len(self.fitting(pattern))


class Line:
    """A queue, for one caller at a time."""

    def __init__(self):
        self.items = []

    def send(self, item):
        self.items.append(item)

    def receive(self, _):
        return self.items.pop(0) if self.items else None


NUMBERS = st.integers(1, 3)
TUPLES = st.lists(st.sampled_from((1, 2)), min_size=2, max_size=2)
PATTERNS = st.lists(st.sampled_from((1, 2, None)), min_size=2, max_size=2)
KINDS = {
    "register": (
        Register(),
        Store,
        {
            "read": st.none(),
            "write": st.sampled_from("12"),
            "cas": st.tuples(st.sampled_from("12"), st.integers(0, 6)),
            "delete": st.none(),
            "increment": NUMBERS,
        },
        {
            "read": st.none() | st.tuples(st.sampled_from("12"), NUMBERS),
            "write": NUMBERS,
            "cas": st.tuples(st.booleans(), st.integers(0, 6)),
            "delete": st.booleans(),
            "increment": NUMBERS,
        },
    ),
    "lock": (
        Lock(),
        Mutex,
        {"acquire": st.none(), "release": NUMBERS, "renew": NUMBERS},
        {"acquire": st.none() | NUMBERS, "release": st.booleans(), "renew": st.booleans()},
    ),
    "space": (
        Space(),
        Heap,
        {"write": TUPLES, **dict.fromkeys(("take", "read", "take_all", "read_all", "count"), PATTERNS)},
        {
            "write": st.none(),
            "take": st.none() | TUPLES.map(text),
            "read": st.none() | TUPLES.map(text),
            "take_all": st.lists(TUPLES.map(text), max_size=2),
            "read_all": st.lists(TUPLES.map(text), max_size=2),
            "count": st.integers(0, 3),
        },
    ),
    "queue": (
        Queue(),
        Line,
        {"send": st.sampled_from("12"), "receive": st.none()},
        {"send": st.none(), "receive": st.none() | st.sampled_from("12")},
    ),
}


@st.composite
def histories(draw, kind, spoilt):
    """What a real object answers to calls beside each other; where `spoilt`, some answers are others."""
    _, Object, calls, answers = KINDS[kind]
    made = []
    for i in range(draw(st.integers(0, 6))):
        name = draw(st.sampled_from(sorted(calls)))
        called, before, after = (draw(st.integers(0, n)) for n in (12, 4, 4))
        made.append((called + before, called, called + before + after, f"c{i}", name, draw(calls[name])))
    obj, found = Object(), []
    for _, called, returned, client, name, arguments in sorted(made, key=lambda m: m[0]):
        lost = draw(st.integers(0, 4)) == 0
        answer = UNKNOWN if lost and draw(st.booleans()) else getattr(obj, name)(arguments)
        if spoilt and draw(st.integers(0, 2)) == 0:
            answer = draw(answers[name])
        if lost:
            answer, returned = UNKNOWN, NEVER
        found.append(Operation(client, name, arguments, answer, called, returned))
    return draw(st.permutations(found))


def brute_force(ops, model):
    """Whether some order of some of the calls, of all that returned, explains the answers."""
    sure = [op for op in ops if op.returned < NEVER]
    unsure = [op for op in ops if op.returned == NEVER]
    for n in range(len(unsure) + 1):
        for some in itertools.combinations(unsure, n):
            for order in itertools.permutations([*sure, *some]):
                pairs = itertools.combinations(order, 2)
                if not any(late.returned < early.called for early, late in pairs) and runs(order, model):
                    return True
    return False


def runs(order, model):
    states = {model.start()}
    for op in order:
        states = {after for state in states for after in model.step(state, op)}
    return bool(states)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_a_real_object_answers_is_explained(kind, data):
    ops = data.draw(histories(kind, spoilt=False))
    assert check(ops, KINDS[kind][0]).holds is True


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_the_search_finds_what_trying_everything_finds(kind, data):
    ops = data.draw(histories(kind, spoilt=True))
    model = KINDS[kind][0]
    assert check(ops, model).holds is brute_force(ops, model)


def test_a_recorder_notes_what_several_threads_do():
    recorder, lock, box = Recorder(), threading.Lock(), Store()

    def work(name):
        for i in range(6):
            call = recorder.call("box", name, "increment", 1)
            with lock:
                answer = box.increment(1)
            if i % 3:
                recorder.returned(call, answer)
        recorder.refused(recorder.call("box", name, "increment", 100))

    threads = [threading.Thread(target=work, args=(f"c{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (ops,) = recorder.histories().values()
    assert sum(op.answer is UNKNOWN for op in ops) == 8
    assert check(ops, Register()).holds is True
