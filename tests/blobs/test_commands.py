"""``plexstream blob`` against one node."""

import json
import subprocess
import sys

import pytest
from served import Node


@pytest.fixture
def blob(tmp_path):
    class Folder:
        url, environment = f"file://{tmp_path}/blobs", {}

    node = Node(tmp_path / "node", Folder)
    node.start()

    def run(*arguments, data=b"", code=0):
        command = [sys.executable, "-m", "plexstream", "blob", *arguments, "--url", node.url]
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout if code == 0 else done.stderr

    yield run
    node.kill()


def test_files_are_kept_and_fetched(blob, tmp_path):
    (tmp_path / "in").write_bytes(b"hello")
    assert json.loads(blob("put", "a/b", str(tmp_path / "in"), "--type", "text/plain"))["size"] == 5
    assert json.loads(blob("put", "c", data=b"\x00\xff"))["size"] == 2
    assert blob("get", "c") == b"\x00\xff"
    (tmp_path / "out.part").write_bytes(b"of somebody else")
    blob("get", "a/b", str(tmp_path / "out"))
    assert (tmp_path / "out").read_bytes() == b"hello"
    assert (tmp_path / "out.part").read_bytes() == b"of somebody else"
    assert not list(tmp_path.glob(".*.part"))
    assert [json.loads(line)["name"] for line in blob("ls").splitlines()] == ["a/b", "c"]
    assert json.loads(blob("stat", "a/b"))["content_type"] == "text/plain"
    assert json.loads(blob("sweep")) == 0
    assert json.loads(blob("rm", "c")) is True
    assert json.loads(blob("stat", "c")) is None
    assert b"blob_missing" in blob("get", "c", str(tmp_path / "none"), code=1)
    assert not list(tmp_path.glob("none*"))
    assert b"no_blob_store" in blob("url", "a/b", code=1)
