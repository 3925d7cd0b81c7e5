"""Barriers of shard groups, on the real processor and host, and against a model."""

from itertools import count

import pytest
from anybody import Part
from hypothesis import given, settings
from hypothesis import strategies as st
from waiters import Guest, before_the_alarm
from world import World

from plexstream.coordination.shards import barriers

GROUP = "plex.shards/g"


def with_group(crash):
    world = World(Part, Guest, crash_every=crash)
    world.ask(GROUP, "create", type="part", shards=2)
    return world


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request):
    return with_group(request.param)


def come(world, parties=3, wait=None, name="b"):
    return world.start(GROUP, "barrier", name=name, parties=parties, wait=wait)


def guest_comes(world, number, timeout, parties=3, wait=None):
    arguments = {"name": "b", "parties": parties, "wait": wait}
    return world.start(
        f"guest/{number}", "want", to=GROUP, handler="barrier", arguments=arguments, timeout=timeout
    )


def answers(world, ids):
    return [world.replies.get(id, "waits") for id in ids]


def rows(world):
    return world.ask(GROUP, "status")[1]


def left(world):
    """What the group has beside itself, by field."""
    entries = world.pieces.collections.of_actor("default/default/plex.shards/g")
    return sorted({field for field, _, _ in entries})


def test_the_last_releases_all(world):
    ids = [come(world) for _ in range(2)]
    assert answers(world, ids) == ["waits", "waits"]
    assert rows(world) == [["b", 3, 2, False, world.now]]
    ids.append(come(world))
    assert answers(world, ids) == [0, 1, 2]
    assert rows(world) == []
    assert left(world) == []


def test_the_next_round_is_one_of_its_own(world):
    for _ in range(3):
        ids = [come(world, wait=60) for _ in range(3)]
        assert answers(world, ids) == [0, 1, 2]
        world.run(50_000)
    assert come(world, 1) in world.replies
    world.run(100_000)
    assert left(world) == []


def test_a_name_is_a_barrier(world):
    ids = [come(world, 2, name=name) for name in ("a", "b", "a", "ab")]
    assert answers(world, ids) == [0, "waits", 1, "waits"]


def test_whose_time_is_up_breaks_it_for_all(world):
    ids = [come(world, 4, wait, "c") for wait in (5, None, 9)]
    world.run(4_999)
    assert answers(world, ids) == ["waits"] * 3
    world.run(1)
    assert answers(world, ids) == ["rejected"] * 3
    assert "barrier 'c' is broken" in world.errors[ids[1]]["detail"]
    assert rows(world) == [["c", 4, 0, True, world.now]]
    late = come(world, 4, name="c")
    assert "reset it" in world.errors[late]["detail"]
    assert world.ask(GROUP, "reset_barrier", name="c") == 0
    assert answers(world, [come(world, 1, name="c")]) == [0]
    assert left(world) == []


def test_who_comes_before_a_late_alarm_finds_it_broken(world):
    first = come(world, 2, wait=5)
    second = before_the_alarm(world, 5_000, GROUP, "barrier", name="b", parties=2)
    assert answers(world, [first, second]) == ["rejected"] * 2
    assert rows(world)[0][3] is True


def test_who_does_not_wait_at_all_breaks_it_unless_all_are_there(world):
    first = come(world, 2)
    assert answers(world, [come(world, 2, wait=0), first]) == [1, 0]
    first = come(world, 2)
    second = come(world, 3, wait=0, name="other")
    assert answers(world, [first, second]) == ["waits", "rejected"]
    assert [row[3] for row in rows(world)] == [False, True]


def test_who_has_gone_counts_no_more(world):
    gone = guest_comes(world, 1, timeout=1)
    world.run(1_000)
    assert answers(world, [gone]) == ["late"]
    ids = [come(world), come(world)]
    assert answers(world, ids) == ["waits", "waits"]
    ids.append(come(world))
    assert answers(world, ids) == [0, 1, 2]
    assert left(world) == []


