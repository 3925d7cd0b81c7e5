"""What a handler makes of a store that cannot be read, counts for nothing: its code may catch anything."""

import contextlib

import pytest
from world import World

from plexstream import StateMap, actor, handler, host, on_activate, state, state_map
from plexstream.model.errors import StoreCorrupt, StoreUnavailable

FAILURES = [StoreCorrupt("a block's checksum is wrong"), StoreUnavailable("no room: make room on the disk")]


@actor
class Shelf:
    seen: int = state(default=0)
    books: StateMap[str, int] = state_map(str, int)

    @handler("take")
    def take(self, book: str) -> int:
        self.seen += 1
        return self.books.get(book, 7)

    @handler("take_anyway")
    def take_anyway(self, book: str) -> int:
        self.seen += 1
        with contextlib.suppress(Exception):
            return self.books.get(book, 7)
        return -1

    @handler("all")
    def all(self) -> list[str]:
        self.seen += 1
        with contextlib.suppress(Exception):
            return [key for key, _ in self.books.range()]
        return ["none"]

    @handler("look", read_only=True)
    def look(self, book: str) -> int:
        with contextlib.suppress(Exception):
            return self.books.get(book, 7)
        return -1

    @handler("own")
    def own(self) -> int:
        self.seen += 1
        with contextlib.suppress(Exception):
            return host.get("key") or 7
        return -1

    @handler("wait")
    async def wait(self, book: str) -> int:
        self.seen += 1
        found = -1
        with contextlib.suppress(Exception):
            found = self.books.get(book, 7)
        await host.sleep(0.001)
        return found

    @handler("wait_first")
    async def wait_first(self, book: str) -> int:
        self.seen += 1
        await host.sleep(0.001)
        with contextlib.suppress(Exception):
            return self.books.get(book, 7)
        return -1


@actor
class Waking:
    books: StateMap[str, int] = state_map(str, int)

    @on_activate
    def wake(self) -> None:
        with contextlib.suppress(Exception):
            self.books.get("any", 7)

    @handler("tell")
    def tell(self) -> int:
        return 7


CALLS = [
    ("shelf/a", "take", {"book": "b"}, 7),
    ("shelf/a", "take_anyway", {"book": "b"}, 7),
    ("shelf/a", "all", {}, []),
    ("shelf/a", "look", {"book": "b"}, 7),
    ("shelf/a", "own", {}, 7),
    ("shelf/a", "wait", {"book": "b"}, 7),
    ("shelf/a", "wait_first", {"book": "b"}, 7),
    ("waking/a", "tell", {}, 7),
]


def ask_and_wait(world, to, name, arguments):
    world.start(to, name, **arguments)
    world.run(10)


@pytest.mark.parametrize("failure", FAILURES, ids=["corrupt", "unavailable"])
@pytest.mark.parametrize(("to", "name", "arguments", "right"), CALLS, ids=[call[1] for call in CALLS])
def test_the_reign_ends_and_the_next_one_does_it(to, name, arguments, right, failure):
    world = World(Shelf, Waking)
    assert world.ask("shelf/a", "take", book="x") == 7
    store, written = world.pieces.store, len(world.journal)
    get, entries = store.get, store.entries

    def fails(key, *_):
        raise failure

    store.entries = fails
    store.get = lambda key: fails(key) if key[0] == 1 else get(key)  # what handlers read, not who they are
    with pytest.raises(type(failure), match=str(failure)):
        ask_and_wait(world, to, name, arguments)
    store.get, store.entries = get, entries
    assert not any(outcome in (-1, ["none"], "failed") for outcome in world.replies.values())
    del world.journal[written + 1 :]  # a first step may be there
    world.restart()
    for _ in range(3):
        world.run(10)
    assert world.replies[f"m{world._number}"] == right, world.errors
    assert not world.errors
