"""Objects of a store: one suite for a local folder and for S3."""

import hashlib
import subprocess
import sys
import urllib.error
import urllib.request

import pytest

from plexstream.blobs.objects import PART, Objects, Target
from plexstream.model.errors import BlobCorrupt, BlobMissing, BlobsUnavailable, NoBlobStore, TooLarge
from plexstream.sdk.host.coordination.kept.places import folder_of

FOLDER = folder_of("default/default/plex.blob/c")
LATER = 1 << 53


@pytest.fixture
def objects(store):
    return Objects(Target(store.url))


@pytest.mark.parametrize("size", [0, 1, PART, PART + 1, 3 * PART + 5])
def test_what_is_put_is_read(objects, size):
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    chunks = [data[start : start + 1_000_003] for start in range(0, size, 1_000_003)]
    put = objects.put(FOLDER, chunks)
    assert (put.size, put.hash) == (size, hashlib.sha256(data).hexdigest())
    assert b"".join(objects.checked(put.place, put.hash, put.size)) == data
    assert [list(page) for page in objects.older(FOLDER, LATER)] == [[put.place]]  # and nothing else is left


def test_a_part_is_read(objects):
    put = objects.put(FOLDER, [b"0123456789"])
    assert b"".join(objects.read(put.place, 3, 6)) == b"345"
    assert b"".join(objects.read(put.place, 3)) == b"3456789"
    assert b"".join(objects.read(put.place, 3, 3)) == b""
    assert b"".join(objects.read(put.place, 8, 99)) == b"89"


def test_the_place_tells_the_hash_and_each_upload_has_its_own(objects):
    one, two = objects.put(FOLDER, [b"x"]), objects.put(FOLDER, [b"x"])
    assert one.place != two.place
    assert f"/sha256/{one.hash[:2]}/{one.hash[2:]}." in one.place
    objects.remove(one.place)
    assert b"".join(objects.checked(two.place, two.hash, 1)) == b"x"


def test_an_upload_that_breaks_off_leaves_nothing(objects):
    def pieces(size):
        yield b"x" * size
        raise KeyError

    for size in (1, 2 * PART):
        with pytest.raises(KeyError):
            objects.put(FOLDER, pieces(size))
    assert list(objects.older(FOLDER, LATER)) == []


@pytest.mark.parametrize("size", [10, 2 * PART])
def test_what_is_too_large_is_refused_and_leaves_nothing(store, size):
    objects = Objects(Target(store.url, size))
    objects.remove(objects.put(FOLDER, [b"x" * size]).place)
    with pytest.raises(TooLarge, match=r"max_size in \[blobs\]"):
        objects.put(FOLDER, [b"x" * size, b"y"])
    assert list(objects.older(FOLDER, LATER)) == []


def test_bytes_that_were_changed_are_told_before_the_last_of_them(objects, store):
    put = objects.put(FOLDER, [b"x" * 3_000_000])
    (file,) = (path for path in store.files() if put.hash[2:] in path.name)
    data = bytearray(file.read_bytes())
    data[17] ^= 1
    file.write_bytes(data)
    read = []
    with pytest.raises(BlobCorrupt, match=put.hash):
        read.extend(objects.checked(put.place, put.hash, put.size))
    assert len(b"".join(read)) < put.size


def test_an_object_that_is_gone_is_missing(objects):
    put = objects.put(FOLDER, [b"x"])
    objects.remove(put.place)
    objects.remove(put.place)  # nor does it matter
    with pytest.raises(BlobMissing, match=r"not in the store"):
        list(objects.checked(put.place, put.hash, 1))


def test_only_what_is_old_is_listed_as_such(objects):
    put = objects.put(FOLDER, [b"x"])
    objects.put(folder_of("default/default/plex.blob/c2"), [b"x"])  # of another container
    assert [place for page in objects.older(FOLDER, put.time - 3_600_000) for place in page] == []
    assert [place for page in objects.older(FOLDER, LATER) for place in page] == [put.place]


def test_a_url_is_good_for_whoever_has_it(objects, request):
    put = objects.put(FOLDER, [b"hello"])
    with pytest.raises(ValueError, match="seconds from 1"):
        objects.url(put.place, 0)
    if "folder" in request.node.name:
        with pytest.raises(NoBlobStore, match=r"s3://bucket/prefix"):
            objects.url(put.place, 60)
        return
    url = objects.url(put.place, 60)
    with urllib.request.urlopen(url) as answer:
        assert answer.read() == b"hello"
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(url.replace("X-Amz-Signature=", "X-Amz-Signature=0"))
    refused.value.close()


@pytest.mark.parametrize(
    "name", ["..", ".", "../../x", "a/b", "a\x00b", "é" * 100, "%2e", "~2E", "C:\\x", "x" * 200, "a\nb"]
)
def test_a_container_stays_in_its_folder_whatever_its_name(objects, store, name):
    folder = folder_of("default/default/plex.blob/x")[:-1]
    parts = folder_of(f"default/default/plex.blob/{name.replace('/', '%2F')}")
    put = objects.put(parts, [b"x"])
    assert b"".join(objects.read(put.place)) == b"x"
    assert put.place.startswith(folder)
    assert ".." not in put.place.split("/")


def test_containers_have_different_folders():
    names = ["a", "A", "~61", "%61", ".", "%2E", "~2E", "é", "x" * 300, "x" * 301]
    assert len({folder_of(f"t/n/plex.blob/{name}") for name in names}) == len(names)


def test_a_store_that_is_away_is_told(monkeypatch, s3):
    for name, value in {**s3.environment, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BlobsUnavailable, match="the object store cannot write"):
        Objects(Target("s3://bucket/x")).put(FOLDER, [b"x"])


def test_wrong_credentials_and_buckets_are_told(monkeypatch, s3):
    for name, value in s3.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(BlobsUnavailable, match="is its bucket there"):
        Objects(Target("s3://other/x")).put(FOLDER, [b"x"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(BlobsUnavailable, match="cannot write"):
        Objects(Target("s3://bucket/x")).put(FOLDER, [b"x"])


def test_without_a_store_or_its_library_it_is_said_what_to_do(monkeypatch, tmp_path):
    with pytest.raises(NoBlobStore, match=r"set url in \[blobs\]"):
        Objects(Target()).put(FOLDER, [b"x"])
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(NoBlobStore, match=r"pip install 'plexstream\[blobs\]'"):
        Objects(Target(f"file://{tmp_path}")).put(FOLDER, [b"x"])


@pytest.mark.slow
def test_200_megabytes_pass_through_64(store):
    code = (
        "import os, resource, sys\n"
        "from plexstream.blobs.objects import Objects, Target\n"
        "objects = Objects(Target(sys.argv[1]))\n"
        "objects.remove(objects.put('f', [b'x']).place)\n"
        "most = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10\n"
        "before = most()\n"
        "put = objects.put('f', (os.urandom(1 << 20) for _ in range(200)))\n"
        "assert sum(map(len, objects.checked(put.place, put.hash, put.size))) == 200 << 20\n"
        "print(most() - before)\n"
    )
    command = [sys.executable, "-c", code, store.url]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 64
