"""Twenty typical mistakes of somebody's first day: each error names the thing, and what to do next."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from plexstream import AsyncClient, Client
from plexstream.model.errors import (
    BadAddress,
    BadArguments,
    ConfigError,
    LogUnavailable,
    UnknownHandler,
    UnknownType,
)

BANK = str(Path(__file__).with_name("bank.py"))
BEGIN = "from plexstream import actor, handler, host, state, subscribe\n\n\n@actor\nclass Account:\n"

SOURCES = {
    "a default that is shared": (
        "    items: list = []\n\n    @handler('x')\n    def x(self) -> None: ...\n",
        ["Account.items", "state("],
    ),
    "a plain attribute": (
        "    balance: int = 0\n\n    @handler('x')\n    def x(self) -> None: ...\n",
        ["Account.balance", "state(default=0)"],
    ),
    "no handler at all": ("    balance: int = state(default=0)\n", ["Account", "@handler"]),
    "a handler without self": ("    @handler('x')\n    def x() -> None: ...\n", ["account.x", "def x(self"]),
    "two handlers of one name": (
        "    @handler('x')\n    def x(self): ...\n\n    @handler('x')\n    def y(self): ...\n",
        ["'x'", "Account"],
    ),
    "a hint that does not exist": (
        "    @handler('x')\n    def x(self, n: 'Nothing') -> None: ...\n",
        ["account.x", "'Nothing'", "import what they name"],
    ),
    "an unknown option": (
        "    @handler('x', read_olny=True)\n    def x(self) -> None: ...\n", ["read_olny", "read_only"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", SOURCES)
def test_declarations(cli, tmp_path, name):
    source, wanted = SOURCES[name]
    file = tmp_path / "app.py"
    file.write_text(BEGIN + source)
    said = cli("dev", str(file), "--strict", "--data", str(tmp_path / "data"), code=2).stderr
    for words in wanted:
        assert words in said, said
    assert "Traceback" not in said


def test_a_broker_that_is_not_there(cli):
    result = cli("doctor", "--kafka", "localhost:9", code=1)
    for words in ("localhost:9", "is the broker up?", "check address, firewall"):
        assert words in result.output


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        (["dev"], ["name the file of your actors", "bank.py"]),
        (["dev", "nowhere.py"], ["nowhere.py", "no such file"]),
        (["run", BANK, "--workers", "2"], ["workers = 2", "--kafka ADDRESS"]),
        (["edge"], ["--kafka ADDRESS"]),
        (["cal", "account/a", "x"], ["cal", "call"]),
        (["dev", BANK, "--prot", "80"], ["--prot", "--port"]),
        (["dev", BANK, "--port", "99999"], ["--port", "65535"]),
        (["call", "account", "balance"], ["'account'", "type/id"]),
        (["call", "account/a", "deposit", "5"], ["'5'", "key=value"]),
        (["doctor", "--kafka", "http://localhost:9092"], ["http://localhost:9092", "write host:port, as in"]),
    ],
)
def test_commands(cli, tmp_path, monkeypatch, arguments, wanted):
    monkeypatch.chdir(tmp_path)
    result = cli(*arguments, code=2)
    for words in wanted:
        assert words in result.output, result.output
    assert "Traceback" not in result.output


def test_a_port_that_is_taken(dev, cli, tmp_path):
    said = cli("dev", BANK, "--port", str(dev.port), "--data", str(tmp_path / "other"), code=2).stderr
    assert f"cannot listen on 127.0.0.1 port {dev.port}" in said
    assert "choose another" in said


def test_a_node_that_does_not_run(cli):
    said = cli("call", "account/a", "balance", "--url", "http://localhost:9", code=3).stderr
    assert "no node answers at http://localhost:9" in said
    assert "plexstream dev FILE" in said


def test_calls(dev):
    with Client(dev.url) as client:
        with pytest.raises(UnknownType, match=r"no actor type 'acount'"):
            client.ask("acount/a", "balance")
        with pytest.raises(UnknownHandler, match=r"has no handler 'balanc'; it has .*balance"):
            client.ask("account/a", "balanc")
        with pytest.raises(BadArguments, match=r"account.deposit: .*'amout': did you mean amount\?"):
            client.ask("account/a", "deposit", {"amout": 5})
        with pytest.raises(BadArguments, match="not both"):
            client.ask("account/a", "deposit", {"amount": 5}, amount=6)
        with pytest.raises(BadArguments, match="cannot be written as JSON"):
            client.ask("account/a", "deposit", amount=object())
        with pytest.raises(BadAddress, match="type/id"):
            client.ask("account", "balance")
        with pytest.raises(BadArguments, match="seconds"):
            client.ask("account/a", "balance", timeout=0)


def test_clients():
    for kind in (Client, AsyncClient):
        with pytest.raises(ConfigError, match="http://host:port"):
            kind("localhost:8000")
        with pytest.raises(ConfigError, match="either a url or a log"):
            kind()
    with Client("http://localhost:9") as client, pytest.raises(LogUnavailable, match="is it running there"):
        client.ask("account/a", "balance", timeout=0.5)


def test_http(dev):
    path = f"{dev.url}/v1/actors/account/a/deposit"
    for answer, wanted in [
        (httpx.post(path, content=b'{"amount": 5}'), ["Content-Type: application/json", "--json"]),
        (httpx.post(path, json=[5]), ["JSON object of the arguments"]),
        (httpx.get(path), ["account.deposit", "POST"]),
        (httpx.put(path, json={}), ["PUT", "POST"]),
        (httpx.post(f"{dev.url}/v1/actors/account/deposit", json={}), ["type/id/handler"]),
        (httpx.post(f"{dev.url}/account/a/deposit", json={}), ["/v1/actors/"]),
        (httpx.post(f"{path}?amount=5", json={}), ["'amount'", "body"]),
        (httpx.get(f"{dev.url}/v1/topics/deposits"), ["'deposits'", "[http]"]),
        (httpx.get(path, headers={"Host": "bank.example"}), ["bank.example", "hosts"]),
    ]:
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        for words in wanted:
            assert words in problem["detail"], problem
