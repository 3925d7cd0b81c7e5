"""Object stores of both kinds: a local folder, and S3 as a server of its own speaks it."""

import sys
from pathlib import Path

import pytest

# pytest's import mode adds no directories
sys.path += [str(Path(__file__).parent), str(Path(__file__).parent.parent / "hosts")]

from s3proxy import S3Proxy


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    server = S3Proxy(tmp_path_factory.mktemp("s3") / "store")
    yield server
    server.stop()


class Place:
    """An object store: its url, and the folder in which its objects are as files."""

    def __init__(self, url, folder, environment):
        self.url, self.folder, self.environment = url, folder, environment

    def files(self):
        return sorted(path for path in self.folder.rglob("*") if path.is_file())


@pytest.fixture(params=["folder", "s3"])
def store(request, tmp_path, monkeypatch):
    """An empty store of each kind."""
    if request.param == "folder":
        yield Place(f"file://{tmp_path}/blobs", tmp_path / "blobs", {})
    else:
        server = request.getfixturevalue("s3")
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        name = f"{request.node.name.partition('[')[0]}-{abs(hash(request.node.nodeid))}"
        yield Place(f"s3://bucket/{name}", server.folder / name, server.environment)
