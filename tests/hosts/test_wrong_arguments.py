"""What programs for other systems give by habit: it is refused where it is given, and said what to write."""

import asyncio
import sys
import threading
from datetime import timedelta
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))

from world import World

from plexstream import (
    DeclarationError,
    Retry,
    actor,
    handler,
    host,
    run_handler,
    service,
    signal_handler,
    state,
    state_map,
    workflow,
)


def boom():
    raise RuntimeError("boom")


@actor(name="odd", retry=Retry(attempts=1))
class Odd:
    @handler
    def nothing(self):
        pass

    @handler
    async def retried(self):
        await host.run("fails", boom, retry=3)

    @handler
    async def compensated(self):
        async with host.saga() as saga:
            saga.add("undo", boom, retry={"attempts": 3})

    @handler
    async def slept(self):
        await host.sleep(timedelta(days=1))

    @handler
    async def slept_text(self):
        await host.sleep("1")

    @handler
    async def limited(self):
        await host.ask("odd/b", "nothing", timeout=timedelta(seconds=1))

    @handler
    async def limited_all(self):
        await host.all(host.start.sleep(1), timeout=timedelta(seconds=1))

    @handler
    def later(self):
        host.send_after(timedelta(days=1), "nothing")

    @handler
    async def no_name(self):
        await host.run(boom, "x")

    @handler
    async def no_address(self):
        await host.ask(Odd, "nothing")

    @handler
    def no_awakeable(self):
        host.resolve_awakeable(None)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("retried", "retry=3 is no policy: write retry=Retry("),
        ("compensated", "is no policy: write retry=Retry("),
        ("slept", "host.sleep: datetime.timedelta(days=1) is no number: give seconds"),
        ("slept_text", "host.sleep: '1' is no number: give seconds"),
        ("limited", "a timeout of datetime.timedelta(seconds=1) is no number: give seconds"),
        ("limited_all", "host.all: a timeout of datetime.timedelta(seconds=1) is no number: give seconds"),
        ("later", "host.send_after: a delay of datetime.timedelta(days=1) is no number: give seconds"),
        ("no_name", "is no name of a step: give a text"),
        ("no_address", "is no address: write type/id, as text"),
        ("no_awakeable", "None is no id of an awakeable"),
    ],
)
def test_it_is_said_what_to_write(what, said):
    world = World(Odd)
    id = world.start("odd/a", what)
    world.run()
    assert said in world.errors[id]["detail"]


def test_gathering_with_asyncio_is_told_as_waiting_on_it():
    @actor(name="gatherer", retry=Retry(attempts=1))
    class Gatherer:
        @handler
        async def gather(self):
            await asyncio.gather(host.sleep(1), host.sleep(1))

    world, asked = World(Gatherer), []
    thread = threading.Thread(target=lambda: asked.append(world.start("gatherer/a", "gather")))
    thread.start()  # as a worker is: without an event loop
    thread.join()
    [id] = asked
    assert "wait for several steps with host.all(" in world.errors[id]["detail"]


@pytest.mark.parametrize("wrong", [3, {"attempts": 3}, Retry])
def test_a_policy_of_a_declaration_is_a_retry(wrong):
    with pytest.raises(DeclarationError, match="is no policy"):

        @actor(retry=wrong)
        class Whole:
            @handler
            def do(self):
                pass

    with pytest.raises(DeclarationError, match="is no policy"):

        @actor
        class Part:
            @handler(retry=wrong)
            def do(self):
                pass


@pytest.mark.parametrize("option", ["idle_timeout", "max_active", "state_ttl", "max_state", "retention"])
@pytest.mark.parametrize("wrong", [timedelta(days=1), "5", None, -1, float("nan")])
def test_an_option_that_is_a_number_is_one(option, wrong):
    class Anything:
        @run_handler
        def run(self):
            pass

    with pytest.raises(DeclarationError, match=option):
        workflow(**{option: wrong})(Anything) if option != "state_ttl" else actor(state_ttl=wrong)(Plain)


