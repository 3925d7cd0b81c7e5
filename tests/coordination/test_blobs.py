"""Names of blobs: one container, on the real processor and host."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from world import World

from plexstream.sdk.host.coordination.kept.places import folder_of

BLOBS = "plex.blob/default"
HOUR = 3_600_000
ABCD, AAAA, BBBB = "abcd" * 16, "a" * 64, "b" * 64


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return World(crash_every=request.param)


def place_of(hash, number):
    return f"default/default/{BLOBS}/sha256/{hash[:2]}/{hash[2:]}.{number:032x}"


def commit(world, name, hash=ABCD, number=1, *, kind="text/plain", time=None):
    time = world.now if time is None else time
    place = place_of(hash, number)
    return world.ask(
        BLOBS, "commit", name=name, hash=hash, size=3, content_type=kind, place=place, time=time
    )


def refused(world, **changed):
    arguments = {
        "name": "a", "hash": ABCD, "size": 3, "content_type": "text/plain", "place": place_of(ABCD, 1),
        "time": world.now,
    }  # fmt: skip
    return world.ask(BLOBS, "commit", **{**arguments, **changed}) == "rejected"


def unused(world, *places):
    return world.ask(BLOBS, "unused", places=list(places))


def test_what_was_put_gets_a_name(world):
    row = commit(world, "a/b.txt")
    assert row == [ABCD, 3, "text/plain", place_of(ABCD, 1), world.now, "", 1]
    assert world.ask(BLOBS, "stat", name="a/b.txt") == row
    assert world.ask(BLOBS, "list") == [["a/b.txt", *row]]
    assert world.ask(BLOBS, "stat", name="other") is None


def test_the_same_bytes_are_kept_once(world):
    first, second = commit(world, "a", number=1), commit(world, "b", number=2)
    assert first[3] == second[3] == place_of(ABCD, 1)
    world.run(2 * HOUR)
    assert unused(world, place_of(ABCD, 1), place_of(ABCD, 2)) == [place_of(ABCD, 2)]
    assert world.ask(BLOBS, "delete", name="a") is True
    world.run(2 * HOUR)
    assert unused(world, place_of(ABCD, 1)) == []
    assert world.ask(BLOBS, "delete", name="b") is True
    assert unused(world, place_of(ABCD, 1)) == []  # somebody may be reading
    world.run(HOUR)
    assert unused(world, place_of(ABCD, 1)) == [place_of(ABCD, 1)]
    world.ask(BLOBS, "swept", places=[place_of(ABCD, 1)])
    assert world.pieces.collections.of_actor(f"default/default/{BLOBS}") == []


def test_a_name_that_is_given_anew_lets_its_bytes_go(world):
    commit(world, "a", AAAA)
    assert commit(world, "a", BBBB)[6] == 2
    assert world.ask(BLOBS, "stat", name="a")[0] == BBBB
    world.run(HOUR)
    assert unused(world, place_of(AAAA, 1), place_of(BBBB, 1)) == [place_of(AAAA, 1)]


def test_the_same_upload_again_keeps_its_object(world):
    for number in (1, 2):
        assert commit(world, "a", number=number)[6] == 1
    world.run(HOUR)
    assert unused(world, place_of(ABCD, 1)) == []


def test_what_was_put_too_long_ago_gets_no_name(world):
    world.run(HOUR)
    assert commit(world, "a", time=world.now - HOUR // 2 - 1) is None
    assert commit(world, "a", time=world.now + HOUR) is None
    assert world.ask(BLOBS, "list") == []


@pytest.mark.parametrize("name", ["", "x" * 901, "x" * 1_000_000, "a\nb", "a\x00", "\x1b[2J", "a\u2028b"])
def test_a_hostile_name_is_refused(world, name):
    assert commit(world, name) in ("rejected", "too_large")
    assert world.ask(BLOBS, "list") == []


@pytest.mark.parametrize("name", ["..", "../../etc/passwd", "/", "a//b", "~", "é", "a b", "%2F", "sha256/ab"])
def test_a_name_is_a_text_like_any_other(world, name):
    commit(world, name)
    assert world.ask(BLOBS, "list", prefix=name)[0][0] == name
    assert world.ask(BLOBS, "delete", name=name) is True


@pytest.mark.parametrize("kind", ["a\r\nset-cookie: x", "é", "x" * 201])
def test_a_content_type_that_is_no_header_is_refused(world, kind):
    assert commit(world, "a", kind=kind) == "rejected"


@pytest.mark.parametrize(
    "changed",
    [
        {"place": place_of(ABCD, 1).replace("/default/plex", "/other/plex")},
        {"place": place_of(ABCD, 1).replace("blob/default", "blob/other")},
        {"place": place_of(AAAA, 1)},
        {"place": "../" + place_of(ABCD, 1)}, {"place": place_of(ABCD, 1) + "/.."},
        {"place": ""}, {"hash": "abcd"}, {"hash": ABCD.upper()}, {"size": -1}, {"size": 1 << 60},
    ],
)  # fmt: skip
def test_no_name_is_given_to_what_was_not_uploaded_here(world, changed):
    assert refused(world, **changed)
    assert not refused(world)


def test_a_container_of_another_tenant_has_places_of_its_own(world):
    to = "b/n/plex.blob/x~y"
    arguments = {"name": "a", "hash": ABCD, "size": 3, "content_type": "a/b", "time": world.now}
    place = place_of(ABCD, 1).replace("default/default/plex.blob/default", folder_of(to))
    assert world.ask(to, "commit", place=place, **arguments)[3] == place
    assert world.ask(to, "commit", place=place_of(ABCD, 1), **{**arguments, "name": "b"}) == "rejected"


def test_a_page_of_long_names_goes_into_an_answer():
    world = World(crash_every=1, max_message=20_000)
    names = [f"{number:02}{'é' * 440}" for number in range(40)]
    for name in names:
        commit(world, name)
    found = []
    while page := world.ask(BLOBS, "list", after=found[-1] if found else ""):
        found += [row[0] for row in page]
    assert found == names


def test_names_come_in_pages(world):
    for name in ("b", "a/2", "a/1", "c"):
        commit(world, name)
    assert [row[0] for row in world.ask(BLOBS, "list", prefix="a/")] == ["a/1", "a/2"]
    assert [row[0] for row in world.ask(BLOBS, "list", after="a/2", limit=1)] == ["b"]
    assert world.ask(BLOBS, "list", limit=0) == "rejected"


names, hashes = st.sampled_from("abc"), st.sampled_from([AAAA, BBBB])
actions = st.one_of(
    st.tuples(st.just("commit"), names, hashes), st.tuples(st.just("delete"), names), st.just(("sweep",))
)


@settings(max_examples=25)
@given(st.lists(actions, max_size=12))
def test_no_object_that_a_name_has_is_ever_swept(steps):
    world, objects, there = World(crash_every=2), set(), {}
    for number, (what, *of) in enumerate(steps):
        world.run(HOUR // 4)
        if what == "commit":
            name, hash = of
            objects.add((place_of(hash, number), world.now))
            there[name] = commit(world, name, hash, number)[3]
        elif what == "delete":
            assert world.ask(BLOBS, "delete", name=of[0]) is (there.pop(of[0], None) is not None)
        else:
            old = [place for place, time in objects if time <= world.now - HOUR]
            gone = unused(world, *old)
            world.ask(BLOBS, "swept", places=gone)
            objects = {(place, time) for place, time in objects if place not in gone}
        assert set(there.values()) <= {place for place, _ in objects}
    for name in there:
        world.ask(BLOBS, "delete", name=name)
    world.run(HOUR)
    left = [place for place, _ in objects]
    assert sorted(unused(world, *left)) == sorted(left)
