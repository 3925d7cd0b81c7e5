"""A tuple space does what a list does that is looked through, whatever is lost on the way."""

import copy

from hypothesis import given, settings
from hypothesis import strategies as st
from spaces import SPACE, Model, Space, content_of
from world import World

VALUES = st.sampled_from(
    ["a", "b", "ab", "*", "", 0, 1, 2, 1.0, -0.0, True, None, [1], [1.0], {"x": 1}, {"x": None}]
)
TUPLES = st.lists(VALUES, min_size=1, max_size=4)
ENDS = st.sampled_from([None, 0, 1, 1.5, 2])
TEXTS = st.sampled_from([None, "a", "ab", "b"])
FIELDS = st.one_of(
    st.sampled_from([None, "*", "a", "b", 1, 1.0, True, [1]]),
    st.builds(lambda v: {"is": v}, VALUES),
    st.builds(lambda v: {"in": v}, st.lists(VALUES, min_size=1, max_size=3)),
    st.builds(lambda t: {"type": t}, st.sampled_from(["int", "float", "number", "str", "null", "list"])),
    st.builds(lambda p: {"prefix": p}, st.sampled_from(["", "a", "ab"])),
    st.builds(lambda low, high: {"range": [low, high]}, ENDS, ENDS).filter(lambda f: any(
        end is not None for end in f["range"])),
    st.builds(lambda low, high: {"range": [low, high]}, TEXTS, TEXTS).filter(lambda f: any(f["range"])),
)  # fmt: skip
PATTERNS = st.lists(FIELDS, min_size=1, max_size=4)
TTLS = st.sampled_from([None, None, 1, 3])
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), TUPLES, TTLS),
    st.tuples(st.just("write"), TUPLES, TTLS),
    st.tuples(st.just("write_many"), st.lists(TUPLES, min_size=1, max_size=3), TTLS),
    st.tuples(st.sampled_from(["read", "take"]), PATTERNS, st.sampled_from([0, 0, 2, None])),
    st.tuples(st.sampled_from(["peek", "count", "read_all", "take_all"]), PATTERNS),
    st.tuples(st.just("swap"), PATTERNS, TUPLES),
    st.tuples(st.just("transaction"), st.lists(st.one_of(
        st.tuples(st.sampled_from(["read", "take", "absent"]), PATTERNS, st.none()),
        st.tuples(st.just("write"), st.none(), TUPLES),
        st.tuples(st.just("swap"), PATTERNS, TUPLES),
    ), min_size=1, max_size=3)),
    st.tuples(st.just("cancel"), st.integers(1, 8)),
    st.tuples(st.just("renew"), st.integers(1, 8), TTLS),
    st.tuples(st.just("pass"), st.sampled_from([500, 1000, 2000])),
)  # fmt: skip


def run(space, model, operation):
    """An operation on both; what each says."""
    world, (what, *given) = space.world, operation
    model.at(world.now)
    match what:
        case "write":
            return space.write(given[0], ttl=given[1]), model.write(*given)
        case "write_many":
            return space.write_many(given[0], ttl=given[1]), [model.write(t, given[1]) for t in given[0]]
        case "read" | "take":
            due = None if given[1] is None else world.now + given[1] * 1000
            call = space.start(what, *given)
            model.wait(call, what == "take", given[0], due)
            return None, None
        case "peek":
            return space.peek(given[0])[0], model.look(False, given[0])
        case "count":
            return space.ask("count", given[0])["count"], len(model.found(given[0]))
        case "read_all" | "take_all":
            expected = [model.answer(id) for id in model.found(given[0])]
            if what == "take_all":
                for answer in expected:
                    del model.entries[answer["id"]]
            return space.ask(what, given[0]), {"entries": expected, "after": None}
        case "swap":
            answer = model.look(True, given[0])
            if answer is not None:
                model.write(given[1], None)
            return space.ask("swap", given[0], tuple=given[1]), answer
        case "transaction":
            return space.transaction([told(*one) for one in given[0]]), in_model(model, given[0])
        case "cancel":
            there = model.entries.pop(given[0], None)
            return space.cancel(given[0]), None if there else "rejected"
        case "renew":
            if given[0] not in model.entries:
                return space.renew(given[0], ttl=given[1]), "rejected"
            due = 0 if given[1] is None else model.now + given[1] * 1000
            model.entries[given[0]] = (model.entries[given[0]][0], due)
            return space.renew(given[0], ttl=given[1]), {"id": given[0], "due": due}
        case "pass":
            world.run(given[0])
            model.at(world.now)
            return None, None


def told(op, pattern, tuple):
    named = {"op": op, "pattern": pattern, "tuple": tuple}
    return {key: value for key, value in named.items() if value is not None}


def in_model(model, operations):
    trial = Model()
    trial.indexed = model.indexed
    trial.entries, trial.latest, trial.now = copy.deepcopy(model.entries), model.latest, model.now
    answers, written = [], []
    for op, pattern, tuple in operations:
        answer = trial.look(op in ("take", "swap"), pattern) if pattern else None
        if (answer is None) != (op in ("absent", "write")):
            return "rejected"
        if tuple:
            new = trial.write(tuple, None)
            written.append(new["id"])
        answers.append(new if op == "write" else answer)
    model.entries, model.latest = trial.entries, trial.latest
    for id in written:
        if id in model.entries:
            model.offer(id)
    return answers


@settings(max_examples=150, deadline=None)
@given(
    st.lists(OPERATIONS, max_size=25), st.sampled_from([0, 0, 1, 2, 3]), st.sampled_from([None, [], [2, 0]])
)
def test_it_does_what_a_list_does(operations, crash_every, index):
    world = World(crash_every=crash_every)
    space, model = Space(world), Model()
    if index is not None:
        space.ask("configure", index=index)
        model.indexed = index
    for operation in operations:
        got, expected = run(space, model, operation)
        assert got == expected, operation
    model.at(world.now)
    for call, answer in model.answers.items():
        assert world.replies[call] == answer
    for call, *_ in model.waiters:
        assert call not in world.replies
    told = content_of(space.events())
    assert {id: it for id, it in told.items() if not it[1] or it[1] > world.now} == model.entries
    status = space.status()
    assert status["tuples"] == len(model.entries)
    assert status["takes"] + status["reads"] == len(model.waiters)


def test_nothing_is_left_of_an_empty_space():
    world = World(crash_every=1)
    space = Space(world)
    space.write(["a", 1], ttl=2)
    space.write(["b", 1])
    space.start("take", ["c", None], wait=1)
    space.take(["b", None])
    world.run(1000)
    world.run(1000)
    kept = {field for field, _, _ in world.pieces.collections.of_actor(f"default/default/{SPACE}")}
    assert not {field for field in kept if field[0] != "$"}