def test_a_time_limit_of_who_has_gone_breaks_nothing(world):
    guest_comes(world, 1, timeout=1, wait=5)
    ids = [come(world)]
    world.run(1_000)
    world.run(9_000)
    assert answers(world, ids) == ["waits"]
    assert rows(world)[0][2] == 1
    ids += [come(world), come(world)]
    assert answers(world, ids) == [0, 1, 2]


def test_who_is_ended_from_above_has_gone(world):
    arguments = {"name": "b", "parties": 2, "wait": None}
    world.start("guest/1", "want_or_leave", to=GROUP, handler="barrier", arguments=arguments)
    world.ask("guest/1", "leave")
    first = come(world, 2)
    assert answers(world, [first]) == ["waits"]
    assert answers(world, [come(world, 2), first]) == [1, 0]


def test_a_tell_waits_for_nothing_and_is_nobody(world):
    world.tell(GROUP, "barrier", name="b", parties=1)
    world.run()
    assert rows(world) == []
    assert world.put_aside() == []


def test_others_of_another_number_are_refused_while_somebody_waits(world):
    first = come(world, 2)
    other = come(world, 3)
    assert "has 2 parties, of which 1 wait, not 3" in world.errors[other]["detail"]
    assert answers(world, [come(world, 2), first]) == [1, 0]
    guest_comes(world, 1, timeout=1, parties=2)
    world.run(1_000)
    assert answers(world, [come(world, 1)]) == [0]  # who has gone has no say


def test_a_reset_refuses_those_who_wait(world):
    ids = [come(world), come(world, wait=5)]
    assert world.ask(GROUP, "reset_barrier", name="b") == 2
    assert answers(world, ids) == ["rejected"] * 2
    assert "was reset" in world.errors[ids[0]]["detail"]
    assert world.ask(GROUP, "reset_barrier", name="b") == 0
    world.run(5_000)
    assert answers(world, [come(world, 1)]) == [0]


def test_a_group_is_not_deleted_while_somebody_waits(world):
    first = come(world, 2)
    id = world.start(GROUP, "delete")
    assert "at barrier 'b' of shard group 'g' somebody waits" in world.errors[id]["detail"]
    assert answers(world, [come(world, 2), first]) == [1, 0]
    come(world, 2, wait=0)
    assert world.ask(GROUP, "delete") is True
    assert left(world) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"name": ""}, "0 bytes"),
        ({"name": "é" * 101}, "202 bytes"),
        ({"name": "a\n"}, "give printable text"),
        ({"parties": 0}, "parties is 0"),
        ({"parties": 1001}, "from 1 to 1000"),
        ({"wait": -1}, "wait is -1"),
        ({"wait": 1e12}, "wait is"),
    ],
)
def test_what_cannot_be_is_rejected(world, arguments, said):
    id = world.start(GROUP, "barrier", **{"name": "b", "parties": 2, **arguments})
    assert world.replies[id] == "rejected"
    assert said in world.errors[id]["detail"]
    assert left(world) == []


def test_there_are_not_more_of_them_than_can_be_seen_at_once(world, monkeypatch):
    monkeypatch.setattr(barriers, "MAX_BARRIERS", 3)
    ids = [come(world, 2, name=name) for name in "abcd"]
    assert answers(world, ids) == ["waits", "waits", "waits", "rejected"]
    come(world, 2, name="b")
    assert answers(world, [come(world, 2, name="d")]) == ["waits"]


def test_many_that_break_at_once_break_by_several_turns(monkeypatch):
    monkeypatch.setattr("plexstream.coordination.shards.group.MAX_WORK", 5)
    world = with_group(0)
    ids = [come(world, 4, wait=5, name=f"n{number}") for number in range(6) for _ in range(3)]
    before = len(world.turns("__alarm__"))
    world.run(5_000)
    assert answers(world, ids).count("rejected") == 6
    for _ in range(5):
        world.run(1)
    assert answers(world, ids) == ["rejected"] * 18
    assert [row[3] for row in rows(world)] == [True] * 6
    assert len(world.turns("__alarm__")) - before >= 3