class Plain:
    @handler
    def do(self):
        pass


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": float("inf")},
        {"attempts": 2.5},
        {"attempts": 10**30},
        {"attempts": "3"},
        {"interval": float("inf")},
        {"interval": timedelta(seconds=1)},
        {"factor": float("nan")},
        {"max_interval": float("inf")},
        {"max_interval": 1e12},
        {"jitter": float("nan")},
        {"max_duration": float("inf")},
    ],
)
def test_a_policy_is_made_of_numbers_that_can_be_recorded(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Retry(**wrong)


@workflow(name="letter")
class Letter:
    ids: list = state(default_factory=list)

    @run_handler
    async def run(self):
        return await host.promise("clicked")

    @signal_handler
    def click(self, value):
        host.promise("clicked").resolve(value)
        for id in self.ids:
            host.resolve_awakeable(id, value)
        self.ids = []

    @signal_handler
    def tell_me(self, id):
        self.ids.append(id)

    @signal_handler
    async def waits(self):
        return await host.promise("clicked")

    @signal_handler
    def answers_later(self):
        self.ids.append(host.defer())


@service(name="page")
class Page:
    @handler
    async def wait(self, letter):
        clicked = host.awakeable()
        host.tell(letter, "tell_me", id=clicked.id)
        return await clicked


def test_a_signal_that_would_answer_later_hears_of_another_way():
    world = World(Letter, Page)
    world.start("letter/a", "run")
    id = world.start("letter/a", "answers_later")
    assert "the id of an awakeable" in world.errors[id]["detail"]


def test_a_signal_waits_for_what_the_run_waits_for():
    world = World(Letter, Page)
    ids = [world.start("letter/a", name) for name in ("run", "waits")]
    world.ask("letter/a", "click", value="here")
    assert [world.replies[id] for id in ids] == ["here", "here"]


@pytest.mark.parametrize("crash", [False, True])
def test_others_wait_for_a_promise_of_a_workflow_by_awakeables(crash):
    world = World(Letter, Page)
    ids = [
        world.start("letter/a", "run"),
        *(world.start(f"page/{n}", "wait", letter="letter/a") for n in "bc"),
    ]
    world.run()
    if crash:
        world.restart()
        world.run()
    world.ask("letter/a", "click", value=7)
    world.run()
    assert [world.replies[id] for id in ids] == [7, 7, 7]


@actor(name="parcel")
class Parcel:
    weight: float = state(default=1.0)
    weights: list[float] = state(default_factory=list)
    by_name: dict[str, float] = state_map()

    @handler
    def weigh(self, weight: float, at: list[dict[str, int]] | None = None):
        self.weight = weight

    @handler
    def puts(self, where: str):
        if where == "field":
            self.weight = "abc"
        elif where == "inside":
            self.weights = ["abc"]
        else:
            self.by_name["x"] = "abc"

    @handler
    def calls(self):
        host.spawn("parcel/1")

    @handler
    def slips(self, how: str):
        return SLIPS[how][0](self)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"weight": "abc"}, 'parcel.weigh: weight is "abc": Expected `float`, got `str`'),
        ({}, "parcel.weigh: the argument weight is missing: it takes weight, at=…"),
        (
            {"wieght": 1.5},
            "parcel.weigh: there is no argument 'wieght': did you mean weight? it takes weight, at=…",
        ),
        ({"weight": 1, "at": [{"a": "x"}]}, "Expected `int`, got `str`"),
        ({"weight": 1, "at": [5]}, "parcel.weigh: at[0] is 5: Expected `object`, got `int`"),
    ],
)
def test_the_argument_and_its_value_are_told(arguments, said):
    world = World(Parcel)
    id = world.start("parcel/1", "weigh", **arguments)
    assert world.errors[id]["code"] == "bad_arguments"
    assert said in world.errors[id]["detail"]


@pytest.mark.parametrize(("where", "value"), [("field", "'abc'"), ("inside", "['abc']"), ("entry", "'abc'")])
def test_what_a_field_cannot_hold_is_told(where, value):
    world = World(Parcel)
    id = world.start("parcel/1", "puts", where=where)
    assert "Expected `float`, got `str`" in world.errors[id]["detail"]
    assert world.errors[id]["detail"].endswith(f"; it is {value}")


def test_how_the_host_is_called_is_told():
    world = World(Parcel)
    id = world.start("parcel/1", "calls")
    assert "missing 1 required positional argument: 'id': write host.spawn(type, id, args=…" in (
        world.errors[id]["detail"]
    )


SLIPS = {
    "a map": (lambda self: self.by_name, "type StateMap is unsupported: write dict(…)"),
    "a method": (lambda self: host.uuid, "type method is unsupported: it is to be called"),
    "an object": (lambda self: object(), "is unsupported: give a dict, a list, a dataclass, text"),
    "a typo": (lambda self: host.teel("parcel/1", "x"), "has no attribute 'teel': did you mean tell?"),
    "a field's": (lambda self: self.wieght, "has no attribute 'wieght': did you mean weight?"),
    "a map's": (lambda self: self.by_name.append(1), "'append': it has clear, count, discard, first, get, "),
    "called": (lambda self: host.run("x", print()), "NoneType cannot be called: give the function and its"),
    "arguments": (lambda self: host.spawn("parcel", "1", 5), "host.spawn: args=5: give a dict"),
    "another's": (lambda self: (5).isoformat(), "'int' object has no attribute 'isoformat'"),
}


@pytest.mark.parametrize("how", SLIPS)
def test_slips_are_told_with_what_to_write(how):
    world = World(Parcel)
    id = world.start("parcel/1", "slips", how=how)
    assert SLIPS[how][1] in world.errors[id]["detail"]
