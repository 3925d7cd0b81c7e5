from __future__ import annotations

import pytest
from installation import PARTITIONS, WAITING, Installation, wait_until

from plexstream.cli.views.ps import said
from plexstream.inspection.history import entries
from plexstream.inspection.replay.verify import stores_of, verify
from plexstream.inspection.views.invocations import Invocation, invocations, recorded
from plexstream.inspection.views.state_view import state_at
from plexstream.inspection.views.why import why
from plexstream.log.memory.memory import MemoryLog
from plexstream.model.journal.journal import Step
from plexstream.model.messages.address import full, partition_of
from plexstream.model.messages.awakeable import read_id
from plexstream.processor import Settings


def listed(i: Installation, type_name: str | None = None) -> dict[str, Invocation]:
    found = [v for n in range(PARTITIONS) for v in invocations(i.log, i.topics, n, type_name)]
    return {f"{v.address.removeprefix('default/default/waiter/')}#{v.number}": v for v in found}


def steps_of(i: Installation, address: str) -> list[int]:
    home = partition_of(full(address), PARTITIONS)
    found = entries(i.log, i.topics, home, 0, i.end(home))
    return [e.offset for e in found if type(e.record) is Step and e.record.actor == full(address)]


@pytest.fixture
def fast_parking(monkeypatch):
    monkeypatch.setattr("plexstream.processor.waiting.limits.PARK_AFTER", 50)


@pytest.fixture
def waiting(tmp_path, fast_parking):
    """One handler for each thing that can be waited for, one behind another, and it is stopped."""
    with Installation(MemoryLog(), tmp_path / "state", None, WAITING) as i:
        i.client.tell("waiter/sleep", "nap")
        i.client.tell("waiter/outside", "outside")
        i.client.tell("waiter/promise", "promised", name="p")
        i.client.tell("waiter/ask", "through", to="waiter/sleep")
        i.client.tell("waiter/paused", "nap")
        i.client.tell("waiter/broken", "broken")
        assert i.ask("waiter/done", "steps") == [1, {"is": 2}]
        wait_until(lambda: {"paused#1", "ask#1", "sleep#2"} <= listed(i).keys())
        i.client.pause("waiter/paused")
        wait_until(lambda: "broken#1" not in listed(i))
    return i


def test_what_is_waited_for(waiting):
    found = listed(waiting)
    assert found.keys() == {"sleep#1", "sleep#2", "outside#1", "promise#1", "ask#1", "paused#1"}
    assert {k: v.status for k, v in found.items() if v.status != "waits"} == {
        "sleep#2": "queued", "paused#1": "paused",
    }  # fmt: skip
    waits = {k: (w.kind, w.what) for k, v in found.items() for w in v.waits}
    id = waits.pop("outside#1")[1]
    assert read_id(id)[:2] == (full("waiter/outside"), f"{full('waiter/outside')}#1.0")
    assert waits == {
        "sleep#1": ("sleep", ""), "paused#1": ("sleep", ""), "promise#1": ("promise", "p"),
        "ask#1": ("ask", f"{full('waiter/sleep')} nap"),
    }  # fmt: skip
    assert found["sleep#1"].waits[0].due == found["sleep#1"].waits[0].since + 3_600_000
    assert (found["sleep#2"].kind, found["sleep#2"].caller) == ("ask", full("waiter/ask"))
    assert found["sleep#2"].message == f"{full('waiter/ask')}#1.0"
    assert not listed(waiting, "other")
    assert listed(waiting, "waiter") == found


def test_the_id_that_is_shown_completes_it(waiting, tmp_path):
    id = listed(waiting)["outside#1"].waits[0].what
    with Installation(waiting.log, tmp_path / "state", None, WAITING) as i:
        i.client.resolve_awakeable(id, "shown")
        assert i.ask("waiter/outside", "look") == ["shown"]
        assert "outside#1" not in listed(i)


def test_a_failure_that_is_tried_again_is_told(tmp_path):
    with Installation(MemoryLog(), tmp_path / "state", None, WAITING) as i:
        i.client.tell("waiter/broken", "broken")
        wait_until(lambda: any(v.tried for v in listed(i).values()))
        found = listed(i).get("broken#1")
    assert found is not None
    assert found.status == "tries again"
    assert found.tried is not None
    assert found.tried.error == "failed: waiter.broken raised ValueError: it does not work"


