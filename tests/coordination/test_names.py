"""Names of nouns, and keys of operations: whatever they have in them, no two are taken for one another."""

import pytest
from anybody import Anybody
from hypothesis import example, given
from hypothesis import strategies as st
from world import World

from plexstream import actor, handler, host
from plexstream.sdk.host.coordination.held.locks import Locks
from plexstream.sdk.host.coordination.operation import Call, Course, actor_id

ANY = st.text(st.characters() | st.sampled_from("/%~.#0123456789\u00a0\ud800\udfff"), min_size=1, max_size=8)


@given(ANY, ANY)
def test_names_are_ids_of_their_own(one, other):
    assert (actor_id(one) == actor_id(other)) == (one == other)
    assert actor_id(one).isprintable()
    assert not {"/", "~"} & set(actor_id(one))


@pytest.mark.parametrize("name", ["/" * 133, "~" * 133, "\u00a0" * 66, "é" * 100, "x" * 200])
def test_the_longest_names_have_room_in_an_address(name):
    arguments = {"holder": "me"}
    got = World(Anybody).ask("anybody/x", "plain", path="locks.lock.acquire", name=name, arguments=arguments)
    assert got["holder"] == "me"


@pytest.mark.parametrize("name", ["/" * 134, "%" * 200, "\u00a0" * 100])
def test_a_name_that_has_no_room_in_an_address_is_refused(name):
    with pytest.raises(ValueError, match="once it is percent-encoded"):
        Locks(lambda steps: steps).lock(name)


def keys(key, calls):
    """Those of an operation that makes so many calls, some at the same time."""

    def steps():
        yield [Call("t", "i", "h", {})] * calls
        yield Call("t", "i", "h", {})

    course, found = Course(steps()), []
    wanted = course.begin()
    while wanted:
        found += course.keys(key, wanted)
        wanted = course.go_on([None] * len(wanted) if len(wanted) > 1 else [(None, None)])
    return found


KEYS = st.lists(st.sampled_from(["a", "#", ".", "0", "#0", "#1", ".1"]), min_size=1, max_size=4).map("".join)


@given(KEYS, KEYS)
@example("a", "a.1")
@example("a", "a#1")
@example("a#1", "a#1#0")
def test_no_call_has_the_key_of_another(one, other):
    mine, theirs = keys(one, 2), keys(other, 2)
    assert len({*mine, *theirs}) == (3 if one == other else 6)


def test_the_key_of_one_call_is_the_one_that_was_given():
    assert keys("order-17", 2)[0] == "order-17"


@actor(name="ported")
class Ported:
    @handler("take")
    def take(self, namespace: str, lock: str) -> str:
        return host.lock_acquire("", namespace, "me", lock, 60, 0)


def test_locks_of_two_namespaces_of_the_dialect_are_two():
    world = World(Ported)
    for namespace, lock in (("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c"), ("", "c")):
        assert world.ask("ported/x", "take", namespace=namespace, lock=lock)
        assert not world.ask("ported/y", "take", namespace=namespace, lock=lock)
