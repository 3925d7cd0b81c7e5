from __future__ import annotations

import json
import shutil
from pathlib import Path

from plexstream.cli.common.output import when

BANK = Path(__file__).with_name("bank.py")


def test_state(cli, used):
    found = json.loads(cli("state", "get", "account/alice", "--data", used).stdout)
    assert found["state"] == {"balance": 12, "moves": [5, 7], "notes": {"k": "a text"}}
    assert found["turn"] == 3
    assert "has had no turn" in cli("state", "get", "account/nobody", "--data", used, code=1).stderr
    listed = json.loads(cli("state", "list", "account", "--data", used, "--json").stdout)
    assert {row["address"]: row["turn"] for row in listed} == {"account/alice": 3, "account/bob": 1}
    assert "account/bob" in cli("state", "list", "--data", used).stdout


def test_what_has_not_been_yet_has_no_time():
    """Such as the turn of an actor whose start has failed."""
    assert when(0) == "–"
    assert when(1_000_000_000_000).startswith("2001-09-")


def test_state_in_the_past(cli, used):
    lines = cli("journal", "show", "--actor", "account/alice", "--data", used, "--json").stdout.splitlines()
    turns = [json.loads(line) for line in lines]
    assert [t["handler"] for t in turns] == ["deposit", "note", "deposit"]
    assert all(t["counts"] for t in turns)
    first, last = str(turns[0]["offset"]), str(turns[-1]["offset"])
    past = json.loads(cli("state", "get", "account/alice", "--at", first, "--data", used).stdout)
    assert past["state"] == {"balance": 5, "moves": [5]}
    between = ["state", "diff", "account/alice", "--from", first, "--at", last, "--data", used]
    found = {d["path"]: d for d in json.loads(cli(*between, "--json").stdout)}
    assert found["balance"] == {"path": "balance", "before": 5, "after": 12}
    assert found["notes"] == {"path": "notes", "after": {"k": "a text"}}
    assert "balance" in cli(*between).stdout
    assert (
        "ends at offset" in cli("state", "get", "account/alice", "--at", "999", "--data", used, code=1).stderr
    )


def test_journal(cli, used):
    said = cli("journal", "tail", "--data", used).stdout
    assert "claim by" in said
    assert "account/alice #1 deposit (mailbox/0)  balance=5" in said
    assert '→ emit deposits {"amount":5}' in said
    assert "release:" in said
    only = cli("journal", "tail", "--actor", "account/alice", "-n", "1", "--data", used).stdout.splitlines()
    assert len(only) == 1
    assert "#3 deposit" in only[0]
    for command in ("tail", "show"):
        nobody = cli("journal", command, "--actor", "account/nobody", "--data", used, code=1).stderr
        assert "no record of default/default/account/nobody" in nobody
    assert (
        "are the partitions 0 to 7"
        in cli("journal", "show", "--partition", "8", "--data", used, code=2).stderr
    )


def test_replay(cli, used, tmp_path):
    copy = shutil.copytree(used, tmp_path / "copy")
    assert "the same" in cli("replay", "--data", str(copy)).stdout
    assert "all as recorded" in cli("replay", "--re-execute", str(BANK), "--data", str(copy)).stdout
    other = tmp_path / "other.py"
    other.write_text(BANK.read_text().replace("self.balance += amount\n", "self.balance += 2 * amount\n"))
    said = cli("replay", "--re-execute", str(other), "--data", str(copy), code=1).stdout
    assert "default/default/account/alice turn 1, deposit" in said
    assert "balance: recorded 5, now 10" in said
    as_json = json.loads(
        cli("replay", "--re-execute", str(other), "--data", str(copy), "--json", code=1).stdout
    )
    assert sum(r["first"] is not None for r in as_json) >= 1


def test_replay_to_an_offset(cli, used, tmp_path):
    copy = str(shutil.copytree(used, tmp_path / "copy"))
    lines = cli("journal", "show", "--actor", "account/alice", "--data", copy, "--json").stdout.splitlines()
    turns = [json.loads(line) for line in lines]
    where = ["--data", copy, "--partition", str(turns[0]["partition"]), "--at", str(turns[0]["offset"])]
    row, store = json.loads(cli("replay", *where, "--json").stdout)
    assert (row["turns"], row["different"], row["end"]) == (1, 0, turns[0]["offset"] + 1)
    assert "later" in store["note"]
    assert "the same" in cli("replay", *where).stdout
    assert "1 turn executed again" in cli("replay", "--re-execute", str(BANK), *where).stdout
    assert "ends at offset" in cli("replay", *where[:-1], "999", code=1).stderr
    assert "add --partition P" in cli("replay", "--data", copy, "--at", "1", code=2).stderr


def test_clear(cli, used, tmp_path):
    copy = str(shutil.copytree(used, tmp_path / "copy"))
    cli("state", "clear", "account/alice", "--data", copy, input="n\n", code=1)
    assert "is cleared" in cli("state", "clear", "account/alice", "--data", copy, input="y\n").stdout
    assert json.loads(cli("state", "get", "account/alice", "--data", copy).stdout)["state"] == {}
    assert "has no state" in cli("state", "clear", "account/alice", "--data", copy, "--yes").stdout


def test_topics_of_the_embedded_log(cli, used, tmp_path):
    rows = {r["topic"]: r for r in json.loads(cli("topics", "list", "--data", used, "--json").stdout)}
    assert rows["plex.journal"]["partitions"] == 8
    assert rows["plex.out.deposits"]["wrong"] == []
    new = str(tmp_path / "new")
    assert "no embedded log in" in cli("topics", "list", "--data", new, code=2).stderr
    assert "created" in cli("topics", "apply", "--data", new, "--partitions", "3").stdout
    assert "has every topic, with 3 partitions" in cli("topics", "apply", "--data", new).stdout
    said = cli("topics", "apply", "--data", new, "--partitions", "4", code=2).stderr
    assert "partitions = 4, but plex.mailbox has 3, which is fixed" in said


def test_doctor(cli, used, tmp_path, monkeypatch):
    said = cli("doctor", "--data", used).stdout
    assert "7 topics as declared, 8 partitions" in said
    assert "✗" not in said
    found = json.loads(cli("doctor", "--kafka", "127.0.0.1:1", "--json", code=1).stdout)
    (problem,) = [f for f in found if f["level"] == "problem"]
    assert problem["subject"] == "kafka"
    assert problem["advice"]
    file = tmp_path / "file"
    file.touch()
    assert f"{file} is no folder" in cli("doctor", "--data", str(file), code=1).stdout


def test_bench(cli):
    rows = json.loads(
        cli("bench", "--seconds", "0.2", "--callers", "4", "--partitions", "2", "--json").stdout
    )
    assert [r["what"] for r in rows] == ["ask", "ask", "ask, read-only", "tell"]
    assert all(r["rate"] > 0 and r["p50"] <= r["p99"] <= r["worst"] for r in rows)
