"""Three candidates for one ship, and a crew that is told who its captain is."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect, until

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []
CANDIDATES = ["ann", "bob", "cem"]


def play(stage: Stage, id: str) -> None:
    """All campaign at the same time. Each leads for one term, none together, and the crew hears of all."""
    stage.ask(f"crew/{id}", "watch", f"{id}-watch", ship=id)
    stands = {
        f"candidate/{id}-{name}": stage.start(f"candidate/{id}-{name}", "stand", f"{id}-{name}", ship=id)
        for name in CANDIDATES
    }
    terms = {stand.result(): who for who, stand in stands.items()}
    expect("terms", len(terms), len(CANDIDATES))
    captains = stage.nouns("").ts.read_all(["captain", id, int, str])
    expect("captains", {row[2]: row[3] for row in captains}, terms)
    expect("who leads", stage.nouns("").elections.election(id).leader(), None)
    told = [[term, who] for term, who in sorted(terms.items())]
    until("the crew hears of all, in order", lambda: stage.look(f"crew/{id}", "heard") == told)
