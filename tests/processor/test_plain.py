"""What is compiled does what Python does, in random programs that are rich in plain turns."""

import gc
import itertools
import json
import logging
import shutil
import tracemalloc
from pathlib import Path

import plain_worlds
import pytest
from compiled_parts import COMPILER, MUTANTS, SANITIZED, SOURCES, build, build_mutant, run, sanitizers

from plexstream.model.journal.journal import Turn
from plexstream.model.messages.message import ASK, TELL, Envelope
from plexstream.model.process.alike import of_kind
from plexstream.model.topics.topics import Topics
from plexstream.node.lanes.records.mailing import all_mails

PROGRAM = Path(__file__).parent / "plain_worlds.py"
SEEDS = 60
SHARE = 0.2
"""Of the messages that must have been plain turns, or the programs test less than they say."""

pytestmark = pytest.mark.skipif(shutil.which(COMPILER) is None, reason=f"no C compiler {COMPILER!r}")


def lines(first, end, folder=None, **environment):
    """What the program says of these seeds."""
    done = run(PROGRAM, first, end, folder=folder, **environment)
    assert done.returncode == 0, done.stderr[-5000:]
    return done.stdout.splitlines()


def in_python(end=SEEDS):
    return lines(0, end, PLEXSTREAM_COMPILED="0")


@pytest.fixture(scope="module")
def expected():
    return in_python()


def share(said):
    """The share of messages that were plain turns, by the last line."""
    _, plain, _, messages = said[-1].split()
    return int(plain) / int(messages)


def test_it_is_what_python_does(expected):
    said = lines(0, SEEDS)
    assert said[:-1] == expected[:-1]
    assert share(said) > SHARE
    assert share(expected) == 0


@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mutant_is_found(mutant, tmp_path, expected):
    build_mutant(tmp_path, mutant)
    for first in range(0, SEEDS, 15):
        try:
            said = lines(first, first + 15, tmp_path)
        except AssertionError:
            return  # it did not even end well
        if said[:-1] != expected[first : first + 15]:
            return
    pytest.fail(f"{mutant}: the same in {SEEDS} programs")


def test_it_does_so_under_sanitizers(tmp_path, expected):
    for name in SOURCES:
        build(name, tmp_path, *SANITIZED)
    said = lines(0, 20, tmp_path, **sanitizers())
    assert said[:-1] == expected[:20]
    assert share(said) > SHARE


@pytest.mark.parametrize(
    ("handler", "arguments"),
    [
        ("add", {"by": 1}), ("add", {"by": "wrong"}), ("say", {"what": "a", "twice": True}),
        ("take", {"value": [1.5, {"a": None}]}), ("wrong", {"field": "n", "value": "text"}),
        ("share_of", {"a": 1, "b": 3}), ("share_of", {"a": 1, "b": 0}), ("grow", {"by": 4_000}),
        ("emit", {"topic": "no such", "value": 1}), ("emit", {"topic": "out", "value": "y" * 1_100}),
        ("nan", {}), ("big", {}), ("same", {}),
        *(("fail", {"how": how}) for how in ("reject", "exit", "delete", "result", "large", "returned")),
    ],
)  # fmt: skip
def test_nothing_is_kept(handler, arguments):
    """Each round of messages leaves as much in memory as the one before: no reference is kept."""
    logging.disable(logging.CRITICAL)  # whatever levels other tests have left: pytest keeps what is logged
    world, count = plain_worlds.Run(0), 600
    sizes = []
    tracemalloc.start()
    try:
        for number in range(5):
            offsets = range(number * count, (number + 1) * count)
            payload = json.dumps(arguments).encode()
            target = "default/default/plain/1"
            e = Envelope(TELL, "", target, handler, payload, origin="o")
            told = [(o, e._replace(id=f"m{o}", origin_seq=o)) for o in offsets]
            asked = [(o, m._replace(kind=ASK, reply_to="edge") if o % 2 else m) for o, m in told]
            world.p.receive(asked, world.now)
            while (records := world.p.take()) is not None:
                world.p.acknowledged(world.p.fold.next + len(records) - 1)
            for lane in world.p.outbox.lanes:
                all_mails(Topics(), 1, "journal", list(lane.queue))
                lane.queue.clear()
            world.p.answers.clear()
            world.p.ledger.mark()  # forgets what was noted since the last one
            records = world.p.take()
            world.p.acknowledged(world.p.fold.next + len(records) - 1)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)
    # The smallest object has 28 bytes; what memory is kept for later does not grow with the messages.
    assert (sizes[-1] - sizes[-2]) / count < 24, sizes


