"""Programs in the dialect of PlexSpaces' SDK, with nothing but their import changed."""

import importlib.util
from pathlib import Path

import pytest
from world import World

from plexstream import actor, handler, host

FOLDER = Path(__file__).parent / "dialect"


@pytest.fixture(params=[0, 1], ids=["", "crash every turn"])
def play(request):
    def load(name):
        spec = importlib.util.spec_from_file_location(f"dialect_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found = [v for v in vars(module).values() if isinstance(v, type) and hasattr(v, "__plexstream__")]
        return World(*found, crash_every=request.param)

    return load


def test_parcels(play):
    world = play("parcels")
    for number in ("p1", "p2"):
        assert world.ask("sender/one", "post", number=number, to="x") == {"posted": number}
    nexts = [world.ask("courier/one", "next") for _ in range(3)]
    assert nexts == [{"delivered": "p1"}, {"delivered": "p2"}, {"status": "nothing"}]
    assert world.ask("courier/one", "delivered") == {"count": 2}


def test_refunds(play):
    world = play("refunds")
    first, second = (world.tell("refunds/one", "refund", _kind=1, payment="p", cents=5) for _ in range(2))
    world.run()
    assert world.replies[first] == {"status": "refunded", "cents": 5}
    assert world.replies[second] in ({"status": "already", "payment": "p"}, {"error": "busy"})
    assert world.ask("refunds/two", "refund", payment="p", cents=5)["status"] == "already"
    assert world.ask("refunds/one", "list") == {"keys": ["refund:p"]}


def test_what_a_lock_is_not_called_with_is_said_with_both_forms():
    @actor
    class Wrong:
        @handler("go")
        def go(self, given: list) -> str:
            try:
                return host.lock_acquire(*given)
            except TypeError as error:
                return str(error)

    world = World(Wrong)
    for given in (["ship"], ["ship", "holder/a", 5000], [1, 2, 3, 4]):
        said = world.ask("wrong/one", "go", given=given)
        assert "lock_acquire(name, lease_ms" in said
        assert "lock_acquire(tenant, namespace" in said


def test_choir(play):
    world = play("choir")
    for id in "ab":
        assert world.ask(f"singer/{id}", "join", group="choir") == {"joined": "choir"}
    assert world.ask("singer/a", "sing", group="choir", line="la") == {"sung": "la"}
    world.run()
    assert world.ask("singer/b", "heard") == {"heard": ["la"]}
    assert world.ask("singer/a", "heard") == {"heard": []}
    assert world.ask("singer/a", "members", group="choir") == {"members": ["singer/a", "singer/b"]}


def test_captain(play):
    world = play("captain")
    assert world.ask("captain/x", "stand", name="x") == {"captain": True, "name": "x"}
    assert world.ask("captain/y", "stand", name="y") == {"captain": False}
    world.run(2_000)
    assert world.ask("captain/y", "stand", name="y") == {"captain": True, "name": "y"}
    x, y = (int(world.field(f"captain/{id}", "version")) for id in "xy")
    assert y > x
    assert world.ask("captain/x", "resign", name="x") == {"captain": False}  # with its old version
    assert world.ask("captain/x", "stand", name="x") == {"captain": False}  # y has it still
