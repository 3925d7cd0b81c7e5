"""Blobs over HTTP and by clients: one node on each kind of store."""

import asyncio
import hashlib
import io
import os
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from served import Node

from plexstream import AsyncClient, Client, Rejected
from plexstream.blobs.objects import Objects, Target
from plexstream.model.errors import (
    BlobCorrupt,
    BlobsUnavailable,
    CallError,
    ConfigError,
    LogUnavailable,
    NoBlobStore,
    TooLarge,
)
from plexstream.sdk.host.coordination.kept.places import folder_of

DYING = Path(__file__).with_name("dying.py")
HASH = hashlib.sha256(b"hello").hexdigest()


@pytest.fixture
def node(store, tmp_path):
    node = Node(tmp_path / "node", store, BLOBS_MAX_SIZE="300MiB")
    node.start()
    yield node
    node.kill()


@pytest.fixture
def http(node):
    with httpx.Client(base_url=f"{node.url}/v1/blobs") as http:
        yield http


def test_a_blob_comes_and_goes_over_http(http):
    put = http.put("/c/a/b.txt", content=b"hello", headers={"content-type": "text/plain"})
    assert (put.status_code, put.headers["etag"], put.json()["size"]) == (201, f'"{HASH}"', 5)
    assert http.put("/c/a%2Fb.txt", content=b"hello").status_code == 200
    got = http.get("/c/a/b.txt")
    assert (got.content, got.headers["content-type"]) == (b"hello", "application/octet-stream")
    assert got.headers["content-security-policy"] == "sandbox"
    head = http.head("/c/a/b.txt")
    assert (head.content, head.headers["content-length"], head.headers["etag"]) == (b"", "5", f'"{HASH}"')
    assert http.get("/c/a/b.txt", headers={"if-none-match": f'"{HASH}"'}).status_code == 304
    assert http.get("/c/a/b.txt?stat").json()["version"] == 2
    assert [blob["name"] for blob in http.get("/c?prefix=a/").json()] == ["a/b.txt"]
    assert http.delete("/c/a/b.txt").status_code == 204
    for answer in (http.get("/c/a/b.txt"), http.delete("/c/a/b.txt")):
        assert (answer.status_code, answer.json()["code"]) == (404, "blob_missing")


