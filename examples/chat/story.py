"""Three guests, two lines at the same time, and one who leaves."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect, until

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []


def play(stage: Stage, id: str) -> None:
    """All enter; two speak at the same time; one leaves, and hears no more."""
    ann, bob, cem = (f"guest/{id}-{name}" for name in ("ann", "bob", "cem"))
    for guest in (ann, bob, cem):
        stage.ask(guest, "enter", f"{guest}-enter", room=id)
    said = [stage.start(who, "say", f"{who}-say", room=id, line="hello") for who in (ann, bob)]
    expect("who heard them", [one.result() for one in said], [2, 2])
    both = {"ann: hello", "bob: hello"}
    until("cem hears both", lambda: set(stage.look(cem, "heard") or ()) == both)
    until("ann hears bob", lambda: stage.look(ann, "heard") == ["bob: hello"])
    stage.ask(bob, "leave", f"{bob}-leave", room=id)
    expect("who hears ann", stage.ask(ann, "say", f"{ann}-bye", room=id, line="bye"), 1)
    until("cem hears all", lambda: (stage.look(cem, "heard") or [])[2:] == ["ann: bye"])
    expect("what bob has heard", stage.look(bob, "heard"), ["ann: hello"])
