"""Three philosophers at one table, who all want to eat at the same time."""

from __future__ import annotations

from pathlib import Path

from stage import Stage, expect

APP = Path(__file__).with_name("actors.py")
OPTIONS: list[str] = []
SEATS = 3
MEALS = 1


def play(stage: Stage, id: str) -> None:
    """All dine, and end; each fork was given to one after the other, by tokens that rise."""
    dine = {"table": id, "seats": SEATS, "meals": MEALS}
    dinners = [
        stage.start(f"philosopher/{id}-{seat}", "dine", f"{id}-{seat}", seat=seat, **dine)
        for seat in range(SEATS)
    ]
    expect("meals", [dinner.result() for dinner in dinners], [MEALS] * SEATS)
    meals = stage.nouns("").ts.read_all(["meal", id, None, None, None, None, None])
    expect("who has eaten", sorted(row[4] for row in meals), sorted([*range(SEATS)] * MEALS))
    for fork in range(SEATS):
        tokens = [row[6] for row in meals if row[3] == fork]
        expect(f"the tokens of fork {fork}", len(set(tokens)), len(tokens))
        status = stage.nouns("").locks.lock(f"{id}/fork {fork}").status()
        expect(f"who holds fork {fork}", (status["holder"], status["waits"]), (None, 0))
