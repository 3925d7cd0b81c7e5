"""What the command line shows of handlers that wait, on the log of a node that was stopped."""

from __future__ import annotations

import json


def test_ps(cli, waited):
    said = cli("ps", "--data", waited).stdout
    rows = [line.split() for line in said.splitlines()]
    assert ["waiter/ask#1", "through", "waits", "asks", "waiter/sleep", "nap"] in [row[:6] for row in rows]
    assert "sleeps until 20" in said
    found = {r["address"]: r for r in json.loads(cli("ps", "waiter", "--data", waited, "--json").stdout)}
    assert found["default/default/waiter/outside"]["waits"][0]["what"].startswith("awk_")
    limited = cli("ps", "-n", "1", "--data", waited)
    assert "1 are shown" in limited.stderr
    # Which one that is, is not said by the order of the messages: partitions do not wait for each other.
    oldest = min(found.values(), key=lambda r: (r["since"], r["address"]))
    assert [line.split()[0] for line in limited.stdout.splitlines()[1:]] == [
        f"{oldest['address'].removeprefix('default/default/')}#1"
    ]
    assert "0 handlers" in cli("ps", "other", "--data", waited).stderr
    assert "are the partitions 0 to 7" in cli("ps", "--partition", "8", "--data", waited, code=2).stderr


def test_an_invocation_step_by_step(cli, waited):
    said = cli("journal", "show", "waiter/done#1", "--data", waited).stdout
    assert said.startswith("waiter/done#1 steps {}  ask ")
    assert "from outside" in said
    for part in ("step 0 (mailbox/", "0: run one", "1: sleep until", '← 2 {"is":2}', "→ reply [1,"):
        assert part in said
    lines = cli("journal", "show", "waiter/done#1", "--json", "--data", waited).stdout.splitlines()
    steps = [json.loads(line) for line in lines]
    assert [s["number"] for s in steps] == [0, 1, 2]
    assert steps[-1]["status"] == "done"
    assert steps[0]["begin"]["payload"] == {}
    assert steps[-1]["completions"] == [{"number": 2, "failed": False, "value": {"is": 2}}]
    assert (
        "has no invocation waiter/done#9"
        in cli("journal", "show", "waiter/done#9", "--data", waited, code=1).stderr
    )
    assert "add its number" in cli("journal", "show", "waiter/done", "--data", waited, code=2).stderr
    both = cli("journal", "show", "waiter/done#1", "--partition", "1", "--data", waited, code=2)
    assert "leave out --partition" in both.stderr


def test_steps_in_the_tail(cli, waited):
    said = cli("journal", "tail", "--actor", "waiter/done", "--data", waited).stdout
    assert 'waiter/done#1 steps step 2 (by itself)  ← 2 {"is":2}  done  done=[1,"all"]' in said
    failed = cli("journal", "tail", "--actor", "waiter/broken", "--data", waited).stdout
    assert "attempt 1 of 5 failed, next at " in failed
    assert ": failed: waiter.broken raised ValueError: it does not work" in failed
    lines = cli("journal", "tail", "--json", "--data", waited).stdout.splitlines()
    assert {json.loads(line)["kind"] for line in lines} >= {"step", "claim", "mark"}


def test_timers_and_state_of_who_sleeps(cli, waited):
    found = json.loads(cli("state", "get", "waiter/sleep", "--data", waited).stdout)
    assert (found["turn"], found["state"]) == (1, {})
    assert found["timers"][0]["handler"] == "$wake"
    timers = json.loads(cli("timers", "--json", "--data", waited).stdout)
    assert [t["handler"] for t in timers] == ["$wake"]
    assert "the same" in cli("replay", "--data", waited).stdout


def test_why(cli, waited):
    said = cli("why", "waiter/ask", "--data", waited).stdout
    assert "has let go of it in good order" in said
    assert "  asks waiter/sleep nap" in said
    assert "\n      waiter/sleep  partition" in said
    assert "sleeps until" in said
    outside = cli("why", "waiter/outside", "--data", waited).stdout
    assert "→ plexstream awakeable resolve awk_" in outside
    found = json.loads(cli("why", "waiter/ask", "--json", "--data", waited).stdout)
    assert found["asked"]["default/default/waiter/sleep"]["invocations"][0]["handler"] == "nap"
