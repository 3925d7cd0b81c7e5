from __future__ import annotations

import importlib
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from plexstream.cli.app import app
from plexstream.cli.serving import serve
from plexstream.testing.kafka.process.ports import free_port

BANK = str(Path(__file__).with_name("bank.py"))


def test_a_killed_node_has_its_state_when_it_starts_again(dev, cli):
    assert dev.call("account/alice/deposit", amount=5) == {"balance": 5}
    assert dev.end(signal.SIGKILL) == -9
    why = "why", "account/alice", "--data", str(dev.data)
    assert "ended without letting go of it" in cli(*why).stdout
    dev.start()
    assert dev.call("account/alice/balance") == 5
    assert dev.call("account/alice/deposit", amount=1) == {"balance": 6}


def test_signals_end_a_node_well(dev, cli):
    assert dev.end(signal.SIGTERM) == 0
    why = cli("why", "account/alice", "--data", str(dev.data)).stdout
    assert "has let go of it in good order" in why
    assert "ended without" not in why
    dev.start()
    assert dev.end(signal.SIGINT) == 0
    said = dev.out.read_text()
    assert "Traceback" not in said
    assert f"curl {dev.url}/v1/actors/account/one/deposit --json '{{\"amount\": 1}}'" in said


def test_call_and_tell(dev, cli):
    url = ["--url", dev.url]
    assert json.loads(cli("call", "account/alice", "deposit", "amount=5", *url).stdout) == {"balance": 5}
    assert json.loads(cli("call", "account/alice", "deposit", '{"amount": 2}', *url).stdout) == {"balance": 7}
    assert cli("tell", "account/alice", "deposit", "amount=1", *url).stdout == ""
    assert cli("call", "account/alice", "balance", *url).stdout == "8\n"
    again = ["call", "account/alice", "deposit", "amount=2", "--idempotency-key", "k", *url]
    assert cli(*again).stdout == cli(*again).stdout == '{"balance":10}\n'


def test_a_detached_call_is_an_invocation(dev, cli):
    url = ["--url", dev.url]
    id = cli("call", "account/alice", "deposit", "amount=5", "--detach", *url).stdout
    assert id.startswith("inv_")
    assert id.endswith("\n")
    done = cli("invocation", id.strip(), "--wait", "20", *url).stdout
    whose = "default/default/account/alice"
    assert json.loads(done) == {
        "id": id.strip(), "actor": whose, "status": "done", "result": {"balance": 5},
    }  # fmt: skip
    refused = cli("call", "account/alice", "deposit", "amount=-1", "--detach", *url).stdout.strip()
    said = json.loads(cli("invocation", refused, "--wait", "20", *url, code=1).stdout)
    assert (said["status"], said["error"]["code"]) == ("failed", "rejected")
    assert "unknown_invocation: " in cli("invocation", "inv_x", *url, code=1).stderr
    key = ["account/alice", "deposit", "--idempotency-key", "k", *url]
    cli("call", *key, "amount=1", "--detach")
    assert cli("call", *key, "amount=1").stdout == '{"balance":6}\n'
    assert "idempotency_conflict: " in cli("call", *key, "amount=2", code=1).stderr


def test_errors_of_calls_are_told_with_code_and_detail(dev, cli):
    url = ["--url", dev.url]
    refused = cli("call", "account/alice", "deposit", "amount=-1", *url, code=1)
    assert "rejected: an amount is positive" in refused.stderr
    assert refused.stdout == ""
    assert "bad_arguments: " in cli("call", "account/alice", "deposit", "amount=x", *url, code=1).stderr
    assert "unknown_handler: " in cli("call", "account/alice", "nothing", *url, code=1).stderr
    assert "unknown_type: " in cli("call", "other/alice", "nothing", *url, code=1).stderr


def test_nobody_listens(cli):
    nobody = ["--url", "http://127.0.0.1:1", "--timeout", "3600"]  # which is not waited for
    assert "no node answers at http://127.0.0.1:1" in cli("call", "a/b", "balance", *nobody, code=3).stderr


def test_what_cannot_be_called_is_an_error_of_usage(cli):
    assert "has 1 part: write type/id" in cli("call", "alice", "balance", code=2).stderr
    assert (
        "argument 'amount': write key=value" in cli("call", "account/a", "deposit", "amount", code=2).stderr
    )
    assert "is no JSON" in cli("call", "account/a", "deposit", '{"amount"}', code=2).stderr
    assert "choose one way" in cli("call", "a/b", "c", "--url", "http://x", "--kafka", "y", code=2).stderr


def test_what_cannot_be_served_is_told(cli, tmp_path):
    assert "no such file" in cli("dev", "missing.py", code=2).stderr
    assert "app is not set" in cli("dev", code=2).stderr
    empty = tmp_path / "empty.py"
    empty.write_text("x = 1\n")
    assert "declares no actor" in cli("dev", str(empty), code=2).stderr
    assert "only one process" in cli("run", BANK, "--workers", "2", code=2).stderr
    assert "give --kafka ADDRESS" in cli("edge", code=2).stderr
    assert "no such configuration file" in cli("dev", BANK, "--config", "none.toml", code=2).stderr


def test_a_data_folder_in_use_is_told(dev, cli):
    for command in (["state", "list"], ["journal", "tail"], ["replay"], ["topics", "list"]):
        said = cli(*command, "--data", str(dev.data), code=3).stderr
        assert "in use by a node" in said
        assert "stop that node first" in said
    assert "in use by a node" in cli("doctor", "--data", str(dev.data)).stdout