def test_an_actor_that_is_not_in_memory_is_loaded_once(monkeypatch):
    """Its first message is plain, too; where it cannot be loaded, the hook that says so runs once."""
    logging.disable(logging.CRITICAL)
    world, loaded, executed = plain_worlds.Run(0), [], []
    actors, door = world.p.actors, world.p.trials._door
    load, execute = actors.load, door.execute
    monkeypatch.setattr(actors, "load", lambda address, now: loaded.append(address) or load(address, now))
    monkeypatch.setattr(door, "execute", lambda *args: executed.append(args) or execute(*args))
    names = ("plain/1", "nobody/1", "plain/2", "nobody/1", "plain/1")
    targets = [f"default/default/{name}" for name in names]
    world.p.receive(
        [(o, Envelope(TELL, f"m{o}", target, "add", b'{"by":1}')) for o, target in enumerate(targets)],
        world.now,
    )
    logging.disable(logging.NOTSET)
    assert loaded == targets[:4]
    assert [e.target for _, _, e in executed] == ["default/default/nobody/1"] * 2
    assert world.plain == 3


def test_what_comes_behind_one_that_is_not_plain_may_be(monkeypatch):
    """If the next went another way, every second one would."""
    world, executed = plain_worlds.Run(0), []
    door = world.p.trials._door
    execute = door.execute
    monkeypatch.setattr(door, "execute", lambda *args: executed.append(args[1]) or execute(*args))
    calls = [("timed", b'{"ms":%d}' % n) if n % 3 else ("add", b'{"by":1}') for n in range(9)]
    messages = [
        (o, Envelope(TELL, f"m{o}", "default/default/begins/1", handler, payload))
        for o, (handler, payload) in enumerate(calls)
    ]
    world.p.receive(messages, world.now)
    assert executed == [0]  # the init hook comes first
    turns = world.p.take()
    assert [turn.cause_offset for turn in turns] == list(range(9))
    assert [turn.seq for turn in turns] == list(range(1, 10))


def test_entries_of_maps_are_plain(monkeypatch):
    world = plain_worlds.Run(0)
    target = "default/default/begins/1"
    messages = [(o, Envelope(TELL, f"m{o}", target, "map", b'{"key":"k%d"}' % (o % 2))) for o in range(6)]
    world.p.receive(messages[:1], world.now)  # the init hook comes first
    monkeypatch.setattr(world.p.trials._door, "_came", None)
    world.p.receive(messages[1:], world.now)
    turns = world.p.take()
    assert [[(c.field, c.key) for c in turn.patch][1:] for turn in turns] == [
        [("mapped", f"k{o % 2}")] for o in range(6)
    ]
    assert world.p.ledger.pieces.entry((1, target, "mapped", "k1")) == turns[-1].patch[1].value
    world.p.acknowledged(world.p.fold.next + len(turns) - 1)
    assert not world.p.ledger.pieces.ahead


def test_where_care_is_to_be_taken_what_comes_behind_is_held(monkeypatch):
    world = plain_worlds.Run(0)
    door, care = world.p.trials._door, world.p._care
    came = door._came

    def then_careful(*args):
        care.left = 5
        return came(*args)

    messages = [
        (o, Envelope(TELL, f"m{o}", "default/default/begins/1", "timed", b'{"ms":9}')) for o in range(4)
    ]
    world.p.receive(messages[:1], world.now)
    monkeypatch.setattr(door, "_came", then_careful)
    world.p.receive(messages[1:], world.now)
    turns = [record for record in world.p.ledger.pending if type(record) is Turn]
    assert [turn.cause_offset for turn in turns] == [0, 1]
    assert len(care.held) == 2


def test_what_an_actor_takes():
    """What is the same for most actors is not each one's own."""
    logging.disable(logging.CRITICAL)
    of_kind.cache_clear()  # other tests have had actors of this type, with many fields
    world, count = plain_worlds.Run(0), 400
    payload = json.dumps({"by": 1}).encode()
    numbers = iter(range(10 * count))
    sizes = []
    tracemalloc.start()
    try:
        for _ in range(2):
            before = tracemalloc.get_traced_memory()[0]
            for o in itertools.islice(numbers, count):
                target = f"default/default/plain/new{o}"
                e = Envelope(TELL, f"m{o}", target, "add", payload, "o", origin_seq=o)
                world.p.receive([(o, e)], world.now)
            while (records := world.p.take()) is not None:
                world.p.acknowledged(world.p.fold.next + len(records) - 1)
            for lane in world.p.outbox.lanes:
                lane.queue.clear()
            records = None
            world.p.ledger.mark()
            world.p.acknowledged(world.p.fold.next + len(world.p.take()) - 1)
            gc.collect()
            sizes.append((tracemalloc.get_traced_memory()[0] - before) / count)
    finally:
        tracemalloc.stop()
        logging.disable(logging.NOTSET)
    actors = list(world.p.actors.active.values())[-10:]
    assert len({id(part) for a in actors for part in (a.shared, a.ticks)}) == 1
    assert len({id(part) for a in actors for part in (a.instance.migrated, a.instance.assigned)}) == 1
    assert sizes[-1] < 1500, sizes  # 1375 with CPython 3.11
