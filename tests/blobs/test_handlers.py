"""Blobs in handlers: what is done with the store are steps, and survives the loss of process and disk."""

import hashlib
import time

import pytest
from world import World

from plexstream import actor, handler, host, state
from plexstream.blobs.objects import PART, Objects, Target
from plexstream.blobs.steps import InSteps
from plexstream.hosts.native.data.blobs import NoStore

calls = []


def _length(pieces, factor):
    calls.append("read")
    return sum(map(len, pieces)) * factor


def _large():
    for _ in range(3):
        yield b"x" * PART


@actor
class Album:
    last: str = state(default="")

    @handler("plain")
    def plain(self, what: str, name: str, text: str = ""):
        blobs = host.blobs.container("pictures")
        if what == "upload":
            return blobs.upload(name, text, "text/plain").hash
        if what == "large":
            return blobs.upload(name, _large).size
        if what == "download":
            found = blobs.download(name)
            return None if found is None else found.decode()
        if what == "length":
            return blobs.read(name, _length, 2)
        if what == "bad":
            return blobs.upload(name, 17)
        found = getattr(blobs, what)(name)
        return [blob.name for blob in found] if what == "list" else found

    @handler("awaited")
    async def awaited(self, what: str, name: str, text: str = ""):
        blobs = host.blobs.container("pictures")
        if what == "upload":
            return (await blobs.upload(name, text, "text/plain")).hash
        if what == "large":
            return (await blobs.upload(name, _large)).size
        if what == "download":
            found = await blobs.download(name)
            return None if found is None else found.decode()
        if what == "length":
            return await blobs.read(name, _length, 2)
        if what == "bad":
            return await blobs.upload(name, 17)
        found = await getattr(blobs, what)(name)
        return [blob.name for blob in found] if what == "list" else found

    @handler("pair")
    def pair(self, text: str):
        first = host.blobs.upload("first", text)
        host.sleep(60)
        self.last = host.blobs.download("first").decode()
        host.blobs.upload("second", self.last)
        return [first.version, self.last]


@pytest.fixture(params=[0, 1, 2], ids=lambda n: f"crash every {n}")
def world(request, store):
    world = World(Album, crash_every=request.param, blobs=InSteps(Objects(Target(store.url))))
    world.now = round(time.time() * 1000)
    return world


@pytest.fixture(params=["plain", "awaited"])
def do(request, world):
    return lambda what, name, **more: world.ask("album/a", request.param, what=what, name=name, **more)


def test_a_handler_keeps_blobs(do):
    assert do("download", "a") is None
    assert do("upload", "a", text="é") == hashlib.sha256("é".encode()).hexdigest()
    assert do("download", "a") == "é"
    assert do("length", "a") == 4
    assert do("stat", "a")["by"] == "album/a"
    assert do("list", "a") == ["a"]
    assert do("delete", "a") is True
    assert do("stat", "a") is None


def test_a_large_blob_is_no_part_of_the_journal(do, world):
    assert do("large", "a") == 3 * PART
    assert do("length", "a") == 6 * PART
    assert do("download", "a") == "failed"
    assert "host.blobs.read(name, function)" in str(list(world.errors.values()))
    assert max(len(str(record)) for record in world.journal) < 100_000


def test_what_cannot_be_uploaded_is_refused(do, world):
    assert do("bad", "a") == "failed"
    assert do("upload", "a\nb", text="x") == "rejected"
    assert do("list", "") == []


def test_a_handler_that_waits_goes_on_with_what_it_had(world):
    id = world.start("album/a", "pair", text="hello")
    world.restart()
    world.run(61_000)
    assert world.replies[id] == [1, "hello"]
    assert world.ask("plex.blob/pictures", "list") == []
    rows = world.ask("plex.blob/default", "list")
    assert [row[0] for row in rows] == ["first", "second"]
    assert rows[0][4] == rows[1][4]  # one object for the same bytes


def test_a_step_that_is_recorded_reads_no_more(world):
    world.ask("album/a", "plain", what="upload", name="a", text="x")
    calls.clear()
    assert world.ask("album/a", "plain", what="length", name="a") == 2
    world.restart()
    world.run(1000)
    assert calls == ["read"]


def test_bytes_that_were_changed_are_refused(do, store):
    do("upload", "a", text="hello")
    (file,) = store.files()
    file.write_bytes(b"hallo")
    assert do("download", "a") == "rejected"


def test_a_container_is_of_the_tenant_of_who_uses_it(world):
    for tenant in ("one", "two"):
        album = f"{tenant}/main/album/a"
        world.ask(album, "plain", what="upload", name="a", text=tenant)
    assert world.ask("one/main/album/b", "plain", what="download", name="a") == "one"
    assert world.ask("two/main/album/b", "plain", what="download", name="a") == "two"
    assert world.ask("album/b", "plain", what="download", name="a") is None


def test_without_a_store_a_handler_hears_so():
    world = World(Album, blobs=NoStore())
    assert world.ask("album/a", "plain", what="upload", name="a", text="x") == "rejected"
    assert "object store" in str(list(world.errors.values()))