def test_help_is_quick_and_everywhere():
    said = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "plexstream", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "Exit codes" in said.stdout
    imported = {line.rpartition("|")[2].strip() for line in said.stderr.splitlines()}
    assert "rich.console" in imported
    for heavy in (
        "confluent_kafka", "rocksdict", "pydantic", "httptools", "starlette", "uvicorn", "fastavro",
        "asyncio", "msgspec", "ssl", "socket", "markdown_it", "pygments", "logging",
    ):  # fmt: skip
        assert heavy not in imported, f"--help imports {heavy}"
    assert len(imported) < 250  # 236 with Python 3.11
    own = {module for module in imported if module.startswith("plexstream.")}
    assert {module for module in own if not module.startswith("plexstream.cli")} == {
        "plexstream.model", "plexstream.model.errors",
        "plexstream.sdk", "plexstream.sdk.host", "plexstream.sdk.host.coordination",
        "plexstream.sdk.host.coordination.nouns",
    }  # fmt: skip


def test_a_list_of_commands_reads_the_parameters_of_none():
    """Else each start would look at the hints and defaults of all commands."""
    group = typer.main.get_command(app)
    groups = [group, *(c for c in group.commands.values() if hasattr(c, "commands"))]
    commands = [c for g in groups for c in g.commands.values() if not hasattr(c, "commands")]
    assert len(commands) > 25
    context = typer.Context(group, info_name="plexstream")
    group.get_help(context)
    assert not any(command.params for command in commands)
    run = group.commands["run"]
    assert {param.name for param in run.get_params(context)} >= {"kafka", "workers", "http_port"}
    assert run.params
    assert run.callback.__wrapped__ is serve.run


def test_help_is_drawn_as_by_all_of_rich(monkeypatch):
    def said():
        return CliRunner().invoke(app, ["--help"], color=True).stdout

    names = ("typer.rich_utils", "rich.markdown", "rich.traceback")
    for name in names:
        monkeypatch.delitem(sys.modules, name, raising=False)
    light = said()
    assert sys.modules["typer.rich_utils"].Markdown("*x*").markup == "*x*"  # is there when it is needed
    assert sys.modules["typer.rich_utils"].Traceback.from_exception
    monkeypatch.delitem(sys.modules, "typer.rich_utils")
    for name in names[1:]:
        importlib.import_module(name)
    assert said() == light


def test_every_command_has_examples(cli):
    groups = [([], typer.main.get_command(app))]
    commands = []
    while groups:
        path, group = groups.pop()
        for name, command in group.commands.items():
            if hasattr(command, "commands"):
                groups.append(([*path, name], command))
            else:
                commands.append(" ".join([*path, name]))
    assert {"dev", "state get", "promise resolve"} <= set(commands)
    for command in commands:
        said = cli(*command.split(), "--help").stdout
        assert "Example" in said
        assert f"plexstream {command}" in said


def test_version(cli):
    from plexstream import __version__

    assert cli("--version").stdout == f"plexstream {__version__}\n"


def test_a_port_in_use_is_told(dev, tmp_path):
    command = ["dev", BANK, "--data", str(tmp_path / "other"), "--port", str(dev.port)]
    ended = subprocess.run(
        [sys.executable, "-m", "plexstream", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {dev.port}" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_second_node_on_the_same_data_is_refused(dev):
    command = ["dev", BANK, "--data", str(dev.data), "--port", "0"]
    ended = subprocess.run(
        [sys.executable, "-m", "plexstream", *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 3
    assert "held by another process" in ended.stderr


def test_following_ends_with_ctrl_c(used):
    process = subprocess.Popen(
        [sys.executable, "-m", "plexstream", "journal", "tail", "--follow", "--data", used],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_waiting_for_a_node(dev, cli):
    cli("wait", "--url", dev.url, "--timeout", "30")
    said = cli("wait", "--url", f"http://127.0.0.1:{free_port()}", "--timeout", "0", code=3).stderr
    assert "nobody answers there" in said
    assert "http://HOST:PORT" in cli("wait", "--url", "localhost", code=2).stderr


@pytest.mark.parametrize(
    ("id", "said"),
    [("inv_abc", "it is not whole, or was changed"), ("account/alice#1", "plexstream ps"), ("x", "inv_")],
)
def test_ids_that_are_none(dev, cli, id, said):
    assert said in cli("invocation", id, "--url", dev.url, code=1).stderr


def commands(command, path=()):
    yield path
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


@pytest.mark.parametrize("path", list(commands(typer.main.get_command(app))), ids=" ".join)
def test_a_switch_takes_no_value_in_its_help(cli, path):
    said = cli(*path, "--help").stdout
    assert "--help" in said
    assert "bool" not in said.lower()


def test_a_node_without_kafka_starts_without_what_it_need_not_have_yet(tmp_path):
    code = (
        "import sys\nfrom pathlib import Path\nfrom plexstream.node.running.node import Node\n"
        "from plexstream.node.setup.config import Config\n"
        f"node = Node(Config(app=Path({BANK!r}), data=Path({str(tmp_path)!r}), http_port=0))\n"
        "node.start()\nnode.stop()\n"
        "heavy = 'plexstream.client', 'plexstream.testing', 'prometheus_client', 'http.server', 'wsgiref'\n"
        "heavy += 'rich', 'typer', 'httpx', 'pandas', 'numpy', 'confluent_kafka', 'plexstream.log.kafka'\n"
        "print([m for m in sys.modules if m.startswith(heavy)])\n"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
