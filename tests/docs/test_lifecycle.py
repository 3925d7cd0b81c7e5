"""The lifecycle that the docs show is the one that runs: `python tests/docs/test_lifecycle.py` writes it."""

import re
from pathlib import Path

import pytest

from plexstream.model.journal.journal import Begin
from plexstream.processor.waiting.invocation.invocation import Invocation
from plexstream.processor.waiting.invocation.machine import (
    HOLDS,
    SAME,
    TABLE,
    WAITS,
    Event,
    ImpossibleTransition,
    State,
    move,
)

PAGE = Path(__file__).parents[2] / "docs" / "durable-execution.md"
HEAD = "| state | event | then | the journal gets |\n|---|---|---|---|\n"


def diagram():
    """One arrow for each pair of states, with its events."""
    arrows: dict[tuple[str, str], list[str]] = {}
    for row in TABLE:
        for state in row.states:
            if state is not row.then:
                start = "[*]" if state is State.NEW else state.value
                events = arrows.setdefault((start, row.then.value), [])
                if row.event.value not in events:
                    events.append(row.event.value)
    lines = [f"    {a} --> {b}: {', '.join(events)}" for (a, b), events in arrows.items()]
    return "\n".join([*lines, "    ended --> [*]"])


def table():
    """The rows of the machine."""
    rows = []
    for row in TABLE:
        states = ", ".join(s.value for s in row.states)
        when = f", where {row.when}" if row.when else ""
        rows.append(f"| {states} | {row.event.value}{when} | {row.then.value} | {row.writes or '–'} |")
    return HEAD + "\n".join(rows)


def test_the_docs_show_the_machine():
    text = PAGE.read_text()
    shown = re.search(r"```mermaid\nstateDiagram-v2\n(.*?)\n```", text, re.S)
    assert shown is not None
    assert shown[1] == diagram(), "run python tests/docs/test_lifecycle.py"
    assert table() in text, "run python tests/docs/test_lifecycle.py"


def test_every_state_is_reached_and_left_but_the_last():
    entered = {row.then for row in TABLE}
    left = {state for row in TABLE for state in row.states}
    assert entered == set(State) - {State.NEW}
    assert left == set(State) - {State.ENDED}
    assert {row.event for row in TABLE} == set(Event)


def test_a_transition_is_told_once():
    told = [(state, row.event, row.when) for row in TABLE for state in row.states]
    assert len(told) == len(set(told))
    assert {row.when for row in TABLE} == {"", HOLDS, SAME, WAITS}


@pytest.mark.parametrize("state", list(State))
def test_what_the_table_does_not_have_cannot_be(state):
    inv = Invocation("default/default/a/1", 1, Begin(0, "m", "h", b"", "", "", "", 0, "", None), 0)
    for event in Event:
        inv.state = state
        allowed = any(state in row.states and row.event is event and not row.when for row in TABLE)
        if allowed:
            move(inv, event)
        else:
            with pytest.raises(ImpossibleTransition):
                move(inv, event)
            assert inv.state is state


def write():
    text = PAGE.read_text()
    text = re.sub(r"(stateDiagram-v2\n).*?(\n```)", lambda m: m[1] + diagram() + m[2], text, flags=re.S)
    rows = re.escape(HEAD) + r"(\|.*\n)*"
    text = text.replace("\nTABLE\n", f"\n{table()}\n")
    PAGE.write_text(re.sub(rows, lambda _: table() + "\n", text))


if __name__ == "__main__":
    write()
