"""``dev --app`` and ``tree``."""

from __future__ import annotations

import json
import shutil
import signal
import time

import pytest

APP = """
from plexstream import Retry, actor, handler, state

@actor(retry=Retry(attempts=1))
class Worker:
    n: int = state(default=0)

    @handler("add")
    def add(self) -> int:
        self.n += 1
        return self.n

    @handler("fail")
    def fail(self):
        raise ValueError("boom")
"""
MANIFEST = """
[supervisor]
max_restarts = 2
max_restart_window_seconds = 1000

[[supervisor.children]]
id = "a"
type = "worker"

[[supervisor.children]]
id = "pool"
[supervisor.children.supervisor]
strategy = "one_for_all"
[[supervisor.children.supervisor.children]]
id = "b"
type = "worker"
"""


@pytest.fixture
def files(tmp_path):
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "app-config.toml").write_text(MANIFEST)
    return str(tmp_path / "app.py"), str(tmp_path / "app-config.toml")


def settled(process):
    """Both supervisors have started what is theirs."""
    end = time.monotonic() + 30
    while True:
        try:
            found = [process.call(f"supervisor/{s}/which_children") for s in ("app", "app.pool")]
        except AssertionError:  # it has not been told of its children yet
            found = [[]]
        if all(rows and all(r["status"] == "running" for r in rows) for rows in found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.05)


def test_a_tree_from_a_manifest(serving, cli, files, tmp_path):
    app, manifest = files
    process = serving("dev", app, "--app", manifest)
    settled(process)
    process.call("worker/b/add")
    with pytest.raises(AssertionError, match="boom"):
        process.call("worker/b/fail")
    process.end(signal.SIGKILL)
    process.start()  # with the same manifest
    settled(process)
    assert process.call("worker/b/add") == 1
    process.end(signal.SIGTERM)
    data = str(process.data)
    found = json.loads(cli("tree", "--data", data, "--json").stdout)
    assert [e["decision"] for e in found["history"]] == ["start"]
    [_, pool] = found["children"]
    assert pool["address"] == "supervisor/app.pool"
    below = pool["supervisor"]
    assert [(e["decision"], e["child"]) for e in below["history"]] == [("start", ""), ("restart", "b")]
    assert (below["restarts"], below["todo"], below["children"][0]["starts"]) == (1, [], 2)
    assert "boom" in below["children"][0]["reason"]
    short = json.loads(cli("tree", "app", "--data", data, "--json", "--history", "0").stdout)
    assert short["history"] == short["children"][1]["supervisor"]["history"] == []
    said = cli("tree", "supervisor/app", "--data", data).stdout
    assert "supervisor/app  running  one_for_one, 0 of 2 restarts in 1000 s" in said
    assert "restart b: failed: worker.fail raised ValueError: boom" in said
    copy = str(shutil.copytree(data, tmp_path / "copy"))
    assert "all as recorded" in cli("replay", "--re-execute", app, "--data", copy).stdout
    assert "the same" in cli("replay", "--data", copy).stdout
    assert "there is no supervisor other" in cli("tree", "other", "--data", data, code=1).stderr


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_restarts", "max_restart", "supervisor: max_restart is no key here: is max_restarts meant?"),
        ('type = "worker"', 'typ = "worker"', "typ is no key here: is type meant?"),
        ('"worker"', '"wrker"', "no actor type 'wrker'; known are worker"),
        ('"one_for_all"', '"one"', "strategy = 'one': give one_for_one or one_for_all or rest_for_one"),
        ("[supervisor]", "nam = 1\n[supervisor]", "nam is no key of a manifest"),
        ("= 1000", '= "soon"', "max_restart_window_seconds = 'soon'"),
        ('id = "pool"', 'id = "a"', "two children have the id 'a'"),
        ("[supervisor]", "supervisor]", "cannot be read"),
        (MANIFEST, "", "there is no table [supervisor]"),
    ],
)
def test_a_manifest_that_is_wrong(cli, files, tmp_path, old, new, said):
    app, manifest = files
    (tmp_path / "app-config.toml").write_text(MANIFEST.replace(old, new))
    result = cli("dev", app, "--app", manifest, "--data", str(tmp_path / "data"), "--port", "0", code=2)
    assert said in result.stderr
    assert not (tmp_path / "data").exists()


def test_no_manifest(cli, files, tmp_path):
    assert "no such file" in cli("dev", files[0], "--app", "other.toml", "--port", "0", code=2).stderr