def test_ranges_and_what_is_wrong(http):
    http.put("/c/n", content=b"0123456789")
    for range, status, content in (
        ("bytes=2-4", 206, b"234"), ("bytes=7-", 206, b"789"), ("bytes=-3", 206, b"789"),
        ("bytes=5-99", 206, b"56789"), ("bytes=0-1,3-4", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
    ):  # fmt: skip
        got = http.get("/c/n", headers={"range": range})
        assert (got.status_code, got.content) == (status, content), range
    whole, now = b"0123456789", http.get("/c/n").headers["etag"]
    for known, status, content in ((now, 206, b"56789"), ('"before"', 200, whole), (f"W/{now}", 200, whole)):
        got = http.get("/c/n", headers={"range": "bytes=5-", "if-range": known})
        assert (got.status_code, got.content) == (status, content), known
    for known, status in (("*", 304), (f'"a", W/{now}', 304), ('"a"', 200)):
        assert http.get("/c/n", headers={"if-none-match": known}).status_code == status
    for range in ("bytes=10-", "bytes=4-2", "bytes=-0"):
        assert http.get("/c/n", headers={"range": range}).status_code == 416
    assert http.get("/c?limit=0").status_code == 409
    assert http.get("/c?limit=x").status_code == 422
    assert http.post("/c/n", json={}).status_code == 405
    assert http.post("/c", json={}).status_code == 405
    assert http.get("/").status_code == 404
    for name in ("a%00b", "%1b[2J", "x" * 901):
        assert http.put(f"/c/{name}", content=b"x").json()["code"] == "rejected"
    assert http.put("/c/%ff", content=b"x").status_code == 400
    for kind in ("x" * 201, "a\tb"):
        assert http.put("/c/k", content=b"x", headers={"content-type": kind}).json()["code"] == "rejected"
    assert http.put(f"/{'c' * 201}/a", content=b"x").status_code == 422
    assert http.get("/c").json()[0]["name"] == "n"


def test_clients_keep_blobs(node, store):
    with Client(node.url) as client:
        blobs = client.blobs.container("é/..")
        assert blobs.download("a b") is None
        blob = blobs.upload("a b", "é", "text/plain")
        assert (blob.size, blob.by, blob.content_type) == (2, "", "text/plain")
        assert blobs.stat("a b") == blob
        assert blobs.download("a b") == "é".encode()
        assert blobs.upload("a b", io.BytesIO(b"x" * 3_000_000)).size == 3_000_000
        assert sum(map(len, blobs.stream("a b"))) == 3_000_000
        again = [blobs.upload("k", [b"1", b"2"]).version for _ in range(2)]
        assert again[0] == again[1]
        assert [each.name for each in blobs.list(after="a b")] == ["k"]
        if store.environment:
            with httpx.Client() as anybody:
                assert anybody.get(blobs.url("k", 60)).content == b"12"
        else:
            with pytest.raises(NoBlobStore):
                blobs.url("k")
        assert blobs.sweep() == 0
        assert (blobs.delete("k"), blobs.delete("k")) == (True, False)
        assert (blobs.url("k"), blobs.stat("k"), client.blobs.list()) == (None, None, [])
        with pytest.raises(Rejected, match="control"):
            blobs.upload("a\x00b", b"x")


def test_asyncio_clients_keep_blobs(node):
    async def pieces():
        for _ in range(3):
            yield b"x" * 1_500_000

    async def use():
        async with AsyncClient(node.url) as client:
            blobs = client.blobs
            assert (await blobs.upload("a", pieces())).size == 4_500_000
            assert sum([len(piece) async for piece in blobs.stream("a")]) == 4_500_000
            assert (await blobs.upload("b", b"hello")).hash == HASH
            assert await blobs.download("b") == b"hello"
            assert [blob.name for blob in await blobs.list()] == ["a", "b"]
            assert await blobs.delete("a") is True
            assert await blobs.stat("a") is None
            assert await blobs.container("other").download("b") is None

    asyncio.run(use())


def test_bytes_that_were_changed_never_look_whole(node, store):
    with Client(node.url) as client:
        for name, size in (("small", 10), ("large", 5_000_000)):
            blob = client.blobs.upload(name, os.urandom(size))
            (file,) = (path for path in store.files() if blob.hash[2:] in path.name)
            data = bytearray(file.read_bytes())
            data[-1] ^= 1
            file.write_bytes(data)
        with pytest.raises(BlobCorrupt, match="upload it again"):
            client.blobs.download("small")
        with pytest.raises((BlobCorrupt, LogUnavailable)):
            client.blobs.download("large")


def test_what_is_too_large_leaves_nothing(tmp_path, store):
    node = Node(tmp_path / "node", store, BLOBS_MAX_SIZE="20MiB")
    node.start()
    try:
        with Client(node.url) as client:
            with pytest.raises((TooLarge, LogUnavailable)):
                client.blobs.upload("a", (b"x" * (1 << 20) for _ in range(21)))
            assert client.blobs.list() == []
            assert client.blobs.upload("a", b"x").size == 1
        assert len(store.files()) == 1
    finally:
        node.kill()


def test_a_node_that_is_killed_between_bytes_and_name_leaves_an_object_for_the_sweep(node, store):
    """What is killed in an upload has at most the bytes; the name comes with the repetition."""

    def pieces():
        yield b"x" * 20_000_000
        node.kill()
        yield b"x"

    with Client(node.url) as client:
        client.blobs.upload("before", b"hello")
        with pytest.raises((LogUnavailable, CallError)):
            client.blobs.upload("a", pieces())
        node.start()
        assert client.blobs.download("before") == b"hello"
        assert client.blobs.stat("a") is None
        assert client.blobs.upload("a", b"x" * 20_000_001).size == 20_000_001
        folder = folder_of("default/default/plex.blob/default")
        put = Objects(Target(store.url)).put(folder, [b"of a crash"])
        (lonely,) = (path for path in store.files() if put.hash[2:] in path.name)
        assert client.blobs.sweep() == 0
        os.utime(lonely, (1_700_000_000, 1_700_000_000))
        assert client.blobs.sweep() == 1
        assert not lonely.exists()
        cut_off = [path for path in store.files() if "incoming" in path.parts]
        if not store.environment:  # S3 has rules of its own for these
            assert cut_off
            os.utime(cut_off[0], (1_700_000_000, 1_700_000_000))
            assert client.blobs.sweep() == 1
            assert not cut_off[0].exists()
        assert len(client.blobs.download("a")) == 20_000_001


def test_what_says_that_it_is_too_large_is_refused_before_it_comes(node, store):
    host, _, port = node.url.rpartition("/")[2].partition(":")
    for more in ("", "expect: 100-continue\r\n"):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            head = f"PUT /v1/blobs/c/a HTTP/1.1\r\nhost: {host}:{port}\r\n{more}"
            connection.sendall(f"{head}content-length: {301 << 20}\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 413"
    assert store.files() == []


def test_what_is_deleted_named_anew_or_swept_is_read_to_its_end(node):
    old, new = os.urandom(9_000_000), os.urandom(9_000_000)
    with Client(node.url) as client:
        for change in (
            lambda: client.blobs.delete("a"), lambda: client.blobs.upload("a", new), client.blobs.sweep
        ):  # fmt: skip
            client.blobs.upload("a", old)
            pieces = client.blobs.stream("a")
            first = next(pieces)
            change()
            assert first + b"".join(pieces) == old


def test_of_uploads_at_the_same_time_one_is_named_as_a_whole(node):
    with Client(node.url) as client, ThreadPoolExecutor(4) as pool:
        each = [bytes([number]) * 9_000_000 for number in range(4)]
        blobs = list(pool.map(lambda data: client.blobs.upload("a", data), each))
        assert sorted(blob.version for blob in blobs) == [1, 2, 3, 4]
        last = max(blobs, key=lambda blob: blob.version)
        assert client.blobs.stat("a") == last
        assert client.blobs.download("a") == each[blobs.index(last)]


@pytest.mark.parametrize("by", ["client", "handler"])
def test_a_node_that_is_killed_after_the_bytes_and_before_the_name_has_neither_lost(store, tmp_path, by):
    """It kills itself exactly there, once. Who has no answer repeats: nothing was acknowledged."""
    node = Node(tmp_path / "node", store, app=DYING, DYING=str(tmp_path / "die"))
    node.start()
    try:
        with Client(node.url) as client:
            client.blobs.upload("before", b"hello")
            (tmp_path / "die").touch()
            paint = {"name": "a", "text": "bytes"}
            asks = lambda: client.ask("painter/p", "paint", paint, timeout=10, idempotency_key="k")  # noqa: E731
            uploads = lambda: client.blobs.upload("a", b"bytes")  # noqa: E731
            with pytest.raises((CallError, LogUnavailable)):
                (uploads if by == "client" else asks)()
            assert node.process.wait(60) == -9
            assert len(store.files()) == 2  # the bytes are there
            node.start()
            if by == "client":
                assert client.blobs.stat("a") is None
            (uploads if by == "client" else asks)()
            assert client.blobs.download("a") == b"bytes"
            assert client.blobs.download("before") == b"hello"
            lonely = len(store.files()) - 2
            assert lonely <= 1  # of a step whose record was lost with the node
            for path in store.files():
                os.utime(path, (1_700_000_000, 1_700_000_000))
            assert client.blobs.sweep() == lonely
            assert client.blobs.download("a") == b"bytes"
    finally:
        node.kill()


def test_a_store_that_is_away_is_told_and_then_used_again(s3, tmp_path, monkeypatch):
    class Away:
        url, environment = "s3://bucket/away", {**s3.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}

    node = Node(tmp_path / "node", Away)
    node.start()
    try:
        with Client(node.url) as client:
            with pytest.raises(BlobsUnavailable, match="the object store cannot write"):
                client.blobs.upload("a", b"x")
            assert client.blobs.list() == []
    finally:
        node.kill()


def test_over_a_log_there_are_no_blobs():
    from plexstream.log.memory.memory import MemoryLog

    log = MemoryLog()
    with pytest.raises(Exception, match=r".") as error, Client(log=log) as client:
        client.blobs.list()
    assert isinstance(error.value, ConfigError) or "topic" in str(error.value)
    log.close()


@pytest.mark.slow
def test_200_megabytes_pass_a_node_and_its_memory_stays(node):
    piece = os.urandom(1 << 20)
    with Client(node.url) as client:
        client.blobs.upload("warm", b"x")
        before = node.most_memory()
        assert client.blobs.upload("a", (piece for _ in range(200))).size == 200 << 20
        assert sum(map(len, client.blobs.stream("a"))) == 200 << 20
        assert node.most_memory() - before <= 64