def test_as_many_as_there_may_be_wait_for_each_other():
    world = with_group(0)
    ids = [come(world, barriers.MAX_PARTIES) for _ in range(barriers.MAX_PARTIES)]
    assert answers(world, ids) == list(range(barriers.MAX_PARTIES))


# Against a model

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("come"), st.sampled_from([2, 2, 2, 3]), st.sampled_from([None, None, 0, 1, 4])),
        st.tuples(st.just("guest"), st.sampled_from([2, 3]), st.sampled_from([0.75, 2.75])),
        st.tuples(st.just("pass"), st.sampled_from([500, 1500, 5000]), st.none()),
        st.tuples(st.just("reset"), st.none(), st.none()),
    ),
    max_size=25,
)


class Model:
    """A barrier as it should be: who waits, each with its time limit and when it goes."""

    def __init__(self):
        self.waiting, self.broken, self.parties, self.answers = [], False, 0, {}

    def refuse(self):
        self.answers.update(dict.fromkeys((who for who, _, _ in self.waiting), "rejected"))
        self.waiting = []

    def until(self, now):
        while True:
            moments = [(goes, "goes", who) for who, _, goes in self.waiting if goes]
            moments += [(limit, "limit", who) for who, limit, _ in self.waiting if limit]
            at, what, who = min(moments, default=(now + 1, "", ""))
            if at > now:
                return
            if what == "limit":
                self.refuse()
                self.broken = True
            else:
                self.answers[who] = "late"
                self.waiting = [w for w in self.waiting if w[0] != who]

    def come(self, who, parties, limit, goes, now):
        if self.broken or (self.waiting and self.parties != parties):
            self.answers[who] = "rejected"
            return
        self.parties = parties
        self.waiting.append((who, limit, goes))
        if len(self.waiting) == parties:
            self.answers.update((who, index) for index, (who, _, _) in enumerate(self.waiting))
            self.waiting = []
        elif limit == now:
            self.refuse()
            self.broken = True


@settings(max_examples=60, deadline=None)
@given(steps=STEPS, crash=st.sampled_from([0, 1, 2]))
def test_it_is_as_its_model(steps, crash):
    world, model, ids, number = with_group(crash), Model(), [], count()
    for what, one, two in steps:
        model.until(world.now)
        if what == "come":
            ids.append(come(world, one, two))
            limit = 0 if two is None else world.now + two * 1000
            model.come(ids[-1], one, limit, 0, world.now)
        elif what == "guest":
            ids.append(guest_comes(world, next(number), two, one))
            model.come(ids[-1], one, 0, world.now + int(two * 1000), world.now)
        elif what == "pass":
            for _ in range(one // 250):  # nobody goes in the very moment in which a time limit ends
                world.run(250)
            model.until(world.now)
        else:
            assert world.ask(GROUP, "reset_barrier", name="b") >= len(model.waiting)
            model.refuse()
            model.broken = False
        assert answers(world, ids) == [model.answers.get(id, "waits") for id in ids]


def test_a_time_limit_of_who_has_gone_breaks_nothing_for_those_who_have_longer(world):
    guest_comes(world, 1, timeout=1, wait=2)
    there = come(world, wait=100)
    world.run(1_000)
    world.run(2_000)
    more = [come(world), come(world)]
    assert answers(world, [there, *more]) == [0, 1, 2]


def test_a_reset_counts_those_who_are_there(world):
    guest_comes(world, 1, timeout=1)
    there = come(world)
    world.run(2_000)
    assert world.ask(GROUP, "reset_barrier", name="b") == 1
    assert answers(world, [there]) == ["rejected"]


def test_a_group_is_deleted_where_those_who_waited_have_gone(world):
    guest_comes(world, 1, timeout=1)
    world.run(2_000)
    assert world.ask(GROUP, "delete") is True
    assert left(world) == []


def test_the_arguments_of_a_broadcast_go_to_all_members_or_are_refused_in_words(world):
    world.ask("plex.shards/many", "create", type="part", shards=1_000)
    id = world.start("plex.shards/many", "broadcast", handler="heard", arguments={"text": "x" * 10_000})
    assert "give smaller ones" in world.errors[id]["detail"]
