"""Coordination on the command line: each operation of a noun is a command."""

import json
import shlex

import pytest
from typer.testing import CliRunner

from plexstream.cli.app import app
from plexstream.cli.coordination.examples import EXAMPLES
from plexstream.sdk.host.coordination.nouns import WORDS, noun_class
from plexstream.sdk.host.coordination.operation import operations


@pytest.fixture
def cli(served, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    for name, value in (("COLUMNS", "200"), ("NO_COLOR", "1"), ("TERM", "dumb")):
        monkeypatch.setenv(name, value)

    def run(*arguments, code=0):
        done = CliRunner().invoke(app, [*arguments, "--url", served.url])
        assert done.exit_code == code, done.output
        return [json.loads(line) for line in done.stdout.splitlines()] if code == 0 else done.output

    return run


@pytest.mark.parametrize("word", WORDS)
def test_each_operation_has_help(word):
    for name in operations(noun_class(word)):
        done = CliRunner().invoke(app, [WORDS[word].command, name.replace("_", "-"), "--help"])
        assert done.exit_code == 0, done.output
        assert "--url" in done.output


@pytest.mark.parametrize("word", WORDS)
def test_each_operation_has_examples_that_are_commands(word):
    assert set(EXAMPLES[word]) == set(operations(noun_class(word)))
    for name, examples in EXAMPLES[word].items():
        for example in examples:
            arguments = [name.replace("_", "-"), *shlex.split(example), "--url", "http://127.0.0.1:1"]
            done = CliRunner().invoke(app, [WORDS[word].command, *arguments])
            assert done.exit_code == 3, f"{arguments}: {done.output}"  # all is right, and nobody is there


def test_the_help_of_an_option_is_what_the_docstring_says_of_the_parameter(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    said = CliRunner().invoke(app, ["queue", "receive", "--help"]).output
    assert "Seconds until what is not acknowledged is visible again; null: as configured." in said
    assert "How many at most, up to 1,000;" in said
    assert "(default 1)" in said
    assert "Operations on an election." in CliRunner().invoke(app, ["--help"]).output


def test_what_is_not_got_in_time_ends_with_1_so_that_a_script_goes_no_further(cli):
    [grant] = cli("lock", "acquire", "script")
    assert cli("lock", "acquire", "script", code=1) == "null\n"
    assert cli("lock", "release", "script", str(grant["token"])) == []
    assert cli("ts", "take", '["nothing"]', code=1) == "null\n"
    assert cli("queue", "receive", "script", code=1) == ""
    assert cli("pool", "checkout", "script", "--wait", "0.01", code=1) == "null\n"


def test_a_tuple_or_a_list_that_is_a_value_is_one_line(cli):
    cli("ts", "write", '["lines", [1, 2]]')
    assert cli("ts", "read", '["lines", "*"]') == [["lines", [1, 2]]]
    assert cli("ts", "read-all", '["lines", "*"]') == [["lines", [1, 2]]]
    assert cli("ts", "take", '["lines", "*"]') == [["lines", [1, 2]]]
    cli("kv", "put", "lines", "[1, 2]")
    assert cli("kv", "get", "lines") == [[1, 2]]


def test_a_file_that_is_not_there_is_said_with_the_order_of_the_arguments(cli):
    assert "give the blob's name, then the file" in cli("blob", "put", "may.pdf", "reports/may.pdf", code=2)


def test_keys_and_values(cli):
    assert cli("kv", "put", "007", '{"a": 1}', "--name", "cli") == [1]
    assert cli("kv", "put", "text", "1.08 EUR", "--ttl", "60", "--name", "cli") == [1]
    assert cli("kv", "get", "007", "-n", "cli") == [{"a": 1}]
    assert cli("kv", "list", "-n", "cli") == ["007", "text"]
    assert cli("kv", "list", "--prefix", "t", "-n", "cli") == ["text"]
    assert cli("kv", "multi-get", '["text"]', "-n", "cli") == [{"text": "1.08 EUR"}]
    assert cli("kv", "get", "none", "-n", "cli") == [None]
    for _ in range(2):
        assert cli("kv", "increment", "n", "--by", "2", "-n", "cli", "--idempotency-key", "x") == [2]


@pytest.mark.parametrize("number", ["-5", "-1.5", "-2e-3"])
def test_a_negative_number_is_a_value_and_no_option(cli, number):
    cli("kv", "put", "offset", number, "--ttl", "60", "--name", "numbers")
    assert cli("kv", "get", "offset", "--name", "numbers") == [json.loads(number)]
    assert "No such option: -x" in cli("kv", "put", "offset", "-x", code=2)
    assert cli("kv", "increment", "sum", "--by", "-2", "--name", f"by{number}") == [-2]


def test_shard_groups(cli):
    assert cli("shards", "create", "cli", "part", "2", "--placement", "range", "--bounds", '["m"]') == [True]
    assert cli("shards", "bulk-update", "cli", '{"a": 1, "z": 2}', "update") == [{"0": ["a"], "1": ["z"]}]
    assert cli("shards", "reduce", "cli", "rows", "--by", "merge") == [{"a": 1, "z": 2}]
    assert cli("shards", "map", "cli", "number", "--arguments", '{"times": 3}') == [0, 3]
    assert cli("shards", "locate", "cli", "007") == [0]
    assert cli("shards", "barrier", "cli", "b", "1") == [0]
    assert cli("shards", "members", "cli") == ["part/cli~0", "part/cli~1"]
    asked = ("refuse", "--arguments", '{"shards": [1]}', "--policy", "any")
    found = cli("shards", "scatter-gather", "cli", *asked)
    assert found[0]["failures"]["1"]["detail"] == "shard 1 will not"
    assert "max: shard 0 answered" in cli("shards", "reduce", "cli", "rows", "--by", "max", code=1)
    assert "give one of concat" in cli("shards", "reduce", "cli", "number", "--by", "mean", code=2)
    assert cli("shards", "delete", "cli") == [True]


def test_what_is_wrong_is_said(cli):
    assert "above 0" in cli("kv", "put", "a", "1", "--ttl", "0", code=1)
    assert "limit" in cli("kv", "list", "--limit", "0", code=1)
    assert "give 0, or seconds above 0" in cli("queue", "send", "q", "1", "--delay", "-1", code=1)
    assert 'such as {"zone": "eu"}' in cli("registry", "discover", "--labels", "zone=eu", code=2)
    assert "which is JSON" in cli("ts", "take", '["a", int]', code=2)
    assert "No such command" in cli("kv", "putt", "a", "1", code=2)
    assert "Missing argument" in cli("kv", "put", "a", code=2)
    assert "idempotency-key is empty" in cli("kv", "put", "a", "1", "--idempotency-key", "", code=2)


def test_channels(cli):
    assert cli("channel", "subscribe", "cli", "me", "--topic", "rates.*") == [0]
    assert cli("channel", "publish", "cli", "1.08", "--topic", "rates.eur") == [1]
    assert cli("channel", "publish-many", "cli", "[1, 2]") == [2, 3]
    [found] = cli("channel", "fetch", "cli", "me", "--wait", "5")
    assert ([message["value"] for message in found["messages"]], found["position"]) == ([1.08], 3)
    assert cli("channel", "commit", "cli", "me", "3") == [0]
    assert "has committed 3" in cli("channel", "commit", "cli", "me", "9", code=1)
    assert cli("channel", "status", "cli")[0]["last"] == 3


def test_queues(cli):
    assert cli("queue", "send", "cli", '{"order": 17}') == [1]
    assert cli("queue", "send-many", "cli", "[1, 2]", "--delay", "60") == [2, 3]
    [message] = cli("queue", "receive", "cli", "--limit", "10", "--wait", "5")
    assert message["value"] == {"order": 17}
    assert cli("queue", "ack", "cli", message["receipt"]) == [1]
    assert "acknowledged" in cli("queue", "ack", "cli", message["receipt"], code=1)
    assert cli("queue", "depth", "cli")[0]["delayed"] == 2
    assert cli("queue", "purge", "cli") == [2]


def test_groups(cli):
    assert cli("group", "join", "cli", "--member", "anybody/a", "--topics", '["bass"]') == [True]
    assert cli("group", "join", "cli", "--member", "anybody/b", "--topics", "bass") == [True]
    assert cli("group", "members", "cli", "--topic", "bass") == ["anybody/a", "anybody/b"]
    assert cli("group", "publish", "cli", "--payload", "{}", "--handler", "here") == [2]
    assert cli("group", "leave", "cli", "--member", "anybody/a") == [True]
    assert cli("group", "status", "cli") == [{"members": 1, "published": 1, "under_way": 0}]
    assert "member is missing" in cli("group", "join", "cli", code=1)


def test_registries(cli):
    named = ("--registry", "cli")
    labels = ("--labels", '{"zone": "eu"}')
    assert cli("registry", "register", "pay", "--address", "anybody/a", *labels, *named) == [True]
    [found] = cli("registry", "lookup", "pay", *named)
    assert (found["name"], found["address"], found["ttl"]) == ("pay", "anybody/a", None)
    assert cli("registry", "discover", *labels, *named) == [found]
    assert cli("registry", "watch", "p", "here", "--to", "anybody/a", "--prefix", *named) == [True]
    assert cli("registry", "unregister", "pay", "--address", "anybody/a", *named) == [True]
    assert "register it again" in cli(
        "registry", "heartbeat", "pay", "--address", "anybody/a", *named, code=1
    )


def test_locks(cli):
    [got] = cli("lock", "acquire", "cli", "--holder", "ann", "--lease", "60")
    token = str(got["token"])
    assert cli("lock", "acquire", "cli", "--wait", "0.01", code=1) == "null\n"
    assert cli("lock", "status", "cli")[0]["holder"] == "ann"
    assert cli("lock", "renew", "cli", token, "--lease", "90")[0]["due"] > got["due"]
    assert cli("lock", "check", "cli", token) == [True]
    assert cli("lock", "release", "cli", token) == []
    assert "it was released" in cli("lock", "release", "cli", token, code=1)


def test_elections(cli):
    [got] = cli("election", "campaign", "cli", "--candidate", "ann", "--lease", "60")
    assert cli("election", "leader", "cli") == [got]
    known = ("--known-term", str(got["term"]))
    assert cli("election", "watch", "cli", *known, "--wait", "0", code=1) == "null\n"
    assert cli("election", "resign", "cli", str(got["term"])) == []
    assert cli("election", "leader", "cli") == [None]


def test_pools(cli):
    assert cli("pool", "add", "cli", '["w/1", "w/2"]') == [2]
    [lent] = cli("pool", "checkout", "cli", "--wait", "1")
    assert cli("pool", "members", "cli") == [{"w/1": "busy", "w/2": "idle"}]
    assert cli("pool", "checkin", "cli", str(lent["checkout"]), "--no-healthy") == []
    assert cli("pool", "metrics", "cli")[0]["unhealthy"] == 1