def test_what_is_tried_again_is_listed_with_its_attempts(tmp_path):
    with Installation(MemoryLog(), tmp_path / "state", None, WAITING) as i:
        i.client.tell("waiter/tell", "refuses_work")  # for so long that it waits in the journal
        i.client.tell("waiter/soon", "refuses_at_first")
        i.client.tell("waiter/step", "broken_step")
        wait_until(lambda: {"tell#1", "soon#0", "step#1"} <= listed(i).keys())
        found = listed(i)
        account = why(i.log, i.topics, "waiter/tell")
    soon = found["soon#0"]
    assert (soon.handler, soon.status, soon.tried.of) == ("refuses_at_first", "tries again", 2)
    tell = found["tell#1"]
    assert (tell.handler, tell.status, tell.tried.of) == ("refuses_work", "tries again", 5)
    assert tell.tried.error == "failed: waiter.refuses_work raised ValueError: no work"
    assert [v.handler for v in account.invocations] == ["refuses_work"]
    [step] = found["step#1"].waits
    assert (step.kind, step.what, step.tried.of) == ("run", "step", 3)
    assert step.tried.error == "step_failed: ValueError: no step"
    assert step.tried.next >= step.since + 10_000
    assert "attempt 1 of 3 failed, next at " in said(step, 0)


def test_numbers_go_on_after_a_restart(waiting, tmp_path):
    """What is parked then must not take the place of what waits."""
    with Installation(waiting.log, tmp_path / "state", None, WAITING) as i:
        i.client.tell("waiter/sleep", "promised", name="later")
        wait_until(lambda: len([k for k in listed(i) if k.startswith("sleep#")]) == 3)
        found = {k: v.handler for k, v in listed(i).items() if k.startswith("sleep#")}
    assert found == {"sleep#1": "nap", "sleep#2": "nap", "sleep#3": "promised"}


def test_a_finished_one_step_by_step(waiting):
    found = recorded(waiting.log, waiting.topics, full("waiter/done"), 1)
    assert [r.offset for r in found] == steps_of(waiting, "waiter/done")
    assert [c.name for r in found for c in r.step.commands if c.name] == ["one", "two"]
    assert found[-1].step.status == 0
    assert not recorded(waiting.log, waiting.topics, full("waiter/done"), 2)
    assert not recorded(waiting.log, waiting.topics, full("waiter/nobody"), 1)


def test_one_that_waits_after_its_steps_are_trimmed(tmp_path):
    settings = Settings(snapshot_interval=50, mark_interval=50, flush_interval=50)
    with Installation(MemoryLog(), tmp_path / "state", settings, WAITING) as i:
        i.client.tell("waiter/sleep", "nap")
        home = partition_of(full("waiter/sleep"), PARTITIONS)

        def trimmed() -> bool:
            i.ask("waiter/other", "look")
            i.client.tell("waiter/sleep", "look")
            offsets = [r.offset for r in recorded(i.log, i.topics, full("waiter/sleep"), 1)]
            return bool(offsets) and i.log.range((i.topics.journal, home))[0] > offsets[0]

        wait_until(trimmed)
        assert [r.step.number for r in recorded(i.log, i.topics, full("waiter/sleep"), 1)] == [0]
        assert listed(i)["sleep#1"].status == "waits"


def test_state_of_actors_that_waited(waiting):
    offsets = steps_of(waiting, "waiter/done")
    states = [state_at(waiting.log, waiting.topics, "waiter/done", at).state for at in offsets]
    assert states == [{}, {}, {"done": [1, "all"]}]
    asleep = state_at(waiting.log, waiting.topics, "waiter/sleep")
    assert (asleep.turn, asleep.state) == (2, {})
    assert [(t["id"], t["handler"], t["arguments"]) for t in asleep.timers] == [("1~0", "$wake", None)]


def test_stores_are_as_the_log_says(waiting):
    stores = stores_of(waiting.state_dir)
    found = [
        v for n in range(PARTITIONS)
        for v in verify(waiting.log, waiting.topics, n, stores[n], Settings(), 0)
    ]  # fmt: skip
    assert sum(v.pieces for v in found) > 10
    assert not [v.differences for v in found if v.different]
    home = partition_of(full("waiter/done"), PARTITIONS)
    at = steps_of(waiting, "waiter/done")[1]
    alone = verify(waiting.log, waiting.topics, home, [], Settings(), 0, at=at)
    assert alone[0].pieces
    assert not alone[0].different
